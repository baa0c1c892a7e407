"""Configuration files through the native protocol: CPU of reads and publications, and how soon those who wait are told."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bridge import Bridge, favour, fine_cpu_seconds
from grpc_floor import TRANSPORT, floor_server
from grpc_load import Done, Measured, Task, measure_grpc
from nacos_cpu import Effort
from nacos_fleet import Server
from nacos_push import Held
from polaris_fleet import REGISTER, SUCCESS
from report import Row

from polaris_bridge.adapters.polaris.wire import v1

SERVICE = "/v1.PolarisConfigGRPC/"
GROUP = "bench"
_LINE = "feature.flag-0000.enabled: true\n"
_WARM_UP = 2
_FILES = 100


class _Native(Server):
    """Ours, by the port of the configuration centre."""

    @property
    def grpc(self) -> str:
        """Its address."""
        assert self.bridge is not None
        return self.bridge.config


@contextmanager
def _server() -> Iterator[_Native]:
    with Bridge(options=(f"apiservers.config-grpc.option.transport={TRANSPORT}",)) as bridge:
        yield _Native(f"http://{bridge.config}", bridge.pid, bridge)


def _content(version: int, size: int) -> str:
    return (f"version: {version}\n" + _LINE * (size // len(_LINE) + 1))[:size]


def _publication(name: str, version: int, size: int = 200) -> bytes:
    """Of a version, over the one before."""
    before = hashlib.md5(_content(version - 1, size).encode()).hexdigest() if version else ""
    m = v1.ConfigFilePublishInfo(
        content={"value": _content(version, size)}, format={"value": "yaml"}, md5={"value": before}
    )
    m.namespace.value, m.group.value, m.file_name.value = "default", GROUP, name
    return m.SerializeToString()


def _asked(name: str, version: int = 0) -> v1.ClientConfigFileInfo:
    m = v1.ClientConfigFileInfo(version={"value": version})
    m.namespace.value, m.group.value, m.file_name.value = "default", GROUP, name
    return m


def _send(server: Server, messages: list[bytes]) -> None:
    path = SERVICE + "UpsertAndPublishConfigFile"
    done = Task("unary", path, messages, SUCCESS, options=("-once",)).run(server.grpc)
    if done.failed:
        raise RuntimeError(f"{done.failed} publications failed: {done.error}")


def rows(effort: Effort, rounds: int, many: int, many_rounds: int) -> Iterator[Row]:
    """All of it."""
    yield from cpu_rows(effort)
    yield from told_rows(rounds, many, many_rounds)


# ---------------------------------------------------------------------- CPU


def cpu_rows(effort: Effort) -> Iterator[Row]:
    """Operations under load."""
    names = [f"file-{n:03d}.yaml" for n in range(_FILES)]
    group = v1.ConfigFileGroupRequest()
    group.config_file_group.namespace.value, group.config_file_group.name.value = "default", GROUP
    with _server() as server:
        _send(server, [_publication("big.yaml", 0, 10_000), *(_publication(name, 0) for name in names)])
        cases = (
            ("GetConfigFile of 10 KB", "GetConfigFile", [_asked("big.yaml").SerializeToString()], SUCCESS),
            (
                f"GetConfigFileMetadataList of {_FILES}",
                "GetConfigFileMetadataList",
                [group.SerializeToString()],
                SUCCESS,
            ),
        )
        for what, method, messages, expect in cases:
            yield _row(server, f"native {what}", Task("unary", SERVICE + method, messages, expect), effort)


def _row(server: Server, what: str, task: Task, effort: Effort) -> Row:
    sample = Task("unary", task.path, task.messages, task.expect, connections=1, workers=1).run(server.grpc, 0.2)
    if sample.failed:
        raise RuntimeError(f"{what}: {sample.error}")
    with floor_server(round(sample.bytes / max(1, sample.operations))) as bare:
        plain = Task("unary", REGISTER, task.messages)  # a method that the floor has
        mine, low = measure_grpc(
            [
                Measured(server.pid, server.grpc, task, effort.warm_up_s),
                Measured(bare.pid, f"127.0.0.1:{bare.port}", plain, effort.warm_up_s),
            ],
            seconds=effort.seconds,
            runs=effort.runs,
        )
    note = f"{mine.per_second:,.0f}/s, answers of {mine.size:,} bytes, {TRANSPORT}"
    if mine.failed:
        note += f", REFUSED {mine.failed}: {mine.error[:80]}"
    return Row(what, "CPU us", mine.cpu_us, None, low.cpu_us, None, mine.spread, note)


# ---------------------------------------------------------------------- told


def told_rows(rounds: int, many: int, many_rounds: int) -> Iterator[Row]:
    """A publication, and WatchConfigFiles of clients on connections of their own."""
    with _server() as server:
        done, _ = _watched(server, "one", 1, rounds)
        note = f"99 % {done.p99_us / 1000:.1f} ms, publish answered after {done.write_p50_us / 1000:.1f} ms"
        yield Row("native: publish, then one watcher is told", "ms", done.p50_us / 1000, 10, note=note)
        done, cpu_us = _watched(server, "many", many, many_rounds)
        target = 250 if TRANSPORT != "grpcio" else 700
        note = f"slowest of {many_rounds} {done.all_max_us / 1000:.0f} ms"
        yield Row(f"native: publish, until all {many:,} are told", "ms", done.all_p50_us / 1000, target, note=note)
        yield Row("native: one of them asks, waits and is told", "CPU us", cpu_us)


def _watched(server: Server, label: str, watchers: int, rounds: int) -> tuple[Done, float]:
    name = f"{label}.yaml"
    _send(server, [_publication(name, 0)])
    messages: list[bytes] = []
    for n in range(rounds + _WARM_UP):
        question = v1.ClientWatchConfigFileRequest(watch_files=[_asked(name, n + 1)])
        messages += [question.SerializeToString(), _publication(name, n + 1)]
    pause = "50ms" if watchers == 1 else "700ms"
    options = (f"-pause={pause}", f"-stream={SERVICE}WatchConfigFiles")
    path = SERVICE + "UpsertAndPublishConfigFile"
    task = Task("watch", path, messages, SUCCESS, connections=watchers + 1, options=options)
    favour(server.pid or 0)
    with Held(task, server) as load:
        before = fine_cpu_seconds(server.pid or 0)
        done = load.go()
        time.sleep(0.1)
        spent = fine_cpu_seconds(server.pid or 0) - before
    return done, spent * 1e6 / max(1, done.operations)
