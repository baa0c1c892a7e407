"""One registry: what Eureka's clients register is found by native ones, and the reverse."""

from __future__ import annotations

import pytest

from ..eureka.registry import Registry
from ..waiting import until
from .conftest import RUN, Target
from .console import Console
from .members import HOST, NOTICES_WITHIN_S, Member

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]


def test_what_comes_by_eureka_is_found(member: Member, target: Target, eureka: Registry) -> None:
    app = f"from-eureka-{member.name.replace('.', '-')}-{RUN}"
    eureka.register(app, f"{app}:1", port=8001, metadata={"stage": "live"})
    seen = until(lambda: member.instance(app, 8001), NOTICES_WITHIN_S, "the client finds it")
    assert (seen["host"], seen["healthy"], seen["isolated"]) == (HOST, True, False)
    assert seen["metadata"]["stage"] == "live"
    assert seen["metadata"]["internal-register-from"] == "eureka"
    if target.ours or member.name != "polaris-go-1.7":
        assert member.ports("one", app) == {8001}

    eureka.override(app, f"{app}:1", "OUT_OF_SERVICE")
    until(lambda: (one := member.instance(app, 8001)) and one["isolated"], NOTICES_WITHIN_S, "out of service: isolated")
    eureka.end_override(app, f"{app}:1", "UP")
    until(lambda: (one := member.instance(app, 8001)) and not one["isolated"], NOTICES_WITHIN_S, "back in service")
    eureka.cancel(app, f"{app}:1")
    until(lambda: not member.ports("all", app), NOTICES_WITHIN_S, "gone")


def test_what_comes_natively_is_found_by_eureka(
    member: Member, target: Target, console: Console, eureka: Registry
) -> None:
    service = f"to-eureka-{member.name.replace('.', '-')}-{RUN}"
    own = {"service": service, "host": HOST, "port": 8001}
    member.ask("register", ttl=5, metadata={"stage": "live"}, **own)

    def listed() -> dict[str, object] | None:
        found = [one for one in eureka.all().values() if one["app"] == service.upper()]
        return found[0] if found else None

    one = until(listed, NOTICES_WITHIN_S + 10, "Eureka's list has it")
    assert (one["status"], one["ipAddr"]) == ("UP", HOST)
    assert one["port"] == {"$": 8001, "@enabled": "true"}
    assert one["vipAddress"] == (service if target.ours else service.upper())
    console.change(service, 8001, isolate=True)
    until(
        lambda: (one := listed()) and one["status"] == "OUT_OF_SERVICE",
        NOTICES_WITHIN_S + 10,
        "isolated: out of service",
    )
    member.ask("deregister", **own)
    until(lambda: listed() is None, NOTICES_WITHIN_S + 10, "gone")


def test_registered_through_both_is_seen_once(member: Member, target: Target, eureka: Registry) -> None:
    if not target.ours:
        pytest.skip("the real server shows two instances")
    app = f"both-{member.name.replace('.', '-')}-{RUN}"
    eureka.register(app, f"{app}:1", port=8001, metadata={"by": "eureka"})
    member.ask("register", service=app, host=HOST, port=8001, ttl=5, metadata={"by": "polaris"})
    seen = until(lambda: member.ask("all", service=app)["instances"], NOTICES_WITHIN_S, "it is seen")
    assert [one["port"] for one in seen] == [8001]
    assert [one["instanceId"] for one in eureka.all().values() if one["app"] == app.upper()] == [f"{app}:1"]
    member.ask("deregister", service=app, host=HOST, port=8001)
    eureka.cancel(app, f"{app}:1")
    until(lambda: not member.ports("all", app), NOTICES_WITHIN_S, "gone when both have left")
