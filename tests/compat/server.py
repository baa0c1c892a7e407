"""Where the suite's live server comes from: a spawned ``polaris-bridge serve``, or the address in an environment variable."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .plan import Target

LOG = "server.log"
ATTEMPTS = 3
TAKEN = "Address already in use"
READY_S = 30.0
STOP_S = 15.0
ROOT = Path(__file__).parents[2]
CONSOLE_WAS_OPEN = "polaris-controller-"
"""The recording of a client without a token, made on a server whose console asked for none."""
LIMITER_WAS_THERE = "-limiter"
"""The recording made on a limiter, which is another program there: its other recordings have no service of that name."""
NACOS_ASKED = "-auth-"
"""Recordings of clients that log in, made on a server that demands it."""
NACOS_USER, NACOS_PASSWORD = "nacos", "nacosPW1"
"""The account that logged in when they were made."""
ADMINISTRATOR_PASSWORD = "an-administrator"
CONFIG_SERVICE = "/v1.PolarisConfigGRPC/"
"""Natively the configuration centre has a port of its own."""
LIMITER_SERVICE = "/polaris.metric.v2.RateLimitGRPCV2/"
CONSUL_DNS, PROXY = "consul-dns", "proxy"
"""Ports that are no listeners' HTTP or gRPC: names, and one for whoever stands between."""
NACOS_GRPC = 1000
"""Above the HTTP port: clients compute it."""
LISTENERS = (
    "service-eureka",
    "api-http",
    "service-grpc",
    "config-grpc",
    "service-limiter",
    "xds-v3",
    "service-consul",
)


def given_target(variable: str, recorded_base: str) -> Target | None:
    """The server that the environment names (``http://host:port/base``), or None when it names none."""
    url = os.environ.get(variable)
    if not url:
        return None
    parts = urllib.parse.urlsplit(url)
    if parts.hostname is None:
        raise ValueError(f"{variable}={url}: write it as http://host:port/eureka")
    return Target(http=(parts.hostname, parts.port or 80), base=parts.path.rstrip("/"), recorded_base=recorded_base)


@contextlib.contextmanager
def spawned_eureka(folder: Path) -> Iterator[Target]:
    """A fresh, empty server of ours, asked through its Eureka listener."""
    with spawned(folder) as ports:
        yield Target(http=("127.0.0.1", ports["service-eureka"]), base="/eureka", recorded_base="/eureka")


@contextlib.contextmanager
def spawned_polaris(transport: str, folder: Path) -> Iterator[Target]:
    """A fresh, empty server of ours, asked through its native listeners, with the account whose token was recorded.

    ``transport`` carries the gRPC port. ``folder`` begins with the name of the recording.
    """
    settings = [
        f"apiservers.{name}.option.transport={transport}" for name in ("service-grpc", "config-grpc", "service-limiter")
    ]
    if LIMITER_WAS_THERE not in folder.name:
        settings.append("limiter.open=false")
    if folder.name.startswith(CONSOLE_WAS_OPEN):
        settings.append("auth.strategy.option.consoleOpen=false")
    with spawned(folder, *settings) as ports:
        yield Target(
            http=("127.0.0.1", ports["api-http"]),
            grpc=("127.0.0.1", ports["service-grpc"]),
            elsewhere=(
                (CONFIG_SERVICE, ("127.0.0.1", ports["config-grpc"])),
                (LIMITER_SERVICE, ("127.0.0.1", ports["service-limiter"])),
            ),
        )


@contextlib.contextmanager
def spawned_nacos(transport: str, folder: Path) -> Iterator[Target]:
    """A fresh, empty server of ours, asked through its Nacos listener, HTTP and gRPC.

    ``transport`` carries the gRPC port. ``folder`` begins with the name of the recording.
    """
    settings = [f"apiservers.service-nacos.option.transport={transport}"]
    guarded = NACOS_ASKED in folder.name
    if guarded:
        settings += [
            "apiservers.service-nacos.option.auth=true",
            "auth.user.option.seedDefaultAdmin=false",
            f"auth.user.option.initialPassword={ADMINISTRATOR_PASSWORD}",
        ]
    with spawned(folder, *settings) as ports:
        address = ("127.0.0.1", ports["service-nacos"])
        if guarded:
            _nacos_account(address)
        yield Target(http=address, grpc=(address[0], address[1] + NACOS_GRPC))


def _nacos_account(address: tuple[str, int]) -> None:
    """Make the account, with every right on naming; the administrator here has another name."""
    base = f"http://{address[0]}:{address[1]}/nacos/v1/auth/"

    def post(path: str, **form: str) -> Any:
        data = urllib.parse.urlencode(form).encode()
        with urllib.request.urlopen(base + path, data=data, timeout=10.0) as answer:
            return json.load(answer)

    token = post("login", username="polaris", password=ADMINISTRATOR_PASSWORD)["accessToken"]
    post("users", accessToken=token, username=NACOS_USER, password=NACOS_PASSWORD)
    post("roles", accessToken=token, username=NACOS_USER, role="RECORDED")
    post("permissions", accessToken=token, role="RECORDED", resource="*:*:*", action="rw")


@dataclass(frozen=True)
class ConsulServers:
    """A server of ours as Consul's clients see it, and a free address for somebody between."""

    http: Target
    dns: tuple[str, int]
    proxy: tuple[str, int]


@contextlib.contextmanager
def spawned_consul(folder: Path) -> Iterator[ConsulServers]:
    """A fresh, empty server of ours, asked through its Consul listener. Its own node is called ``n1``."""
    with spawned(folder, "apiservers.service-consul.option.nodeName=n1") as ports:
        http = Target(http=("127.0.0.1", ports["service-consul"]))
        yield ConsulServers(http, ("127.0.0.1", ports[CONSUL_DNS]), ("127.0.0.1", ports[PROXY]))


@contextlib.contextmanager
def spawned(folder: Path, *settings: str) -> Iterator[dict[str, int]]:
    """The ports of a server on the shipped configuration, stopped at the end. Its data and its log lie in ``folder``.

    ``settings`` are further ``--set`` values.
    """
    process, ports = _started(folder, settings)
    try:
        yield ports
    finally:
        _stop(process)


def _started(folder: Path, settings: Sequence[str]) -> tuple[subprocess.Popen[bytes], dict[str, int]]:
    """A server that is ready, and its ports. One that finds a port taken, by somebody who was quicker, is started anew."""
    for attempt in range(ATTEMPTS):
        ports = free_listeners()
        process = _launched(folder, ports, settings)
        try:
            _ready(process, f"http://127.0.0.1:{ports['api-http']}/readyz", folder / LOG)
        except RuntimeError as error:
            _stop(process)
            if TAKEN not in str(error) or attempt == ATTEMPTS - 1:
                raise
        except BaseException:
            _stop(process)
            raise
        else:
            return process, ports
    raise AssertionError


def _launched(folder: Path, ports: dict[str, int], settings: Sequence[str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "polaris_bridge", "serve", "--data", str(folder / "data"), "--listen", "127.0.0.1"]
    for name in (*LISTENERS, "service-nacos"):
        command += ["--set", f"apiservers.{name}.option.listenPort={ports[name]}"]
    command += ["--set", f"apiservers.service-consul.option.dnsPort={ports[CONSUL_DNS]}"]
    command += ["--set", "auth.user.option.seedDefaultAdmin=true"]
    for setting in settings:
        command += ["--set", setting]
    with (folder / LOG).open("wb") as out:
        return subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=folder, env=_environment())


def _environment() -> dict[str, str]:
    """The working copy comes first, installed or not; the server runs in its own folder, so that nothing lands in the copy."""
    path = os.environ.get("PYTHONPATH")
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), path] if path else [str(ROOT)])}


def free_listeners() -> dict[str, int]:
    """A loopback port for each listener and each further one that nobody listens on right now; Nacos' one has a free port
    ``NACOS_GRPC`` above it."""
    with contextlib.ExitStack() as stack:
        ports = {name: _bound(stack, 0) for name in (*LISTENERS, CONSUL_DNS, PROXY)}
        while True:
            ports["service-nacos"] = _bound(stack, 0)
            with contextlib.suppress(OSError, OverflowError):
                _bound(stack, ports["service-nacos"] + NACOS_GRPC)
                return ports


def _bound(stack: contextlib.ExitStack, port: int) -> int:
    sock = stack.enter_context(socket.socket())
    sock.bind(("127.0.0.1", port))
    return int(sock.getsockname()[1])


def _ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + READY_S
    while process.poll() is None and time.monotonic() < deadline:
        if _answers(url):
            return
        time.sleep(0.05)
    state = "is not ready" if process.poll() is None else f"ended with {process.returncode}"
    raise RuntimeError(f"the server {state}; the end of its log:\n{log.read_text(errors='replace')[-3000:]}")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1.0) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
