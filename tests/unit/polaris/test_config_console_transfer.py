"""Configuration files as archives over HTTP: what is exported, and what becomes of what is uploaded."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from config_console import OK, Console, F, G, unzipped, zipped
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from http_world import document, header

from polaris_bridge.adapters._shared.exchange import Response

E = f"{F}/export"
FILES: dict[str, str | bytes] = {"ga/a.yaml": "k: v", "ga/sub/b": "text", "c.json": "{}"}
METAS = {"ga/a.yaml": {"tags": {"t": "1"}, "comment": "mc"}}


@pytest.fixture
def world() -> Console:
    return Console()


def export(world: Console, groups: list[str], names: list[str] | None = None) -> Response:
    return world.send("POST", E, {"namespace": "d", "groups": groups, "names": names or []})


def brought(answer: Response) -> dict[str, list[str]]:
    """What a report says of files: group/name by what became of them."""
    report = document(answer)
    assert report["code"] == OK, report
    return {
        kind: [f"{m['group']}/{m['name']}" for m in report[f"{kind}ConfigFiles"]]
        for kind in ("create", "skip", "overwrite")
    }


def contents(world: Console) -> dict[str, str]:
    files = world.get(f"{F}/search", namespace="d")["configFiles"]
    return {f"{m['group']}/{m['name']}": m["content"] for m in files}


# ---------------------------------------------------------------------- out


def test_a_group_and_single_files(world: Console) -> None:
    world.file("1", name="a.yaml", comment="c", tags=[{"key": "k", "value": "v"}])
    world.file("2", name="dir/b")
    world.publish("one")
    world.change("3")
    answer = export(world, ["g", "none"])
    assert header(answer, "Content-Type") == "application/zip"
    assert header(answer, "Content-Disposition") == "attachment; filename=config.zip"
    found = unzipped(answer)
    metas = json.loads(found.pop("META"))
    assert found == {"g/a.yaml": "3", "g/dir/b": "2"}, "drafts"
    assert list(found) == ["g/dir/b", "g/a.yaml"], "the newest first"
    assert metas == {"g/a.yaml": {"tags": {}, "comment": ""}, "g/dir/b": {"tags": {}, "comment": ""}}
    assert set(unzipped(export(world, ["g"], ["dir/b"]))) == {"dir/b", "META"}


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ({}, 400110),
        ({"namespace": "d"}, 400103),
        ({"namespace": "d", "groups": ["g", "h"], "names": ["a"]}, 400103),
        ({"namespace": "d", "names": ["a"]}, 400103),
        ({"namespace": "d", "groups": ["none"]}, 400807),
        ({"namespace": "d", "groups": ["none"], "names": ["a"]}, 400807),
    ],
)
def test_what_is_not_exported(world: Console, sent: object, code: int) -> None:
    answer = world.call("POST", E, sent)
    assert (answer["code"], answer["data"]) == (code, None)


def test_what_is_exported_comes_back(world: Console) -> None:
    world.file("1", comment="c", tags=[{"key": "k", "value": "v"}])
    world.file("secret", name="enc", encrypted=True, encryptAlgo="AES")
    archive = export(world, ["g"])
    assert unzipped(archive)["g/enc"] == "secret"
    assert isinstance(archive.body, bytes)
    other = Console()
    assert brought(other.upload(archive.body, namespace="d"))["create"] == ["g/enc", "g/a.yaml"]
    assert (other.got()["content"], other.got()["comment"]) == ("1", "c")
    assert other.got()["tags"] == [{"key": "k", "value": "v"}]
    assert (other.got("enc")["content"], other.got("enc")["encrypted"]) == ("secret", True)


# ---------------------------------------------------------------------- in


def test_files_come_in_as_drafts_and_are_reported(world: Console) -> None:
    archive = zipped(FILES, METAS)
    answer = world.upload(archive, namespace="d", group="gi", conflict_handling="skip")
    assert brought(answer) == {"create": ["gi/a.yaml", "gi/sub/b", "gi/c.json"], "skip": [], "overwrite": []}
    first = document(answer)["createConfigFiles"][0]
    assert {name: value for name, value in first.items() if value not in (None, [])} == {
        "name": "a.yaml", "namespace": "d", "group": "gi", "content": "k: v", "format": "yaml", "comment": "mc",
        "tags": [{"key": "t", "value": "1"}], "createBy": "Polaris", "modifyBy": "Polaris",
    }  # fmt: skip
    assert contents(world) == {"gi/a.yaml": "k: v", "gi/sub/b": "text", "gi/c.json": "{}"}
    assert [m["format"] for m in document(answer)["createConfigFiles"]] == ["yaml", "text", "json"]
    assert world.get(f"{F}/releases")["total"] == 0
    [group] = world.get(G)["configFileGroups"]
    assert (group["name"], group["comment"]) == ("gi", "auto created")


def test_files_that_are_there(world: Console) -> None:
    world.upload(zipped(FILES), namespace="d", group="gi")
    changed = zipped({"x/a.yaml": "new", "x/d": "1"})
    for policy in ("skip", "", "bogus"):
        assert (
            brought(world.upload(changed, namespace="d", group="gi", conflict_handling=policy))["skip"][0]
            == "gi/a.yaml"
        )
        assert contents(world)["gi/a.yaml"] == "k: v"
    answer = world.upload(changed, namespace="d", group="gi", conflict_handling="overwrite")
    assert brought(answer) == {"create": [], "skip": [], "overwrite": ["gi/a.yaml", "gi/d"]}
    assert contents(world)["gi/a.yaml"] == "new"


def test_an_import_is_one_transaction(world: Console) -> None:
    world.store.broken = True
    answer = document(world.upload(zipped(FILES), namespace="d", group="gi"))
    assert answer["code"] == 500001
    world.store.broken = False
    assert contents(world) == {}
    assert world.get(G)["total"] == 0
    assert [w["code"] for w in [document(world.upload(zipped(FILES), namespace="d", group="gi"))]] == [OK]


def test_bytes_are_kept(world: Console) -> None:
    world.upload(zipped({"bin": b"\xff\xfe\x00\r\n"}), namespace="d", group="g")
    [snapshot] = list(world.centre.reading.walk("d"))
    assert snapshot.file is not None
    assert world.centre.reading.content(snapshot.file.draft) == b"\xff\xfe\x00\r\n"


def test_an_encrypted_file_of_the_original(world: Console) -> None:
    key = bytes(range(16))
    padder = PKCS7(128).padder()
    padded = padder.update(b"geheim") + padder.finalize()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(key)).encryptor()
    sealed = base64.b64encode(encryptor.update(padded) + encryptor.finalize())
    tags = {
        "internal-encrypted": "true", "internal-encryptalgo": "AES", "internal-datakey": base64.b64encode(key).decode(),
        "own": "1",
    }  # fmt: skip
    metas: dict[str, Any] = {"g/enc": {"tags": tags, "comment": ""}}
    assert brought(world.upload(zipped({"g/enc": sealed}, metas), namespace="d"))["create"] == ["g/enc"]
    assert (world.got("enc")["content"], world.got("enc")["encrypted"]) == ("geheim", True)
    for wrong in ("AAAA", "!", ""):
        metas["g/enc"]["tags"]["internal-datakey"] = wrong
        answer = document(
            world.upload(zipped({"g/enc": sealed[:-8]}, metas), namespace="d", conflict_handling="overwrite")
        )
        assert answer["code"] == (400811 if wrong else OK), answer


@pytest.mark.parametrize(
    ("query", "files", "code"),
    [
        ({}, FILES, 400110),
        ({"namespace": "d"}, FILES, 400103),
        ({"namespace": "d", "group": "g"}, {"g/long": "q" * 20_001}, 400803),
        ({"namespace": "d"}, {"g/long": "q" * 20_001, "g/fine": "1"}, 400803),
    ],
)
def test_nothing_comes_in_when_one_file_cannot(
    world: Console, query: dict[str, str], files: dict[str, str | bytes], code: int
) -> None:
    answer = document(world.upload(zipped(files), **query))
    assert (answer["code"], answer["createConfigFiles"]) == (code, [])
    assert contents(world) == {}


@pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd", "g/../../x", "g\\..\\x"])
def test_paths_that_lead_elsewhere(world: Console, path: str) -> None:
    answer = document(world.upload(zipped({"g/fine": "1", path: "x"}), namespace="d", group="g"))
    assert (answer["code"], answer["info"]) == (400001, "request decode failed: zip: insecure file path")
    assert contents(world) == {}


def test_a_bomb(world: Console) -> None:
    bomb = zipped({f"g/{n}": bytes(9 << 20) for n in range(10)})
    assert len(bomb) < 200_000
    answer = document(world.upload(bomb, namespace="d"))
    assert answer["code"] == 400001
    assert "larger than" in answer["info"]
    assert contents(world) == {}


def test_what_is_no_upload(world: Console) -> None:
    good = zipped({"g/a": "1"})
    for answer, info in (
        (world.send("POST", f"{F}/import"), "request Content-Type isn't multipart/form-data"),
        (world.send("POST", f"{F}/import", b"abc"), "request Content-Type isn't multipart/form-data"),
        (world.upload(good, field="other"), "http: no such file"),
        (world.upload(good, filename="config.txt"), "invalid content type"),
        (world.upload(b"no zip"), "invalid content type"),
        (world.upload(zipped({})), "invalid content type"),
        (world.upload(bytes(4 << 20)), "http: request body too large"),
        (world.upload(b"PK\x03\x04broken"), "zip: not a valid zip file: it has no directory"),
        (world.upload(zipped({"META": "{bad"})), "META: JSON is malformed: object keys must be strings (byte 1)"),
    ):
        found = document(answer)
        assert (found["code"], found["info"]) == (400001, f"request decode failed: {info}")
        assert (answer.status, "user" in found) == (400, True), "a naming answer, as on the real server"


def test_folders_alone_are_nothing(world: Console) -> None:
    assert brought(world.upload(zipped({"dir/": ""}), namespace="d", group="g")) == {
        "create": [], "skip": [], "overwrite": [],
    }  # fmt: skip
