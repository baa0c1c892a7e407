"""Back-ends registered as the users of each protocol would, seen from the one service that results."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from ..consul.registry import Registry as ConsulRegistry
from ..eureka.registry import Registry as EurekaRegistry
from ..nacos.registry import Registry as NacosRegistry
from ..polaris.console import Console
from ..server import Server


@dataclass(frozen=True)
class Door:
    """How an instance comes and goes through one protocol, and what its service is called by an xDS client."""

    register: Callable[[str, int], None]
    deregister: Callable[[str, int], None]
    named: Callable[[str], str] = lambda service: f"{service}.default"


def doors(server: Server, stack: ExitStack) -> dict[str, Door]:
    """By protocol; connections are closed with the stack."""
    url = "http://127.0.0.1"
    native = Console(f"{url}:{server.http_port}")
    eureka = EurekaRegistry(f"{url}:{server.ports['service-eureka']}/eureka")
    nacos = NacosRegistry(f"{url}:{server.ports['service-nacos']}/nacos")
    consul = ConsulRegistry(f"{url}:{server.ports['service-consul']}")
    for registry in (native, eureka, nacos, consul):
        stack.callback(registry.close)
    return {
        "native": Door(native.register, lambda service, port: native.delete(service, port)),
        "eureka": Door(
            lambda service, port: eureka.register(service, f"{service}-{port}", port=port),
            lambda service, port: eureka.cancel(service, f"{service}-{port}"),
        ),
        "nacos": Door(nacos.register, nacos.deregister),
        "consul": Door(consul.register, consul.deregister),
    }
