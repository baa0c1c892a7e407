"""The suite's own teeth: a faithful playback passes without any rule, and each kind of altered answer, rule or line fails."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import re
import socket
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from . import rules_eureka
from .bodies import decode
from .compare import Reading, Report, compare, differences
from .exchange import Exchange, ReplayError
from .grpc_lane import Shape, sendable, shapes
from .inbox import Inbox
from .plan import Capture, KeptGap, Late, LeftOut, Plan, Target, schedule, sent
from .recording import Answer, GrpcMessage, GrpcOpen, HttpCall, Recording, RecordingError, Request, load, recordings
from .replay import Replay
from .rules import Difference, Rule, RuleBook, Seen, Story, Verdict
from .stub import Alter, Playback, as_recorded, playback
from .substitution import Substitution
from .suite import RECORDINGS

EUREKA = {path.stem: path for path in recordings(RECORDINGS / "eureka")}
PY = "py-eureka-client-0.13.3-full-story"
NO_RULES = RuleBook(())


async def replayed(
    recording: Recording, alter: Alter = as_recorded, book: RuleBook = NO_RULES
) -> tuple[Report, Playback, Replay]:
    plan = replace(rules_eureka.PLAN, pause_s=0.0)
    async with playback(recording, plan, alter) as stub:
        run = Replay(recording, stub.target, plan)
        exchanges = await run.run()
    return compare(recording, exchanges, rules_eureka.READING, book, run.known), stub, run


def altering(number: int, change: Callable[[Answer], Answer]) -> Alter:
    return lambda at, call: change(call.answer) if at == number else call.answer


def number_of(recording: Recording, fits: Callable[[HttpCall], bool]) -> int:
    return next(n for n, line in enumerate(recording.lines, 1) if isinstance(line, HttpCall) and fits(line))


def with_body(change: Callable[[Any], None]) -> Callable[[Answer], Answer]:
    def changed(answer: Answer) -> Answer:
        tree = json.loads(answer.body)
        change(tree)
        return replace(answer, body=json.dumps(tree).encode())

    return changed


# ---------------------------------------------------------------- playback
@pytest.mark.parametrize("name", EUREKA)
async def test_playback_of_a_recording_passes_without_any_rule(name: str) -> None:
    recording = load(EUREKA[name])
    report, stub, _ = await replayed(recording, book=RuleBook((), rules_eureka.INVARIANTS))
    assert not report.failures, str(report)
    assert report.exchanges == len(recording.lines) == len(stub.received)


async def test_one_connection_for_each_recorded_one_and_raw_headers() -> None:
    recording = load(EUREKA["eureka-server-2.0.5-peer-replication"])
    _, stub, _ = await replayed(recording)
    calls = [line for line in recording.lines if isinstance(line, HttpCall)]
    lanes: dict[str, set[int]] = {}
    for call, (connection, request) in zip(calls, stub.received, strict=True):
        lanes.setdefault(call.conn, set()).add(connection)
        own = ("host", "content-length", "transfer-encoding")
        names = [pair for pair in call.request.headers if pair[0].lower() not in own]
        assert [pair for pair in request.headers if pair[0].lower() not in own] == names
        assert request.body == call.request.body
    assert all(len(connections) == 1 for connections in lanes.values())
    assert len(set().union(*lanes.values())) == len(lanes)


async def test_late_register_is_sent_when_its_answer_was_recorded() -> None:
    _, stub, run = await replayed(load(EUREKA["eureka-client-1.10.18-full-story"]))
    order = [request.method for _, request in stub.received]
    assert order.index("POST") > 8
    assert run.used == Counter({"first-register-took-effect-at-its-end": 2, "first-read-took-effect-at-its-end": 1})


# ---------------------------------------------------------------- teeth
JSON_READ = "/eureka/apps/APP2/i1"


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (lambda answer: replace(answer, status="201"), "status"),
        (lambda answer: replace(answer, headers=()), "header.content-type"),
        (lambda answer: replace(answer, body=b""), "format"),
        (with_body(lambda tree: tree["instance"].update(hostName="other")), "body.instance.hostName"),
        (with_body(lambda tree: tree["instance"].pop("metadata")), "body.instance.metadata"),
        (with_body(lambda tree: tree["instance"].update(more=1)), "body.instance.more"),
        (with_body(lambda tree: tree["instance"].update(countryId="1")), "body.instance.countryId"),
        (
            with_body(lambda tree: tree["instance"]["leaseInfo"].update(lastRenewalTimestamp=1 << 60)),
            "body.instance.leaseInfo.lastRenewalTimestamp",
        ),
        (with_body(lambda tree: tree["instance"].update(status="DOWN")), "body.instance.status"),
        (with_body(lambda tree: tree["instance"].update(actionType="DELETED")), "body.instance.actionType"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_one_altered_answer_fails_with_the_real_rules(change: Callable[[Answer], Answer], path: str) -> None:
    recording = load(EUREKA["raw-http-edge-cases-s1"])
    number = number_of(recording, lambda call: call.request.method == "GET" and call.request.target == JSON_READ)
    book = RuleBook(rules_eureka.RULES)
    until_then = replace(recording, lines=recording.lines[:number])
    report, _, _ = await replayed(until_then, altering(number, change), book)
    assert len(report.failures) >= 1
    assert f"at {path}\n" in str(report)
    assert f"#{number} GET {JSON_READ}" in str(report)


async def test_another_clock_passes_and_a_moment_that_moves_fails() -> None:
    recording = load(EUREKA["eureka-server-2.0.5-peer-replication"])
    moment = re.compile(rb'("(?:lastUpdated|registration|serviceUp)Timestamp":"?)(1795357\d+)')

    def clock(shift_ms: Callable[[int], int]) -> Alter:
        def altered(number: int, call: HttpCall) -> Answer:
            moved = moment.sub(lambda m: m[1] + str(int(m[2]) + shift_ms(number)).encode(), call.answer.body)
            return replace(call.answer, body=moved)

        return altered

    last = max(n for n, line in enumerate(recording.lines, 1) if line.request.target.endswith("/delta"))  # type: ignore[union-attr]
    for shift, sound in ((lambda number: -5000, True), (lambda number: -5000 - (number == last), False)):
        report, _, _ = await replayed(recording, clock(shift), RuleBook(rules_eureka.RULES))
        assert bool(report.failures) != sound, str(report)
    assert "rules that looked at it and refused: lease-times-ours" in str(report)
    assert "rules that looked at it and refused: last-updated-ours" in str(report)


async def test_a_missing_instance_and_a_wrong_hash_are_both_reported() -> None:
    recording = load(EUREKA["raw-http-edge-cases-s1"])
    number = number_of(recording, lambda call: call.request.target == "/eureka/apps/")

    def lose_one(tree: Any) -> None:
        next(app for app in tree["applications"]["application"] if app["name"] == "APPP")["instance"].pop(0)

    book = RuleBook(rules_eureka.RULES, rules_eureka.INVARIANTS)
    report, _, _ = await replayed(recording, altering(number, with_body(lose_one)), book)
    assert "application[APPP].instance[i9]" in str(report)
    assert "invariant hash-agrees-with-content" in str(report)


async def test_a_delta_whose_version_stands_still_fails() -> None:
    recording = load(EUREKA["eureka-server-2.0.5-peer-replication"])

    def frozen(number: int, call: HttpCall) -> Answer:
        if not call.request.target.endswith("/delta"):
            return call.answer
        return with_body(lambda tree: tree["applications"].update(versions__delta="1"))(call.answer)

    report, _, _ = await replayed(recording, frozen, RuleBook(rules_eureka.RULES, rules_eureka.INVARIANTS))
    assert "invariant delta-version-moves" in str(report)


async def test_a_fresh_registration_shown_as_modified_fails() -> None:
    recording = load(EUREKA[PY])
    number = number_of(recording, lambda call: call.request.target.endswith("/eureka/apps/"))

    def modified(answer: Answer) -> Answer:
        body = gzip.decompress(answer.body).replace(b">ADDED<", b">MODIFIED<")
        return replace(answer, body=gzip.compress(body))

    report, _, _ = await replayed(recording, altering(number, modified), RuleBook(rules_eureka.RULES))
    assert "rules that looked at it and refused: known-instance-modified" in str(report)


async def test_a_server_that_hangs_up_fails() -> None:
    recording = load(EUREKA[PY])
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        target = Target(http=("127.0.0.1", sock.getsockname()[1]))
    with pytest.raises(ReplayError, match="cannot connect"):
        await Replay(recording, target, Plan()).run()


# ---------------------------------------------------------------- rules
def rule(**changes: Any) -> Rule:
    values: dict[str, Any] = {
        "id": "r",
        "path": "status",
        "verdict": Verdict.SHAPE,
        "reason": "because",
        "source": "here",
    }
    return Rule(**(values | changes))


def seen(difference: Difference, story: Story | None = None) -> Seen:
    exchange = Exchange(1, Request("GET", "/a"), Answer("200"), Answer("200"))
    return Seen(difference, exchange, None, None, story or Story(), "recording")


async def test_a_rule_that_nothing_uses_is_named() -> None:
    book = RuleBook((rule(id="needed"), rule(id="idle", path="header.nobody")))
    recording = load(EUREKA[PY])
    report, _, _ = await replayed(recording, altering(1, lambda answer: replace(answer, status="299")), book)
    assert not report.failures
    assert book.unused() == ["idle"]


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ((rule(), rule()), "stand twice"),
        ((rule(reason=""),), "needs a reason"),
        ((rule(verdict=Verdict.DIFFERS),), "must say what is answered instead"),
    ],
)
def test_a_table_that_explains_nothing_is_refused(rules: tuple[Rule, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RuleBook(rules)


def test_moments_keep_identity_and_order() -> None:
    book, story = RuleBook((rule(path="body.t", verdict=Verdict.MOMENT),)), Story()

    def accepted(recorded: int, live: int) -> bool:
        return book.judge(seen(Difference("body.t", recorded, live), story))[0] is not None

    assert accepted(10, 1000)
    assert accepted(10, 1000)
    assert not accepted(10, 1001), "one recorded moment is one live moment"
    assert accepted(20, 1500)
    assert not accepted(30, 1400), "later there is not earlier here"
    assert accepted(5, 900)
    assert not accepted(0, 800), "zero is no moment but 'never'"


def test_same_shape_knows_types_and_numbers_in_text() -> None:
    book = RuleBook((rule(path="body.t"),))
    pairs = [(1, 2, True), ("1", "22", True), ("a", "b", True), (1, "1", False), ("1", "b", False), (1, True, False)]
    for recorded, live, fine in pairs:
        assert (book.judge(seen(Difference("body.t", recorded, live)))[0] is not None) == fine, (recorded, live)


# ---------------------------------------------------------------- trees
def test_sets_are_compared_by_key_and_lists_by_place() -> None:
    reading = Reading(headers=(), key_of=lambda path, item: item["id"] if path == "body.set" else None)
    left = {"set": [{"id": "a", "v": 1}, {"id": "b"}], "list": [1, 2]}
    right = {"set": [{"id": "b"}, {"id": "a", "v": 2}, {"id": "b"}], "list": [2, 1]}
    found = {difference.path for difference in differences("body", left, right, reading.key_of)}
    assert found == {"body.set[a].v", "body.set.duplicates", "body.list[0]", "body.list[1]"}


def test_xml_is_read_by_structure() -> None:
    body = b'<a>\n  <b x="1">t</b>\n  <c/>\n  <l><m>1</m></l>\n  <k:z> s </k:z><e>\n  </e>\n</a>'
    assert decode(body, None, {("l", "m")}) == (
        "xml",
        {"a": {"b": {"@x": "1", "#text": "t"}, "c": "", "l": {"m": ["1"]}, "k:z": " s ", "e": ""}},
    )
    assert decode(gzip.compress(b'{"a": 1}'), "gzip") == ("json", {"a": 1})
    assert decode(b"{broken", None) == ("text", "{broken")


# ---------------------------------------------------------------- order, gaps, substitution
def call(
    t: float, took: float = 0.01, conn: str = "1", method: str = "GET", target: str = "/a", **answer: Any
) -> HttpCall:
    return HttpCall(t, took, conn, Request(method, target), Answer(**({"status": "200"} | answer)))


def test_schedule_moves_only_what_is_named_and_overlapped() -> None:
    slow, inside, after = call(0, 3, "1", "POST"), call(1, 0.5, "2"), call(4, 3, "1", "POST")
    used: Counter[str] = Counter()
    late = Late("slow-post", "POST", "/a", 1.0, "because")
    assert [plan.line for plan in schedule([slow, inside, after], [late], used)] == [inside, slow, after]
    assert used == Counter({"slow-post": 1})
    assert [plan.overlapped for plan in schedule([slow, inside, after], [], used)] == [True, False, False]


def test_gaps_are_shortened_unless_kept() -> None:
    lines = (call(0), call(5), call(10, target="/b"))
    plan = Plan(kept=(KeptGap("lease-runs-out", "GET", "/b", 4.0, "because"),))
    run = Replay(Recording("r", {}, lines), Target(), plan)
    planned = schedule(lines, (), Counter())
    assert [run._pause(one, 5.0) for one in planned] == [plan.pause_s, plan.pause_s, 5.0]
    assert run.used == Counter({"lease-runs-out": 1})


async def test_a_long_poll_does_not_hold_up_the_others() -> None:
    poll = call(0, 2.0, "1", target="/poll")
    recording = Recording("r", {}, (poll, call(1, 0.01, "2", "POST", "/publish"), call(3, 0.01, "1", target="/poll")))
    released = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            if head.startswith(b"POST"):
                released.set()
            else:
                await released.wait()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async def quiet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except asyncio.IncompleteReadError:
            writer.close()

    server = await asyncio.start_server(quiet, "127.0.0.1", 0)
    run = Replay(recording, Target(http=server.sockets[0].getsockname()[:2]), Plan())
    assert [exchange.got.status for exchange in await run.run()] == ["200", "200", "200"]
    server.close()


async def test_assigned_values_are_sent_back_as_the_live_server_gave_them() -> None:
    made = call(0, method="POST", target="/eureka/new", body=b'{"id": "rec-0001"}')
    used = call(1, target="/eureka/one?id=rec-0001", body=b'{"you are": "rec-0001"}')
    recording = Recording("r", {}, (made, used))
    plan = Plan(captures=(Capture("made-id", r"body\.id", "the server's"),))
    live = {1: b'{"id": "live-77"}', 2: b'{"you are": "live-77"}'}
    async with playback(recording, plan, lambda n, line: replace(line.answer, body=live[n])) as stub:
        stub._answers["GET", "/eureka/one?id=live-77"] = stub._answers["GET", "/eureka/one?id=rec-0001"]
        run = Replay(recording, stub.target, plan)
        exchanges = await run.run()
    assert run.used == Counter({"made-id": 1})
    report = compare(recording, exchanges, Reading(headers=()), RuleBook((rule(path=r"body\.id"),)), run.known)
    assert not report.failures, str(report)


def test_substitution_replaces_whole_words_in_text_trees_and_bytes() -> None:
    known = Substitution({"1234": "99"})
    assert known.in_text("1234 x1234 1234-5 (1234)") == "99 x1234 1234-5 (99)"
    assert known.in_tree({"a": [1234, "1234", True]}) == {"a": [99, "99", True]}
    assert known.in_bytes(b"\xff1234") == b"\xff1234"
    with pytest.raises(ReplayError, match="too short"):
        known.learn("12", "99")


# ---------------------------------------------------------------- files
def written(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("kind", ["telegraph", "broken", None])
def test_a_line_of_an_unknown_kind_is_refused(tmp_path: Path, kind: str | None) -> None:
    path = written(tmp_path / "r.jsonl", {"recording": 1}, {"kind": kind, "t": 1})
    with pytest.raises(RecordingError, match=rf"r\.jsonl:2: a line of kind {kind!r} cannot be replayed"):
        load(path)


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match='"recording": 1'):
        load(written(tmp_path / "r.jsonl", {"recording": 2}))


# ---------------------------------------------------------------- udp
async def test_udp_pushes_reach_a_live_port_that_requests_name(tmp_path: Path) -> None:
    def http(t: float, target: str) -> dict[str, Any]:
        asked = {"method": "GET", "target": target, "headers": [], "body": ""}
        answered = {"status": 200, "headers": [], "body": ""}
        return {"kind": "http", "t": t, "took": 0.1, "conn": 1, "request": asked, "response": answered}

    udp = {"kind": "udp", "gzip": False}
    path = written(
        tmp_path / "r.jsonl",
        {"recording": 1},
        http(0, "/subscribe?udpPort=53294"),
        udp | {"t": 1, "from": "server", "src": 32795, "dst": 53294, "body": '{"n": 1}'},
        udp | {"t": 2, "from": "client", "src": 53294, "dst": 32795, "body": "ack"},
    )
    acknowledged: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    class Acks(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            acknowledged.set_result(data)

    pusher, _ = await asyncio.get_running_loop().create_datagram_endpoint(Acks, local_addr=("127.0.0.1", 0))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        port = int(head.split(b"udpPort=")[1].split()[0])
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        pusher.sendto(gzip.compress(b'{"n": 2}'), ("127.0.0.1", port))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    recording = load(path)
    run = Replay(recording, Target(http=server.sockets[0].getsockname()[:2]), Plan())
    exchanges = await run.run()
    assert run.known.table["53294"] != "53294"
    assert await asyncio.wait_for(acknowledged, 5) == b"ack"
    report = compare(recording, exchanges, Reading(headers=()), RuleBook(()))
    assert len(report.failures) == 1
    assert "at body.n" in str(report)
    pusher.close()
    server.close()


# ---------------------------------------------------------------- grpc: the parts that need no transport
def grpc_rows() -> list[dict[str, Any]]:
    opened = {"kind": "open", "method": "/p.S/M", "peer": "ipv4:1", "metadata": [["user-agent", "x"], ["k", "v"]]}
    message = {"kind": "message", "base64": "AA=="}
    return [
        {"recording": 1},
        opened | {"t": 0, "call": 1},
        message | {"t": 0.1, "call": 1, "from": "client"},
        message | {"t": 0.2, "call": 1, "from": "server"},
        {"kind": "close", "t": 0.3, "call": 1, "code": "OK", "details": "", "trailers": []},
        opened | {"t": 1, "call": 2},
        message | {"t": 1.1, "call": 2, "from": "client"},
        message | {"t": 1.2, "call": 2, "from": "server"},
        message | {"t": 1.3, "call": 2, "from": "server"},
        {"kind": "close", "t": 2, "call": 2, "code": "CLIENT_CANCELLED", "details": "", "trailers": []},
    ]


def test_grpc_lines_are_grouped_into_calls(tmp_path: Path) -> None:
    found = shapes(load(written(tmp_path / "r.jsonl", *grpc_rows())))
    assert found == {1: Shape(1, 1, "OK"), 2: Shape(1, 2, "CLIENT_CANCELLED")}
    assert [found[1].unary, found[2].unary] == [True, False]
    assert sendable((("user-agent", "x"), (":path", "y"), ("grpc-timeout", "1S"), ("k", "v"))) == [("k", "v")]


async def test_grpc_recording_without_grpcio_fails_clearly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "grpc", None)
    recording = load(written(tmp_path / "r.jsonl", *grpc_rows()))
    with pytest.raises(ReplayError, match="grpcio is not installed"):
        await Replay(recording, Target(grpc=("127.0.0.1", 1)), Plan()).run()


async def test_messages_are_paired_by_key_in_any_order() -> None:
    inbox = Inbox(key=lambda body: body[:1])
    for body in (b"b1", b"a1", b"a2"):
        inbox.put(body)
    assert [inbox.take(b"a?"), inbox.take(b"a?"), inbox.take(b"a?")] == [b"a1", b"a2", None]
    assert await inbox.wait_for(b"c?", 0.01) is None
    assert inbox.rest() == [b"b1"]
    inbox.end()
    assert await inbox.wait_for(b"a?", 60) is None


# ---------------------------------------------------------------- streams on which the server asks
TALK, WORK = "/S/Talk", "/S/Work"


def kind(message: bytes) -> str:
    return message.split(b":")[0].decode()


def renumbered(message: bytes, heard: Sequence[tuple[bytes, bytes]]) -> bytes | None:
    """``ack:N`` with the live N of the recorded ``ask:N``."""
    if kind(message) != "ack":
        return message
    asked = next((live for recorded, live in heard if recorded[4:] == message[4:]), None)
    return None if asked is None else b"ack:" + asked[4:]


ASKING = Plan(
    kind_of=kind,
    lasting=TALK,
    answering=renumbered,
    left_out=(LeftOut("later", r"/S/\w+#later", "not there", method="grpc"),),
    told_within_s=0.2,
)


def talk_rows() -> list[dict[str, Any]]:
    def said(t: float, call: int, sender: str, text: bytes) -> dict[str, Any]:
        return {"kind": "message", "t": t, "call": call, "from": sender, "base64": base64.b64encode(text).decode()}

    opened = {"kind": "open", "peer": "ipv4:1", "metadata": []}
    closed = {"kind": "close", "code": "OK", "details": "", "trailers": []}
    return [
        {"recording": 1},
        opened | {"t": 0, "call": 1, "method": TALK},
        said(0.1, 1, "client", b"hello:"),
        said(0.2, 1, "server", b"ask:7"),
        said(0.3, 1, "client", b"ack:7"),
        opened | {"t": 0.4, "call": 2, "method": WORK},
        said(0.4, 2, "client", b"later:"),
        closed | {"t": 0.5, "call": 2},
        said(0.6, 1, "server", b"later:"),
        said(0.7, 1, "server", b"ask:8"),
        said(0.8, 1, "client", b"ack:8"),
        closed | {"t": 1, "call": 1},
    ]


def test_calls_and_single_messages_are_left_out_by_their_kind(tmp_path: Path) -> None:
    recording = load(written(tmp_path / "r.jsonl", *talk_rows()))
    used: Counter[str] = Counter()
    kept = sent(recording.lines, ASKING.left_out, used, kind, recording.name)
    assert used == Counter({"later": 2})
    assert [line.body for line in kept if isinstance(line, GrpcMessage)] == [
        *(b"hello:", b"ask:7", b"ack:7", b"ask:8", b"ack:8")
    ]
    assert [line.call for line in kept if isinstance(line, GrpcOpen)] == [1]


def test_entries_may_be_about_one_recording_only(tmp_path: Path) -> None:
    recording = load(written(tmp_path / "r.jsonl", *talk_rows()))
    elsewhere = (replace(ASKING.left_out[0], recording="other"),)
    assert sent(recording.lines, elsewhere, Counter(), kind, recording.name) == list(recording.lines)


async def test_clients_answer_what_the_live_server_asked_and_nothing_else(tmp_path: Path) -> None:
    """The live server counts otherwise, asks once only, and sees the stream stay open until the recording closes it."""
    grpc = pytest.importorskip("grpc")
    heard: list[bytes] = []

    async def talk(requests: Any, context: Any) -> None:
        async for message in requests:
            heard.append(message)
            if message == b"hello:":
                await context.write(b"ask:100")
        heard.append(b"(closed)")

    method = grpc.stream_stream_rpc_method_handler(talk, bytes, bytes)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("S", {"Talk": method}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    recording = load(written(tmp_path / "r.jsonl", *talk_rows()))
    run = Replay(recording, Target(grpc=("127.0.0.1", port)), ASKING)
    exchanges = await run.run()
    await server.stop(0)
    assert heard == [b"hello:", b"ack:100", b"(closed)"]
    told = [(e.expected.body, e.got.body or e.got.status) for e in exchanges]
    assert told == [(b"ask:7", b"ask:100"), (b"ask:8", "nothing"), (b"", "OK")]
    assert exchanges[0].request.target == f"{TALK}#hello"


def test_the_http_half_of_a_story_is_read_with_its_grpc_half(tmp_path: Path) -> None:
    written(tmp_path / "story.grpc.jsonl", *grpc_rows())
    http = {"kind": "http", "t": 0.5, "took": 0.1, "conn": 1}
    asked = {"method": "GET", "target": "/", "headers": [], "body": ""}
    answered = {"status": 200, "headers": [], "body": ""}
    written(tmp_path / "story.http.jsonl", {"recording": 1}, http | {"request": asked, "response": answered})
    written(tmp_path / "alone.http.jsonl", {"recording": 1}, http | {"request": asked, "response": answered})
    assert [path.name for path in recordings(tmp_path)] == ["alone.http.jsonl", "story.grpc.jsonl"]
    lines = load(tmp_path / "story.grpc.jsonl").lines
    assert [line.t for line in lines] == sorted(line.t for line in lines)
    assert sum(isinstance(line, HttpCall) for line in lines) == 1
