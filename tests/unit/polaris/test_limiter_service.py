"""The native token service over bytes: every command, every code, who is told what, and when a stream ends."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from bottle import START_MS, Clock, Queue
from hypothesis import given
from hypothesis import strategies as st

from polaris_bridge.adapters.polaris.server.grpc_limiter import LIMITER, methods
from polaris_bridge.adapters.polaris.service.limiting import BACKLOG, TokenService
from polaris_bridge.adapters.polaris.wire import limiter as wire
from polaris_bridge.core.limiting.limiter import Limiter
from polaris_bridge.core.limiting.model import LimiterTerms
from polaris_bridge.transport.rpc import RpcError, Status

TARGET = {"namespace": "default", "service": "orders", "labels": "GET|"}
MINUTE = {"duration": 60, "maxAmount": 10}


class Stream:
    """A client's stream: what it is told, in order."""

    def __init__(self, port: Port, id: str) -> None:
        self.id = id
        self.path, self.peer, self.backlog = LIMITER + "Service", "10.9.9.9", 0
        self.told: list[wire.RateLimitResponse] = []
        self.ended = False
        self._queue = port.queue
        self._handler: Any = dict(port.table.streams())[self.path](self)  # type: ignore[arg-type]

    def metadata(self, name: str) -> str | None:
        return None

    def send(self, message: bytes) -> None:
        assert not self.ended
        self.told.append(wire.RateLimitResponse.FromString(message))

    def finish(self, code: Status = Status.OK, message: str = "") -> None:
        assert code is Status.OK
        self.ended = True

    def close(self) -> None:
        self._handler.on_end()
        self._handler.on_close()

    def say(self, data: bytes) -> Any:
        """One message; its answer."""
        before = len(self.told)
        given = self._handler.on_message(data)
        if isinstance(given, bytes):
            self.send(given)
        elif given is not None:
            given.then(self.send)
            self._queue.settle()
        assert len(self.told) > before
        return self.told[-1]

    def init(self, *totals: dict[str, int], **fields: Any) -> Any:
        given = {"target": TARGET, "clientId": self.id, "totals": totals} | fields
        request = wire.RateLimitInitRequest(**{k: v for k, v in given.items() if v is not None})
        answer = self.say(wire.RateLimitRequest(cmd=0, rateLimitInitRequest=request).SerializeToString())
        assert answer.cmd == wire.INIT
        return answer.rateLimitInitResponse

    def batch(self, *requests: dict[str, Any], id: str | None = None) -> Any:
        batch = wire.RateLimitBatchInitRequest(clientId=self.id if id is None else id, request=requests)  # type: ignore[arg-type]
        answer = self.say(wire.RateLimitRequest(cmd=2, rateLimitBatchInitRequest=batch).SerializeToString())
        assert answer.cmd == wire.BATCH_INIT
        return answer.rateLimitBatchInitResponse

    def use(self, *uses: dict[str, int], key: int = 1, at: int = START_MS, cmd: int = 1) -> Any:
        report = wire.RateLimitReportRequest(clientKey=key, timestamp=at, quotaUses=uses)  # type: ignore[arg-type]
        answer = self.say(wire.RateLimitRequest(cmd=cmd, rateLimitReportRequest=report).SerializeToString())
        assert answer.cmd == cmd
        return answer.rateLimitReportResponse


class Port:
    """A listener's table, and clients of it."""

    def __init__(self, **terms: Any) -> None:
        self.clock, self.queue = Clock(), Queue()
        self.limiter: Limiter[Any] = Limiter(LimiterTerms(**terms), lambda *_: None)
        self.seen: list[tuple[str, int]] = []
        self.table = methods(TokenService(self.limiter, self.clock, self.queue), self)

    def observe(self, operation: str, status: int, seconds: float, /) -> None:
        self.seen.append((operation, status))

    def discovered(self, namespace: str, service: str, /) -> None:
        raise AssertionError("nobody reads services here")

    def client(self, id: str) -> Stream:
        return Stream(self, id)


@pytest.fixture
def port() -> Port:
    return Port()


def lefts(report: Any) -> list[tuple[int, int, int, int]]:
    return [(left.counterKey, left.left, left.mode, left.clientCount) for left in report.quotaLefts]


def test_two_clients_count_on_the_same(port: Port) -> None:
    a, b = port.client("a"), port.client("b")
    first = a.init(MINUTE, {"duration": 1, "maxAmount": 5})
    assert (first.code, first.clientKey, first.slideCount, first.timestamp) == (200000, 1, 10, START_MS)
    assert (first.target.namespace, first.target.service, first.target.labels) == ("default", "orders", "GET|")
    shown = [(c.duration, c.counterKey, c.left, c.mode, c.clientCount) for c in first.counters]
    assert shown == [(60, 0x1000001, 10, 1, 1), (1, 0x1000002, 5, 1, 1)]
    second = b.init(MINUTE)
    assert (second.clientKey, second.counters[0].counterKey, second.counters[0].clientCount) == (2, 0x1000001, 2)
    assert lefts(a.use({"counterKey": 0x1000001, "used": 4})) == [(0x1000001, 6, 1, 2)]
    answer = b.use({"counterKey": 0x1000001, "used": 7}, key=2)
    assert (answer.code, answer.timestamp, lefts(answer)) == (200000, START_MS, [(0x1000001, -1, 1, 2)])
    pushed = a.told[-1]
    assert (pushed.cmd, pushed.rateLimitReportResponse.code) == (wire.ACQUIRE, 200000)
    assert (lefts(pushed.rateLimitReportResponse), len(a.told), len(b.told)) == ([(0x1000001, -1, 1, 2)], 3, 2)
    assert port.seen == [("RateLimitInit", 200)] * 2 + [("RateLimitAcquire", 200)] * 2


def test_who_does_not_read_is_not_told_unasked(port: Port) -> None:
    a, b = port.client("a"), port.client("b")
    a.init(MINUTE)
    b.init(MINUTE)
    a.backlog = BACKLOG
    b.use({"counterKey": 0x1000001, "used": 10}, key=2)
    assert len(a.told) == 1


REFUSED_INITS: list[tuple[dict[str, Any], int]] = [
    ({"target": {"namespace": "default", "labels": "x"}}, 400201),
    ({"target": {"service": "orders", "labels": "x"}}, 400202),
    ({"target": None}, 400201),
    ({"totals": ()}, 400204),
    ({"totals": ({"maxAmount": 1},)}, 400205),
    ({"totals": (MINUTE, {"maxAmount": 1})}, 400205),
    ({"slideCount": 11}, 400206),
    ({"mode": 2}, 400207),
    ({"mode": 7}, 400207),
    ({"target": {}, "totals": (), "mode": 2}, 400201),
]


@pytest.mark.parametrize(("fields", "code"), REFUSED_INITS)
def test_an_init_that_is_not_fit(port: Port, fields: dict[str, Any], code: int) -> None:
    answer = port.client("a").init(**({"totals": (MINUTE,)} | fields))
    assert (answer.code, answer.clientKey, len(answer.counters), answer.slideCount) == (code, 0, 0, 0)
    assert answer.timestamp == START_MS
    assert answer.HasField("target") is (fields.get("target", 1) is not None)
    assert port.limiter.counters == 0
    assert port.seen == [("RateLimitInit", code // 1000)]


def test_clients_and_counters_that_find_no_room() -> None:
    port = Port(max_clients=1, max_counters=1)
    assert port.client("").init(MINUTE).code == 400203
    a = port.client("a")
    assert a.init(MINUTE, {"duration": 1, "maxAmount": 5}).code == 401101
    assert a.init(MINUTE, clientId="b").code == 401103
    assert a.init(MINUTE, clientId="").code == 401103
    assert port.client("b").init(MINUTE).code == 401102
    result = a.batch({"target": {**TARGET, "labels_list": ["GET|", "z"]}, "totals": [MINUTE]}).result[0]
    assert (result.code, [len(one.counters) for one in result.counters]) == (401101, [1, 0])


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"key": 0, "at": 0}, 400213),
        ({"at": 0, "uses": ()}, 400212),
        ({"uses": ()}, 400211),
        ({"uses": ({"used": 1},)}, 400214),
        ({"uses": ({"counterKey": 0x2000001},)}, 400214),
        ({"uses": ({"counterKey": 0x1000009},)}, 404001),
    ],
)
def test_a_report_that_is_not_fit(port: Port, fields: dict[str, Any], code: int) -> None:
    a = port.client("a")
    a.init(MINUTE)
    answer = a.use(*fields.pop("uses", ({"counterKey": 0x1000001},)), **fields)
    assert (answer.code, lefts(answer), answer.timestamp) == (code, [], START_MS)
    assert a.ended is (code == 400214)


def test_a_report_stops_at_the_first_bad_key_and_keeps_what_it_gathered(port: Port) -> None:
    a = port.client("a")
    a.init(MINUTE, {"duration": 1, "maxAmount": 5})
    uses = ({"counterKey": 0x1000001, "used": 1}, {"counterKey": 0x1000007}, {"counterKey": 0x1000002, "used": 1})
    answer = a.use(*uses, cmd=3)
    assert (answer.code, lefts(answer)) == (404001, [(0x1000001, 9, 1, 1)])
    assert not a.ended
    assert a.use({"counterKey": 0x1000002}).quotaLefts[0].left == 5
    assert a.init(MINUTE).code == 200000, "404001 means: INIT again"


def test_who_did_not_begin_is_unknown(port: Port) -> None:
    a = port.client("a")
    assert a.use({"counterKey": 0x1000001}).code == 404002
    assert not a.ended


def test_a_batch_begins_all_labels_and_answers_each_request_for_itself(port: Port) -> None:
    a = port.client("a")
    target = {"namespace": "default", "service": "bs", "labels_list": ["x", "y", "z"]}
    totals = [{"duration": 1, "maxAmount": 3}, {"duration": 60, "maxAmount": 30}]
    answer = a.batch(
        {"target": target, "totals": totals, "slideCount": 4},
        {"target": TARGET, "totals": totals},
        {"target": target | {"service": ""}, "totals": totals},
    )
    assert (answer.code, answer.clientKey, answer.timestamp) == (200000, 1, START_MS)
    good, unlabelled, nameless = answer.result
    assert (good.code, good.slideCount, good.target.labels, list(good.target.labels_list)) == (200000, 4, "", [])
    keys = [[(c.duration, c.counterKey, c.left) for c in one.counters] for one in good.counters]
    assert keys == [[(1, 0x1000001 + 2 * n, 3), (60, 0x1000002 + 2 * n, 30)] for n in range(3)]
    assert [one.labels for one in good.counters] == ["x", "y", "z"]
    assert (unlabelled.code, unlabelled.target.labels) == (400208, "GET|")
    assert (nameless.code, list(nameless.target.labels_list)) == (400201, ["x", "y", "z"])
    assert a.batch().code == 400209
    assert a.batch({"target": target}, id="b").code == 401103
    assert port.client("").batch({"target": target}).code == 400203


def test_very_large_messages_are_done_bit_by_bit(port: Port) -> None:
    a = port.client("a")
    labels = [str(n) for n in range(1500)]
    answer = a.batch({"target": {**TARGET, "labels_list": labels}, "totals": [MINUTE]})
    keys = [one.counters[0].counterKey for one in answer.result[0].counters]
    assert len(set(keys)) == 1500
    assert [left.left for left in a.use(*({"counterKey": key, "used": 2} for key in keys)).quotaLefts] == [8] * 1500
    foreign = a.use(*({"counterKey": key} for key in keys), {"counterKey": 0x2000001})
    assert (foreign.code, len(foreign.quotaLefts), a.ended) == (400214, 1500, True)


def test_a_stream_that_ends_during_a_large_message_leaves_nothing_behind(port: Port) -> None:
    a = port.client("a")
    target = {**TARGET, "labels_list": [str(n) for n in range(1500)]}
    batch = wire.RateLimitBatchInitRequest(clientId="a", request=[{"target": target, "totals": [MINUTE]}])  # type: ignore[list-item]
    later = a._handler.on_message(wire.RateLimitRequest(cmd=2, rateLimitBatchInitRequest=batch).SerializeToString())
    later.then(lambda _: None)
    a.close()
    port.queue.settle()
    assert (port.limiter.clients, port.limiter.counters) == (0, 0)


def test_the_end_of_a_stream_frees_its_client(port: Port) -> None:
    a, b = port.client("a"), port.client("b")
    each = MINUTE | {"mode": wire.DIVIDE}
    assert a.init(each).counters[0].left == 10
    assert b.init(each).counters[0].left == 20
    b.close()
    assert lefts(a.use({"counterKey": 0x1000001})) == [(0x1000001, 10, 1, 1)]
    again = port.client("a")
    assert again.init(each).clientKey == 1
    a.close()
    assert port.limiter.clients == 1
    assert lefts(again.use({"counterKey": 0x1000001})) == [(0x1000001, 10, 1, 1)]


def test_a_stream_that_ended_leaves_no_garbage(port: Port) -> None:
    call: Any = Stream(port, "a")
    handler = call._handler
    handler.on_message(wire.RateLimitRequest(rateLimitInitRequest={"clientId": "a"}).SerializeToString())
    call._handler = None
    handler.on_close()
    gone = weakref.ref(handler)
    gc.disable()
    try:
        del handler
        assert gone() is None
    finally:
        gc.enable()


def test_windows_roll_and_late_reports_count_while_they_may(port: Port) -> None:
    a = port.client("a")
    a.init({"duration": 1, "maxAmount": 5}, slideCount=1)
    assert a.use({"counterKey": 0x1000001, "used": 5}).quotaLefts[0].left == 0
    port.clock.now_ms += 999
    assert a.use({"counterKey": 0x1000001}).quotaLefts[0].left == 0
    port.clock.now_ms += 1
    assert a.use({"counterKey": 0x1000001}).quotaLefts[0].left == 5
    assert a.use({"counterKey": 0x1000001, "used": 3}, at=START_MS + 999).quotaLefts[0].left == 5, "of the last window"
    assert a.use({"counterKey": 0x1000001, "used": 3}, at=START_MS + 1700).quotaLefts[0].left == 2


def test_the_time(port: Port) -> None:
    ask: Callable[..., Any] = dict(port.table.unaries())[LIMITER + "TimeAdjust"]
    assert wire.TimeAdjustResponse.FromString(ask(b"", None)).serverTimestamp == START_MS
    assert port.seen == [("TimeAdjust", 200)]
    with pytest.raises(RpcError):
        ask(b"\xff", None)


def test_unknown_commands_are_answered_with_their_number(port: Port) -> None:
    assert port.client("a").say(wire.RateLimitRequest(cmd=9).SerializeToString()) == wire.RateLimitResponse(cmd=9)
    with pytest.raises(RpcError) as error:
        port.client("a").say(b"\xff")
    assert error.value.code is Status.INTERNAL


NUMBER = st.integers(0, 2**32 - 1)
USE = st.fixed_dictionaries({"counterKey": st.sampled_from([0, 1, 0x1000001, 0x1000002, 0x2000001]), "used": NUMBER})


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.lists(USE, max_size=3), st.integers(-(2**63), 2**63 - 1), NUMBER), max_size=8
    )
)
def test_no_message_fails(messages: list[tuple[int, list[dict[str, int]], int, int]]) -> None:
    port = Port()
    a = port.client("a")
    for cmd, uses, at, number in messages:
        request = wire.RateLimitRequest(
            cmd=cmd,
            rateLimitInitRequest={
                "target": TARGET,
                "clientId": "a",
                "totals": [{"duration": number, "maxAmount": number}],
            },
            rateLimitReportRequest={"clientKey": number, "timestamp": at, "quotaUses": uses},
        )
        assert a.say(request.SerializeToString()).cmd == cmd
        if a.ended:
            a.close()
            a = port.client("a")
