"""The benchmarks' pure pieces: what /proc says, the table, the made-up fleet, the plain HTTP connection."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import re
import socket
import threading
from pathlib import Path
from types import ModuleType
from urllib.parse import parse_qs, urlsplit

import pytest

from polaris_bridge.adapters.consul.wire.definitions_in import service as consul_service
from polaris_bridge.adapters.eureka.wire.decoding import decode_instance
from polaris_bridge.adapters.eureka.wire.replication import decode_batch
from polaris_bridge.adapters.nacos.wire.config import changed_line, probe, probe_text
from polaris_bridge.adapters.nacos.wire.payload import decode

BENCH = Path(__file__).resolve().parents[2] / "bench"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch):
    """Imports a benchmark's module by name, as its programs do."""
    monkeypatch.syspath_prepend(str(BENCH))

    def named(name: str) -> ModuleType:
        return importlib.import_module(name)

    return named


class Recorder:
    """In place of a connection: keeps what it was asked and answers as it is told."""

    def __init__(self, answer: object) -> None:
        self._answer = answer
        self.bodies: list[bytes] = []

    def call(self, method: str, path: str, headers: object, body: bytes) -> object:
        self.bodies.append(body)
        return self._answer


def test_a_process_has_cpu_time_and_a_size(module):
    measure, bridge = module("measure"), module("bridge")
    before = bridge.fine_cpu_seconds(os.getpid())
    while measure.cpu_seconds(os.getpid()) <= before:
        sum(range(10_000))
    assert bridge.fine_cpu_seconds(os.getpid()) == pytest.approx(measure.cpu_seconds(os.getpid()), abs=0.1)
    assert measure.rss_bytes(os.getpid()) > 5_000_000


def test_a_row_shows_ratios_and_own_share_and_leaves_out_what_is_not_known(module):
    report = module("report")
    full = report.Row("renew", "us", 30, target=60, floor=10, peer=90, spread=0.05, note="ok")
    assert full.cells() == ("renew", "us", "30", "60", "0.50", "10", "20", "90", "3.00", "5%", "ok")
    assert report.Row("x", "ms", 1.234).cells() == ("x", "ms", "1.23", "-", "-", "-", "-", "-", "-", "-", "")
    assert [report.number(n) for n in (None, 0.5, 12.34, 1234.5)] == ["-", "0.50", "12.3", "1,234"]


def test_the_table_lines_up(module):
    report = module("report")
    lines = report.report("title", [report.Row("a", "us", 1), report.Row("longer", "ms", 1000.5, note="n")]).split("\n")
    assert lines[0] == "title"
    column = lines[1].index("ours") + len("ours")
    assert [line[:column].split()[-1] for line in lines[3:]] == ["1", "1,000"]


def test_an_instance_is_a_registration_with_five_metadata_pairs(module):
    fleet = module("fleet").Fleet(300)
    info = decode_instance(fleet[257].body(17).encode(), "application/json")
    assert (info.app, info.instance_id, info.last_dirty_ms) == (fleet[257].app, fleet[257].id, 17)
    assert len(info.metadata) == 5
    assert "@" not in str(info)
    assert info.home_page_url == f"http://{fleet[257].host}:8080/"


def test_seeding_registers_every_instance_once_in_batches(module):
    answer = module("plain_http").Answer(200, b"", 0)
    recorder, fleet = Recorder(answer), module("fleet").Fleet(300)
    fleet.seed(recorder)
    batches = [decode_batch(body).items for body in recorder.bodies]
    assert list(map(len, batches)) == [250, 50]
    assert [item.id for items in batches for item in items] == [instance.id for instance in fleet]
    assert {item.action for items in batches for item in items} == {"Register"}
    assert len({item.instance.ip_addr for items in batches for item in items}) == 300


@pytest.mark.parametrize("answered", [(503, b""), (200, b'{"responseList":[{"statusCode":200},{"statusCode":500}]}')])
def test_a_refused_batch_ends_the_seeding(module, answered):
    status, body = answered
    with pytest.raises(RuntimeError, match="refused"):
        module("fleet").Fleet(2).seed(Recorder(module("plain_http").Answer(status, body, len(body))))


def test_the_script_of_a_load_names_the_same_instances(module):
    fleet = module("fleet")
    lua = fleet.Fleet(10, per_app=7, label="pay").lua()
    document = json.loads(lua.splitlines()[1].partition("= ")[2].rpartition(", ")[0].rpartition(", ")[0])
    assert set(json.loads(document)["instance"]) >= {"hostName", "metadata", "lastDirtyTimestamp"}
    assert "math.floor(n / 7)" in lua
    assert '"pay", 10' in lua


@pytest.mark.parametrize(
    ("wire", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", (200, b"hello", 5)),
        (b"HTTP/1.1 204 No Content\r\n\r\n", (204, b"", 0)),
        (b"HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n", (404, b"", 0)),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", (200, b"abcde", 5)),
    ],
)
def test_the_plain_connection_reads_one_answer_after_another(module, wire, expected):
    plain_http = module("plain_http")
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            accepted, _ = listener.accept()
            with accepted:
                accepted.recv(65536)
                for byte in wire + wire:
                    accepted.sendall(bytes([byte]))
                accepted.recv(65536)

        thread = threading.Thread(target=serve)
        thread.start()
        with plain_http.Connection(f"http://127.0.0.1:{listener.getsockname()[1]}") as connection:
            first = connection.call("GET", "/")
            second = connection.call("GET", "/")
        thread.join()
    assert (first.status, first.body, first.size) == expected
    assert second == first


def test_the_plain_connection_comes_back_when_the_server_ends_it(module):
    plain_http = module("plain_http")
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for _ in range(2):
                accepted, _ = listener.accept()
                with accepted:
                    accepted.recv(65536)
                    accepted.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx")

        thread = threading.Thread(target=serve)
        thread.start()
        with plain_http.Connection(f"http://127.0.0.1:{listener.getsockname()[1]}") as connection:
            assert [connection.call("GET", "/").body for _ in range(2)] == [b"x", b"x"]
        thread.join()


def test_a_nacos_instance_says_the_same_over_both_ways_and_needs_no_beats_for_an_hour(module):
    fleet = module("nacos_fleet").NacosFleet("orders", 300, subnet=1)
    sent = decode(fleet.register(258, "2.0"))
    body = json.loads(sent.body)
    assert (sent.type, body["serviceName"], body["type"]) == ("InstanceRequest", "orders", "registerInstance")
    query = {name: values[0] for name, values in parse_qs(urlsplit(fleet.registration(258, "2.0")).query).items()}
    assert query["serviceName"] == "DEFAULT_GROUP@@orders"
    assert (
        (query["ip"], int(query["port"])) == (body["instance"]["ip"], body["instance"]["port"]) == ("10.121.1.2", 8080)
    )
    assert json.loads(query["metadata"]) == body["instance"]["metadata"]
    assert int(body["instance"]["metadata"]["preserved.ip.delete.timeout"]) == 3_600_000
    beat = json.loads(parse_qs(fleet.beat_body(258))["beat"][0])
    assert (beat["ip"], beat["serviceName"]) == (query["ip"], query["serviceName"])


def test_what_nacos_clients_ask_is_about_the_fleet(module):
    nacos_fleet = module("nacos_fleet")
    fleet = nacos_fleet.NacosFleet("orders", 1)
    asked = [decode(message) for message in (*nacos_fleet.GREETING, fleet.query(), fleet.subscribe(False))]
    kinds = ["ServerCheckRequest", "ConnectionSetupRequest", "ServiceQueryRequest", "SubscribeServiceRequest"]
    assert [payload.type for payload in asked] == kinds
    assert [json.loads(payload.body).get("serviceName") for payload in asked] == [None, None, "orders", "orders"]
    assert json.loads(asked[3].body)["subscribe"] is False
    assert "serviceName=DEFAULT_GROUP%40%40orders" in fleet.listing


def test_a_service_registered_over_a_stream_belongs_to_one_connection(module):
    """A connection has one instance in a service: two connections that take turns would be two instances."""
    nacos_cpu = module("nacos_cpu")
    again = next(case for case in nacos_cpu._grpc_cases() if "register again" in case.what)
    names = [json.loads(decode(message).body)["serviceName"] for message in again.messages]
    by_worker = {}
    for at, name in enumerate(names):
        assert by_worker.setdefault(name, at % nacos_cpu.WORKERS) == at % nacos_cpu.WORKERS


def test_the_peer_is_named_by_its_http_port(module, monkeypatch):
    nacos_fleet = module("nacos_fleet")
    monkeypatch.delenv("PEER_NACOS", raising=False)
    assert nacos_fleet.peer_server() is None
    for given in ("http://somewhere:8848", "somewhere:8848"):
        monkeypatch.setenv("PEER_NACOS", given)
        monkeypatch.delenv("PEER_NACOS_PID", raising=False)
        peer = nacos_fleet.peer_server()
        assert (peer.base, peer.grpc, peer.pid) == ("http://somewhere:8848", "somewhere:9848", None)


def test_a_long_poll_says_what_a_client_has_of_its_files(module):
    fleet = module("config_fleet")
    wanted = fleet.files("app", 3)
    request = fleet.poll("h:1", [file.item(n) for n, file in enumerate(wanted)])
    head, _, body = request.partition(b"\r\n\r\n")
    assert int(re.search(rb"Content-Length: (\d+)", head)[1]) == len(body)
    form = parse_qs(body.decode())
    reading = probe(probe_text(form["Listening-Configs"][0]))
    with pytest.raises(StopIteration) as ended:
        next(reading)
    found = ended.value.value
    assert [(one.data_id, one.group, one.md5) for one in found] == [
        (file.data_id, "DEFAULT_GROUP", fleet.md5(file.content(n))) for n, file in enumerate(wanted)
    ]
    said = parse_qs(wanted[0].form(7))
    assert hashlib.md5(said["content"][0].encode()).hexdigest() == fleet.md5(wanted[0].content(7))
    assert fleet.told_of(wanted[0]) == changed_line(wanted[0].data_id, "DEFAULT_GROUP", "")
    assert len(fleet.File("big", 10_000).content()) == 10_000


def test_polls_are_answered_each_once_and_whole(module):
    long_polls = module("long_polls")
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            conversations = [listener.accept()[0] for _ in range(3)]
            for each in conversations:
                each.recv(100)
            for each in conversations:  # in pieces
                each.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n")
            for each in conversations:
                each.sendall(b"\r\nab")
                each.sendall(b"cd")
            done.wait(10)  # a connection that ends is one without an answer
            for each in conversations:
                each.close()

        done = threading.Event()
        thread = threading.Thread(target=serve)
        thread.start()
        with long_polls.LongPolls(f"http://127.0.0.1:{listener.getsockname()[1]}", 3) as polls:
            polls.send(lambda n: b"request %d" % n)
            assert len(polls.answers(10, b"abcd")) == 3
        done.set()
        thread.join()


def test_a_consul_instance_is_a_registration_with_one_check_that_lasts(module):
    fleet = module("consul_fleet").ConsulFleet("orders", 300, subnet=1)
    said = consul_service(fleet.registration(258, "2.0").encode())
    assert (said.id, said.name, said.address, said.port) == ("orders-00258", "orders", "10.161.1.2", 8080)
    assert said.meta["version"] == "2.0"
    (check,) = said.checks
    assert (check.ttl_ns, check.status) == (3_600_000_000_000, "passing")
    assert fleet.beat(258) == "/v1/agent/check/pass/service:orders-00258"


def test_a_blocking_read_names_what_its_client_has_seen(module):
    consul_fleet = module("consul_fleet")
    request = consul_fleet.blocking("h:1", consul_fleet.ConsulFleet("orders", 1).listing, 17)
    line, _, rest = request.partition(b"\r\n")
    assert line == b"GET /v1/health/service/orders?index=17&wait=600s HTTP/1.1"
    assert b"\r\nHost: h:1\r\n" in b"\r\n" + rest
    assert b"gzip" not in rest, "what comes is looked at"

    class Answering:
        def __init__(self, status: int, head: bytes) -> None:
            self.answer = module("plain_http").Answer(status, b"[]", 2, head)

        def call(self, *_: object) -> object:
            return self.answer

    head = b"HTTP/1.1 200 OK\r\nx-consul-Index: 18\r\n"
    assert consul_fleet.index(Answering(200, head), "/") == 18
    for wrong in (Answering(500, head), Answering(200, b"HTTP/1.1 200 OK\r\n")):
        with pytest.raises(RuntimeError):
            consul_fleet.index(wrong, "/")


def test_where_names_of_a_consul_peer_are_answered(module, monkeypatch):
    consul_fleet = module("consul_fleet")
    monkeypatch.setenv("PEER_CONSUL", "somewhere:8500")
    monkeypatch.delenv("PEER_CONSUL_PID", raising=False)
    monkeypatch.delenv("PEER_CONSUL_DNS", raising=False)
    peer = consul_fleet.peer_server()
    assert (peer.base, consul_fleet.dns_of(peer)) == ("http://somewhere:8500", ("somewhere", 8600))
    monkeypatch.setenv("PEER_CONSUL_DNS", "elsewhere:53")
    assert consul_fleet.dns_of(peer) == ("elsewhere", 53)


def test_a_load_of_questions_counts_answers_and_what_is_lost_or_wrong(module):
    dns_load = module("dns_load")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(5)

        def serve() -> None:
            for n in range(500):
                data, address = sock.recvfrom(100)
                if n == 400:
                    sock.sendto(b"\xff\xff" + data[2:], address)  # of nobody
                elif n == 401:
                    sock.sendto(data + b"longer", address)
                elif n != 402:  # this one is lost
                    sock.sendto(data, address)

        thread = threading.Thread(target=serve)
        thread.start()
        done = dns_load._load(sock.getsockname(), b"\0\0question", 1.5, 4)
        thread.join()
    assert done.answers >= 300
    assert done.wrong == 2
    assert done.lost >= 2
    assert 0 < done.p50_us <= done.p99_us
