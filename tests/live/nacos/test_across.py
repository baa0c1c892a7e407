"""One registry: what comes by Eureka or natively is found by Nacos' clients, and the reverse."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ..eureka.registry import Registry as EurekaRegistry
from ..polaris.console import Console
from ..waiting import until
from .conftest import RUN
from .members import NOTICES_WITHIN_S, Member
from .registry import HOST, Registry
from .telling import Watch

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]
PORT, ANCHOR = 8001, 8009
CACHED_S = 10
"""Eureka's answers come from a cache that is renewed in this time."""


def test_what_comes_by_eureka_is_found(sdks: list[Member], registry: Registry, eureka: EurekaRegistry) -> None:
    app = f"from-eureka-{RUN}"
    registry.register(app, ANCHOR)
    watches = [Watch(member, app) for member in sdks]
    for watch in watches:
        watch.member.sees(app, {ANCHOR})

    eureka.register(app, f"{app}:1", port=PORT, metadata={"stage": "live"})
    for member in sdks:
        member.sees(app, {ANCHOR, PORT})
        seen = member.instances(app)[PORT]
        assert (seen["ip"], seen["healthy"], seen["cluster"]) == (HOST, True, "DEFAULT"), member.name
        assert seen["metadata"]["stage"] == "live"
    for watch in watches:
        until(lambda watch=watch: told(watch, PORT), NOTICES_WITHIN_S, f"{watch.member.name} is told")  # type: ignore[misc]

    eureka.override(app, f"{app}:1", "OUT_OF_SERVICE")
    for member in sdks:
        member.sees(app, {ANCHOR})
    eureka.end_override(app, f"{app}:1", "UP")
    for member in sdks:
        member.sees(app, {ANCHOR, PORT})
    eureka.cancel(app, f"{app}:1")
    for watch in watches:
        watch.member.sees(app, {ANCHOR})
        watch.close()


def told(watch: Watch, port: int) -> bool:
    return any(one["port"] == port for change in watch.all() for one in change["instances"])


def test_what_comes_natively_is_found(sdks: list[Member], registry: Registry, console: Console) -> None:
    service = f"from-polaris-{RUN}"
    registry.register(service, ANCHOR)
    console.register(service, PORT)
    for member in sdks:
        member.sees(service, {ANCHOR, PORT})
    console.change(service, PORT, isolate=True)
    for member in sdks:
        member.sees(service, {ANCHOR})


def test_a_native_service_of_a_group_is_found(sdks: list[Member], console: Console) -> None:
    service = f"native-{RUN}"
    console.register(f"live-group__{service}", PORT)
    for member in sdks:
        member.sees(service, {PORT}, group="live-group")


def test_what_comes_by_nacos_is_found(
    member: Member, registry: Registry, eureka: EurekaRegistry, console: Console
) -> None:
    service = f"to-others-{member.name}-{RUN}"
    member.register(service, weight=0.5, metadata={"stage": "live"})
    native = until(lambda: console.instances(service).get(member.port), NOTICES_WITHIN_S, "the console lists it")
    assert (native["host"], native["healthy"], native["isolate"], native["weight"]) == (HOST, True, False, 50)
    assert native["metadata"]["stage"] == "live"
    one = until(in_eureka(eureka, service), NOTICES_WITHIN_S + CACHED_S, "Eureka's list has it")
    assert (one["status"], one["ipAddr"]) == ("UP", HOST)
    assert one["port"] == {"$": member.port, "@enabled": "true"}
    assert one["metadata"]["stage"] == "live"

    registry.change(service, member.port, enabled="false")
    until(
        lambda: (one := in_eureka(eureka, service)()) and one["status"] == "OUT_OF_SERVICE",
        NOTICES_WITHIN_S + CACHED_S,
        "disabled: out of service",
    )
    until(lambda: console.instances(service)[member.port]["isolate"], NOTICES_WITHIN_S, "disabled: isolated")
    member.deregister(service)
    until(lambda: not console.instances(service), NOTICES_WITHIN_S, "gone from the console")
    until(lambda: in_eureka(eureka, service)() is None, NOTICES_WITHIN_S + CACHED_S, "gone from Eureka")


def in_eureka(eureka: EurekaRegistry, service: str) -> Callable[[], dict[str, object] | None]:
    def listed() -> dict[str, object] | None:
        found = [one for one in eureka.all().values() if one["app"] == service.upper()]
        return found[0] if found else None

    return listed
