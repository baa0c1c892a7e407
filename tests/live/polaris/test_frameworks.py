"""What is built on the SDKs: gRPC servers and clients, and a Spring Cloud Tencent application."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ..waiting import until
from .console import Console
from .members import HOST, NOTICES_WITHIN_S, TTL_S, Member
from .test_rules import RATE_LIMITS, ROUTINGS, exact, route_rule

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]


def served(member: Member, service: str, count: int = 20, **headers: str) -> set[int]:
    """Ports of the servers that answered; none when a call failed."""
    answer = member.ask("call", service=service, count=count, headers=headers)
    return set() if answer["failed"] else set(answer["served"])


def test_grpc_servers_register_and_are_called_by_name(grpc: Member, console: Console, service: str) -> None:
    one = grpc.ask("serve", service=service, ttl=TTL_S, version="1", metadata={"stage": "live"})["port"]
    two = grpc.ask("serve", service=service, ttl=TTL_S, version="2")["port"]
    listed = until(lambda: len(found := console.instances(service)) == 2 and found, NOTICES_WITHIN_S, "both are listed")
    assert {port: (listed[port]["protocol"], listed[port]["version"]) for port in (one, two)} == {
        one: ("grpc", "1"),
        two: ("grpc", "2"),
    }
    assert listed[one]["metadata"] == {"stage": "live"}
    until(lambda: served(grpc, service) == {one, two}, NOTICES_WITHIN_S, "both are called")
    grpc.ask("stop", port=one)
    until(lambda: set(console.instances(service)) == {two}, NOTICES_WITHIN_S, "the stopped one has left")
    until(lambda: served(grpc, service) == {two}, NOTICES_WITHIN_S, "and is not called any more")
    grpc.ask("stop", port=two)


def test_grpc_calls_follow_a_route_rule(grpc: Member, console: Console, service: str) -> None:
    one = grpc.ask("serve", service=service, ttl=5, version="1")["port"]
    two = grpc.ask("serve", service=service, ttl=5, version="2")["port"]
    until(lambda: served(grpc, service, color="red") == {one, two}, NOTICES_WITHIN_S, "both are called")
    rule = console.add_rule(ROUTINGS, route_rule(service, "red", "2"))
    until(lambda: served(grpc, service, color="red") == {two}, NOTICES_WITHIN_S, "the rule is obeyed")
    console.remove_rule(ROUTINGS, rule)
    for port in (one, two):
        grpc.ask("stop", port=port)


def test_grpc_server_refuses_above_its_limit(grpc: Member, console: Console, service: str) -> None:
    port = grpc.ask("serve", service=service, ttl=5, limited=True)["port"]
    rule = console.add_rule(
        RATE_LIMITS,
        {
            "name": service[:64],
            "service": service,
            "namespace": "default",
            "method": exact("/grpc.health.v1.Health/Check"),
            "resource": "QPS",
            "type": "LOCAL",
            "amounts": [{"maxAmount": 3, "validDuration": "600s"}],
            "action": "REJECT",
        },
    )

    def refused() -> int:
        answer = grpc.ask("call", service=service, count=5, headers={})
        return sum(told.startswith("ResourceExhausted") for told in answer["failed"])

    until(lambda: refused() == 5, NOTICES_WITHIN_S, "the server refuses")
    console.remove_rule(RATE_LIMITS, rule)
    grpc.ask("stop", port=port)


class Greeting(BaseHTTPRequestHandler):
    """The application that is called by name."""

    def do_GET(self) -> None:
        body = b"greetings"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: the tests read what the callers got."""


@pytest.fixture(scope="module")
def greeter() -> Iterator[int]:
    """Port of an HTTP server that greets."""
    with ThreadingHTTPServer((HOST, 0), Greeting) as http:
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield http.server_address[1]
        http.shutdown()
        thread.join()


def test_spring_registers_itself(spring: Member, console: Console) -> None:
    listed = until(lambda: console.instances("live-spring"), 2 * NOTICES_WITHIN_S, "it is listed")
    [one] = listed.values()
    assert (one["host"], one["healthy"], one["isolate"]) == (HOST, True, False)
    assert one["healthCheck"]["heartbeat"]["ttl"] > 0
    assert one["metadata"]["release"] == "1"
    until(lambda: "live-spring" in spring.ask("services")["services"], NOTICES_WITHIN_S, "it lists itself")


def test_spring_calls_others_by_name(spring: Member, console: Console, service: str, greeter: int) -> None:
    name = service.replace(".", "-")  # a host name
    console.register(name, greeter, protocol="http")
    until(lambda: spring.ports("view", name) == {greeter}, NOTICES_WITHIN_S, "the greeter is seen")
    assert spring.ask("feign", service=name) == {"body": "greetings"}
    assert spring.ask("template", service=name, count=3) == {"bodies": {"greetings": 3}, "refused": {}}


def test_spring_calls_itself_until_the_limit(spring: Member, console: Console) -> None:
    until(lambda: spring.ports("view", "live-spring"), 2 * NOTICES_WITHIN_S, "it sees itself")
    assert spring.ask("template", service="live-spring")["bodies"] == {"hello from spring": 1}
    rule = console.add_rule(
        RATE_LIMITS,
        {
            "name": "live-spring",
            "service": "live-spring",
            "namespace": "default",
            "method": exact("/hello"),
            "resource": "QPS",
            "type": "LOCAL",
            "amounts": [{"maxAmount": 2, "validDuration": "600s"}],
            "action": "REJECT",
        },
    )
    until(
        lambda: spring.ask("template", service="live-spring", count=3)["refused"] == {"429": 3},
        NOTICES_WITHIN_S,
        "it refuses above the limit",
    )
    console.remove_rule(RATE_LIMITS, rule)


def test_spring_reports_its_contract(spring: Member, console: Console) -> None:
    listed = until(
        lambda: console.read("/naming/v1/service/contracts", namespace="default", service="live-spring")["data"],
        NOTICES_WITHIN_S,
        "the contract is listed",
    )
    assert "/hello" in {interface["path"] for one in listed for interface in one["interfaces"]}
