"""Types of single values as Go programs write them: durations, addresses, networks, paths."""

from __future__ import annotations

import re
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any

from pydantic import PlainValidator, SecretStr, ValidationInfo

_UNITS_US = {"ns": 0.001, "us": 1.0, "µs": 1.0, "μs": 1.0, "ms": 1e3, "s": 1e6, "m": 60e6, "h": 3600e6}
_TERM = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_LONGEST_S = 2**63 / 1e9
"""Go keeps a duration in 64 bits of nanoseconds (about 292 years)."""


def parse_duration(text: str) -> timedelta:
    """Read a Go duration: ``32ms``, ``1h30m``, ``-5s``, ``0``. ValueError says how to write one."""
    body = text[1:] if text[:1] in ("-", "+") else text
    total_us, end = 0.0, 0
    for term in _TERM.finditer(body):
        if term.start() != end:
            break
        total_us, end = total_us + float(term[1]) * _UNITS_US[term[2]], term.end()
    if body != "0" and (not body or end != len(body)):
        raise ValueError("expected a duration such as 32ms, 10s or 1h30m")
    if total_us > _LONGEST_S * 1e6:
        raise ValueError("this duration is longer than 292 years")
    return timedelta(microseconds=-total_us if text.startswith("-") else total_us)


def format_duration(value: timedelta) -> str:
    """Write a duration as it may stand in the file, in the largest units that fit: ``1h30m``, ``32ms``."""
    rest_us = round(value / timedelta(microseconds=1))
    sign, rest_us = ("-", -rest_us) if rest_us < 0 else ("", rest_us)
    text = ""
    for unit, size_us in (("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1_000), ("us", 1)):
        count, rest_us = divmod(rest_us, size_us)
        text += f"{count}{unit}" if count else ""
    return sign + text if text else "0s"


def _signed(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str):
        return parse_duration(value)
    if value == 0 and not isinstance(value, bool):
        return timedelta(0)
    if isinstance(value, int) and not isinstance(value, bool):
        raise ValueError(f"expected a duration with its unit, such as {value}s or {value}ms")
    raise ValueError("expected a duration such as 32ms, 10s or 1h30m")


def _duration(value: Any) -> timedelta:
    parsed = _signed(value)
    if parsed < timedelta(0):
        raise ValueError("expected a duration of zero or more")
    return parsed


def _seconds(value: Any) -> timedelta:
    if isinstance(value, int) and not isinstance(value, bool):
        if not 0 <= value <= _LONGEST_S:
            raise ValueError("expected a number of seconds of zero or more")
        return timedelta(seconds=value)
    return _duration(value)


Duration = Annotated[timedelta, PlainValidator(_duration)]
"""Zero or more, with a unit: the original reads a bare number here as nanoseconds, which nobody means."""

SignedDuration = Annotated[timedelta, PlainValidator(_signed)]
"""As ``Duration``; older files write ``-5s`` where the sign does not matter."""

Seconds = Annotated[timedelta, PlainValidator(_seconds)]
"""A bare whole number of seconds, as the original has it, or a duration with a unit."""


def _text(value: Any) -> str:
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value)
    raise ValueError("expected text")


def _secret_text(value: Any) -> SecretStr:
    return value if isinstance(value, SecretStr) else SecretStr(_text(value))


Text = Annotated[str, PlainValidator(_text)]
"""Text that may look like a number, where the original prints whatever it finds."""

SecretText = Annotated[SecretStr, PlainValidator(_secret_text)]
"""The same, never shown."""


def parse_address(value: Any) -> str:
    """Check an address to listen on and return it in its canonical form."""
    try:
        return str(ip_address(value if isinstance(value, str) else ""))
    except ValueError:
        raise ValueError("expected an IP address: 0.0.0.0 is every IPv4 address, :: is IPv4 and IPv6") from None


Address = Annotated[str, PlainValidator(parse_address)]

Host = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def _listed(value: Any) -> list[str]:
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
        raise ValueError("expected addresses, as a list or as one text parted by commas")
    return [item.strip() for item in items if item.strip()]


def _hosts(value: Any) -> tuple[Host, ...]:
    return tuple(map(_host, _listed(value)))


def _host(item: str) -> Host:
    try:
        return ip_address(item)
    except ValueError:
        raise ValueError(f"expected an IP address such as 10.1.2.3, found {item[:60]!r}") from None


def _networks(value: Any) -> tuple[Network, ...]:
    return tuple(map(_network, _listed(value)))


def _network(item: str) -> Network:
    try:
        return ip_network(item, strict=False)
    except ValueError:
        raise ValueError(
            f"expected an address or network such as 10.1.2.3 or 10.0.0.0/8, found {item[:60]!r}"
        ) from None


Hosts = Annotated[tuple[Host, ...], PlainValidator(_hosts)]
"""Single addresses; the original takes one text parted by commas, a YAML list is read too."""

Networks = Annotated[tuple[Network, ...], PlainValidator(_networks)]
"""Addresses and networks, written as ``Hosts``."""


def _data_path(value: Any, context: ValidationInfo) -> Path | None:
    if isinstance(value, Path) or value is None:
        return value
    if not isinstance(value, str):
        raise ValueError("expected a path")
    if "\0" in value:
        raise ValueError("expected a path without a NUL character")
    base: Path = (context.context or {}).get("data_dir", Path())
    return base / value if value else None


DataPath = Annotated[Path | None, PlainValidator(_data_path)]
"""A path; a relative one lies under ``--data``. Empty text means none."""
