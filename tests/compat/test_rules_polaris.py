"""Teeth of the native suite: recorded answers pass against themselves, and each kind of altered answer fails by its rules."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from google.protobuf.message import Message

from polaris_bridge.adapters.polaris.wire import v1

from . import rules_polaris, wire_polaris
from .compare import Report, compare
from .exchange import Exchange
from .plan import sent
from .recording import Answer, GrpcMessage, GrpcOpen, HttpCall, Recording, Request, load
from .rules import RuleBook
from .substitution import Substitution
from .suite import RECORDINGS

GO, JAVA, HTTP = (
    "polaris-go-1.6.1-full",
    "polaris-java-2.1.0.0-boot-register-discover-deregister",
    "http-probe-1-console-and-client-api",
)
DISCOVER = "/v1.PolarisGRPC/Discover"

Alter = Callable[[v1.DiscoverResponse], None]


def recorded(name: str) -> tuple[Recording, list[Exchange]]:
    """A recording as if a server had answered exactly so."""
    recording = load(RECORDINGS / "polaris" / f"{name}.jsonl")
    return recording, list(_exchanges(recording))


def _exchanges(recording: Recording) -> Iterator[Exchange]:
    numbers = {id(line): number for number, line in enumerate(recording.lines, 1)}
    methods: dict[int, str] = {}
    asked: dict[int, deque[Request]] = defaultdict(deque)
    for line in sent(recording.lines, rules_polaris.PLAN.left_out, defaultdict(int)):  # type: ignore[arg-type]
        if isinstance(line, GrpcOpen):
            methods[line.call] = line.method
        elif isinstance(line, HttpCall):
            yield Exchange(numbers[id(line)], line.request, line.answer, line.answer)
        elif isinstance(line, GrpcMessage) and line.sender == "client":
            asked[line.call].append(Request("grpc", methods[line.call], (), line.body))
        elif isinstance(line, GrpcMessage):
            answer = Answer("message", (), line.body)
            yield Exchange(numbers[id(line)], asked[line.call].popleft(), answer, answer)


def judge(recording: Recording, exchanges: list[Exchange]) -> Report:
    return compare(recording, exchanges, rules_polaris.READING, RuleBook(rules_polaris.RULES))


@pytest.mark.parametrize("name", [GO, JAVA, HTTP])
def test_a_faithful_server_needs_no_rule(name: str) -> None:
    report = judge(*recorded(name))
    assert report.exchanges > 30
    assert report.failures == []
    assert report.explained == {}


def lose(answer: v1.DiscoverResponse) -> None:
    del answer.instances[0]


def sicken(answer: v1.DiscoverResponse) -> None:
    answer.instances[0].healthy.value = False


def relabel(answer: v1.DiscoverResponse) -> None:
    answer.instances[0].metadata["env"] = "other"


def reweigh(answer: v1.DiscoverResponse) -> None:
    answer.instances[0].weight.value = 99


def forget_weight(answer: v1.DiscoverResponse) -> None:
    answer.instances[0].ClearField("weight")


def isolate(answer: v1.DiscoverResponse) -> None:
    answer.instances[0].isolate.value = True


def recode(answer: v1.DiscoverResponse) -> None:
    answer.code.value = 500000


def retell(answer: v1.DiscoverResponse) -> None:
    answer.info.value = "done"


def retype(answer: v1.DiscoverResponse) -> None:
    answer.type = v1.DiscoverResponse.ROUTING


def rename(answer: v1.DiscoverResponse) -> None:
    answer.service.name.value += "x"


def shorten_revision(answer: v1.DiscoverResponse) -> None:
    answer.service.revision.value = "1"


def repeat(answer: v1.DiscoverResponse) -> None:
    answer.instances.append(answer.instances[0])


def wrong_ports(answer: v1.DiscoverResponse) -> None:
    answer.service.ports.value = "1,2"


@pytest.mark.parametrize(
    "alter",
    [
        lose,
        sicken,
        relabel,
        reweigh,
        forget_weight,
        isolate,
        recode,
        retell,
        retype,
        rename,
        shorten_revision,
        repeat,
        wrong_ports,
    ],
)
def test_one_altered_answer_fails(alter: Alter) -> None:
    recording, exchanges = recorded(GO)

    def fits(exchange: Exchange) -> bool:
        return exchange.request.target == DISCOVER and b"instances" in str(_message(exchange)).encode()

    at = [place for place, exchange in enumerate(exchanges) if fits(exchange)][1]
    message = _message(exchanges[at])
    assert isinstance(message, v1.DiscoverResponse)
    alter(message)
    exchanges[at] = replace(exchanges[at], got=Answer("message", (), message.SerializeToString()))
    assert len(judge(recording, exchanges).failures) >= 1


def test_an_old_answer_is_not_taken_for_a_new_one() -> None:
    """What the recorded server said earlier excuses nothing: only what it says next does."""
    recording, exchanges = recorded(JAVA)
    places = [place for place, one in enumerate(exchanges) if one.request.target == DISCOVER and one.number > 40]
    lists = [place for place in places if b"instances" in str(_message(exchanges[place])).encode()]
    exchanges[lists[1]] = replace(exchanges[lists[1]], got=exchanges[lists[0]].got)
    assert judge(recording, exchanges).failures


def test_no_change_without_having_told_fails() -> None:
    recording, exchanges = recorded(GO)
    at = next(
        place
        for place, one in enumerate(exchanges)
        if one.request.target == DISCOVER and b"instances" in str(_message(one)).encode()
    )
    asked = v1.DiscoverRequest.FromString(exchanges[at].request.body)
    silent = v1.DiscoverResponse(service=asked.service, type=v1.DiscoverResponse.INSTANCE)
    silent.code.value, silent.info.value = 200001, "discover data is no change"
    exchanges[at] = replace(exchanges[at], got=Answer("message", (), silent.SerializeToString()))
    assert judge(recording, exchanges).failures


def test_silence_fails() -> None:
    recording, exchanges = recorded(JAVA)
    exchanges[3] = replace(exchanges[3], got=Answer("nothing"))
    assert judge(recording, exchanges).failures


@pytest.mark.parametrize(("old", "new"), [('"code": 200000', '"code": 200002'), ('"size": 1', '"size": 2')])
def test_an_altered_http_answer_fails(old: str, new: str) -> None:
    recording, exchanges = recorded(HTTP)
    at = next(place for place, one in enumerate(exchanges) if old.encode() in one.got.body)
    body = exchanges[at].got.body.replace(old.encode(), new.encode())
    exchanges[at] = replace(exchanges[at], got=replace(exchanges[at].got, body=body))
    assert judge(recording, exchanges).failures


def test_live_values_get_into_requests_of_any_length() -> None:
    known = Substitution()
    known.learn("c4b960c9", "a-longer-revision")
    body = v1.DiscoverRequest(service=v1.Service(revision=v1.StringValue(value="c4b960c9"))).SerializeToString()
    sent_body = wire_polaris.rewrite(DISCOVER, body, known)
    assert v1.DiscoverRequest.FromString(sent_body).service.revision.value == "a-longer-revision"


def test_bytes_that_are_no_message_are_told_apart() -> None:
    exchange = Exchange(1, Request("grpc", DISCOVER), Answer("message", (), b"\xff\xff"), Answer("message"))
    assert wire_polaris.read(exchange, exchange.expected) == ("bytes", "ffff")


def _message(exchange: Exchange) -> Message:
    return wire_polaris.MESSAGES[exchange.request.target][1].FromString(exchange.expected.body)
