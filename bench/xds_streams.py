"""How soon and at what price streams are told of a change, and what a quiet one holds."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

from bridge import Bridge, favour, fine_cpu_seconds
from grpc_load import Done, Task
from measure import rss_bytes
from nacos_push import Held
from polaris_fleet import REGISTER, SUCCESS, NativeFleet
from report import Row
from xds_clients import NATIVE, STREAM, asking, filled

TEN = NativeFleet("mesh", 10, subnet=11)
_SETUP = 4
_SETTLE_S = 2.0
_WARM_UP = 2


@dataclass(frozen=True)
class _At:
    """What ``Held`` asks of a server."""

    grpc: str
    pid: int


def told_rows(rounds: int, many: int, many_rounds: int) -> Iterator[Row]:
    """From a registration to the streams that subscribe to the service, at low load."""
    with filled(TEN) as server:
        favour(server.pid)
        done, _ = _told(server, 1, rounds)
        note = f"99 % {done.p99_us / 1000:.1f} ms (target 30), registration answered after {done.write_p50_us / 1000:.1f} ms"
        yield Row("register, then a stream has the endpoints", "ms", done.p50_us / 1000, 10, note=note)
        done, cpu_us = _told(server, many, many_rounds)
        worst = f"slowest of {many_rounds} {done.all_max_us / 1000:.0f} ms"
        yield Row(f"until all {many:,} have them", "ms", done.all_p50_us / 1000, 150 if NATIVE else 500, note=worst)
        note = "the registration's share and the acknowledgement included"
        yield Row("a stream told, one of many", "CPU us", cpu_us, 80 if NATIVE else 350, note=note)


def _told(server: Bridge, streams: int, rounds: int) -> tuple[Done, float]:
    messages = asking(TEN.service)
    for n in range(-_WARM_UP, rounds):
        host = f"10.{200 + streams % 50}.{(n >> 7) + 1}.{n % 128 + 100}"
        messages += [_registration(host), host.encode()]
    pause = "120ms" if streams == 1 else "500ms"
    options = (f"-pause={pause}", f"-stream={STREAM}", f"-setup={_SETUP}", f"-streamaddress={server.xds}")
    task = Task("ads", REGISTER, messages, SUCCESS, connections=streams + 1, options=options)
    with Held(task, _At(server.grpc, server.pid)) as load:  # type: ignore[arg-type]
        before = fine_cpu_seconds(server.pid)
        began = time.monotonic()
        done = load.go()
        took = time.monotonic() - began
        spent = fine_cpu_seconds(server.pid) - before
    before = fine_cpu_seconds(server.pid)
    time.sleep(_SETTLE_S)
    idle = (fine_cpu_seconds(server.pid) - before) / _SETTLE_S * took
    return done, max(0.0, spent - idle) * 1e6 / max(1, done.operations)


def _registration(host: str) -> bytes:
    from polaris_bridge.adapters.polaris.wire import v1

    message = v1.Instance.FromString(TEN.registration(0))
    message.host.value = host
    return bytes(message.SerializeToString())


def memory_rows(count: int) -> Iterator[Row]:
    """Streams with the four subscriptions of a gRPC client each, on connections of their own."""
    with filled(TEN) as server:
        before = server.rss
        with _idle(server, 1):
            time.sleep(_SETTLE_S)
            once = server.rss - before
        yield Row("with the first client", "MB", once / 1e6, 45, note="the messages of Envoy's API")
        with _idle(server, 50):
            pass
        time.sleep(_SETTLE_S)
        size, cpu = rss_bytes(server.pid), fine_cpu_seconds(server.pid)
        with _idle(server, count):
            opened = fine_cpu_seconds(server.pid) - cpu
            time.sleep(_SETTLE_S)
            grown = rss_bytes(server.pid) - size
        yield Row(f"idle stream, of {count:,}", "KB", grown / count / 1000, 20 if NATIVE else 80)
        yield Row("to open a stream and subscribe to all", "CPU us", opened * 1e6 / count)


class _idle:  # a context manager, used as a function
    """Quiet streams, while the context lasts."""

    def __init__(self, server: Bridge, count: int) -> None:
        options = (f"-stream={STREAM}", f"-setup={_SETUP}")
        self._command = Task("adsidle", REGISTER, asking(TEN.service), connections=count, options=options).command(
            server.xds
        )

    def __enter__(self) -> None:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._process = subprocess.Popen(self._command.__enter__(), text=True, **pipes)
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            raise RuntimeError("the streams could not be opened")

    def __exit__(self, *error: object) -> None:
        self._process.communicate("", timeout=30)
        self._command.__exit__(None, None, None)
