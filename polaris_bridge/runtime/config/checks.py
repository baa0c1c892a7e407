"""What single values cannot show: two listeners on one port, a certificate without its key."""

from __future__ import annotations

from collections.abc import Iterator

from polaris_bridge.adapters.nacos.settings import GRPC_OFFSET

from .listeners import ConsulListener, Listener, NacosListener
from .maintain import AnyJob
from .problems import Place, Problem
from .root import Config
from .shape import find
from .tree import Node

_EVERY = ("0.0.0.0", "::")


def ports(listener: Listener) -> tuple[int, ...]:
    """Every port that a listener binds."""
    port = listener.option.listen_port
    if isinstance(listener, NacosListener):
        return port, port + GRPC_OFFSET if port else 0
    if isinstance(listener, ConsulListener):
        return port, max(0, listener.option.dns_port)
    return (port,)


def check(config: Config, root: Node) -> list[Problem]:
    """Problems of a configuration whose single values are right."""
    return [*_ports(config, root), *_certificates(config, root), *_jobs(config.maintain.jobs, root)]


def _place(root: Node, path: str) -> Place:
    while path and (node := find(root, path)) is None:
        path = path.rpartition(".")[0]
    return node.place if path and node else root.place


def _ports(config: Config, root: Node) -> Iterator[Problem]:
    taken: dict[int, list[tuple[str, str]]] = {}
    for index, listener in enumerate(config.apiservers):
        address = listener.option.listen_ip
        for port in filter(None, ports(listener)):
            path = f"apiservers.{index}.option.listenPort"
            if port > 65_535:
                yield Problem(
                    _place(root, path), path, f"port {port} is above 65535; choose a smaller port or port offset"
                )
            for other, name in taken.get(port, []):
                if other == address or other in _EVERY or address in _EVERY:
                    yield Problem(
                        _place(root, path), path, f"port {port} of {listener.name} is already taken by {name}"
                    )
            taken.setdefault(port, []).append((address, f"apiservers.{index} ({listener.name})"))


def _certificates(config: Config, root: Node) -> Iterator[Problem]:
    for index, listener in enumerate(config.apiservers):
        tls, path = listener.option.tls, f"apiservers.{index}.option.tls"
        if (tls.cert_file is None) != (tls.key_file is None):
            yield Problem(_place(root, path), path, "expected certFile and keyFile together")
        elif tls.trusted_ca_file and not tls.cert_file:
            yield Problem(_place(root, path), path, "trustedCAFile needs certFile and keyFile")


def _jobs(jobs: list[AnyJob], root: Node) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, job in enumerate(jobs):
        if job.name in seen:
            path = f"maintain.jobs.{index}"
            yield Problem(_place(root, path), path, f"the job {job.name} stands here a second time")
        seen.add(job.name)
