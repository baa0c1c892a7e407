"""The server's own page in a real browser: what people see who open the port."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest

from ..conftest import lacking
from ..server import Server

pytestmark = pytest.mark.live

QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("page"), "service-eureka")
    running.start()
    for app, id, status in (("SHOP", "shop-1", "UP"), ("SHOP", "shop-2", "DOWN"), ("STOCK", "<b>stock</b>", "UP")):
        instance = {
            "instanceId": id,
            "hostName": "localhost",
            "app": app,
            "ipAddr": "127.0.0.1",
            "status": status,
            "statusPageUrl": "http://localhost:8080/info",
            "dataCenterInfo": {
                "@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo",
                "name": "MyOwn",
            },
        }
        answer = httpx.post(f"http://127.0.0.1:{running.port}/eureka/apps/{app}", json={"instance": instance})
        assert answer.status_code == 204
    yield running
    running.close()


class Page(HTMLParser):
    """Text of all cells, row by row, and all links."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.links: list[str] = []
        self._in_cell = False
        self.feed(document)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self._in_cell = True
            self.rows[-1].append("")
        elif tag == "a":
            self.links.append(dict(attrs).get("href") or "")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._in_cell = False

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self.rows[-1][-1] += data


def in_browser(url: str, folder: Path, *more: str) -> str:
    """The document as the browser has it after loading."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        lacking("no chromium")
    command = [chromium, *QUIET, f"--user-data-dir={folder}", *more, url]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def test_home_shows_applications_and_state(server: Server, tmp_path: Path) -> None:
    page = Page(in_browser(f"http://127.0.0.1:{server.port}/", tmp_path / "profile", "--dump-dom"))
    facts = {row[0]: row[1] for row in page.rows if len(row) == 2}
    assert facts["Lease expiration enabled"] == "true"
    assert re.fullmatch(r"\d\d:\d\d:\d\d", facts["Uptime"])
    applications = {row[0]: row for row in page.rows if len(row) == 4}
    assert applications["SHOP"][1] == "n/a (2)"
    assert "UP (1) - shop-1" in applications["SHOP"][3]
    assert "DOWN (1) - shop-2" in applications["SHOP"][3]
    assert "<b>stock</b>" in applications["STOCK"][3], "markup of a client is text"
    assert "http://localhost:8080/info" in page.links


def test_last_changes(server: Server, tmp_path: Path) -> None:
    page = Page(in_browser(f"http://127.0.0.1:{server.port}/lastn", tmp_path / "profile", "--dump-dom"))
    assert {"SHOP(shop-1)", "SHOP(shop-2)"} <= {row[1] for row in page.rows}


def test_it_can_be_looked_at(server: Server, tmp_path: Path) -> None:
    picture = tmp_path / "home.png"
    in_browser(
        f"http://127.0.0.1:{server.port}/", tmp_path / "profile", f"--screenshot={picture}", "--window-size=1280,900"
    )
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size > 10_000, "not an empty page"
