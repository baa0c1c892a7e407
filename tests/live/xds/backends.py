"""Back-ends that say who they are: gRPC servers and HTTP servers, as many as a test wants, in the tests' own process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

import grpc

ECHO = "/live.Echo/Where"
"""The method that callers call unless a test says otherwise; every method answers the same."""


class Backend(Protocol):
    """One back-end on a port of its own. ``fails``: it answers, but with an error."""

    name: str
    port: int
    fails: bool

    def close(self) -> None: ...


class GrpcBackend:
    """Answers every unary call with its name, or with INTERNAL."""

    def __init__(self, name: str) -> None:
        self.name, self.fails = name, False
        self._server = grpc.server(ThreadPoolExecutor(4), options=(("grpc.so_reuseport", 0),))
        self._server.add_generic_rpc_handlers((_Every(self._answer),))
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def _answer(self, _request: bytes, context: grpc.ServicerContext) -> bytes:
        if self.fails:
            context.abort(grpc.StatusCode.INTERNAL, f"{self.name} fails")
        return self.name.encode()

    def close(self) -> None:
        self._server.stop(None).wait()


class _Every(grpc.GenericRpcHandler):
    def __init__(self, answer: Callable[[bytes, grpc.ServicerContext], bytes]) -> None:
        self._handler = grpc.unary_unary_rpc_method_handler(answer)

    def service(self, _details: grpc.HandlerCallDetails) -> Any:
        return self._handler


class HttpBackend:
    """Answers every GET with its name, with 200 or 500."""

    def __init__(self, name: str) -> None:
        self.name, self.fails = name, False
        backend = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                body = backend.name.encode()
                self.send_response(500 if backend.fails else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments: Any) -> None:
                """Nobody reads it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
