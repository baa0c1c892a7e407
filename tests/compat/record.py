#!/usr/bin/env python3
"""Recording reverse proxy: stands between a real client and a real server and writes what passes as JSON lines.

    record.py http --listen 127.0.0.1:18761 --upstream 127.0.0.1:8761 --out FILE --client eureka-client/1.10.18 \
                   --server spring-cloud-eureka/4.1.0 --scenario boot-register
    record.py grpc --listen 127.0.0.1:19848 --upstream 127.0.0.1:9848 --out FILE ...      (every method, any streaming)

Stop it with SIGINT or SIGTERM (or --seconds N); the file is complete at every moment, one line an event.
Needs: h11 for http; grpcio for grpc.

Line 1   {"recording": 1, "protocol": "http"|"grpc", "client", "server", "scenario", "started": ISO time}
http     {"kind": "http", "t": s, "took": s, "conn": n,
          "request":  {"method", "target", "headers": [[name, value]...], "body": TEXT or {"base64": ...}},
          "response": {"status", "reason", "headers", "body"}}
udp      {"kind": "udp", "t", "from": "server"|"client", "src", "dst", "gzip": bool, "body"}   (with --udp; Nacos 1.x pushes)
grpc     {"kind": "open", "t", "call": n, "method": "/pkg.Service/Method", "peer", "metadata": [[k, v]...]}
         {"kind": "message", "t", "call": n, "from": "client"|"server", "base64": ...}
         {"kind": "close", "t", "call": n, "code": "OK"|..., "details", "trailers"}
A client connection gets an upstream connection of its own (some protocols key sessions by it): replay one connection a "peer".
t is seconds since the recorder started; an http line has the request's start but is written at its end, so lines are not
sorted. Header names keep the case the sender used.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import datetime
import itertools
import json
import signal
import sys
import time


class Log:
    def __init__(self, path: str, header: dict):
        self.start = time.monotonic()
        self.file = open(path, "w", encoding="utf-8")  # noqa: SIM115 - open until the recorder stops
        self.write(header)

    def now(self) -> float:
        return round(time.monotonic() - self.start, 4)

    def write(self, event: dict) -> None:
        self.file.write(json.dumps(event, ensure_ascii=False) + "\n")
        self.file.flush()


def as_text(body: bytes):
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode()}


def pairs(headers) -> list[list[str]]:
    return [[k.decode("latin-1"), v.decode("latin-1")] for k, v in headers.raw_items()]


def address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host or "127.0.0.1", int(port)


# ---------------------------------------------------------------- http
async def serve_http(listen, upstream, log: Log, stop: asyncio.Event) -> None:
    import h11

    numbers = itertools.count(1)

    async def next_event(conn, reader):
        while True:
            event = conn.next_event()
            if event is h11.NEED_DATA:
                conn.receive_data(await reader.read(65536))
                continue
            return event

    async def one(reader, writer):
        number = next(numbers)
        server = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        up_reader = up_writer = client = None
        try:
            while True:
                request = await next_event(server, reader)
                if not isinstance(request, h11.Request):
                    break
                if server.they_are_waiting_for_100_continue:
                    writer.write(server.send(h11.InformationalResponse(status_code=100, headers=[])))
                began, body = log.now(), b""
                while isinstance(event := await next_event(server, reader), h11.Data):
                    body += bytes(event.data)
                if client is None:
                    up_reader, up_writer = await asyncio.open_connection(*upstream)
                    client = h11.Connection(h11.CLIENT)
                forward = [
                    (k, v)
                    for k, v in request.headers.raw_items()
                    if k.lower() not in (b"transfer-encoding", b"content-length", b"expect")
                ]
                if body or request.method in (b"POST", b"PUT"):
                    forward.append((b"Content-Length", str(len(body)).encode()))
                up_writer.write(client.send(h11.Request(method=request.method, target=request.target, headers=forward)))
                if body:
                    up_writer.write(client.send(h11.Data(data=body)))
                up_writer.write(client.send(h11.EndOfMessage()) or b"")
                await up_writer.drain()
                response = await next_event(client, up_reader)
                while isinstance(response, h11.InformationalResponse):
                    response = await next_event(client, up_reader)
                reply = b""
                writer.write(
                    server.send(
                        h11.Response(
                            status_code=response.status_code,
                            reason=response.reason,
                            headers=list(response.headers.raw_items()),
                        )
                    )
                )
                while isinstance(event := await next_event(client, up_reader), h11.Data):
                    reply += bytes(event.data)
                    writer.write(server.send(h11.Data(data=bytes(event.data))) or b"")
                    await writer.drain()
                writer.write(server.send(h11.EndOfMessage()) or b"")
                await writer.drain()
                log.write(
                    {
                        "kind": "http",
                        "t": began,
                        "took": round(log.now() - began, 4),
                        "conn": number,
                        "request": {
                            "method": request.method.decode(),
                            "target": request.target.decode("latin-1"),
                            "headers": pairs(request.headers),
                            "body": as_text(body),
                        },
                        "response": {
                            "status": response.status_code,
                            "reason": response.reason.decode("latin-1"),
                            "headers": pairs(response.headers),
                            "body": as_text(reply),
                        },
                    }
                )
                if client.our_state is h11.DONE and client.their_state is h11.DONE:
                    client.start_next_cycle()
                else:
                    up_writer.close()
                    client = None
                if server.our_state is h11.DONE and server.their_state is h11.DONE:
                    server.start_next_cycle()
                else:
                    break
        except (ConnectionError, asyncio.IncompleteReadError, h11.ProtocolError) as error:
            log.write({"kind": "broken", "t": log.now(), "conn": number, "error": str(error)})
        finally:
            for w in (writer, up_writer):
                if w is not None:
                    w.close()

    server = await asyncio.start_server(one, *listen)
    async with server:
        await stop.wait()


# ---------------------------------------------------------------- grpc
async def serve_grpc(listen, upstream, log: Log, stop: asyncio.Event) -> None:
    import grpc

    limits = [("grpc.max_receive_message_length", 64 << 20), ("grpc.max_send_message_length", 64 << 20)]
    # one upstream connection a client connection: Nacos keys its sessions by the transport
    channels = {}
    closing = []
    local = [*limits, ("grpc.use_local_subchannel_pool", 1)]

    def channel_of(peer):
        if peer not in channels:
            channels[peer] = grpc.aio.insecure_channel(f"{upstream[0]}:{upstream[1]}", options=local)
        return channels[peer]

    numbers = itertools.count(1)
    plain = bytes

    def message(number, sender, data):
        log.write(
            {
                "kind": "message",
                "t": log.now(),
                "call": number,
                "from": sender,
                "base64": base64.b64encode(data).decode(),
            }
        )

    def readable(metadata):
        return [[k, v if isinstance(v, str) else base64.b64encode(v).decode()] for k, v in (metadata or ())]

    class Everything(grpc.GenericRpcHandler):
        def service(self, details):
            method = details.method
            sent = [(k, v) for k, v in details.invocation_metadata if not k.startswith((":", "grpc-", "user-agent"))]

            async def handle(requests, context):
                number = next(numbers)
                log.write(
                    {
                        "kind": "open",
                        "t": log.now(),
                        "call": number,
                        "method": method,
                        "peer": context.peer(),
                        "metadata": readable(details.invocation_metadata),
                    }
                )

                async def outgoing():
                    async for data in requests:
                        message(number, "client", data)
                        yield data

                call = channel_of(context.peer()).stream_stream(
                    method, request_serializer=plain, response_deserializer=plain
                )(outgoing(), metadata=sent)
                try:
                    initial = await call.initial_metadata()
                    if initial:
                        await context.send_initial_metadata(tuple(initial))
                    async for data in call:
                        message(number, "server", data)
                        yield data
                    code, text, trailers = await call.code(), await call.details(), await call.trailing_metadata()
                except grpc.aio.AioRpcError as error:
                    code, text, trailers = error.code(), error.details(), error.trailing_metadata()
                except asyncio.CancelledError:
                    call.cancel()
                    log.write(
                        {
                            "kind": "close",
                            "t": log.now(),
                            "call": number,
                            "code": "CLIENT_CANCELLED",
                            "details": "",
                            "trailers": [],
                        }
                    )
                    if method.endswith("BiStream") and context.peer() in channels:
                        closing.append(asyncio.ensure_future(channels.pop(context.peer()).close()))
                    raise
                log.write(
                    {
                        "kind": "close",
                        "t": log.now(),
                        "call": number,
                        "code": code.name,
                        "details": text or "",
                        "trailers": readable(trailers),
                    }
                )
                if trailers:
                    context.set_trailing_metadata(tuple(trailers))
                if code is not grpc.StatusCode.OK:
                    await context.abort(code, text or "")

            return grpc.stream_stream_rpc_method_handler(handle, request_deserializer=plain, response_serializer=plain)

    server = grpc.aio.server(options=limits)
    server.add_generic_rpc_handlers((Everything(),))
    if not server.add_insecure_port(f"{listen[0]}:{listen[1]}"):
        sys.exit(f"cannot listen on {listen[0]}:{listen[1]}")
    await server.start()
    await stop.wait()
    await server.stop(0.2)
    for channel in channels.values():
        await channel.close()


def sniff_udp(log: Log, stop: asyncio.Event):
    """Adds the UDP pushes of 1.x clients: {"kind": "udp", "t", "from": "server"|"client", "src", "dst", "body"}."""
    import gzip
    import socket
    import struct

    sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.ntohs(0x0800))
    sock.bind(("lo", 0))
    sock.setblocking(False)

    def ready():
        while True:
            try:
                data, where = sock.recvfrom(65536)
            except BlockingIOError:
                return
            if where[2] == 4 or data[9] != 17:
                continue
            head = (data[0] & 15) * 4
            sport, dport, size = struct.unpack("!HHH", data[head : head + 6])
            body = data[head + 8 : head + size]
            text = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
            if b'"type"' not in text or b'"lastRefTime"' not in text:
                continue
            log.write(
                {
                    "kind": "udp",
                    "t": log.now(),
                    "from": "client" if b"-ack" in text else "server",
                    "src": sport,
                    "dst": dport,
                    "gzip": text is not body,
                    "body": as_text(text),
                }
            )

    asyncio.get_running_loop().add_reader(sock, ready)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=["http", "grpc"])
    parser.add_argument("--listen", required=True, type=address)
    parser.add_argument("--upstream", required=True, type=address)
    parser.add_argument("--out", required=True)
    for name in ("client", "server", "scenario"):
        parser.add_argument("--" + name, default="")
    parser.add_argument("--udp", action="store_true", help="http mode: also record the UDP pushes on lo (needs root)")
    parser.add_argument("--seconds", type=float, help="stop by itself after this long")
    args = parser.parse_args()
    log = Log(
        args.out,
        {
            "recording": 1,
            "protocol": args.mode,
            "client": args.client,
            "server": args.server,
            "scenario": args.scenario,
            "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        },
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    if args.seconds:
        loop.call_later(args.seconds, stop.set)
    if args.udp:
        sniff_udp(log, stop)
    await {"http": serve_http, "grpc": serve_grpc}[args.mode](args.listen, args.upstream, log, stop)


if __name__ == "__main__":
    asyncio.run(main())
