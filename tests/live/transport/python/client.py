"""A grpcio client of the echo server: runs checks and prints one JSON line for each."""

from __future__ import annotations

import argparse
import json
import os
import queue
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc

SERVICE = "/live.Echo/"
MIB = 1024 * 1024
PATIENT_S = 60
GZIP = grpc.Compression.Gzip
Code = grpc.StatusCode


class Wrong(Exception):
    """What a check found."""


def same(got: object, want: object) -> None:
    if got != want:
        raise Wrong(f"got {got!r:.80}, want {want!r:.80}")


def fill(number: int) -> bytes:
    return bytes([number % 251]) * (number * 7919 % 20481)


class Client:
    """A channel of its own, with what its connection went through."""

    def __init__(self, arguments: argparse.Namespace, *options: tuple[str, Any]) -> None:
        self.arguments = arguments
        options = (
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.max_receive_message_length", 64 * MIB),
            ("grpc.max_send_message_length", 64 * MIB),
            ("grpc.min_reconnect_backoff_ms", 100),
            ("grpc.initial_reconnect_backoff_ms", 20),
            ("grpc.max_reconnect_backoff_ms", 200),
            *options,
        )
        if arguments.ca:
            credentials = grpc.ssl_channel_credentials(Path(arguments.ca).read_bytes())
            self.channel = grpc.secure_channel(arguments.address, credentials, options)
        else:
            self.channel = grpc.insecure_channel(arguments.address, options)
        self.states: list[grpc.ChannelConnectivity] = []
        self.channel.subscribe(self.states.append)
        self._methods: dict[str, Any] = {}

    @property
    def connections(self) -> int:
        return self.states.count(grpc.ChannelConnectivity.READY)

    def unary(self, path: str) -> Any:
        method = self._methods.get(path)
        if method is None:
            method = self._methods[path] = self.channel.unary_unary(path)
        return method

    def call(self, name: str, message: bytes, **options: Any) -> bytes:
        path = name if name.startswith("/") else SERVICE + name
        answer = self.unary(path)(message, **{"timeout": PATIENT_S, "wait_for_ready": True} | options)
        assert isinstance(answer, bytes)
        return answer

    def open(self, name: str, messages: Iterator[bytes], **options: Any) -> Any:
        return self.channel.stream_stream(SERVICE + name)(messages, **{"timeout": PATIENT_S} | options)

    def echo(self, message: bytes, **options: Any) -> None:
        same(self.call("Unary", message, **options), message)

    def fails(self, name: str, message: bytes, code: Code, text: str | None = None, **options: Any) -> None:
        try:
            self.call(name, message, **options)
        except grpc.RpcError as error:
            same_end(error, code, text)
        else:
            raise Wrong("the call did not fail")


def same_end(call: Any, code: Code, text: str | None = None) -> None:
    same(call.code(), code)
    if text is not None:
        same(call.details(), text)


def drained(call: Any) -> list[bytes]:
    """All answers of a stream that may end in any way."""
    answers = []
    try:
        for answer in call:
            answers.append(answer)  # noqa: PERF402
    except grpc.RpcError:
        pass
    return answers


def key(name: str) -> str:
    return f"{name}-py-{os.getpid()}"


def keyed(name: str) -> tuple[tuple[str, str]]:
    return (("key", key(name)),)


class Talk:
    """The sending side of a stream that is fed message by message."""

    def __init__(self) -> None:
        self._messages: queue.Queue[bytes | None] = queue.Queue()

    def say(self, message: bytes | None) -> None:
        self._messages.put(message)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._messages.get, None)


def held(client: Client, name: str, **options: Any) -> tuple[Talk, Any]:
    talk = Talk()
    call = client.open("Hold", iter(talk), metadata=keyed(name), **options)
    talk.say(b"here")
    same(next(call), b"here")
    return talk, call


def over(client: Client, name: str, least: int) -> None:
    until = time.monotonic() + 10
    while True:
        opened, closed = map(int, client.call("Lives", key(name).encode()).split())
        if opened == closed and opened >= least:
            return
        if time.monotonic() > until:
            raise Wrong(f"the server knows {opened} streams of which {closed} are over")
        time.sleep(0.02)


def unary(client: Client) -> None:
    client.echo(b"hello")


def empty(client: Client) -> None:
    client.echo(b"")


def metadata(client: Client) -> None:
    sent = {
        "plain": b"a value, with ~ signs",
        "some-bin": bytes(range(256)),
        "none-bin": b"",
        "long": b"x" * 5000,
    }
    pairs = tuple((name, value if name.endswith("-bin") else value.decode()) for name, value in sent.items())
    for _ in range(3):
        for name, value in sent.items():
            same(client.call("Metadata", name.encode(), metadata=pairs), value)
    client.fails("Metadata", b"absent", Code.NOT_FOUND, "no absent", metadata=pairs)


def statuses(client: Client) -> None:
    for code in Code:
        if code is Code.OK:
            continue
        for text in ("", "plain", 'Грешка 値 ✓ 100% "a"\n b\tc'):
            client.fails("Fail", f"{code.value[0]} {text}".encode(), code, text)


def crash(client: Client) -> None:
    client.fails("Crash", b"x", Code.INTERNAL)
    unary(client)


def unknown(client: Client) -> None:
    client.fails("Nothing", b"x", Code.UNIMPLEMENTED, "unknown method Nothing for service live.Echo")
    client.fails("/live.Nobody/Unary", b"x", Code.UNIMPLEMENTED, "unknown service live.Nobody")


def big4(client: Client) -> None:
    client.echo(random.randbytes(4 * MIB))


def big30(client: Client) -> None:
    client.echo(random.randbytes(30 * MIB))


def limit(client: Client) -> None:
    client.fails("Unary", bytes(33 * MIB), Code.RESOURCE_EXHAUSTED)
    unary(client)


def gzip(client: Client) -> None:
    for message in (b"", bytes(MIB), random.randbytes(300_000)):
        client.echo(message, compression=GZIP)


def bomb(client: Client) -> None:
    client.fails("Unary", bytes(40 * MIB), Code.RESOURCE_EXHAUSTED, compression=GZIP)
    unary(client)


def push(client: Client) -> None:
    messages = client.arguments.messages
    call = client.open("Push", iter([str(messages).encode()]))
    number = -1
    for number, answer in enumerate(call):
        same(answer, fill(number))
    same(number + 1, messages)


def count(client: Client) -> None:
    messages = client.arguments.messages
    sizes = [len(fill(number)) for number in range(messages)]
    answers = list(client.open("Count", (fill(number) for number in range(messages))))
    same(answers, [f"{messages} {sum(sizes)}".encode()])


def chat(client: Client) -> None:
    messages = client.arguments.messages
    number = -1
    for number, answer in enumerate(client.open("Chat", (fill(number) for number in range(messages)))):
        same(answer, fill(number))
    same(number + 1, messages)


def early(client: Client) -> None:
    for _ in range(5):
        call = client.open("Early", (b"x" * 20_000 for _ in range(500)))
        answers = drained(call)
        same_end(call, Code.OUT_OF_RANGE, "достаточно ✓")
        same(len(answers), 3)
    unary(client)


def broken(client: Client) -> None:
    call = client.open("Broken", iter([b"x", b"x"]))
    same(drained(call), [b"x"])
    same_end(call, Code.OK)
    unary(client)


def refused(client: Client) -> None:
    call = client.open("Refused", (b"x" * 20_000 for _ in range(500)))
    drained(call)
    same_end(call, Code.PERMISSION_DENIED, "не для вас")


def deadline(client: Client) -> None:
    began = time.monotonic()
    client.fails("Later", b"5000", Code.DEADLINE_EXCEEDED, timeout=0.2)
    if time.monotonic() - began > 3:
        raise Wrong("it took more than 3 s")
    for seconds in (180_000, 60, 30, 10):
        client.echo(b"hello", timeout=seconds)


def deadline_of_stream(client: Client) -> None:
    _, call = held(client, "deadline", timeout=0.7)
    drained(call)
    same_end(call, Code.DEADLINE_EXCEEDED)
    over(client, "deadline", 1)


def cancel(client: Client) -> None:
    _, call = held(client, "cancel")
    call.cancel()
    drained(call)
    same_end(call, Code.CANCELLED)
    over(client, "cancel", 1)


def sequential(client: Client) -> None:
    message = random.randbytes(200)
    for _ in range(client.arguments.sequential):
        client.echo(message)


def parallel(client: Client) -> None:
    method = client.unary(SERVICE + "Later")
    calls = [method.future(b"300", timeout=PATIENT_S) for _ in range(client.arguments.parallel)]
    for call in calls:
        same(call.result(), b"300")
    same(client.connections, 1)


def cancels(client: Client) -> None:
    for number in range(300):
        talk = Talk()
        if number % 2:
            talk.say(b"here")
        client.open("Hold", iter(talk), metadata=keyed("cancels")).cancel()
        talk.say(None)
    over(client, "cancels", 0)
    same(client.connections, 1)


def idle(arguments: argparse.Namespace) -> None:
    """Beside the other checks, on connections of its own: one with a stream, one without."""
    pings = (
        ("grpc.keepalive_time_ms", 1000),
        ("grpc.keepalive_timeout_ms", 5000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    )
    client, without = Client(arguments, *pings), Client(arguments, *pings)
    talk, call = held(client, "idle", timeout=arguments.idle + PATIENT_S)
    unary(without)
    time.sleep(arguments.idle)
    talk.say(b"again")
    same(next(call), b"again")
    unary(without)
    same((client.connections, without.connections), (1, 1))
    call.cancel()


CHECKS: tuple[Callable[[Client], None], ...] = (
    unary,
    empty,
    metadata,
    statuses,
    crash,
    unknown,
    big4,
    big30,
    limit,
    gzip,
    bomb,
    push,
    count,
    chat,
    early,
    broken,
    refused,
    deadline,
    deadline_of_stream,
    cancel,
    sequential,
    parallel,
    cancels,
)


def say(name: str, check: Callable[[], object]) -> None:
    began = time.monotonic()
    why = ""
    try:
        check()
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
    line = {"check": name, "ok": not why, "why": why, "s": time.monotonic() - began}
    sys.stdout.write(json.dumps(line) + "\n")  # in one piece: two threads say things
    sys.stdout.flush()


def load(arguments: argparse.Namespace) -> None:
    """Says when it has begun, then calls without a pause until the input ends. No call may fail, whatever the server does."""
    client = Client(arguments)
    say("started", lambda: unary(client))
    leaving = threading.Event()
    calls = [0]
    failures: list[str] = []

    def work(slow: bool) -> None:
        while not leaving.is_set():
            calls[0] += 1
            try:
                client.call("Later", b"20") if slow else unary(client)
            except Exception as error:
                failures.append(f"{error}")

    workers = [threading.Thread(target=work, args=(bool(number % 2),)) for number in range(6)]
    for worker in workers:
        worker.start()
    sys.stdin.read()
    leaving.set()
    for worker in workers:
        worker.join()
    why = f"{len(failures)} of {calls[0]} calls failed: {failures[0]}" if failures else ""
    print(json.dumps({"check": "load", "ok": not why, "why": why, "calls": calls[0]}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", required=True)
    parser.add_argument("--ca", default="", help="PEM file of the authority; without it the connection is plain")
    parser.add_argument("--checks", default="", help="names, separated by commas; all when empty")
    parser.add_argument("--sequential", type=int, default=10_000)
    parser.add_argument("--parallel", type=int, default=1_500)
    parser.add_argument("--messages", type=int, default=2_000)
    parser.add_argument("--idle", type=float, default=12.0)
    parser.add_argument("--mode", choices=("checks", "load"), default="checks")
    arguments = parser.parse_args()
    if arguments.mode == "load":
        load(arguments)
        return
    names = {*arguments.checks.split(",")} - {""}
    silent = threading.Thread(target=lambda: say("idle", lambda: idle(arguments)))
    if not names or "idle" in names:
        silent.start()
    client = Client(arguments)
    for check in CHECKS:
        if not names or check.__name__ in names:
            say(check.__name__, lambda check=check: check(client))  # type: ignore[misc]
    if silent.ident is not None:
        silent.join()


if __name__ == "__main__":
    main()
