"""Files of the configuration centre as applications use them: read, watched, gray for some, encrypted, written, listed."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ..conftest import build
from ..server import Server
from ..waiting import until
from .console import SUCCESS, Console, Document
from .members import RECOVERS_WITHIN_S, SDKS, Member

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]

# A library that waits already takes a further file along when its watch ends, which is held for 30 s.
TOLD_WITHIN_S = 45
# So every member waits for a file of its own too, whose release ends the watch.
BELLS = "bells"
ON_GRPCIO = frozenset({"test_a_file_is_read_and_its_changes_are_told"})
"""Told once more with grpcio under the port."""
GO = [name for name in SDKS if name.startswith("polaris-go")]
LABELS = "env=beta,zone=a"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Place:
    """A server, and the members that ask it."""

    server: Server
    console: Console
    folder: Path
    members: dict[str, Member]

    def member(self, name: str) -> Member:
        """A client of the configuration centre, started when it is first needed."""
        if name not in self.members:
            client = SDKS[name]
            build(client.program)
            ports = self.server.ports
            made = Member(
                client,
                f"127.0.0.1:{ports['service-grpc']}",
                self.folder,
                *("--config", f"127.0.0.1:{ports['config-grpc']}", "--labels", LABELS),
            )
            made.talker.launch()
            made.talker.greet()
            self.members[name] = made
            self.ring(made)
            made.ask("file-watch", group=BELLS, file=name)
        return self.members[name]

    def ring(self, member: Member) -> None:
        """End its watch."""
        self.write(BELLS, member.name, str(next(_numbers)))
        self.release(BELLS, member.name)

    def watch(self, member: Member, group: str, file: str) -> str:
        """What a file says; from now on the member notes its changes."""
        content: str = member.ask("file-watch", group=group, file=file)["content"]
        self.ring(member)
        return content

    # ------------------------------------------------------------------ the console's side

    def post(self, path: str, body: Any) -> Document:
        found = self.console.post(f"/config/v1/{path}", body)
        assert found["code"] == SUCCESS, (path, body, found)
        return found

    def put(self, path: str, body: Any) -> Document:
        found = self.console.put(f"/config/v1/{path}", body)
        assert found["code"] == SUCCESS, (path, body, found)
        return found

    def write(self, group: str, file: str, content: str, **fields: Any) -> None:
        """A file, made or changed; not released."""
        body = {"namespace": "default", "group": group, "name": file, "content": content, **fields}
        if self.console.post("/config/v1/configfiles", body)["code"] != SUCCESS:
            assert self.console.put("/config/v1/configfiles", body)["code"] == SUCCESS

    def release(self, group: str, file: str, **fields: Any) -> None:
        self.post("configfiles/release", {"namespace": "default", "group": group, "fileName": file, **fields})

    def delete(self, group: str, file: str) -> None:
        self.post("configfiles/batchdelete", [{"namespace": "default", "group": group, "name": file}])


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "place" in metafunc.fixturenames:
        transports = ["native", "grpcio"] if metafunc.function.__name__ in ON_GRPCIO else ["native"]
        metafunc.parametrize("place", transports, indirect=True, scope="module")


@pytest.fixture(scope="module")
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp(f"config-{request.param}")
    server = Server(folder, "config-grpc", (f"apiservers.config-grpc.option.transport={request.param}",))
    server.start()
    console = Console(f"http://127.0.0.1:{server.http_port}")
    found = Place(server, console, folder, {})
    try:
        yield found
    finally:
        for member in found.members.values():
            member.talker.close()
        console.close()
        server.close()


@pytest.fixture(params=list(SDKS))
def reader(request: pytest.FixtureRequest, place: Place) -> Member:
    return place.member(request.param)


@pytest.fixture
def group() -> str:
    """A group of the test's own."""
    return f"group-{next(_numbers)}"


def changes(member: Member, group: str, file: str) -> list[str]:
    found: list[str] = member.ask("file-changes", group=group, file=file)["changes"]
    return found


def told(member: Member, group: str, file: str, content: str) -> None:
    def probe() -> bool:
        return content in changes(member, group, file)

    until(probe, TOLD_WITHIN_S, f"{member.name} is told of {content!r}")


def sees(member: Member, group: str, file: str) -> Callable[[], str]:
    return lambda: str(member.ask("file", group=group, file=file)["content"])


def test_a_file_is_read_and_its_changes_are_told(place: Place, reader: Member, group: str) -> None:
    place.write(group, "a.yaml", "a: 1")
    if reader.name != "polaris-go-1.6":  # which crashes where there is nothing yet
        assert reader.ask("file", group=group, file="a.yaml")["there"] is False, "a draft is nobody's business"
    place.release(group, "a.yaml")
    assert place.watch(reader, group, "a.yaml") in ("", "a: 1")
    until(lambda: sees(reader, group, "a.yaml")() == "a: 1", TOLD_WITHIN_S, "the release is seen")
    for content in ("a: 2", "ä: 3 — 你好\n"):
        place.write(group, "a.yaml", content)
        place.release(group, "a.yaml")
        told(reader, group, "a.yaml", content)
        assert sees(reader, group, "a.yaml")() == content


def test_a_deleted_file_is_gone_and_comes_back(place: Place, reader: Member, group: str) -> None:
    place.write(group, "a", "1")
    place.release(group, "a")
    assert place.watch(reader, group, "a") == "1"
    place.delete(group, "a")
    until(lambda: not reader.ask("file", group=group, file="a")["there"], TOLD_WITHIN_S, "it is gone")
    place.write(group, "a", "again")
    place.release(group, "a")
    told(reader, group, "a", "again")


@pytest.mark.parametrize("name", GO)
def test_a_gray_release_by_labels(place: Place, name: str, group: str) -> None:
    reader = place.member(name)
    place.write(group, "a", "full")
    place.release(group, "a")
    assert place.watch(reader, group, "a") == "full"
    place.write(group, "a", "gray")
    labels = [
        {"key": key, "value": {"type": "EXACT", "value": value}} for key, value in (("env", "beta"), ("zone", "a"))
    ]
    place.release(group, "a", name="gray", releaseType="gray", betaLabels=labels)
    told(reader, group, "a", "gray")
    place.post("configfiles/releases/stopbeta", [{"namespace": "default", "group": group, "fileName": "a"}])
    until(lambda: sees(reader, group, "a")() == "full", TOLD_WITHIN_S, "the gray release ended")


def test_a_gray_release_for_others_is_not_told(place: Place, reader: Member, group: str) -> None:
    place.write(group, "a", "full")
    place.release(group, "a")
    assert place.watch(reader, group, "a") == "full"
    place.write(group, "a", "gray")
    labels = [{"key": "CLIENT_IP", "value": {"type": "IN", "value": "10.0.0.1,10.0.0.2"}}]
    place.release(group, "a", name="gray", releaseType="gray", betaLabels=labels)
    place.post("configfiles/releases/stopbeta", [{"namespace": "default", "group": group, "fileName": "a"}])
    place.write(group, "a", "next")
    place.release(group, "a")
    told(reader, group, "a", "next")
    assert "gray" not in changes(reader, group, "a")


def test_an_encrypted_file_is_read_in_the_clear(place: Place, reader: Member, group: str) -> None:
    place.write(group, "secret", "password: 1", encrypted=True, encryptAlgo="AES")
    place.release(group, "secret")
    assert place.watch(reader, group, "secret") == "password: 1"
    shown = place.console.read("/config/v1/GetConfigFile", namespace="default", group=group, fileName="secret")
    assert "password" not in shown["configFile"]["content"]
    place.write(group, "secret", "password: 2", encrypted=True, encryptAlgo="AES")
    place.release(group, "secret")
    told(reader, group, "secret", "password: 2")


def test_a_client_creates_updates_and_publishes(place: Place, reader: Member, group: str) -> None:
    reader.ask("file-create", group=group, file="mine", content="1")
    refusal = reader.refusal("file-create", group=group, file="mine", content="1")
    assert "400201" in refusal or "existed resource" in refusal
    reader.ask("file-publish", group=group, file="mine")
    assert place.watch(reader, group, "mine") == "1"
    reader.ask("file-update", group=group, file="mine", content="2")
    reader.ask("file-publish", group=group, file="mine")
    told(reader, group, "mine", "2")
    assert reader.refusal("file-update", group=group, file="absent", content="x")
    refusal = reader.refusal("file-update", group=group, file="mine", content="x" * 20_001)
    assert "400803" in refusal or "content length too long" in refusal


def test_a_client_writes_and_publishes_at_once(place: Place, reader: Member, group: str) -> None:
    reader.ask("file-upsert", group=group, file="mine", content="1")
    until(lambda: sees(reader, group, "mine")() == "1", TOLD_WITHIN_S, "it is released")
    found = place.console.read("/config/v1/configfiles", namespace="default", group=group, name="mine")
    assert (found["configFile"]["content"], found["configFile"]["status"]) == ("1", "normal")


def test_the_files_of_a_group(place: Place, reader: Member, group: str) -> None:
    for file in ("a", "b"):
        place.write(group, file, file)
        place.release(group, file)
    place.write(group, "draft", "x")

    def names() -> list[str]:
        found: list[str] = reader.ask("file-group", group=group)["files"]
        return found

    until(lambda: names() == ["a", "b"], TOLD_WITHIN_S, "what is released is listed")
    place.release(group, "draft")
    until(lambda: names() == ["a", "b", "draft"], TOLD_WITHIN_S, "a new file is listed")
    place.delete(group, "a")
    until(lambda: names() == ["b", "draft"], TOLD_WITHIN_S, "a deleted file is not")


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_in_the_middle(place: Place, group: str, ending: signal.Signals) -> None:
    readers = [place.member(name) for name in SDKS]
    place.write(group, "a", "1")
    place.release(group, "a")
    for reader in readers:
        assert place.watch(reader, group, "a") == "1"
    place.write(group, "a", "2")
    place.release(group, "a")
    place.server.end(ending)
    place.server.start()
    for reader in readers:
        until(lambda reader=reader: sees(reader, group, "a")() == "2", RECOVERS_WITHIN_S, f"{reader.name} sees it")  # type: ignore[misc]
    place.write(group, "a", "3")
    place.release(group, "a")
    for reader in readers:
        until(lambda reader=reader: "3" in changes(reader, group, "a"), RECOVERS_WITHIN_S, f"{reader.name} is told")  # type: ignore[misc]
