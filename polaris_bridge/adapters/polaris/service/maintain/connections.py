"""Connections of the listeners: how many from where, and how to end them.

As in polaris-server 1.19 a protocol is known while the ``connLimit`` of its listener is on; connections are ended in any case.
"""

from __future__ import annotations

from typing import Any, Final

from polaris_bridge.adapters._shared.host import Host, Port
from polaris_bridge.adapters.polaris.service.routes import Query, Text
from polaris_bridge.core.model import Caller
from polaris_bridge.core.ports import Clock

from .plain import DONE, BadBody, member, read, refused, shown, time_text

PROTOCOLS: Final = {
    "api-http": "http",
    "service-grpc": "grpc",
    "config-grpc": "grpc",
    "service-eureka": "eureka",
    "service-nacos": "nacos-http",
    "xds-v3": "xdsv3",
}
"""What the original calls the protocol of each listener; the listener's own name is understood too."""

_MISSING: Final = "missing param protocol"
_UNKNOWN: Final = "not found the protocol"


class Connections:
    """What operators do with connections."""

    def __init__(self, host: Host, clock: Clock) -> None:
        self._host = host
        self._clock = clock

    def count(self, query: Query, _caller: Caller) -> Text:
        """GET apiserver/conn: connections of a protocol by client address, or of one address."""
        protocol, host = _first(query, "protocol"), _first(query, "host")
        found = self._limited(protocol)
        if not found:
            return refused(_UNKNOWN if protocol else _MISSING)
        clients = _by_host(found)
        hosts = {host: len(clients.get(host, ()))} if host else {h: len(ports) for h, ports in sorted(clients.items())}
        return shown({"Protocol": protocol, "Total": sum(map(len, clients.values())), "Host": hosts})

    def stats(self, query: Query, _caller: Caller) -> Text:
        """GET apiserver/conn/stats: the same with ports and times; ``amount``: only addresses with so many."""
        protocol, host = _first(query, "protocol"), _first(query, "host")
        found = self._limited(protocol)
        if not found:
            return refused(_UNKNOWN if protocol else _MISSING)
        clients = _by_host(found)
        quiet_s: dict[str, float] = {}
        for port in found:
            for name, seconds in port.connected.quiet_s.items():
                quiet_s[name] = min(seconds, quiet_s.get(name, seconds))
        now_ms = self._clock.wall_ms()
        names = [name for name in sorted({*clients, *quiet_s}) if host in ("", name)]
        stats = [
            {
                "Host": name,
                "Amount": len(clients.get(name, ())),
                "LastAccess": time_text(now_ms - round(quiet_s.get(name, 0.0) * 1000)),
                "Actives": [f"[{name}]:{p}" if ":" in name else f"{name}:{p}" for p in clients.get(name, ())],
            }
            for name in names
        ]
        part = [s for s in stats if s["Amount"] >= _amount(query)]  # type: ignore[operator]
        total = sum(map(len, clients.values()))
        return shown(
            {
                "Protocol": protocol,
                "ActiveConnTotal": total,
                "StatsTotal": len(stats),
                "StatsSize": len(part),
                "Stats": part,
            }
        )

    def close(self, body: bytes, _caller: Caller) -> Text:
        """POST apiserver/conn/close ``[{Protocol, Host, Port}]``: end the connections of addresses, or the ones named."""
        try:
            wanted = [_wanted(item) for item in _items(read(body))]
        except BadBody as error:
            return refused(str(error))
        for protocol, host, _ in wanted:
            if not (protocol and host):
                return refused("missing host" if protocol else "missing protocol")
        names = [port.name for port in self._host.ports()]
        for protocol, host, port in wanted:
            for name in dict.fromkeys(names):
                if _speaks(name, protocol):
                    self._host.cut(name, host, port)
        return DONE

    def _limited(self, protocol: str) -> list[Port]:
        return [p for p in self._host.ports() if p.connected.limited and _speaks(p.name, protocol)]


def _speaks(name: str, protocol: str) -> bool:
    return protocol != "" and protocol in (name, PROTOCOLS.get(name, name))


def _by_host(ports: list[Port]) -> dict[str, list[int]]:
    """Ports of clients by their addresses."""
    found: dict[str, list[int]] = {}
    for port in ports:
        for host, number in port.connected.clients:
            found.setdefault(host, []).append(number)
    return found


def _first(query: Query, name: str) -> str:
    return query.get(name, [""])[0]


def _amount(query: Query) -> int:
    """A number, or none, as there: what is no number counts as not given."""
    text = _first(query, "amount")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _items(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise BadBody("expected an array")
    return value


def _wanted(item: Any) -> tuple[str, str, int]:
    return member(item, "Protocol", str, ""), member(item, "Host", str, ""), member(item, "Port", int, 0)
