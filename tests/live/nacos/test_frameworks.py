"""What is built on the libraries: a Spring Cloud Alibaba application, a Dubbo provider and its consumer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..eureka.conftest import greeter  # noqa: F401 - a fixture
from ..server import free_port
from ..waiting import until
from .conftest import RUN, Target, needed
from .members import DUBBO, NOTICES_WITHIN_S, RECOVERS_WITHIN_S, SPRING, Member
from .registry import HOST, Registry

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]
APP = f"live-spring-{RUN}"
INTERFACE = "providers:live.Greeter"


@pytest.fixture(scope="module")
def spring(target: Target, buildable: dict[str, str]) -> Member:
    """The application."""
    needed(SPRING, buildable)
    member = target.fleet.start(SPRING, "spring", "--app", APP, "--port", str(free_port()))
    member.talker.greet()
    return member


@pytest.fixture(scope="module")
def dubbo(target: Target, buildable: dict[str, str]) -> Iterator[tuple[Member, Member]]:
    """Provider and consumer, in a process each."""
    needed(DUBBO, buildable)
    pair = [
        target.fleet.start(DUBBO, name, "--app", f"live-{name}", "--port", str(free_port()))
        for name in ("dubbo-provider", "dubbo-consumer")
    ]
    for member in pair:
        member.talker.greet()
    yield pair[0], pair[1]
    for member in pair:
        member.talker.close()


def test_spring_registers_itself(spring: Member, registry: Registry) -> None:
    listed = until(lambda: registry.instances(APP), 2 * NOTICES_WITHIN_S, "it is listed")
    [one] = listed.values()
    assert (one["ip"], one["healthy"], one["ephemeral"], one["clusterName"]) == (HOST, True, True, "spring")
    assert one["metadata"]["release"] == "1"
    assert one["metadata"]["preserved.register.source"] == "SPRING_CLOUD"
    until(lambda: APP in spring.ask("services")["services"], RECOVERS_WITHIN_S, "it lists itself")


def test_spring_calls_others_by_name(spring: Member, registry: Registry, greeter: int) -> None:  # noqa: F811
    name = f"greeter-{RUN}"
    registry.register(name, greeter)
    spring.sees(name, {greeter})
    assert spring.ask("feign", name) == {"body": "greetings at /hello"}
    assert spring.ask("template", name) == {"body": "greetings at /hello"}


def test_spring_calls_itself_and_leaves(spring: Member, registry: Registry) -> None:
    assert (
        until(lambda: spring.ask("template", APP), NOTICES_WITHIN_S, "it calls itself")["body"] == "hello from spring"
    )
    spring.ask("leave")
    until(lambda: not registry.ports(APP), NOTICES_WITHIN_S, "it has left")


def test_dubbo_discovers_calls_and_notices_the_end(dubbo: tuple[Member, Member], registry: Registry) -> None:
    provider, consumer = dubbo
    version = f"1.{RUN}"
    name = f"{INTERFACE}:{version}:"
    provider.ask("serve", version=version)
    [one] = until(lambda: registry.instances(name).values(), NOTICES_WITHIN_S, "the interface is listed")
    assert one["metadata"]["interface"] == "live.Greeter"

    def said() -> str:
        try:
            return str(consumer.ask("call", version=version, name="live")["body"])
        except AssertionError:
            return ""

    assert until(said, NOTICES_WITHIN_S, "the consumer calls").startswith("hello live from ")
    provider.ask("leave")
    until(lambda: not registry.ports(name), NOTICES_WITHIN_S, "the provider has left")
    until(
        lambda: "No provider available" in consumer.refusal("call", version=version, name="live"), 12, "and is missed"
    )
