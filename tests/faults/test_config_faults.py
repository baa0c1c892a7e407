"""The configuration centre of a server that is killed while files are published at five hundred a second."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import grpc
import pytest
from child import Child, ask, until
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from polaris_bridge.adapters import ADAPTERS
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.config.model import PUBLISH, FileKey
from polaris_bridge.core.ports import ExtTypes
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.terms import Terms
from polaris_bridge.storage import open_store

KILLS = 2 * int(os.environ.get("SOAK_FACTOR", "1"))
PUBLISHERS = 5
FILES_EACH = 4
PER_SECOND = 500
GROUP = "g"


def content(name: str, number: int) -> str:
    """That shows whether it is whole: a head, a body as long as the head says, its digest."""
    body = f"{name}:{number};" * (1 + number * 7 % 200)
    return f"{number}\n{len(body)}\n{body}\n{hashlib.md5(body.encode()).hexdigest()}"


def number_in(text: str) -> int:
    """The number of a content. AssertionError when it is not whole."""
    number, size, body, digest = text.split("\n")
    assert (len(body), hashlib.md5(body.encode()).hexdigest()) == (int(size), digest), "half a content"
    return int(number)


def names() -> list[str]:
    return [f"file-{n}" for n in range(PUBLISHERS * FILES_EACH)]


def key(name: str) -> FileKey:
    return FileKey("default", GROUP, name)


@dataclass
class Witnesses:
    """What clients were told."""

    sent: dict[str, int] = field(default_factory=dict)
    """File -> the last number that was sent."""
    acknowledged: dict[str, list[int]] = field(default_factory=lambda: {name: [] for name in names()})
    read: dict[tuple[str, int], str] = field(default_factory=dict)
    """File and version -> md5, as a native client read them."""
    faults: list[str] = field(default_factory=list)

    def newest(self, name: str) -> int:
        """The highest version that anybody read."""
        return max((version for file, version in self.read if file == name), default=0)


class Publisher(threading.Thread):
    """A Nacos client that publishes a few files in turns, each time with a higher number, until the server is gone."""

    def __init__(self, child: Child, index: int, seen: Witnesses) -> None:
        super().__init__(daemon=True)
        self._port = child.nacos
        self._files = names()[index * FILES_EACH : (index + 1) * FILES_EACH]
        self._seen = seen

    def run(self) -> None:
        try:
            self._publish()
        except (OSError, http.client.HTTPException):
            return  # it was killed
        except Exception as error:  # a test of its own must see it
            self._seen.faults.append(repr(error))

    def _publish(self) -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)) as connection:
            self._publish_by(connection)

    def _publish_by(self, connection: http.client.HTTPConnection) -> None:
        due = time.monotonic()
        while True:
            for name in self._files:
                number = self._seen.sent.get(name, 0) + 1
                self._seen.sent[name] = number
                form = urlencode({"dataId": name, "group": GROUP, "content": content(name, number)})
                headers = {"Content-Type": "application/x-www-form-urlencoded"}
                connection.request("POST", "/nacos/v1/cs/configs", form, headers)
                with connection.getresponse() as answer:
                    text = answer.read()
                assert (answer.status, text) == (200, b"true"), text
                self._seen.acknowledged[name].append(number)
                due += PUBLISHERS / PER_SECOND
                time.sleep(max(0.0, due - time.monotonic()))


class Reader(threading.Thread):
    """A native client that reads all files again and again."""

    def __init__(self, child: Child, seen: Witnesses) -> None:
        super().__init__(daemon=True)
        self._port = child.front
        self._seen = seen

    def run(self) -> None:
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)) as connection:
                while True:
                    for name in names():
                        self._take(name, read(connection, name))
        except (OSError, http.client.HTTPException):
            return
        except Exception as error:  # a test of its own must see it
            self._seen.faults.append(repr(error))

    def _take(self, name: str, found: tuple[int, str, str] | None) -> None:
        if found is None:
            return
        version, md5, text = found
        number = number_in(text)
        assert md5 == hashlib.md5(text.encode()).hexdigest()
        assert number <= self._seen.sent[name]
        assert version >= self._seen.newest(name), "a version went back"
        assert self._seen.read.setdefault((name, version), md5) == md5, "a version was used twice"


def read(connection: http.client.HTTPConnection, name: str) -> tuple[int, str, str] | None:
    """Version, md5 and content, as a native client gets them; None: there is none."""
    asked = urlencode({"namespace": "default", "group": GROUP, "fileName": name})
    connection.request("GET", f"/config/v1/GetConfigFile?{asked}")
    with connection.getresponse() as answer:
        body = json.loads(answer.read())
    if body["code"] == 400202:
        return None
    assert body["code"] == 200000, body
    file = body["configFile"]
    return int(file["version"]), file["md5"], file["content"]


@pytest.fixture
def seen() -> Iterator[Witnesses]:
    found = Witnesses()
    yield found
    assert found.faults == []


@pytest.mark.parametrize("seed", range(KILLS))
def test_a_kill_in_the_middle_of_publications_loses_and_breaks_nothing(
    tmp_path: Path, seed: int, seen: Witnesses
) -> None:
    enough = random.Random(seed).randrange(300, 1200)
    child = Child(tmp_path)
    try:
        for _ in range(2):
            threads = [*(Publisher(child, n, seen) for n in range(PUBLISHERS)), Reader(child, seen)]
            before = sum(map(len, seen.acknowledged.values()))
            for thread in threads:
                thread.start()
            until(lambda n=before + enough: sum(map(len, seen.acknowledged.values())) >= n, 60, "publications")
            child.end(signal.SIGKILL)
            for thread in threads:
                thread.join(20)
                assert not thread.is_alive()
            assert seen.faults == []
            child = Child(tmp_path)
            look_again(child, seen)
    finally:
        child.end(signal.SIGKILL)
    look_inside(tmp_path / "data" / "polaris-bridge.db", seen)


def publish(child: Child, name: str, text: str) -> tuple[int, bytes]:
    """As a Nacos client."""
    form = urlencode({"dataId": name, "group": GROUP, "content": text}).encode()
    return ask(child.nacos, "POST", "/nacos/v1/cs/configs", form, {"Content-Type": "application/x-www-form-urlencoded"})


def told_native(child: Child, name: str) -> tuple[int, str, str] | None:
    """As a native client reads it now."""
    connection = http.client.HTTPConnection("127.0.0.1", child.front, timeout=10)
    try:
        return read(connection, name)
    finally:
        connection.close()


def test_while_the_disk_is_full_nothing_is_published_and_nothing_lost(tmp_path: Path) -> None:
    child = Child(tmp_path)
    try:
        assert publish(child, "a", "before") == (200, b"true")
        with child.full_disk():
            status, body = publish(child, "a", "meanwhile")
            assert status >= 500, body
            assert publish(child, "new", "meanwhile")[0] >= 500
            found = told_native(child, "a")
            assert found is not None
            assert found[2] == "before"
            assert told_native(child, "new") is None
        until(lambda: publish(child, "a", "after")[0] == 200, 20, "a publication once there is room")
        found = told_native(child, "a")
        assert found is not None
        assert found[2] == "after"
        version = found[0]
        child.end(signal.SIGKILL)
        child = Child(tmp_path)
        found = told_native(child, "a")
        assert found is not None
        assert (found[0], found[2]) == (version, "after")
    finally:
        child.end(signal.SIGKILL)


def test_of_those_who_compare_and_set_at_once_one_wins_each_round(tmp_path: Path) -> None:
    child = Child(tmp_path)
    try:
        winner = "0"
        assert publish(child, "a", winner) == (200, b"true")
        for n in range(10):
            md5 = hashlib.md5(winner.encode()).hexdigest()
            with ThreadPoolExecutor(8) as pool:
                texts = [f"{n + 1} by {who}" for who in range(8)]
                results = list(pool.map(lambda text, md5=md5: compare_and_set(child, text, md5), texts))
            assert sorted(status for status, _ in results) == [200] + [500] * 7
            winner = texts[[status for status, _ in results].index(200)]
            found = told_native(child, "a")
            assert found is not None
            assert (found[0], found[2]) == (n + 2, winner)
    finally:
        child.end(signal.SIGKILL)


def compare_and_set(child: Child, text: str, md5: str) -> tuple[int, bytes]:
    form = urlencode({"dataId": "a", "group": GROUP, "content": text}).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded", "casMd5": md5}
    return ask(child.nacos, "POST", "/nacos/v1/cs/configs", form, headers)


def test_an_encrypted_file_survives_a_kill_right_after_its_acknowledgement(tmp_path: Path) -> None:
    child = Child(tmp_path)
    try:
        m = v1.ConfigFilePublishInfo(
            content={"value": "password"}, encrypted={"value": True}, encrypt_algo={"value": "AES"}
        )
        m.namespace.value, m.group.value, m.file_name.value = key("secret")
        with grpc.insecure_channel(f"127.0.0.1:{child.config}") as channel:
            call = channel.unary_unary("/v1.PolarisConfigGRPC/UpsertAndPublishConfigFile")
            answer = v1.ConfigClientResponse.FromString(call(m.SerializeToString(), timeout=10))
        assert answer.code.value == 200000
        child.end(signal.SIGKILL)
        assert (tmp_path / "data" / "config.key").stat().st_mode & 0o777 == 0o600
        child = Child(tmp_path)
        assert "cannot be read" not in child.output
        connection = http.client.HTTPConnection("127.0.0.1", child.front, timeout=10)
        asked = urlencode({"namespace": "default", "group": GROUP, "fileName": "secret"})
        connection.request("GET", f"/config/v1/GetConfigFile?{asked}")
        file = json.loads(connection.getresponse().read())["configFile"]
        connection.close()
        tags = {tag["key"]: tag["value"] for tag in file["tags"]}
        data_key = base64.b64decode(tags["internal-datakey"])
        decryptor = Cipher(algorithms.AES(data_key), modes.CBC(data_key)).decryptor()
        plain = decryptor.update(base64.b64decode(file["content"])) + decryptor.finalize()
        assert plain[: -plain[-1]] == b"password"
        child.end(signal.SIGKILL)
        (tmp_path / "data" / "config.key").unlink()
        child = Child(tmp_path)
        assert child.output.count("cannot be read") == 1
        connection = http.client.HTTPConnection("127.0.0.1", child.front, timeout=10)
        connection.request("GET", f"/config/v1/GetConfigFile?{asked}")
        assert json.loads(connection.getresponse().read())["code"] not in (200000, 400202)
        connection.close()
        assert not (tmp_path / "data" / "config.key").exists()
    finally:
        child.end(signal.SIGKILL)


def look_again(child: Child, seen: Witnesses) -> None:
    """What clients find after a kill: nothing older than what they were told."""
    connection = http.client.HTTPConnection("127.0.0.1", child.front, timeout=10)
    for name in names():
        found = read(connection, name)
        if found is None:
            assert not seen.acknowledged[name]
            assert not seen.newest(name)
            continue
        version, md5, text = found
        number = number_in(text)
        assert max(seen.acknowledged[name], default=0) <= number <= seen.sent[name]
        assert version >= seen.newest(name)
        assert seen.read.setdefault((name, version), md5) == md5
    connection.close()


def look_inside(path: Path, seen: Witnesses) -> None:
    """What the store keeps: every acknowledged release whole, every version that was read, none twice."""
    registry = opened(path)
    config = registry.config
    for name in names():
        entries = [e for e in config.history.of(key(name), limit=1_000_000).entries if e.operation == PUBLISH]
        kept = {number_in(config.history.content(entry).decode()) for entry in entries}
        assert set(seen.acknowledged[name]) <= kept
        versions = {entry.version: entry.text.md5 for entry in entries}
        assert len(versions) == len(entries), "a version was used twice"
        assert {version: md5 for (file, version), md5 in seen.read.items() if file == name}.items() <= versions.items()
        numbers = [number_in(config.history.content(e).decode()) for e in sorted(entries, key=lambda e: e.version)]
        assert numbers == sorted(numbers), "in the order in which they were published"
        releases = {release.name: release for release in config.reading.releases(key(name))}
        assert {entry.release for entry in entries} == set(releases)
        for release in releases.values():
            number_in(config.reading.content(release.text).decode())


class Clock:
    def monotonic(self) -> float:
        return time.monotonic()

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000


class Never:
    def soon(self, run: object) -> None:
        """Nothing is to be done here."""

    def later(self, delay_s: float, run: object) -> None:
        """Nothing is to be done here."""


def opened(path: Path) -> Registry:
    types = ExtTypes()
    for adapter in ADAPTERS:
        types.declare(adapter.source, adapter.ext, adapter.marks)
    store = open_store(
        "sqlite", path=path, synchronous="normal", ext_types=types, post=lambda call: None, unique=lambda: "n",
        wall_ms=Clock().wall_ms,
    )  # fmt: skip
    registry = Registry(store, Clock(), Never(), Terms())
    registry.load()
    store.close()
    return registry
