"""A Spring Cloud Tencent application whose settings are files of the configuration centre: beans follow what is released."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ..conftest import build
from ..server import Server, free_port
from ..waiting import until
from .console import Console
from .members import NOTICES_WITHIN_S, RECOVERS_WITHIN_S, SPRING_CONFIG, Member
from .test_config import Place

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]

# What java/spring-config/src/main/resources names.
OWN = "live-settings"
SHOP = "live-shop"
WHOLE = "live-whole"
# The library asks for the files of a group every 5 to 10 s.
LISTED_WITHIN_S = 30
ENCRYPTED = {"encrypted": True, "encryptAlgo": "AES"}


class Application:
    """The running application, and the server's console beside it."""

    def __init__(self, place: Place, folder: Path, *arguments: str) -> None:
        self.place = place
        folder.mkdir()
        ports = place.server.ports
        config, admin = f"127.0.0.1:{ports['config-grpc']}", str(free_port())
        self.member = Member(
            SPRING_CONFIG,
            f"127.0.0.1:{ports['service-grpc']}",
            folder,
            *("--config", config, "--admin", admin, *arguments),
        )

    def release(
        self, group: str, file: str, content: str, *, draft: dict[str, Any] | None = None, **fields: Any
    ) -> None:
        """A file is written and released."""
        self.place.write(group, file, content, **(draft or {}))
        self.place.release(group, file, **fields)

    def beans(self) -> dict[str, Any]:
        """What the beans hold."""
        return self.member.ask("beans")

    def setting(self, name: str) -> str:
        """What the environment says; empty for nothing."""
        return str(self.member.ask("setting", name=name)["value"])

    def comes(self, name: str, value: str, within_s: float = NOTICES_WITHIN_S) -> None:
        """Returns when a setting has a value."""
        until(self._is(name, value), within_s, f"{name} is {value!r}")

    def shows(self, within_s: float = NOTICES_WITHIN_S, **beans: Any) -> None:
        """Returns when the beans hold these values."""
        until(lambda: beans.items() <= self.beans().items(), within_s, f"the beans hold {beans}")

    def _is(self, name: str, value: str) -> Callable[[], bool]:
        return lambda: self.setting(name) == value


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A server whose files are there before an application starts."""
    build(SPRING_CONFIG.program)
    folder = tmp_path_factory.mktemp("spring-config")
    server = Server(folder, "config-grpc")
    server.start()
    console = Console(f"http://127.0.0.1:{server.http_port}")
    found = Place(server, console, folder, {})
    try:
        for group, file, content, fields in (
            (OWN, "application.yml", "greeting: hello\n", {}),
            (SHOP, "shop.yaml", "shop: {sign: open, title: Ä, tables: 1}\n", {}),
            (SHOP, "shop.properties", "till.first=1\n", {}),
            (SHOP, "secret.yaml", "secret: s1\n", ENCRYPTED),
            (WHOLE, "first.yaml", "shop.sign: whole\n", {}),
        ):
            found.write(group, file, content, **fields)
            found.release(group, file)
        yield found
    finally:
        console.close()
        server.close()


@pytest.fixture(scope="module")
def both(place: Place) -> Iterator[dict[str, Application]]:
    """The application by either way, started at the same time."""
    started = {
        "imported": Application(place, place.folder / "imported"),
        "bootstrap": Application(place, place.folder / "bootstrap", "--bootstrap", "yes"),
    }
    try:
        for one in started.values():
            one.member.talker.launch()
        for one in started.values():
            one.member.talker.greet()
        yield started
    finally:
        for one in started.values():
            one.member.talker.close()


@pytest.fixture
def application(both: dict[str, Application]) -> Application:
    """Imports its settings, as Spring Boot has it."""
    return both["imported"]


def test_settings_are_there_from_the_start(application: Application) -> None:
    assert application.beans() == {"sign": "open", "title": "Ä", "tables": 1}
    names = ("greeting", "till.first", "secret")
    assert [application.setting(name) for name in names] == ["hello", "1", "s1"]


def test_a_release_changes_the_beans(application: Application) -> None:
    application.release(SHOP, "shop.yaml", "shop: {sign: closed, title: 商店, tables: 2}\n")
    application.shows(sign="closed", title="商店", tables=2)
    application.release(SHOP, "shop.yaml", "shop: {title: no sign, tables: 2}\n")
    application.shows(sign="nothing", title="no sign")
    application.release(SHOP, "shop.properties", "till.second=2\n")
    application.comes("till.second", "2")
    assert application.setting("till.first") == ""
    application.release(OWN, "application.yml", "greeting: good evening\n")
    application.comes("greeting", "good evening")


def test_a_rollback_brings_the_old_settings_back(application: Application) -> None:
    application.release(SHOP, "shop.yaml", "shop: {sign: before, tables: 3}\n", name="before")
    application.shows(sign="before", tables=3)
    application.release(SHOP, "shop.yaml", "shop: {sign: after, tables: 4}\n", name="after")
    application.shows(sign="after", tables=4)
    back = {"namespace": "default", "group": SHOP, "fileName": "shop.yaml", "name": "before"}
    application.place.put("configfiles/releases/rollback", [back])
    application.shows(sign="before", tables=3)
    application.release(SHOP, "shop.yaml", "shop: {sign: anew, tables: 5}\n")
    application.shows(sign="anew", tables=5)


def test_a_gray_release_for_its_address(application: Application) -> None:
    """The library says no labels when it reads, so its address is what it can be told by."""
    application.release(SHOP, "shop.yaml", "shop.sign: full\n")
    application.shows(sign="full")
    mine = [{"key": "CLIENT_IP", "value": {"type": "EXACT", "value": "127.0.0.1"}}]
    application.release(SHOP, "shop.yaml", "shop.sign: gray\n", name="mine", releaseType="gray", betaLabels=mine)
    application.shows(sign="gray")
    stop = {"namespace": "default", "group": SHOP, "fileName": "shop.yaml"}
    application.place.post("configfiles/releases/stopbeta", [stop])
    application.shows(sign="full")
    others = [{"key": "CLIENT_IP", "value": {"type": "IN", "value": "10.0.0.1,10.0.0.2"}}]
    application.release(SHOP, "shop.yaml", "shop.sign: theirs\n", name="o", releaseType="gray", betaLabels=others)
    application.release(SHOP, "shop.properties", "till.bell=rung\n")
    application.comes("till.bell", "rung")
    assert application.beans()["sign"] == "full"
    application.place.post("configfiles/releases/stopbeta", [stop])


def test_an_encrypted_file_changes(application: Application) -> None:
    application.release(SHOP, "secret.yaml", "secret: s2\n", draft=ENCRYPTED)
    application.comes("secret", "s2")
    kept = application.place.console.read(
        "/config/v1/GetConfigFile", namespace="default", group=SHOP, fileName="secret.yaml"
    )
    assert "secret" not in kept["configFile"]["content"]


def test_a_deleted_file_leaves_its_settings(application: Application) -> None:
    """The library keeps what it had ("empty protection"); the change of another file tells that it was asked meanwhile."""
    application.release(SHOP, "shop.yaml", "shop.sign: last\n")
    application.shows(sign="last")
    application.place.delete(SHOP, "shop.yaml")
    application.release(SHOP, "shop.properties", "till.bell=again\n")
    application.comes("till.bell", "again")
    assert application.beans()["sign"] == "last"
    application.release(SHOP, "shop.yaml", "shop.sign: returned\n")
    application.shows(sign="returned")


def test_a_whole_group_by_the_bootstrap_context(both: dict[str, Application]) -> None:
    application = both["bootstrap"]
    assert application.beans()["sign"] == "whole"
    assert application.setting("greeting"), "its own file is read this way too"
    application.release(WHOLE, "second.yaml", "till.second: 2\n")
    application.comes("till.second", "2", LISTED_WITHIN_S)
    application.release(WHOLE, "first.yaml", "shop.sign: changed\n")
    application.shows(LISTED_WITHIN_S, sign="changed")


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_in_the_middle(application: Application, ending: signal.Signals) -> None:
    server, name = application.place.server, ending.name
    application.release(SHOP, "shop.yaml", f"shop.sign: before {name}\n")
    server.end(ending)
    assert application.beans(), "it goes on"
    server.start()
    application.shows(RECOVERS_WITHIN_S, sign=f"before {name}")
    application.release(SHOP, "shop.yaml", f"shop.sign: after {name}\n")
    application.shows(RECOVERS_WITHIN_S, sign=f"after {name}")
