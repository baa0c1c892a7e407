"""Discover by the table of the protocol sheet: types, codes, revisions, aliases, visibility. Answers as recorded from 1.19."""

from __future__ import annotations

from typing import Any

import pytest
from bottle import CALLER
from google.protobuf import text_format
from native import BEATING, ID, instance
from reading import INSTANCE, NOTHING, ORDERS, ROUTING, SERVICES, Reader, eureka_info, request

from polaris_bridge.adapters.polaris.service.discovery import RULES, Delivered, Later, no_rules
from polaris_bridge.adapters.polaris.view import LONG
from polaris_bridge.adapters.polaris.wire import json, v1
from polaris_bridge.core.model import Document, NamespaceRecord, ServiceKey, ServiceRecord

KINDS = v1.DiscoverRequest
UNSERVED = (KINDS.UNKNOWN, KINDS.CLUSTER, 77)
SERVED = sorted({INSTANCE, SERVICES, KINDS.NAMESPACES, *RULES})
NAMED = sorted({INSTANCE, *RULES})
OLD_RULES = [KINDS.RATE_LIMIT, KINDS.CIRCUIT_BREAKER, KINDS.FAULT_DETECTOR]
NEW_RULES = sorted(set(RULES) - set(OLD_RULES) - {ROUTING})

ABSENT = 'service { name { value: "absent" } namespace { value: "default" } }'
GO = 'service { name { value: "absent" } namespace { value: "default" } business { } revision { } }'
OK = 'code { value: 200000 } info { value: "execute success" }'
RECORDED = [
    (
        f"type: UNKNOWN {ABSENT}",
        f'code {{ value: 400004 }} info {{ value: "invalid discover resource" }} type: ROUTING {ABSENT}',
    ),
    (
        f"type: INSTANCE {ABSENT}",
        f'code {{ value: 400202 }} info {{ value: "not found resource" }} type: INSTANCE {ABSENT}',
    ),
    (f"type: INSTANCE {GO}", f'code {{ value: 400202 }} info {{ value: "not found resource" }} type: INSTANCE {GO}'),
    (
        'type: INSTANCE service { name { value: "absent" } namespace { } }',
        f'code {{ value: 400202 }} info {{ value: "not found resource" }} type: INSTANCE {ABSENT}',
    ),
    (
        f"type: ROUTING {GO}",
        f"""{OK} type: ROUTING
        service {{ name {{ value: "absent" }} namespace {{ value: "default" }} revision {{ value: "{NOTHING}" }} }}
        routing {{ service {{ value: "absent" }} namespace {{ value: "default" }} revision {{ value: "{NOTHING}" }} }}
        aliasFor {{ name {{ value: "absent" }} namespace {{ value: "default" }} }}""",
    ),
    (f"type: RATE_LIMIT {ABSENT}", f"{OK} type: RATE_LIMIT {ABSENT}"),
    (f"type: CIRCUIT_BREAKER {GO}", f"{OK} type: CIRCUIT_BREAKER {ABSENT}"),
    (f"type: FAULT_DETECTOR {ABSENT}", f"{OK} type: FAULT_DETECTOR {ABSENT}"),
    ("type: RATE_LIMIT", 'code { value: 400002 } info { value: "empty request" } type: RATE_LIMIT'),
    ("type: SERVICES", 'code { value: 400002 } info { value: "empty request" } type: SERVICES'),
    (
        'type: INSTANCE service { name { } namespace { value: "default" } }',
        'code { value: 400120 } info { value: "invalid service name" } type: INSTANCE '
        'service { name { } namespace { value: "default" } }',
    ),
    (
        "type: INSTANCE service { name { } namespace { } }",
        'code { value: 400120 } info { value: "invalid service name" } type: INSTANCE '
        'service { name { } namespace { value: "default" } }',
    ),
    (
        'type: FAULT_DETECTOR service { name { value: "x" } namespace { } }',
        'code { value: 400110 } info { value: "invalid namespace name" } type: FAULT_DETECTOR '
        'service { name { value: "x" } namespace { } }',
    ),
    (
        "type: ROUTING service { name { } namespace { } }",
        'code { value: 400120 } info { value: "invalid service name" } type: ROUTING service { name { } namespace { } }',
    ),
    (
        f"type: ROUTING {ABSENT[:-1]} revision {{ value: '{NOTHING}' }} }}",
        'code { value: 200001 } info { value: "discover data is no change" } type: ROUTING '
        f"{ABSENT[:-1]} revision {{ value: '{NOTHING}' }} }}",
    ),
    (
        f"type: SERVICES {ABSENT}",
        f"{OK} type: SERVICES {ABSENT}",
    ),
]


@pytest.fixture
def server() -> Reader:
    return Reader()


@pytest.mark.parametrize(("asked", "answer"), RECORDED)
def test_answers_are_the_recorded_ones(asked: str, answer: str) -> None:
    server = Reader()
    server.rules = _NoRules()
    wanted = text_format.Parse(answer, v1.DiscoverResponse())
    assert server.ask(text_format.Parse(asked, v1.DiscoverRequest())) == wanted


class _NoRules(dict[Any, Any]):
    """A routing answer is there also where there is no rule."""

    def get(self, key: tuple[int, ServiceKey], _default: Any = None) -> Delivered:
        return no_rules(key[0], key[1], key[1])


# ---------------------------------------------------------------- types


@pytest.mark.parametrize("type", SERVED)
def test_a_probe_without_service_is_told_so_with_the_right_type(server: Reader, type: int) -> None:
    answer = server.ask(type)
    assert (answer.code.value, answer.type) == (400002, type)
    assert not answer.HasField("service")


@pytest.mark.parametrize("type", UNSERVED)
@pytest.mark.parametrize("name", [None, "orders"])
def test_what_is_not_served_is_no_discover_resource(server: Reader, type: int, name: str | None) -> None:
    answer = server.ask(type, name, name and "default")
    assert (answer.code.value, answer.type) == (400004, ROUTING)
    assert answer.HasField("service") is (name is not None)


@pytest.mark.parametrize("type", NEW_RULES)
def test_newer_types_have_an_empty_list_and_a_constant_revision(server: Reader, type: int) -> None:
    answer = server.ask(type, "orders", "default")
    assert (answer.code.value, answer.type, answer.service.revision.value) == (200000, type, NOTHING)
    assert (answer.service.name.value, answer.service.namespace.value) == ("orders", "default")
    again = server.ask(type, "orders", "default", NOTHING)
    assert (again.code.value, again.type, again.service.revision.value) == (200001, type, NOTHING)


@pytest.mark.parametrize("type", sorted(RULES))
def test_rules_are_those_of_the_target_under_the_name_that_was_asked_for(server: Reader, type: int) -> None:
    server.register()
    server.service(ServiceRecord("default", "shop", reference=ORDERS))
    server.rules[(type, ORDERS)] = Delivered("r1", v1.DiscoverResponse(lanes=[v1.LaneGroup(name="l")]))
    answer = server.ask(type, "shop", "default")
    assert answer.service == v1.Service(
        name={"value": "shop"}, namespace={"value": "default"}, revision={"value": "r1"}
    )
    assert answer.aliasFor == v1.Service(name={"value": "orders"}, namespace={"value": "default"})
    assert answer.lanes[0].name == "l"
    assert server.ask(type, "shop", "default", "r1").code.value == 200001
    assert server.ask(type, "shop", "default", "r0").code.value == 200000


def test_changed_rules_are_seen_at_once(server: Reader) -> None:
    assert server.ask(KINDS.LANE, "orders", "default").service.revision.value == NOTHING
    server.rules[(KINDS.LANE, ORDERS)] = Delivered("r1", v1.DiscoverResponse())
    server.registry.documents.put(Document("lane", "l1"), CALLER)
    server.queue.settle()
    assert server.ask(KINDS.LANE, "orders", "default").service.revision.value == "r1"
    server.rules.clear()
    server.registry.documents.delete("lane", "l1", CALLER)
    server.queue.settle()
    assert server.ask(KINDS.LANE, "orders", "default").service.revision.value == NOTHING


@pytest.mark.parametrize("size", [1, 5000])
@pytest.mark.parametrize("name", ["orders", "o" * 600])
def test_answers_about_rules_are_the_same_whether_they_are_kept_or_not(server: Reader, size: int, name: str) -> None:
    message = v1.DiscoverResponse(lanes=[v1.LaneGroup(name="l" * size)])
    server.rules[(KINDS.LANE, ServiceKey("default", name))] = Delivered("r1", message)
    for _ in range(3):
        answer = server.ask(KINDS.LANE, name, "default", "r0")
        assert (answer.lanes[0].name, answer.service.revision.value) == ("l" * size, "r1")
        assert server.ask(KINDS.LANE, name, "default", "r1").code.value == 200001


def test_the_direction_of_a_request_is_said_again(server: Reader) -> None:
    asked = request(KINDS.FAULT_INJECTION, "orders", "default")
    assert server.ask(asked).Direction == v1.Callee
    asked.Direction = v1.Caller
    assert server.ask(asked).Direction == v1.Caller
    asked.service.revision.value = NOTHING
    again = server.ask(asked)
    assert (again.code.value, again.Direction) == (200001, v1.Caller)


# ---------------------------------------------------------------- instances


def test_the_namespace_of_instances_may_be_left_out(server: Reader) -> None:
    server.register()
    answer = server.ask(INSTANCE, "orders")
    assert [i.id.value for i in answer.instances] == [ID]
    assert answer.service.namespace.value == "default"


def test_unchanged_instances_are_not_sent_again(server: Reader) -> None:
    server.register()
    first = server.ask(INSTANCE, "orders", "default")
    again = request(INSTANCE, "orders", "default", first.service.revision.value)
    again.service.business.value = "b"
    answer = server.ask(again)
    assert (answer.code.value, answer.type, answer.service) == (200001, INSTANCE, again.service)
    assert not answer.instances
    server.register(version="v2")
    assert server.ask(again).instances[0].version.value == "v2"


def test_unhealthy_and_isolated_instances_are_listed(server: Reader) -> None:
    server.register(healthy=False)
    server.register(port=81, isolate=True)
    found = sorted((i.port.value, i.healthy.value, i.isolate.value) for i in server.instances().values())
    assert found == [(81, True, True), (8080, False, False)]


def test_a_service_without_instances_has_the_revision_of_nothing(server: Reader) -> None:
    server.register()
    full = server.revision()
    server.deregister()
    answer = server.ask(INSTANCE, "orders", "default")
    assert (answer.code.value, answer.service.revision.value, len(answer.instances)) == (200000, NOTHING, 0)
    assert full != NOTHING
    assert answer.aliasFor.name.value == "orders"


def test_the_service_is_shown_with_all_its_attributes(server: Reader) -> None:
    server.service(
        ServiceRecord(
            "default", "orders", {"k": "v"}, business="b", department="d", owners="o", comment="c", export_to=("x",)
        )
    )
    server.register(port=9)
    server.register(port=10)
    service = server.ask(INSTANCE, "orders", "default").service
    assert (service.business.value, service.department.value, service.owners.value, service.comment.value) == (
        "b", "d", "o", "c",
    )  # fmt: skip
    assert dict(service.metadata) == {"k": "v"}
    assert service.ports.value == "9,10"
    assert service.editable.value
    assert service.deleteable.value
    assert not service.HasField("token")
    assert [n.value for n in service.export_to] == ["x"]


def test_changed_attributes_change_the_revision(server: Reader) -> None:
    server.register()
    before = server.revision()
    server.service(ServiceRecord("default", "orders", {"internal-enable-nearby": "true"}))
    answer = server.ask(INSTANCE, "orders", "default", before)
    assert answer.service.metadata["internal-enable-nearby"] == "true"
    assert answer.service.revision.value != before


def test_a_deleted_service_is_not_found(server: Reader) -> None:
    server.register()
    assert server.instances()
    server.deregister()
    server.registry.delete_service(ORDERS, CALLER)
    server.queue.settle()
    assert server.ask(INSTANCE, "orders", "default").code.value == 400202
    server.register()
    assert list(server.instances()) == [ID]


# ---------------------------------------------------------------- aliases and visibility


def test_an_alias_shows_the_instances_of_its_target(server: Reader) -> None:
    server.register()
    server.service(ServiceRecord("shop", "sales", comment="alias", reference=ORDERS))
    answer = server.ask(INSTANCE, "sales", "shop")
    assert (answer.service.name.value, answer.service.namespace.value) == ("sales", "shop")
    assert (answer.aliasFor.name.value, answer.aliasFor.namespace.value) == ("orders", "default")
    assert answer.service.id == answer.aliasFor.id
    assert [(i.service.value, i.namespace.value) for i in answer.instances] == [("orders", "default")]
    assert answer.service.revision.value == server.revision()
    server.register(version="v2")
    assert server.ask(INSTANCE, "sales", "shop", answer.service.revision.value).instances[0].version.value == "v2"


def test_an_alias_of_an_alias_leads_nowhere(server: Reader) -> None:
    server.register()
    server.service(ServiceRecord("default", "sales", reference=ORDERS))
    server.service(ServiceRecord("default", "shop", reference=ServiceKey("default", "sales")))
    assert server.ask(INSTANCE, "shop", "default").code.value == 400202


def test_an_alias_follows_its_target_when_that_changes(server: Reader) -> None:
    server.register()
    server.register(service="carts")
    server.service(ServiceRecord("default", "sales", reference=ORDERS))
    assert server.instances("sales")[ID].service.value == "orders"
    server.service(ServiceRecord("default", "sales", reference=ServiceKey("default", "carts")))
    assert {i.service.value for i in server.instances("sales").values()} == {"carts"}


@pytest.mark.parametrize("to", ["shop", "*"])
@pytest.mark.parametrize("by", ["service", "namespace"])
def test_exported_services_are_merged(server: Reader, by: str, to: str) -> None:
    server.register()
    server.register(namespace="shop", port=81)
    server.register(namespace="other", port=82)
    assert {i.port.value for i in server.instances("orders", "shop").values()} == {81}
    alone = server.revision("orders", "shop")
    if by == "service":
        server.service(ServiceRecord("default", "orders", export_to=(to,)))
    else:
        server.namespace(NamespaceRecord("default", export_to=(to,)))
    answer = server.ask(INSTANCE, "orders", "shop", alone)
    assert {(i.namespace.value, i.port.value) for i in answer.instances} == {("shop", 81), ("default", 8080)}
    assert answer.aliasFor.namespace.value == "shop"
    assert server.ask(INSTANCE, "orders", "shop", answer.service.revision.value).code.value == 200001
    assert {i.port.value for i in server.instances().values()} == {8080}


def test_what_is_exported_is_found_where_there_is_no_such_service(server: Reader) -> None:
    """The original's stream ends here."""
    server.register()
    server.service(ServiceRecord("default", "orders", export_to=("shop",)))
    answer = server.ask(INSTANCE, "orders", "shop")
    assert [i.namespace.value for i in answer.instances] == ["default"]
    assert (answer.service.namespace.value, answer.aliasFor.namespace.value) == ("shop", "default")
    server.service(ServiceRecord("default", "orders"))
    assert server.ask(INSTANCE, "orders", "shop").code.value == 400202


def test_an_application_is_found_in_lower_case_too(server: Reader) -> None:
    server.registry.register(_spring("UserService"), CALLER)
    server.queue.settle()
    [found] = server.ask(INSTANCE, "userservice", "default").instances
    assert found.service.value == "UserService"
    assert server.ask(INSTANCE, "USERSERVICE", "default").code.value == 400202


def _spring(name: str) -> Any:
    from polaris_bridge.adapters.eureka.settings import EurekaSettings
    from polaris_bridge.adapters.eureka.translate import Marks, lift

    return lift(eureka_info(name.upper(), vip_address=name), "default", name, "up", Marks(), EurekaSettings())


# ---------------------------------------------------------------- lists


def test_services_are_listed_with_their_metadata(server: Reader) -> None:
    server.service(ServiceRecord("default", "orders", {"k": "v"}, comment="c"))
    server.service(ServiceRecord("default", "sales", reference=ORDERS))
    server.service(ServiceRecord("shop", "carts"))
    answer = server.ask(SERVICES, "", "default")
    assert {(s.namespace.value, s.name.value) for s in answer.services} == {("default", "orders"), ("default", "sales")}
    assert v1.Service(name={"value": "orders"}, namespace={"value": "default"}, metadata={"k": "v"}) in answer.services
    assert server.ask(SERVICES, "", "default", answer.service.revision.value).code.value == 200001
    every = server.ask(SERVICES, "", "")
    assert len(every.services) == 3
    assert every.service.revision.value not in ("", answer.service.revision.value)
    assert every.service == v1.Service(name={}, namespace={}, revision=every.service.revision)


def test_service_lists_follow_services_and_nothing_else(server: Reader) -> None:
    server.register()
    first = server.ask(SERVICES, "", "default").service.revision.value
    server.register(port=99)
    assert server.ask(SERVICES, "", "default", first).code.value == 200001
    server.register(service="carts")
    second = server.ask(SERVICES, "", "default", first)
    assert {s.name.value for s in second.services} == {"orders", "carts"}
    server.deregister(service="carts")
    server.registry.delete_service(ServiceKey("default", "carts"), CALLER)
    server.queue.settle()
    assert server.ask(SERVICES, "", "default").service.revision.value == first
    server.deregister(port=99)
    server.deregister()
    server.registry.delete_service(ORDERS, CALLER)
    server.queue.settle()
    empty = server.ask(SERVICES, "", "default", first)
    assert (empty.code.value, len(empty.services)) == (200000, 0)


def test_namespaces_are_listed(server: Reader) -> None:
    server.namespace(NamespaceRecord("shop", comment="c", metadata={"k": "v"}, export_to=("*",)))
    server.register()
    answer = server.ask(KINDS.NAMESPACES, "", "")
    assert {n.name.value for n in answer.namespaces} == {"default", "shop"}
    assert server.ask(KINDS.NAMESPACES, "", "", answer.service.revision.value).code.value == 200001
    server.namespace(NamespaceRecord("third"))
    assert len(server.ask(KINDS.NAMESPACES, "", "", answer.service.revision.value).namespaces) == 3


# ---------------------------------------------------------------- HTTP


def test_json_says_the_same_and_filters(server: Reader) -> None:
    server.register(health_check=BEATING)
    server.register(port=81, healthy=False)
    asked = request(INSTANCE, "orders", "default")
    code, answer = server.ask_json(asked)
    assert code == answer["code"] == 200000
    assert {i["port"] for i in answer["instances"]} == {8080, 81}
    assert answer["aliasFor"]["name"] == "orders"
    assert list(answer)[:5] == ["code", "info", "type", "service", "instances"]
    asked.Filter.OnlyHealthyInstance = True
    _, filtered = server.ask_json(asked)
    assert [i["port"] for i in filtered["instances"]] == [8080]
    assert len(server.ask(asked).instances) == 2
    assert filtered["service"]["revision"] == answer["service"]["revision"]
    asked.service.revision.value = answer["service"]["revision"]
    assert server.ask_json(asked)[0] == 200001
    assert server.ask_json(request(INSTANCE, "absent", "default"))[0] == 400202
    assert server.ask_json(request(KINDS.CLUSTER, "absent", "default"))[0] == 400004


# ---------------------------------------------------------------- much to do


def test_a_large_service_is_encoded_in_slices_by_all_who_wait(server: Reader) -> None:
    many = LONG * 3
    for port in range(1, many + 1):
        server.registering.register(instance(port=port), CALLER)
    server.queue.settle()
    found = [server.discovering.discover(request(INSTANCE, "orders", "default"), CALLER) for _ in range(3)]
    answers: list[bytes] = []
    for later in found:
        assert isinstance(later, Later)
        later.then(answers.append)
    assert not answers
    server.queue.settle()
    assert len(answers) == 3
    assert answers[0] == answers[1] == answers[2]
    answer = v1.DiscoverResponse.FromString(answers[0])
    assert len({i.id.value for i in answer.instances}) == many
    assert isinstance(server.discovering.discover(request(INSTANCE, "orders", "default"), CALLER), bytes)
    assert isinstance(server.discovering.discover_json(request(INSTANCE, "orders", "default"), CALLER), Later)
    assert len(server.ask_json(request(INSTANCE, "orders", "default"))[1]["instances"]) == many


def test_long_json_is_put_together_in_slices_too(server: Reader) -> None:
    for port in range(1, LONG * 2):
        server.registering.register(instance(port=port, isolate=port % 2 == 0), CALLER)
    server.queue.settle()
    asked = request(INSTANCE, "orders", "default")
    server.ask_json(asked)
    again = [server.discovering.discover_json(asked, CALLER) for _ in range(2)]
    bodies: list[Any] = []
    for later in again:
        assert isinstance(later, Later), "not even when every instance is encoded"
        later.then(lambda found: bodies.append(found.body))
    server.queue.settle()
    assert bodies[0] is bodies[1], "made once for both"
    assert len(bodies[0]) > 1
    answer = v1.DiscoverResponse()
    answer.CopyFrom(server.ask(asked))
    assert b"".join(bodies[0]) == json.encode(answer)
    asked.service.revision.value = answer.service.revision.value
    assert server.ask_json(asked)[0] == 200001
    for n in range(1000):
        server.registry.put_service(ServiceRecord("many", f"s{n}", comment="x" * 100), CALLER)
    server.queue.settle()
    asked = request(SERVICES, "", "many")
    server.ask(asked)
    later = server.discovering.discover_json(asked, CALLER)
    assert isinstance(later, Later)
    later.then(lambda found: bodies.append(found.body))
    server.queue.settle()
    assert b"".join(bodies[-1]) == json.encode(server.ask(asked))


def test_changes_while_a_large_service_is_encoded_are_in_the_answer(server: Reader) -> None:
    for port in range(1, LONG * 2):
        server.registering.register(instance(port=port), CALLER)
    server.queue.settle()
    later = server.discovering.discover(request(INSTANCE, "orders", "default"), CALLER)
    assert isinstance(later, Later)
    answers: list[bytes] = []
    later.then(answers.append)
    server.registering.register(instance(port=1, version="late"), CALLER)
    server.queue.settle()
    versions = {i.port.value: i.version.value for i in v1.DiscoverResponse.FromString(answers[0]).instances}
    assert versions[1] == "late"


def test_what_nobody_reads_is_forgotten(server: Reader) -> None:
    server.register()
    revision = server.revision()
    server.clock.now_s += 3600
    server.discovering.sweep()
    assert not server.discovering.kept
    server.register(port=81)
    assert server.revision() != revision
    assert len(server.instances()) == 2
    server.discovering.sweep()
    assert server.discovering.kept


def test_who_waits_is_answered_also_when_encoding_fails(server: Reader) -> None:
    for port in range(1, LONG * 2):
        server.foreign(key=str(port), port=port, version="\ud800")
    answer = server.ask(INSTANCE, "orders", "default")
    assert (answer.code.value, answer.type, answer.service.name.value) == (500000, INSTANCE, "orders")
