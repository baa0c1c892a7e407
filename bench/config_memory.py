"""What clients that wait for files hold of the server's memory."""

from __future__ import annotations

import time
from collections.abc import Iterator

from bridge import fine_cpu_seconds
from config_fleet import GREETING, File, files, listen, poll, publish_all
from grpc_load import Task
from long_polls import LongPolls
from measure import rss_bytes
from nacos_fleet import REQUEST, SUCCESS, Server, filled
from nacos_push import Held
from poll_floor import poll_floor
from report import Row

_SETTLE_S = 3.0
_APPS = 100
"""Kinds of application: the clients of one listen to the same files."""


def rows(idle: int, keys: int, pollers: int, many_keys: int) -> Iterator[Row]:
    """Idle long polls, long polls of many keys, idle gRPC listeners."""
    wanted = files("held", max(_APPS * keys, many_keys))
    with poll_floor(b"x") as bare:
        floor = Server(f"http://127.0.0.1:{bare.port}", bare.pid)
        low, _ = _polls(floor, wanted, idle, keys)
        low_many, _ = _polls(floor, wanted, pollers, many_keys)
    for count, each, target, lowest in ((idle, keys, 25, low), (pollers, many_keys, 400, low_many)):
        with filled() as servers:
            for server in servers:
                publish_all(server.base, wanted)
            found = [_polls(server, wanted, count, each) for server in servers if server.pid]
        (kb, cpu), *theirs = found
        peer = theirs[0][0] if theirs else None
        note = f"to ask: {cpu:,.0f} CPU us"
        yield Row(f"idle long poll of {each:,} keys, of {count:,}", "KB", kb, target, lowest, peer, note=note)
    with filled() as servers:
        for server in servers:
            publish_all(server.base, wanted[: _APPS * keys])
        found = [_listeners(server, wanted, idle // 10, keys) for server in servers if server.pid]
    (kb, cpu), *theirs = found
    peer = theirs[0][0] if theirs else None
    note = f"to set up a connection and listen: {cpu:,.0f} CPU us"
    yield Row(f"idle gRPC listener of {keys} keys, of {idle // 10:,}", "KB", kb, None, None, peer, note=note)


def _polls(server: Server, wanted: list[File], count: int, keys: int) -> tuple[float, float]:
    """KB and CPU microseconds of one."""
    kinds = max(1, len(wanted) // keys)
    items = [file.item() for file in wanted]
    with LongPolls(server.base, min(count, 50)) as few:
        requests = [poll(few.host, items[n * keys : (n + 1) * keys]) for n in range(min(kinds, _APPS))]
        few.send(lambda n: requests[n % len(requests)])
        time.sleep(_SETTLE_S)
    time.sleep(_SETTLE_S)
    before, cpu = rss_bytes(server.pid), fine_cpu_seconds(server.pid)
    with LongPolls(server.base, count) as polls:
        polls.send(lambda n: requests[n % len(requests)])
        spent, previous = fine_cpu_seconds(server.pid), 0.0
        while spent - previous > 0.1:  # of the last second: it is still reading
            previous = spent
            time.sleep(1)
            spent = fine_cpu_seconds(server.pid)
        time.sleep(_SETTLE_S)
        if polls.early():
            raise RuntimeError("a poll did not wait")
        grown = rss_bytes(server.pid) - before
    return grown / count / 1000, (spent - cpu) * 1e6 / count


def _listeners(server: Server, wanted: list[File], count: int, keys: int) -> tuple[float, float]:
    """KB and CPU microseconds of a gRPC connection that listens."""
    task = Task("subscribed", REQUEST, [*GREETING, listen(wanted[:keys])], SUCCESS, connections=50)
    with Held(task, server):
        pass
    time.sleep(_SETTLE_S)
    before, cpu = rss_bytes(server.pid), fine_cpu_seconds(server.pid)
    task = Task("subscribed", REQUEST, [*GREETING, listen(wanted[:keys])], SUCCESS, connections=count)
    with Held(task, server):
        opened = fine_cpu_seconds(server.pid) - cpu
        time.sleep(_SETTLE_S)
        grown = rss_bytes(server.pid) - before
    return grown / count / 1000, opened * 1e6 / count
