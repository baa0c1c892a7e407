"""What calls of HTTP v2 and v3 are about, and pages of lists, with the objections of those generations.

A missing member of a form and a missing parameter are objected to in different words, as on Nacos 2.5.1 and 3.x.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from polaris_bridge.adapters.nacos.service.scope import Scope
from polaris_bridge.adapters.nacos.wire import codes
from polaris_bridge.adapters.nacos.wire.messages import DEFAULT_CLUSTER, Host, Refused

from .call import HttpCall

PAGE_SIZE: Final = 100


def asked(call: HttpCall, name: str, kind: str = "String") -> str:
    """A parameter that must be there, and may be empty. ``kind``: the Java type that the objection names."""
    value = call.params.raw(name)
    if value is None:
        text = f"Required request parameter '{name}' for method parameter type {kind} is not present"
        raise Refused(400, codes.PARAMETER_MISSING, text)
    return value


def form(call: HttpCall) -> Scope:
    """The service of a form: ``serviceName`` must have a value."""
    call.params.required("serviceName")
    return call.named()


def parameters(call: HttpCall) -> Scope:
    """The service of single parameters: ``serviceName`` must be there."""
    asked(call, "serviceName")
    return call.named()


def grouped(call: HttpCall) -> Scope:
    """The service of calls that know no group: it must stand in the service's name."""
    if "@@" not in asked(call, "serviceName"):
        text = "Param 'serviceName' is illegal, it should be format as 'groupName@@serviceName'"
        raise Refused(400, codes.PARAMETER_VALIDATE, text)
    return call.named()


def filtered(call: HttpCall) -> Scope:
    """The namespace of a list."""
    return call.named("")


class Page(Struct, frozen=True, rename="camel", gc=False):
    """A page of a list in v3, counted from 1."""

    total_count: int = 0
    page_number: int = 1
    pages_available: int = 0
    page_items: Sequence[Any] = ()


class Asked(Struct, frozen=True, gc=False):
    """Which page a call asks for."""

    number: int
    size: int

    @property
    def span(self) -> slice:
        """Of the list."""
        start = (self.number - 1) * self.size
        return slice(start, start + self.size)

    def of(self, found: Sequence[Any]) -> Page:
        """The page. There is one more page available than are full, as on the real server; of nothing there is none."""
        total = len(found)
        return Page(total, self.number, total // self.size + 1 if total else 0, found[self.span])

    def holding(self, total: int, items: Sequence[Any]) -> Page:
        """The page of which the items are known."""
        return Page(total, self.number, total // self.size + 1 if total else 0, items)


def page(call: HttpCall) -> Asked:
    """``pageNo`` and ``pageSize``, which are 1 and 100 when they are not given."""
    number = call.params.integer("pageNo", 1)
    size = call.params.integer("pageSize", PAGE_SIZE)
    for name, value in (("pageNo", number), ("pageSize", size)):
        if value < 1:
            text = f"Required parameter '{name}' should be positive integer, current is {value}"
            raise Refused(400, codes.PARAMETER_VALIDATE, text)
    return Asked(number, size)


def the_one(found: Host | None, scope: Scope, cluster: str, *, empty: bool) -> Host:
    """An instance that must be there. ``empty``: whether its service has none at all."""
    if found is not None:
        return found
    if empty:
        text = f"no ips found for cluster {cluster or DEFAULT_CLUSTER} in service {scope.grouped}"
        raise Refused(404, codes.RESOURCE_NOT_FOUND, text)
    raise Refused(404, codes.RESOURCE_NOT_FOUND, "no matched ip found!")
