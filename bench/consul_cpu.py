"""CPU of the server per Consul operation over HTTP: registrations, TTL passes, lists, keys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress

from consul_fleet import HEADERS, PLAIN, REGISTER, ConsulFleet, filled
from measure import HttpLoad
from nacos_cpu import Effort, HttpCase, http_row
from plain_http import Connection
from report import Row

TEN = ConsulFleet("ten", 10, subnet=1)
THOUSAND = ConsulFleet("thousand", 1000, subnet=2)
BEATING = ConsulFleet("beating", 1000, subnet=3)
CHANGING = ConsulFleet("changing", 1000, subnet=4)
NEWCOMERS = ConsulFleet("newcomers", 0, subnet=5)
_PER_SERVICE = 100
"""New instances in one service."""
_KEYS = 100
_VALUE = "feature.flag-0000.enabled: true\n" * 8
_KEY = "/v1/kv/bench/written"


def rows(effort: Effort) -> Iterator[Row]:
    """All operations under load."""
    with filled(TEN, THOUSAND, BEATING, CHANGING) as servers:
        for server in servers:
            with Connection(server.base) as connection:
                connection.call("PUT", f"{_KEY}/0", HEADERS, _VALUE.encode())
        try:
            for case in _cases():
                yield http_row(case, servers, effort)
        finally:
            for server in servers[1:]:  # a peer loses what it was given
                with suppress(OSError), Connection(server.base) as connection:
                    connection.call("DELETE", f"{_KEY}?recurse", HEADERS)


def _headers() -> str:
    return "".join(f"wrk.headers[{json.dumps(k)}] = {json.dumps(v)}\n" for k, v in HEADERS.items())


def _cases() -> list[HttpCase]:
    def listed(what: str, target: float, fleet: ConsulFleet, gzip: bool = False) -> HttpCase:
        headers = HEADERS if gzip else PLAIN
        last = b"" if gzip else fleet.id(fleet.size - 1).encode()
        return HttpCase(
            what,
            target,
            HttpLoad(path=fleet.listing, headers=headers),
            ("GET", fleet.listing, ""),
            last,
            headers=headers,
        )

    def kept(
        what: str, target: float | None, load: HttpLoad, method: str, place: str, body: str, expect: bytes
    ) -> HttpCase:
        return HttpCase(what, target, load, (method, place, body), expect, headers=HEADERS)

    written = CHANGING.registration(0)
    raw = f"{_KEY}/0?raw"
    return [
        kept("register again, changed", 300, _again(), "PUT", REGISTER, written, b""),
        kept("register again, identical", None, _same(), "PUT", REGISTER, written, b""),
        HttpCase("register, new instances", 300, _new(), ("PUT", REGISTER, written), b"", grows=True, headers=HEADERS),
        kept("TTL pass", 60, _passes(), "PUT", BEATING.beat(0), "", b""),
        listed("health/service of 10, cached, gzip", 80, TEN, gzip=True),
        listed("health/service of 10, cached, plain", 80, TEN),
        listed("health/service of 1,000, cached, plain", 600, THOUSAND),
        kept("KV get", 80, HttpLoad(path=f"{_KEY}/0", headers=HEADERS), "GET", f"{_KEY}/0", "", b"LockIndex"),
        kept("KV get, raw", 80, HttpLoad(path=raw, headers=HEADERS), "GET", raw, "", _VALUE[:20].encode()),
        kept("KV put of 256 bytes", 250, _puts(), "PUT", f"{_KEY}/0", _VALUE, b"true"),
    ]


def _again() -> HttpLoad:
    """Registrations of the same instances, each time with another version."""
    return _numbered(CHANGING, CHANGING.size, '"version":"@VERSION@"')


def _same() -> HttpLoad:
    """The same without a change."""
    return _numbered(CHANGING, CHANGING.size, '"version":"1.0.0"')


def _new() -> HttpLoad:
    """Registrations of instances that never were."""
    return _numbered(NEWCOMERS, 1 << 24, '"version":"1.0.0"', NEWCOMERS.service)


def _numbered(fleet: ConsulFleet, size: int, version: str, grows: str = "") -> HttpLoad:
    """One registration for each number: its address, its id and (``grows``) its service come of it."""
    subnet = fleet.host(7).rsplit(".", 2)[0]
    template = fleet.registration(7).replace(fleet.host(7), "@HOST@").replace('"version":"1.0.0"', version)
    template = template.replace(fleet.id(7), "@ID@")
    if grows:
        template = template.replace(grows, "@SERVICE@")
    return HttpLoad(
        lua=f"""{_headers()}
local template, n, turn = {json.dumps(template)}, -1, os.time()
function request()
  n = n + 1
  local i = n % {size}
  if i == 0 then turn = turn + 1 end
  local service = string.format("{fleet.service}-%d-%d", turn, math.floor(i / {_PER_SERVICE}))
  local values = {{
    HOST = string.format("{subnet}.%d.%d", math.floor(i / 256) % 256, i % 256), VERSION = "2.0." .. turn,
    SERVICE = service, ID = string.format("%s-%05d", {"service" if grows else json.dumps(fleet.service)}, i),
  }}
  return wrk.format("PUT", "{REGISTER}", nil, (string.gsub(template, "@(%u+)@", values)))
end
"""
    )


def _passes() -> HttpLoad:
    return HttpLoad(
        lua=f"""{_headers()}
local made, n = {{}}, 0
function init()
  for i = 0, {BEATING.size - 1} do
    made[i + 1] = wrk.format("PUT", string.format("{BEATING.beat(0)[:-5]}%05d", i), nil, nil)
  end
end
function request() n = n % #made + 1; return made[n] end
"""
    )


def _puts() -> HttpLoad:
    """Keys in turns, each time with another value."""
    return HttpLoad(
        lua=f"""{_headers()}
local value, n = {json.dumps(_VALUE[20:])}, 0
function request()
  n = n + 1
  return wrk.format("PUT", "{_KEY}/" .. n % {_KEYS}, nil, string.format("%020d", n) .. value)
end
"""
    )
