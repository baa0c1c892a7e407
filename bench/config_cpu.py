"""CPU of the server per operation of the configuration centre: reads and publications over HTTP and gRPC."""

from __future__ import annotations

import json
from collections.abc import Iterator

from config_fleet import CONFIGS, HTTP_HEADERS, File, files, listen, publish_all
from measure import HttpLoad
from nacos_cpu import Effort, GrpcCase, HttpCase, grpc_row, http_row
from nacos_fleet import filled
from report import Row

BIG = File("com.acme.read-service-10k.yaml", 10_000)
_VERSIONS = 50
_TWENTY = files("listened", 20)
_PUBLISHED = files("published", 320)


def rows(effort: Effort) -> Iterator[Row]:
    """All operations under load."""
    with filled() as servers:
        for server in servers:
            publish_all(server.base, [BIG, *_TWENTY])
        for case in (_read(), _publish()):
            yield http_row(case, servers, effort)
        for call in _grpc_cases():
            yield grpc_row(call, servers, effort)


def _read() -> HttpCase:
    load = HttpLoad(path=BIG.target, headers=HTTP_HEADERS)
    return HttpCase("HTTP read of a file of 10 KB", 120, load, ("GET", BIG.target, ""), BIG.data_id.encode())


def _publish() -> HttpCase:
    """Files of 1 KB in turns, each time with another content."""
    forms = [file.form(0).replace("version%3A+0", "version%3A+@VERSION@") for file in files("written", 100, 1000)]
    headers = "".join(f"wrk.headers[{json.dumps(k)}] = {json.dumps(v)}\n" for k, v in HTTP_HEADERS.items())
    load = HttpLoad(
        lua=f"""{headers}
local forms, n = {{ {",".join(map(json.dumps, forms))} }}, 0
function request()
  n = n + 1
  local body = string.gsub(forms[n % #forms + 1], "@VERSION@", tostring(n))
  return wrk.format("POST", "{CONFIGS}", nil, body)
end
"""
    )
    return HttpCase("HTTP publish of 1 KB", 500, load, ("POST", CONFIGS, forms[0]), b"true")


def _grpc_cases() -> list[GrpcCase]:
    published = [file.publication(n) for n in range(_VERSIONS) for file in _PUBLISHED]
    return [
        GrpcCase("gRPC read of a file of 10 KB", None, [BIG.query()]),
        GrpcCase("gRPC listen to 20 files again, nothing new", None, [listen(_TWENTY)]),
        GrpcCase("gRPC publish of 200 bytes", None, published),
    ]
