"""ReportClient: what a client is told, what is kept of it and for how long."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from bottle import CALLER, Bottle
from hypothesis import given
from hypothesis import strategies as st

from polaris_bridge.adapters.polaris.service.clients import Clients, Target
from polaris_bridge.adapters.polaris.settings import PolarisSettings
from polaris_bridge.adapters.polaris.translate.times import local_time
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.model import Location

WHERE = {"10.0.0.1": Location("south", "z1", "c1")}


class Reporting:
    """A server that is reported to."""

    def __init__(self) -> None:
        self.bottle = Bottle()
        self.open()

    def open(self) -> None:
        self.clients = Clients(self.bottle.registry, PolarisSettings(), WHERE.get)

    def restart(self) -> None:
        self.bottle.restart()
        self.open()

    def report(self, client: v1.Client) -> v1.Response:
        found: v1.Response = self.bottle.answer(self.clients.report(client, CALLER))
        return found

    def list(self, **query: str) -> Any:
        return self.bottle.answer(self.clients.listed({name: [value] for name, value in query.items()}, CALLER))

    def ids(self, **query: str) -> list[str]:
        return [client.id.value for client in self.list(**query).clients]


@pytest.fixture
def server() -> Reporting:
    return Reporting()


def client(id: str = "c1", host: str = "10.0.0.9", **fields: Any) -> v1.Client:
    made = v1.Client(host={"value": host}, **{"type": v1.Client.SDK, "version": {"value": "1.6.1"}} | fields)
    if id:
        made.id.value = id
    return made


def test_without_an_id_it_is_told_its_host_and_nothing_is_kept(server: Reporting) -> None:
    answer = server.report(client(id=""))
    assert answer == v1.Response(
        code={"value": 200000}, info={"value": "execute success"}, client={"host": {"value": "10.0.0.9"}}
    )
    assert server.list().amount.value == 0


def test_what_it_does_not_say_is_not_said_to_it(server: Reporting) -> None:
    answer = server.report(v1.Client())
    assert answer.HasField("client")
    assert not answer.client.HasField("host")


def test_with_an_id_it_is_echoed_and_kept_over_a_restart(server: Reporting) -> None:
    sent = client(stat=[v1.StatInfo(target={"value": "prometheus"}, port={"value": 9090})])
    answer = server.report(sent)
    assert answer.code.value == 200000
    assert answer.client == sent
    server.restart()
    (kept,) = server.list().clients
    now = local_time(server.bottle.clock.now_ms)
    assert (kept.ctime.value, kept.mtime.value) == (now, now)
    kept.ClearField("ctime")
    kept.ClearField("mtime")
    assert kept == sent


def test_who_is_known_elsewhere_learns_where_it_is(server: Reporting) -> None:
    for id in ("", "c1"):
        told = server.report(client(id=id, host="10.0.0.1", location={"region": {"value": "guessed"}})).client
        assert [told.location.region.value, told.location.zone.value, told.location.campus.value] == [
            "south",
            "z1",
            "c1",
        ]
    assert server.list().clients[0].location.region.value == "south"


def test_what_it_says_of_its_place_stays_when_nobody_knows_better(server: Reporting) -> None:
    for id in ("", "c1"):
        told = server.report(client(id=id, location={"region": {"value": "north"}})).client
        assert told.location == v1.Location(region={"value": "north"})
    assert not server.report(client(id="c2")).client.HasField("location")


def test_the_same_report_again_is_not_written(server: Reporting) -> None:
    server.report(client())
    written = server.bottle.store.writes
    for _ in range(5):
        server.bottle.pass_time(120)
        assert server.report(client()).code.value == 200000
    assert server.bottle.store.writes == written
    assert server.ids() == ["c1"]
    server.report(client(host="10.0.0.8"))
    assert server.bottle.store.writes == written + 1
    assert server.list().clients[0].host.value == "10.0.0.8"


def test_after_three_intervals_of_silence_it_is_forgotten(server: Reporting) -> None:
    server.report(client("c1"))
    server.report(client("c2"))
    server.bottle.pass_time(359)
    server.report(client("c2"))
    assert sorted(server.ids()) == ["c1", "c2"]
    server.bottle.pass_time(2)
    assert server.ids() == ["c2"]
    server.restart()
    assert server.ids() == ["c2"], "for good"
    server.report(client("c1"))
    assert sorted(server.ids()) == ["c1", "c2"]


def test_a_report_that_the_store_does_not_take_is_refused(server: Reporting) -> None:
    server.bottle.store.broken = True
    answer = server.report(client())
    assert (answer.code.value, answer.client) == (500001, client())
    server.bottle.store.broken = False
    assert server.ids() == []
    assert server.report(client()).code.value == 200000
    assert server.ids() == ["c1"]


@pytest.mark.parametrize(
    "sent", [client("x" * 129), client(stat=[v1.StatInfo(path={"value": "p" * 20_000})])], ids=["id", "size"]
)
def test_what_is_too_long_is_refused(server: Reporting, sent: v1.Client) -> None:
    answer = server.report(sent)
    assert (answer.code.value, answer.info.value) == (400103, "invalid parameter")
    assert server.list().amount.value == 0


def test_the_list_by_filters_and_pages(server: Reporting) -> None:
    for number in range(5):
        server.report(client(f"c{number}", host=f"10.0.0.{number % 2}", version={"value": f"v{number}"}))
        server.bottle.pass_time(1)
    server.report(client("agent", type=v1.Client.AGENT))
    assert server.ids() == ["agent", "c4", "c3", "c2", "c1", "c0"], "the latest first"
    assert server.ids(host="10.0.0.1") == ["c3", "c1"]
    assert server.ids(version="v2") == ["c2"]
    assert server.ids(type="AGENT") == ["agent"]
    assert server.ids(type="SDK", host="10.0.0.0", id="c4") == ["c4"]
    answer = server.list(offset="1", limit="2")
    assert [c.id.value for c in answer.clients] == ["c4", "c3"]
    assert (answer.code.value, answer.amount.value, answer.size.value) == (200000, 6, 2)
    assert server.ids(offset="9") == []


@pytest.mark.parametrize("query", [{"colour": "red"}, {"limit": "many"}, {"offset": "-1"}])
def test_a_bad_query_is_refused(server: Reporting, query: dict[str, str]) -> None:
    assert server.list(**query).code.value == 400103


def test_an_unknown_type_is_its_number(server: Reporting) -> None:
    sent = v1.Client.FromString(b"\x10\x63" + client("c1").SerializeToString().replace(b"\x10\x01", b""))
    assert sent.type == 99
    assert server.report(sent).client.type == 99
    assert server.ids(type="99") == ["c1"]


def test_targets_are_those_that_a_prometheus_server_can_fetch(server: Reporting) -> None:
    def stat(target: str, protocol: str, port: int = 9090) -> v1.StatInfo:
        return v1.StatInfo(
            target={"value": target}, port={"value": port}, path={"value": "/metrics"}, protocol={"value": protocol}
        )

    server.report(client("none"))
    server.report(client("both", stat=[stat("prometheus", "http"), stat("prometheus", "HTTPS", 9443)]))
    server.report(client("others", stat=[stat("pushgateway", "http"), stat("prometheus", "grpc")]))
    assert list(server.clients.targets()) == [
        Target("10.0.0.9", 9090, "/metrics", "http", "both"),
        Target("10.0.0.9", 9443, "/metrics", "HTTPS", "both"),
    ]


texts = st.text(max_size=12).map(lambda text: {"value": text})
clients = st.builds(
    lambda **fields: v1.Client(**{name: value for name, value in fields.items() if value is not None}),
    id=st.sampled_from(["a", "b"]).map(lambda text: {"value": text}),
    host=st.none() | texts,
    version=st.none() | texts,
    type=st.integers(0, 5),
    location=st.none() | st.builds(lambda r, z: v1.Location(region=r, zone=z), texts, texts),
    stat=st.lists(
        st.builds(lambda t, p: v1.StatInfo(target=t, port={"value": p}), texts, st.integers(0, 70000)), max_size=3
    ),
    ctime=st.none() | texts,
    config_metadata=st.none() | texts,
)


@given(st.lists(clients, max_size=6))
def test_the_last_report_of_each_is_what_is_listed(reports: list[v1.Client]) -> None:
    server = Reporting()
    expected: dict[str, v1.Client] = {}
    for sent in reports:
        assert server.report(sent).client == sent
        expected[sent.id.value] = sent
    listed = {c.id.value: c for c in server.list().clients}
    for c in (*listed.values(), *expected.values()):
        c.ClearField("ctime")
        c.ClearField("mtime")
    assert listed == expected


RECORDED = {
    "polaris-go 1.6.1": (
        "CgsKCTEyNy4wLjAuMRABGggKBnYxLjYuMCoaChh2aXZpZC1pbmNoLXNwd3NtZy12Zmd6bXM=",
        "CgQIwJoMEhEKD2V4ZWN1dGUgc3VjY2Vzcxo1CgsKCTEyNy4wLjAuMRABGggKBnYxLjYuMCoaChh2aXZpZC1pbmNoLXNwd3NtZy12Zmd6bXM=",
    ),
    "polaris-java 2.1.0.0": (
        "CgsKCTEyNy4wLjAuMRoJCgcyLjEuMC4wKgsKCXZtXzIwMzZfMDIoCgwKCnByb21ldGhldXMSBAiw2wEaCgoIL21ldHJpY3MiBgoEaHR0cA==",
        "CgQIwJoMEhEKD2V4ZWN1dGUgc3VjY2VzcxpPCgsKCTEyNy4wLjAuMRoJCgcyLjEuMC4wKgsKCXZtXzIwMzZfMDIoCgwKCnByb21ldGhldXMS"
        "BAiw2wEaCgoIL21ldHJpY3MiBgoEaHR0cA==",
    ),
    "without an id": (
        "CgsKCTEyNy4wLjAuMRABGgUKAzEuMA==",
        "CgQIwJoMEhEKD2V4ZWN1dGUgc3VjY2VzcxoNCgsKCTEyNy4wLjAuMQ==",
    ),
}


@pytest.mark.parametrize(("sent", "answered"), RECORDED.values(), ids=RECORDED)
def test_recorded_reports_are_answered_byte_by_byte(server: Reporting, sent: str, answered: str) -> None:
    answer = server.report(v1.Client.FromString(base64.b64decode(sent)))
    assert answer.SerializeToString() == base64.b64decode(answered)
