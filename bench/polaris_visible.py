"""How soon a native registration is seen by another client's Discover, and how long the event loop is busy with one thing."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

from bridge import Bridge, favour
from grpc_load import Task, send_all
from polaris_fleet import CARRIED, DISCOVER, REGISTER, SUCCESS, NativeFleet, filled
from report import Row

THOUSAND = NativeFleet("visible", 1000, subnet=6)
_TARGETS_MS = {10_000: 20.0, 100_000: 50.0}
_PER_SERVICE = 1000
_CHANGES_PER_S = 10


def rows(rounds: int) -> Iterator[Row]:
    """Register on one connection, then Discover on another as soon as the answer is there, at low load."""
    with filled(THOUSAND) as servers:
        found = []
        for server in servers:
            messages = []
            for n in range(rounds):
                version = f"9.{n}.{len(found)}"
                messages += [THOUSAND.registration(n, version), THOUSAND.question(), version.encode()]
            task = Task("visible", REGISTER, messages, connections=2, options=(f"-stream={DISCOVER}",))
            done = task.run(server.address)
            if done.failed:
                raise RuntimeError(f"{done.failed} of {rounds} registrations were not seen: {done.error}")
            if server.bridge and done.again:
                raise RuntimeError(f"{done.again} times a registration was not in the first Discover after its answer")
            found.append(done)
        ours, *theirs = found
        note = f"{rounds} of {rounds} in the first Discover after the answer; 99 % {ours.p99_us / 1000:.1f} ms"
        if theirs:
            note += (
                f"; peer asked {theirs[0].again / rounds:.1f} times more each, slowest {theirs[0].max_us / 1000:.0f} ms"
            )
        peer = theirs[0].p50_us / 1000 if theirs else None
        yield Row("register, then another client's Discover shows it", "ms", ours.p50_us / 1000, peer=peer, note=note)


def stall_rows(sizes: Sequence[int], seconds: float) -> Iterator[Row]:
    """The longest stall of the event loop, by the server's own probe, with many native instances, of which ten a second change,
    while all services are read."""
    for size in sizes:
        services = [NativeFleet(f"stall-{n:04d}", _PER_SERVICE, beats=True) for n in range(size // _PER_SERVICE)]
        with Bridge(options=CARRIED) as server:
            everybody = [service.registration(n) for service in services for n in range(service.size)]
            send_all(server.grpc, REGISTER, everybody, SUCCESS)
            favour(server.pid)
            questions = [service.question() for service in services]
            server.stall_ms()
            # With pauses: the kernel halts a real-time process for 50 ms when it works without one for a second.
            first = Task("stream", DISCOVER, questions, SUCCESS, connections=1, workers=1, options=("-once",))
            if first.run(server.grpc).operations != len(questions):
                raise RuntimeError("not every service was read")
            target = _TARGETS_MS.get(size)
            yield Row(f"longest stall, {size:,}: first Discover of every service", "ms", server.stall_ms(), target)
            done = _loaded(server, services[0], questions, seconds)
            note = f"Discover meanwhile: 99 % {done[0] / 1000:.1f} ms, slowest {done[1] / 1000:.1f}"
            what = f"longest stall, {size:,}: {_CHANGES_PER_S} changes/s, all services read"
            yield Row(what, "ms", server.stall_ms(), target, note=note)


def _loaded(server: Bridge, fleet: NativeFleet, questions: Sequence[bytes], seconds: float) -> tuple[float, float]:
    """One client changes ten instances a second, another reads all services in turns, as fast as it gets them."""
    messages: list[bytes] = []
    for n in range(round(seconds * _CHANGES_PER_S)):
        messages += [fleet.registration(n % fleet.size, f"5.0.{n}"), b"", b""]
    pause = f"-pause={1000 // _CHANGES_PER_S}ms"
    changes = Task("visible", REGISTER, messages, connections=1, options=(pause,))
    changer = threading.Thread(target=changes.run, args=(server.grpc,))
    changer.start()
    done = Task("stream", DISCOVER, questions, SUCCESS, connections=2, workers=2).run(server.grpc, seconds)
    changer.join()
    if done.failed:
        raise RuntimeError(f"{done.failed} reads failed: {done.error}")
    return done.p99_us, done.max_us
