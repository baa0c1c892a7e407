"""Plugin ``cmdb``: what is read from another system, against one that really listens."""

from __future__ import annotations

import asyncio
import http.server
import ipaddress
import json
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polaris_bridge import testing
from polaris_bridge.core.model import Location
from polaris_bridge.runtime.plugins import cmdb
from polaris_bridge.runtime.plugins.cmdb import Atlas, Entry, LoadFailed, Locations, Page, Place, read_all

TOKEN = "s3cret"
Answer = Callable[[dict[str, Any]], tuple[int, bytes]]


def entry(ip: str, type: str, region: str, zone: str = "", campus: str = "") -> dict[str, Any]:
    """A line as the other system writes it, with attributes nobody asked for."""
    return {
        "ip": ip,
        "type": type,
        "region": {"name": region, "metadata": {"id": 7}},
        "zone": {"name": zone},
        "campus": {"name": campus, "metadata": {}},
        "owner": "somebody",
    }


class System:
    """Another system: answers pages of what it holds, and remembers what it was asked."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self.asked: list[dict[str, Any]] = []
        self.heard: list[dict[str, str]] = []
        self.answer: Answer = self.page
        system = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                system.heard.append({name.lower(): value for name, value in self.headers.items()})
                system.asked.append(body)
                status, answer = system.answer(body)
                self.send_response(status)
                if status == 302:
                    self.send_header("location", answer.decode())
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/cmdb?x=1"

    def page(self, body: dict[str, Any]) -> tuple[int, bytes]:
        first = (body["page_no"] - 1) * body["page_size"]
        data = self.entries[first : first + body["page_size"]]
        return 200, json.dumps({"code": 200000, "total": len(self.entries), "size": len(data), "data": data}).encode()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def system() -> Iterator[System]:
    made = System()
    yield made
    made.close()


class Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def logger(lines: Lines) -> logging.Logger:
    made = logging.Logger("test", logging.INFO)
    made.addHandler(lines)
    return made


async def until(locations: Locations, condition: Callable[[], object]) -> None:
    """Wait load by load."""
    over = asyncio.Event()
    locations.finished.append(over.set)
    while not condition():
        over.clear()
        await over.wait()
    locations.finished.remove(over.set)


async def loaded(locations: Locations, loads: int) -> None:
    """Wait until so many loads are over."""
    await until(locations, lambda: locations.loads >= loads)


async def test_all_pages_are_read_with_the_token(system: System) -> None:
    system.entries = [entry(f"10.0.{i // 256}.{i % 256}", "host", f"r{i}") for i in range(250)]
    locations = Locations(system.url, TOKEN)
    assert locations.locate("10.0.0.249") is None
    locations.start()
    await loaded(locations, 1)
    locations.stop()
    assert [(a["page_no"], a["page_size"]) for a in system.asked] == [(1, 100), (2, 100), (3, 100)]
    assert len({a["request_id"] for a in system.asked}) == 1
    assert {h["authorization"] for h in system.heard} == {TOKEN}
    assert {h["content-type"] for h in system.heard} == {"application/json"}
    assert len(locations.hosts()) == 250
    assert locations.locate("10.0.0.249") == Location("r249")


FAILURES: dict[str, Callable[[System], Answer]] = {
    "refused": lambda _system: lambda _body: (200, b'{"code": 401000, "info": "go away"}'),
    "status": lambda _system: lambda _body: (500, b""),
    "no JSON": lambda _system: lambda _body: (200, b"<html>"),
    "another shape": lambda _system: lambda _body: (200, b'{"code": 200000, "total": "many"}'),
    "redirected": lambda system: lambda _body: (302, system.url.encode()),
    "second page is missing": lambda system: (
        lambda body: system.page(body) if body["page_no"] == 1 else (200, b'{"code": 200000, "total": 300}')
    ),
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
async def test_a_failed_load_keeps_the_last(system: System, failure: Callable[[System], Answer]) -> None:
    lines = Lines()
    system.entries = [entry("10.0.0.1", "host", "old", "z", "c")]
    locations = Locations(system.url, TOKEN, 0.0, logger(lines))
    assert locations._interval_s == 1.0
    locations._interval_s = 0.0
    locations.start()
    await loaded(locations, 1)
    system.answer = failure(system)
    system.entries = [entry(f"10.0.1.{i}", "host", "new") for i in range(200)]
    await until(locations, lambda: lines.lines)
    assert "the last ones stay" in lines.lines[0]
    assert locations.locate("10.0.0.1") == Location("old", "z", "c")
    assert locations.locate("10.0.1.7") is None
    system.answer = system.page
    await until(locations, lambda: locations.locate("10.0.1.7"))
    locations.stop()
    assert locations.locate("10.0.0.1") is None
    assert not any(TOKEN in line for line in lines.lines)


async def test_a_server_tells_clients_and_instances_where_they_are(system: System) -> None:
    system.entries = [entry("10.0.0.1", "host", "south", "z1", "c1"), entry("10.0.0.0/8", "mask", "wide")]
    sets = [f"plugin.cmdb={{name: memory, option: {{url: '{system.url}', token: {TOKEN}}}}}"]
    async with testing.server(sets=sets) as running, httpx.AsyncClient(base_url=running.front) as client:
        locations = running.server._locations
        assert locations is not None
        await loaded(locations, 1)
        assert {h["authorization"] for h in system.heard} == {TOKEN}
        info = (await client.get("/maintain/v1/cmdb/info")).json()
        assert info == [
            {
                "IP": "10.0.0.1",
                "Region": "south",
                "Zone": "z1",
                "Campus": "c1",
                "RegionID": 0,
                "ZoneID": 0,
                "CampusID": 0,
            }
        ]
        here = {"region": "south", "zone": "z1", "campus": "c1"}
        for id in ({}, {"id": "c1"}):
            answer = await client.post("/v1/ReportClient", json={"host": "10.0.0.1", **id})
            assert answer.json()["client"]["location"] == here
        place = {"service": "s", "namespace": "default", "port": 80}
        said = {"location": {"region": "said", "zone": "", "campus": ""}}
        for more in ({"host": "10.0.0.1"}, {"host": "10.0.0.2"}, {"host": "10.0.0.3", **said}, {"host": "11.0.0.1"}):
            assert (await client.post("/v1/RegisterInstance", json={**place, **more})).status_code == 200
        listed = (await client.get("/naming/v1/instances?namespace=default&service=s")).json()["instances"]
        assert {i["host"]: i["location"] and i["location"]["region"] for i in listed} == {
            "10.0.0.1": "south", "10.0.0.2": "wide", "10.0.0.3": "said", "11.0.0.1": None,
        }  # fmt: skip


async def test_nobody_listens_there() -> None:
    lines = Lines()
    system = System()
    url = system.url
    system.close()
    locations = Locations(url, TOKEN, logger=logger(lines))
    locations.start()
    await loaded(locations, 1)
    locations.stop()
    assert locations.locate("10.0.0.1") is None
    assert len(lines.lines) == 1
    assert "refused" in lines.lines[0]


async def test_a_page_without_end_is_given_up(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cmdb, "MAX_PAGE_BYTES", 1000)
    lines = Lines()
    system.answer = lambda _body: (200, b'{"info": "' + b"x" * 10_000 + b'"}')
    locations = Locations(system.url, TOKEN, logger=logger(lines))
    locations.start()
    await loaded(locations, 1)
    locations.stop()
    assert "more than 1000 bytes" in lines.lines[0]


async def test_after_the_stop_nothing_changes(system: System) -> None:
    system.entries = [entry("10.0.0.1", "host", "r")]
    began, go_on = threading.Event(), threading.Event()

    def slow(body: dict[str, Any]) -> tuple[int, bytes]:
        began.set()
        go_on.wait(10)
        return system.page(body)

    system.answer = slow
    locations = Locations(system.url)
    locations.start()
    await asyncio.to_thread(began.wait, 10)
    locations.stop()
    go_on.set()
    for thread in threading.enumerate():
        if thread.name == "cmdb":
            await asyncio.to_thread(thread.join, 10)
    await asyncio.sleep(0)
    assert (locations.loads, locations.locate("10.0.0.1")) == (0, None)


async def test_without_an_address_nothing_is_asked() -> None:
    locations = Locations("", TOKEN)
    locations.start()
    locations.stop()
    assert locations.locate("10.0.0.1") is None


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/y", "/relative", "cmdb.example"])
def test_only_http_is_spoken(url: str) -> None:
    with pytest.raises(ValueError, match="http"):
        Locations(url)


def atlas(*entries: tuple[str, str, str]) -> Atlas:
    return Atlas(Entry(ip, type, Place(region)) for ip, type, region in entries)


def region(found: Location | None) -> str | None:
    return None if found is None else found.region


def test_a_host_goes_before_the_longest_mask_before_the_backoff() -> None:
    known = atlas(
        ("10.0.0.0/8", "mask", "wide"),
        ("10.1.0.0/16", "mask", "narrow"),
        ("10.1.2.3", "host", "exact"),
        ("vm-7", "host", "named"),
        ("fd00::/8", "mask", "six"),
        ("FD00::0:1", "host", "six exactly"),
        ("", "backoff", "elsewhere"),
    )
    for ip, expected in {
        "10.1.2.3": "exact",
        "10.1.2.4": "narrow",
        "10.2.2.4": "wide",
        "11.0.0.1": "elsewhere",
        "::ffff:10.1.2.3": "exact",
        "::ffff:10.2.0.1": "wide",
        "fd00::1": "six exactly",
        "fd00:0:0::1": "six exactly",
        "fd00::2": "six",
        "fe80::1": "elsewhere",
        "vm-7": "named",
        "vm-8": "elsewhere",
        "": "elsewhere",
    }.items():
        assert region(known.locate(ip)) == expected, ip


def test_without_a_backoff_the_rest_is_unknown() -> None:
    known = atlas(("10.0.0.0/8", "mask", "a"), ("0.0.0.0/0", "mask", ""))
    assert region(known.locate("10.0.0.1")) == "a"
    assert known.locate("11.0.0.1") is None
    assert known.locate("vm") is None


def test_entries_that_say_nothing_are_left_out() -> None:
    known = atlas(
        ("10.0.0.0/40", "mask", "x"), ("10.0.0.1", "mask", "x"), ("1.2.3.4", "hots", "x"), ("", "host", "x"),
        ("1.2.3.4", "host", "y"),
    )  # fmt: skip
    assert known.ignored == ["mask 10.0.0.0/40", "mask 10.0.0.1", "hots 1.2.3.4", "host"]
    assert region(known.locate("1.2.3.4")) == "y"


networks = st.builds(
    lambda number, length: ipaddress.ip_network((number, length), strict=False),
    st.integers(0, 2**32 - 1),
    st.integers(0, 32),
)


@given(st.lists(networks, max_size=12, unique=True), st.integers(0, 2**32 - 1))
def test_masks_agree_with_asking_each(found: list[ipaddress.IPv4Network], number: int) -> None:
    known = Atlas(Entry(str(n), "mask", Place(str(n))) for n in found)
    address = ipaddress.IPv4Address(number)
    inside = [n for n in found if address in n]
    expected = str(max(inside, key=lambda n: n.prefixlen)) if inside else None
    assert region(known.locate(str(address))) == expected


def test_a_list_that_shrinks_meanwhile_ends() -> None:
    pages = [
        Page(code=200000, total=300, data=[Entry("1.1.1.1", "host")] * 100),
        Page(code=200000, total=100, data=[]),
    ]
    assert len(list(read_all(lambda number: pages[number - 1]))) == 100


def test_a_list_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cmdb, "MAX_ENTRIES", 1000)
    endless = Page(code=200000, total=2**40, data=[Entry("1.1.1.1", "host")] * 100)
    with pytest.raises(LoadFailed, match="more than 1000"):
        list(read_all(lambda _number: endless))
