"""Sockets that listen: addresses, options, and errors that say what to do."""

from __future__ import annotations

import asyncio
import socket

from polaris_bridge.adapters._shared.settings import GrpcSettings, HttpSettings


async def listening_sockets(settings: HttpSettings | GrpcSettings) -> list[socket.socket]:
    """One non-blocking listening socket per address of ``settings.host``.

    OSError with listener, address and the way out when one cannot be bound; then none is left open.
    """
    infos = await _addresses(settings)
    sockets: list[socket.socket] = []
    try:
        for family, address in infos:
            sockets.append(_listen(family, address, settings.backlog))
    except OSError as error:
        for sock in sockets:
            sock.close()
        raise cannot_listen(settings, error) from error
    return sockets


async def probe(settings: GrpcSettings) -> None:
    """Bind to every address of ``settings.host`` and let go again: for servers that bind by themselves and do not say why
    they cannot. OSError as of ``listening_sockets``."""
    for family, address in await _addresses(settings):
        try:
            _listen(family, address, None).close()
        except OSError as error:
            raise cannot_listen(settings, error) from error


def cannot_listen(settings: HttpSettings | GrpcSettings, error: OSError) -> OSError:
    """The same error with listener, address and the way out."""
    return OSError(
        error.errno,
        f"{settings.name} cannot listen on {settings.host}:{settings.port}: {error.strerror}. "
        "Stop what holds the port, or set listenIP / listenPort (--listen, --port-offset)",
    )


async def _addresses(settings: HttpSettings | GrpcSettings) -> list[tuple[int, tuple[str, int]]]:
    host, port = settings.host, settings.port
    if host == "::" and not socket.has_dualstack_ipv6():
        host = "0.0.0.0"
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except socket.gaierror as error:
        raise OSError(error.errno, f"{settings.name}: listenIP {host!r} is no address: {error.strerror}") from error
    return list(dict.fromkeys((family, (str(address[0]), int(address[1]))) for family, *_, address in found))


def _listen(family: int, address: tuple[str, int], backlog: int | None) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # accepted sockets inherit both
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(address[0] != "::"))
        sock.bind(address)
        if backlog is not None:
            sock.listen(backlog)
    except OSError:
        sock.close()
        raise
    return sock
