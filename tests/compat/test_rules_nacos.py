"""Teeth of the Nacos suite: recorded answers pass against themselves, and each kind of altered answer fails by its rules."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from polaris_bridge.adapters.nacos.wire.payload import decode, encode

from . import rules_nacos
from .compare import Report, compare
from .exchange import Exchange
from .history_nacos import said
from .plan import called, sent
from .recording import Answer, Datagram, GrpcMessage, GrpcOpen, HttpCall, Recording, Request, load, recordings
from .rules import RuleBook
from .substitution import Substitution
from .suite import RECORDINGS
from .wire_nacos import answering, list_in, message_key, read, rewrite

NAMES = [path.stem for path in recordings(RECORDINGS / "nacos")]
SUBSCRIBE, HTTP = "nacos-client-java-2.5.1-subscribe.grpc", "nacos-client-java-1.4.8-subscribe.http"
CONFIG = "nacos-client-java-2.5.1-config.grpc"
REGISTER, PYTHON = "nacos-client-java-2.5.1-register.grpc", "nacos-sdk-python-1.0.0-naming.http"

Change = Callable[[dict[str, Any]], None]


def recorded(name: str) -> tuple[Recording, list[Exchange]]:
    """A recording as if a server had answered exactly so."""
    recording = load(RECORDINGS / "nacos" / f"{name}.jsonl")
    return recording, list(_exchanges(recording))


def _exchanges(recording: Recording) -> Iterator[Exchange]:
    plan = rules_nacos.PLAN
    numbers = {id(line): number for number, line in enumerate(recording.lines, 1)}
    methods: dict[int, str] = {}
    asked: dict[int, bytes] = {}
    for line in sent(recording.lines, plan.left_out, Counter(), plan.kind_of, recording.name):
        if isinstance(line, GrpcOpen):
            methods[line.call] = line.method
        elif isinstance(line, HttpCall):
            yield Exchange(numbers[id(line)], line.request, line.answer, line.answer)
        elif isinstance(line, Datagram) and line.sender == "server":
            answer = Answer("datagram", (), line.body)
            yield Exchange(numbers[id(line)], Request("udp", str(line.dst)), answer, answer)
        elif isinstance(line, GrpcMessage) and line.sender == "client":
            asked[line.call] = line.body
        elif isinstance(line, GrpcMessage):
            target = called(methods[line.call], asked[line.call], plan.kind_of)
            answer = Answer("message", (), line.body)
            yield Exchange(numbers[id(line)], Request("grpc", target, (), asked[line.call]), answer, answer)


def judge(recording: Recording, exchanges: list[Exchange]) -> Report:
    return compare(recording, exchanges, rules_nacos.READING, RuleBook(rules_nacos.RULES))


def altered(answer: Answer, change: Change) -> Answer:
    """The answer with something else in its body, whatever it is wrapped in."""
    if answer.status == "message":
        payload = decode(answer.body)
        tree = json.loads(payload.body)
        change(tree)
        body = json.dumps(tree).encode()
        return replace(answer, body=encode(payload.type, body, payload.headers.items(), payload.client_ip))
    tree = json.loads(answer.body)
    if answer.status == "datagram":
        inner = json.loads(tree["data"])
        change(inner)
        tree["data"] = json.dumps(inner)
    else:
        change(tree)
    return replace(answer, body=json.dumps(tree).encode())


@pytest.mark.parametrize("name", NAMES)
def test_a_faithful_server_needs_no_rule(name: str) -> None:
    report = judge(*recorded(name))
    assert report.exchanges > 0
    assert report.failures == []
    assert report.explained == {}


def hosts_in(tree: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = tree.get("serviceInfo", tree)["hosts"]
    return found


def on_host(**members: Any) -> Change:
    return lambda tree: hosts_in(tree)[0].update(members)


CHANGES: dict[str, Change] = {
    "lost": lambda tree: hosts_in(tree).clear(),
    "twice": lambda tree: hosts_in(tree).append(hosts_in(tree)[0]),
    "unhealthy": on_host(healthy=False),
    "weight": on_host(weight=17.0),
    "whole weight": on_host(weight=1),
    "cluster": on_host(clusterName="other"),
    "kind": on_host(ephemeral=False),
    "name": on_host(serviceName="rec.orders"),
    "metadata": on_host(metadata={"other": "1"}),
    "id": on_host(instanceId="127.0.0.1#8081#DEFAULT#rec.orders"),
    "times": on_host(instanceHeartBeatInterval=5),
    "id forgotten": lambda tree: hosts_in(tree)[0].pop("instanceId"),
    "clusters": lambda tree: tree.get("serviceInfo", tree).update(clusters="DEFAULT"),
    "plain name": lambda tree: tree.get("serviceInfo", tree).update(name="other"),
    "protected": lambda tree: tree.get("serviceInfo", tree).update(reachProtectionThreshold=True),
    "polling": lambda tree: tree.get("serviceInfo", tree).update(cacheMillis=3000),
    "time as text": lambda tree: tree.get("serviceInfo", tree).update(lastRefTime="1795357111470"),
}


@pytest.mark.parametrize("name", [SUBSCRIBE, HTTP, REGISTER, PYTHON])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_an_altered_list_fails(name: str, change: Change) -> None:
    recording, exchanges = recorded(name)
    at = max(i for i, e in enumerate(exchanges) if (found := list_in(read(e, e.got)[1])) and found["hosts"])
    got = altered(exchanges[at].got, change)
    report = judge(recording, [*exchanges[:at], replace(exchanges[at], got=got), *exchanges[at + 1 :]])
    assert report.failures


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("ServerCheckResponse", lambda tree: tree.update(connectionId="mine")),
        ("ServerCheckResponse", lambda tree: tree.update(supportAbilityNegotiation=False)),
        ("SetupAckRequest", lambda tree: tree.update(abilityTable={})),
        ("SetupAckRequest", lambda tree: tree["abilityTable"].update(more=1)),
        ("InstanceResponse", lambda tree: tree.update(success=False)),
        ("InstanceResponse", lambda tree: tree.pop("type")),
        ("InstanceResponse", lambda tree: tree.update(errorCode=400)),
        ("SubscribeServiceResponse", lambda tree: tree.update(message="ok")),
        ("NotifySubscriberRequest", lambda tree: tree.pop("requestId")),
        ("NotifySubscriberRequest", lambda tree: tree.update(requestId=80)),
        ("NotifySubscriberRequest", lambda tree: tree.update(module="config")),
    ],
)
def test_an_altered_answer_fails(kind: str, change: Change) -> None:
    recording, exchanges = recorded(SUBSCRIBE)
    at = next(i for i, e in enumerate(exchanges) if decode(e.got.body).type == kind)
    exchanges[at] = replace(exchanges[at], got=altered(exchanges[at].got, change))
    assert judge(recording, exchanges).failures


def test_an_answer_of_another_type_fails() -> None:
    recording, exchanges = recorded(REGISTER)
    payload = decode(exchanges[2].got.body)
    got = replace(exchanges[2].got, body=encode("ErrorResponse", payload.body))
    assert judge(recording, [*exchanges[:2], replace(exchanges[2], got=got)]).failures


def test_a_push_that_never_came_and_one_too_many_fail() -> None:
    recording, exchanges = recorded(SUBSCRIBE)
    at = next(i for i, e in enumerate(exchanges) if decode(e.got.body).type == "NotifySubscriberRequest")
    silent = replace(exchanges[at], got=Answer("nothing"))
    assert judge(recording, [*exchanges[:at], silent]).failures
    again = replace(exchanges[at], expected=Answer("nothing"), number=1_000_000)
    assert judge(recording, [*exchanges, again]).failures


def test_an_empty_push_too_many_passes_after_a_deregistration_only() -> None:
    recording, exchanges = recorded(SUBSCRIBE)
    at = max(i for i, e in enumerate(exchanges) if decode(e.got.body).type == "NotifySubscriberRequest")
    empty = replace(exchanges[at], expected=Answer("nothing"), number=1_000_000)
    assert not judge(recording, [*exchanges, empty]).failures
    registered = next(i for i, e in enumerate(exchanges) if decode(e.got.body).type == "InstanceResponse")
    assert judge(recording, [*exchanges[: registered + 1], empty]).failures


def test_what_the_recorded_server_says_soon_passes_and_what_it_says_late_fails() -> None:
    """Python's PUT of a weight: there the list is old once more, and new two seconds later."""
    recording, exchanges = recorded(PYTHON)
    lists = [i for i, e in enumerate(exchanges) if "/instance/list" in e.request.target]
    old, new = lists[4], lists[5]
    assert read(exchanges[old], exchanges[old].got)[1]["hosts"] != read(exchanges[new], exchanges[new].got)[1]["hosts"]
    early = replace(exchanges[old], got=exchanges[new].got)
    assert not judge(recording, [*exchanges[:old], early]).failures
    much_earlier = replace(exchanges[lists[0]], got=exchanges[new].got)
    assert judge(recording, [*exchanges[: lists[0]], much_earlier]).failures


def test_a_removal_may_be_seen_while_it_is_under_way_and_at_no_other_time() -> None:
    recording, exchanges = recorded(CONFIG)
    changed = encode(
        "ConfigChangeBatchListenResponse",
        b'{"resultCode":200,"errorCode":0,"changedConfigs":'
        b'[{"group":"REC_GROUP","dataId":"rec.orders.yaml","tenant":""}],"success":true}',
    )
    silent = [
        i
        for i, e in enumerate(exchanges)
        if e.request.target.endswith("#ConfigBatchListenRequest") and b'"changedConfigs":[]' in e.got.body
    ]
    failing = []
    for at in silent:
        early = replace(exchanges[at], got=Answer("message", (), changed))
        failing.append(bool(judge(recording, [*exchanges[:at], early]).failures))
    assert failing == [True, True, False, True]


def test_lists_are_found_wherever_they_are() -> None:
    assert [len(said(name)) for name in (SUBSCRIBE, HTTP, REGISTER)] == [5, 7, 2]


def test_pushes_are_told_apart_by_what_they_tell() -> None:
    _, exchanges = recorded(SUBSCRIBE)
    pushes = [e.got.body for e in exchanges if decode(e.got.body).type == "NotifySubscriberRequest"]
    assert len({message_key(push) for push in pushes}) == len(pushes) == 3
    answers = [e.got.body for e in exchanges if decode(e.got.body).type.endswith("Response")]
    assert {message_key(answer) for answer in answers} == {None}


def test_acknowledgements_name_what_the_live_server_asked() -> None:
    asked = encode("NotifySubscriberRequest", b'{"requestId":"80"}')
    live = encode("NotifySubscriberRequest", b'{"requestId":"7"}')
    ack = encode("NotifySubscriberResponse", b'{"resultCode": 200, "requestId": "80"}')
    answered = answering(ack, [(asked, live)])
    assert answered is not None
    assert decode(answered).body == b'{"resultCode": 200, "requestId": "7"}'
    assert answering(ack, []) is None
    setup = encode("ConnectionSetupRequest", b"{}")
    assert answering(setup, []) == setup
    packet = b'{"type": "push-ack", "lastRefTime":"11", "data":""}'
    assert answering(packet, [(b'{"lastRefTime":11}', b'{"lastRefTime":42}')]) == packet.replace(b"11", b"42")
    assert answering(packet, []) is None


def test_live_values_get_into_payloads_of_any_length() -> None:
    known = Substitution({"recorded-token": "another-token-that-is-longer"})
    message = encode("InstanceRequest", b'{"a":"recorded-token"}', [("accessToken", "recorded-token")], "192.0.2.2")
    written = decode(rewrite("", message, known))
    assert written.headers == {"accessToken": "another-token-that-is-longer"}
    assert written.body == b'{"a":"another-token-that-is-longer"}'
    assert (written.type, written.client_ip) == ("InstanceRequest", "192.0.2.2")
