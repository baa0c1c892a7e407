"""The server of the client matrix: one table of methods, on either transport, as a process.

``python -m tests.live.transport.echo --transport native --port 0`` prints ``{"port": ...}`` when it answers. SIGTERM drains
it. Messages are plain bytes; what a method is asked for is text in them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from collections import Counter
from collections.abc import Callable

import uvloop

from polaris_bridge.adapters._shared.grpc_port import grpc_port
from polaris_bridge.adapters._shared.settings import GrpcSettings, TlsSettings
from polaris_bridge.transport.rpc import Call, Methods, RpcError, Status

MAX_RECEIVE = 32 * 1024 * 1024
"""Above the largest message that must pass, 30 MiB."""
KEEP_ALIVE_S = 2.0
"""Short, so that a few idle seconds hold several pings of ours."""
DRAINS_WITHIN_S = 10.0
PUSH_AHEAD = 1024 * 1024
"""Bytes that a pushing stream lets pile up before it waits for its client."""
ENVOY_VERSIONS = 200
"""How often Envoy is told something new."""

opened: Counter[str] = Counter()
closed: Counter[str] = Counter()


def fill(number: int) -> bytes:
    """The message with this number: 0 to 20 KiB of one byte. Clients make and check the same."""
    return bytes([number % 251]) * (number * 7919 % 20481)


class Delayed:
    """The message back after so many milliseconds."""

    def __init__(self, message: bytes) -> None:
        self._message = message

    def then(self, reply: Callable[[bytes | RpcError], None], /) -> None:
        """See ``rpc.Later``."""
        asyncio.get_running_loop().call_later(int(self._message) / 1000, reply, self._message)


def echo(message: bytes, _call: Call) -> bytes:
    return message


def later(message: bytes, _call: Call) -> Delayed:
    return Delayed(message)


def metadata(message: bytes, call: Call) -> bytes:
    """The value of the request header that the message names."""
    name = message.decode()
    value = call.metadata(name)
    if value is None:
        raise RpcError(Status.NOT_FOUND, f"no {name}")
    return value.encode("latin-1" if name.endswith("-bin") else "utf-8")


def fail(message: bytes, _call: Call) -> bytes:
    """``5 text`` ends with status 5 and the text."""
    code, _, text = message.decode().partition(" ")
    raise RpcError(Status(int(code)), text)


def crash(_message: bytes, _call: Call) -> bytes:
    raise ValueError("this handler has a defect")


def lives(message: bytes, _call: Call) -> bytes:
    """How many streams of ``Hold`` with this key began and how many of them are over."""
    key = message.decode()
    return f"{opened[key]} {closed[key]}".encode()


class Handler:
    """A stream that does nothing."""

    def __init__(self, call: Call) -> None:
        self.call = call

    def on_message(self, _message: bytes, /) -> bytes | Delayed | None:
        return None

    def on_end(self) -> bool | None:
        return None

    def on_close(self) -> None:
        pass


class Push(Handler):
    """As many messages as the request says, as fast as the client reads."""

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self._next, self._count = 0, 0
        self._over = False

    def on_message(self, message: bytes, /) -> None:
        self._count = int(message)
        self._push()

    def on_end(self) -> bool:
        return True

    def on_close(self) -> None:
        self._over = True

    def _push(self) -> None:
        if self._over:
            return
        while self._next < self._count and self.call.backlog < PUSH_AHEAD:
            self.call.send(fill(self._next))
            self._next += 1
        if self._next == self._count:
            self.call.finish()
        else:
            asyncio.get_running_loop().call_later(0.001, self._push)


class Count(Handler):
    """Counts, and answers ``<messages> <bytes>`` at the end."""

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self._messages = self._bytes = 0

    def on_message(self, message: bytes, /) -> None:
        if message != fill(self._messages):
            raise RpcError(Status.DATA_LOSS, f"message {self._messages} has {len(message)} bytes")
        self._messages += 1
        self._bytes += len(message)

    def on_end(self) -> None:
        self.call.send(f"{self._messages} {self._bytes}".encode())


class Chat(Handler):
    """Every message back."""

    def on_message(self, message: bytes, /) -> bytes:
        return message


class Early(Handler):
    """Has enough after the third message, whatever the client still sends."""

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self._messages = 0

    def on_message(self, message: bytes, /) -> bytes:
        self._messages += 1
        if self._messages == 3:
            self.call.finish(Status.OUT_OF_RANGE, "достаточно ✓")
        return message


class Broken(Handler):
    """Fails at the second message."""

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self._messages = 0

    def on_message(self, message: bytes, /) -> bytes:
        self._messages += 1
        if self._messages == 2:
            raise ValueError("this stream has a defect")
        return message


def refused(_call: Call) -> Handler:
    raise RpcError(Status.PERMISSION_DENIED, "не для вас")


class Hold(Handler):
    """Stays open until the client leaves, counted for ``Lives`` under the header ``key``. Every message comes back."""

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self._key = call.metadata("key") or ""
        opened[self._key] += 1

    def on_message(self, message: bytes, /) -> bytes:
        return message

    def on_end(self) -> bool:
        return True

    def on_close(self) -> None:
        closed[self._key] += 1


class Discovery(Handler):
    """What Envoy asks for its clusters: none, in a new version as soon as it has acknowledged the last one."""

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self._version = 0

    def on_message(self, _message: bytes, /) -> bytes | None:
        if self._version == ENVOY_VERSIONS:
            return None
        self._version += 1
        version = str(self._version).encode()
        fields = (1, version), (4, b"type.googleapis.com/envoy.config.cluster.v3.Cluster"), (5, version)
        return b"".join(bytes([number << 3 | 2, len(text)]) + text for number, text in fields)


def authorize(_message: bytes, _call: Call) -> bytes:
    """What Envoy asks before it passes a call on: its status is OK."""
    return b"\x0a\x00"


def table() -> Methods:
    methods = Methods()
    for name, answer in {
        "Unary": echo,
        "Later": later,
        "Metadata": metadata,
        "Fail": fail,
        "Crash": crash,
        "Lives": lives,
    }.items():
        methods.unary(f"/live.Echo/{name}", answer)
    for name, open in {
        "Push": Push,
        "Count": Count,
        "Chat": Chat,
        "Early": Early,
        "Broken": Broken,
        "Refused": refused,
        "Hold": Hold,
    }.items():
        methods.stream(f"/live.Echo/{name}", open)
    methods.unary("/envoy.service.auth.v3.Authorization/Check", authorize)
    methods.stream("/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources", Discovery)
    methods.stream("/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs", Handler)
    return methods


async def serve(arguments: argparse.Namespace) -> None:
    settings = GrpcSettings(
        "live",
        arguments.port,
        "127.0.0.1",
        max_receive=MAX_RECEIVE,
        keep_alive_s=KEEP_ALIVE_S,
        tls=TlsSettings(arguments.cert, arguments.key) if arguments.cert else None,
        transport=arguments.transport,
    )
    listener = grpc_port(settings, table(), allow=None, pool=None)
    leave = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, leave.set)
    await listener.start()
    print(json.dumps({"port": listener.port}), flush=True)
    await leave.wait()
    await listener.stop(DRAINS_WITHIN_S)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--transport", choices=("grpcio", "native"), required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--cert", default="", help="PEM file; without it the port is plain")
    parser.add_argument("--key", default="")
    arguments = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(arguments))


if __name__ == "__main__":
    main()
