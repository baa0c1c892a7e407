"""Archives, clones and removals of many configurations, in three generations."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from cs_bottle import ADMIN, CONSOLE, GROUP, V1, ConfigBottle, unzipped, zipped
from http_bottle import Answer

from polaris_bridge.adapters._shared import zips
from polaris_bridge.adapters.nacos.server.forms_cs import together
from polaris_bridge.adapters.nacos.service.config import transfer
from polaris_bridge.core.batches import SETTLED, Commit

META = "metadata:\n- {dataId: x, group: G, type: json, desc: hey, appName: aa}\n"


@pytest.fixture
def port() -> ConfigBottle:
    port = ConfigBottle()
    port.space("dev")
    port.publish_config("a.json", '{"a":1}', type="json", appName="shop", desc="de", config_tags="t")
    port.publish_config("b", "ü")
    return port


def bring(port: ConfigBottle, *files: tuple[str, str | bytes], **params: object) -> Any:
    """An import over v1 into ``dev``."""
    answer = port.upload(V1, {"file": zipped(*files)}, **({"import": "true", "namespace": "dev"} | params))
    assert answer.status == 200, answer
    return answer.json


def names(port: ConfigBottle, tenant: str = "dev") -> list[str]:
    return [f"{one['group']}/{one['dataId']}" for one in port.get("/v1/cs/history/configs", tenant=tenant)]


def test_export_of_the_older_form(port: ConfigBottle) -> None:
    answer = port.call("GET", V1, export="true", tenant="", group="", ids="")
    assert answer.headers["content-disposition"] == "attachment;filename=nacos_config_export_20231114221322.zip"
    assert unzipped(answer.body) == {
        f"{GROUP}/a.json": b'{"a":1}',
        f"{GROUP}/b": "ü".encode(),
        ".meta.yml": b"DEFAULT_GROUP.a~json.app=shop\r\n",
    }


@pytest.mark.parametrize(
    ("path", "params"),
    [
        (V1, {"exportV2": "true"}),
        (f"{ADMIN}/config/export", {}),
        (f"{CONSOLE}/config/export2", {}),
    ],
)
def test_export_of_the_newer_form(port: ConfigBottle, path: str, params: dict[str, str]) -> None:
    files = unzipped(port.call("GET", path, **params).body)
    metadata = yaml.safe_load(files.pop(".metadata.yml"))["metadata"]
    assert files == {f"{GROUP}/a.json": b'{"a":1}', f"{GROUP}/b": "ü".encode()}
    assert metadata == [
        {"appName": "shop", "dataId": "a.json", "desc": "de", "group": GROUP, "type": "json"},
        {"appName": "", "dataId": "b", "group": GROUP, "type": "text"},
    ]


def test_export_of_some(port: ConfigBottle) -> None:
    def exported(**params: object) -> list[str]:
        return sorted(set(unzipped(port.call("GET", V1, export="true", **params).body)) - {".meta.yml"})

    port.publish_config("c", "x", tenant="dev", group="G")
    assert exported(dataId="b") == [f"{GROUP}/b"]
    assert exported(appName="shop") == [f"{GROUP}/a.json"]
    assert exported(tenant="dev") == exported(tenant="dev", group="G") == ["G/c"]
    assert exported(tenant="dev", ids=port.id("b")) == [f"{GROUP}/b"]
    assert exported(ids=f"{port.id('b')},123,{port.id('a.json')}") == [f"{GROUP}/a.json", f"{GROUP}/b"]
    assert exported(dataId="none") == []
    assert port.call("GET", V1, export="true", ids="x").status == 400


def test_what_was_exported_comes_in(port: ConfigBottle) -> None:
    older = port.call("GET", V1, export="true").body
    newer = port.call("GET", V1, exportV2="true").body
    done = port.upload(V1, {"file": older, "policy": "ABORT"}, **{"import": "true", "namespace": "dev"}).json
    assert done == {"code": 200, "message": "import success", "data": {"succCount": 2, "skipCount": 0}}
    assert names(port) == [f"{GROUP}/a.json", f"{GROUP}/b"]
    detail = port.get(V1, show="all", dataId="a.json", group=GROUP, tenant="dev")
    assert (detail["content"], detail["appName"], detail["type"]) == ('{"a":1}', "shop", "text")
    done = port.upload(f"{ADMIN}/config/import", {"file": newer, "policy": "OVERWRITE"}, namespaceId="dev").json
    assert done == {"code": 0, "message": "success", "data": {"succCount": 2, "skipCount": 0}}
    detail = port.get(V1, show="all", dataId="a.json", group=GROUP, tenant="dev")
    assert (detail["type"], detail["desc"]) == ("json", "de")


def test_policies(port: ConfigBottle) -> None:
    bring(port, ("G/x", "0"))
    files = [("G/p1", "1"), ("G/x", "2"), ("G/p2", "3"), ("G/p3", "3")]
    report = bring(port, *files)["data"]
    assert report == {
        "succCount": 1,
        "skipCount": 2,
        "failData": [{"dataId": "x", "group": "G"}],
        "skipData": [{"dataId": "p2", "group": "G"}, {"dataId": "p3", "group": "G"}],
    }
    report = bring(port, *files, policy="SKIP")["data"]
    assert report == {
        "succCount": 2,
        "skipCount": 2,
        "skipData": [{"dataId": "p1", "group": "G"}, {"dataId": "x", "group": "G"}],
    }
    assert port.call("GET", V1, dataId="x", group="G", tenant="dev").text == "0"
    assert bring(port, *files, policy="OVERWRITE")["data"] == {"succCount": 4, "skipCount": 0}
    assert port.call("GET", V1, dataId="x", group="G", tenant="dev").text == "2"
    wrong = port.upload(V1, {"file": zipped()}, **{"import": "true", "policy": "skip"})
    assert (wrong.status, "No enum constant" in wrong.text) == (400, True)


def test_an_import_wakes_those_who_listen(port: ConfigBottle) -> None:
    fired: list[bool] = []
    centre = port.registry.config
    watcher = centre.watches.file_watcher((None,), lambda *_: fired.append(True))
    watcher.arm(centre.watches.newest)
    bring(port, ("G/x", "1"))
    port.move(1)
    assert fired


def test_what_cannot_come_in(port: ConfigBottle) -> None:
    assert bring(port)["code"] == 100005
    empty = port.upload(V1, {"policy": "ABORT"}, **{"import": "true"}).json
    assert (empty["code"], empty["data"]) == (100005, {})
    no_zip = port.upload(V1, {"file": b"hello"}, **{"import": "true"}).json
    assert (no_zip["code"], no_zip["data"]) == (100005, {"succCount": 0})
    assert port.upload(V1, {"file": b"PK\x03\x04hello"}, **{"import": "true"}).json["code"] == 100004
    assert bring(port, ("G/x", "1"), (".meta.yml", "what"))["code"] == 100002
    assert bring(port, ("G/x", "1"), (".metadata.yml", "metadata: ["))["code"] == 100002
    assert bring(port, ("G/x", "1"), namespace="nobody")["code"] == 100001
    assert names(port) == []
    broken = port.send(V1, "multipart/form-data; boundary=x", b"--x\r\n", **{"import": "true"})
    assert (broken.status, broken.text.startswith("caused: Failed to parse multipart")) == (400, True)


def test_v3_takes_the_newer_form_alone(port: ConfigBottle) -> None:
    for path in (f"{ADMIN}/config/import", f"{CONSOLE}/config/import"):
        older = port.upload(path, {"file": zipped(("G/x", "1"))}, namespaceId="dev").json
        assert older == {"code": 100002, "message": "Imported metadata is invalid", "data": {"succCount": 0}}
        nothing = port.upload(path, {}, namespaceId="dev").json
        assert nothing == {"code": 100005, "message": "Imported file data is empty", "data": {}}
        nobody = port.upload(path, {"file": zipped(("G/x", "1"))}, namespaceId="nobody").json
        assert nobody == {"code": 22001, "message": "namespace not exist", "data": {"succCount": 0}}


def test_what_is_not_recognized_is_said(port: ConfigBottle) -> None:
    files = [("G/x", "1"), ("G/y", "2"), (".metadata.yml", META + "- {dataId: none, group: G, type: text}\n")]
    assert bring(port, *files)["data"] == {
        "succCount": 1,
        "unrecognizedCount": 2,
        "skipCount": 0,
        "unrecognizedData": [
            {"itemName": "Item not found in metadata: G/y"},
            {"itemName": "Item not found in file: G/none"},
        ],
    }
    assert bring(port, ("../x", "1"), ("G/z", "1"))["data"]["unrecognizedData"] == [{"itemName": "../x"}]


def test_a_bomb_does_not_come_in(port: ConfigBottle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zips, "MAX_ENTRY", 1000)
    assert bring(port, ("G/small", "1"), ("G/bomb", "0" * 100_000))["code"] == 100004
    assert names(port) == []


def test_the_fate_of_several_writes() -> None:
    """Every configuration is a commit of its own; the answer waits for all of them, and one failure is a failure."""
    first, second = Commit(), Commit()
    whole = together([first, SETTLED, second])
    told: list[Exception | None] = []
    whole.then(told.append)
    first.settle(OSError("full"))
    assert told == []
    second.settle(None)
    assert [str(error) for error in told] == ["full"]
    assert together([SETTLED, SETTLED]) is SETTLED
    assert together([second, third := Commit()]) is third


# ---------------------------------------------------------------------- clones


def clone(port: ConfigBottle, body: object, path: str = V1, **params: object) -> Answer:
    query = {"clone": "true", "tenant": "dev"} if path == V1 else {}
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return port.send(path, "application/json", text, **(query | params))


def test_clones(port: ConfigBottle) -> None:
    a, b = port.id("a.json"), port.id("b")
    done = clone(
        port, [{"cfgId": a, "dataId": "new", "group": "NG"}, {"cfgId": int(b), "dataId": "", "group": None}]
    ).json
    assert done == {
        "code": 200, "message": "Clone Completed Successfully", "data": {"succCount": 2, "skipCount": 0},
    }  # fmt: skip
    assert names(port) == ["NG/new", f"{GROUP}/b"]
    detail = port.get(V1, show="all", dataId="new", group="NG", tenant="dev")
    assert (detail["content"], detail["appName"], detail["desc"], detail["type"]) == ('{"a":1}', "shop", "de", "json")
    one = [{"cfgId": a, "dataId": "new", "group": "NG"}]
    assert clone(port, one).json["data"]["failData"] == [{"dataId": "new", "group": "NG"}]
    assert clone(port, one, policy="SKIP").json["data"]["skipCount"] == 1
    assert clone(port, one, policy="OVERWRITE").json["data"]["succCount"] == 1


def test_clones_of_v3(port: ConfigBottle) -> None:
    a = port.id("a.json")
    body = [{"configId": a, "targetDataId": "new", "targetGroupName": "NG"}]
    done = clone(port, body, f"{ADMIN}/config/clone", namespaceId="dev").json
    assert done == {"code": 0, "message": "success", "data": {"succCount": 1, "skipCount": 0}}
    body = [{"cfgId": a, "dataId": "newer", "group": "NG"}]
    assert clone(port, body, f"{CONSOLE}/config/clone", targetNamespaceId="dev").json["code"] == 0
    assert names(port) == ["NG/new", "NG/newer"]
    nobody = clone(port, body, f"{ADMIN}/config/clone", namespaceId="nobody").json
    assert (nobody["code"], nobody["data"]) == (22001, {"succCount": 0})


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ([], 200, 100006),
        ([None], 200, 100006),
        ([{"cfgId": 1}], 200, 100005),
        ([{"dataId": "x"}], 200, 100005),
        ([{"cfgId": "x"}], 200, 100005),
        (b"[{", 400, 0),
        (b"", 400, 0),
        ({"cfgId": 1}, 400, 0),
    ],
)
def test_what_cannot_be_cloned(port: ConfigBottle, body: object, status: int, code: int) -> None:
    answer = clone(port, body)
    assert answer.status == status
    if code:
        assert answer.json["code"] == code
    else:
        assert answer.text.startswith("caused: JSON parse error: ")


def test_a_clone_under_an_illegal_name(port: ConfigBottle) -> None:
    answer = clone(port, [{"cfgId": port.id("b"), "dataId": "a b"}])
    assert (answer.status, answer.text) == (400, "caused: invalid dataId : a b;")
    assert names(port) == []


# ---------------------------------------------------------------------- removals


@pytest.mark.parametrize(
    ("path", "params"),
    [
        (V1, {"delType": "ids"}),
        (f"{ADMIN}/config/batch", {}),
        (f"{CONSOLE}/config/batchDelete", {}),
    ],
)
def test_removal_by_ids(port: ConfigBottle, path: str, params: dict[str, str]) -> None:
    ids = f"{port.id('b')},1,{port.id('a.json')}"
    answer = port.call("DELETE", path, ids=ids, **params)
    assert (answer.status, answer.json["data"]) == (200, True)
    assert names(port, "") == []
    assert port.call("DELETE", path, ids=ids, **params).json["data"] is True
    assert port.call("DELETE", path, ids="", **params).json["data"] is True
    assert port.call("DELETE", path, ids="x", **params).status == 400
    assert port.call("DELETE", path, **params).status in (400, 500)


def test_an_import_and_a_removal_of_many_leave_room_in_the_queue_of_writes(
    port: ConfigBottle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "AHEAD", 4)
    commits: list[Commit] = []
    waiting: list[int] = []

    def counted(command: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            done = command(*arguments, **more)
            commits.append(done.commit)
            waiting.append(sum(1 for commit in commits if not commit.done))
            return done

        return call

    config = port.registry.config
    monkeypatch.setattr(config.transfer, "bring_in", counted(config.transfer.bring_in))
    monkeypatch.setattr(config.files, "delete", counted(config.files.delete))
    found = bring(port, *((f"g/{n}", str(n)) for n in range(100)))
    assert found["data"] == {"succCount": 100, "skipCount": 0}
    rows = port.get(V1, search="accurate", dataId="", group="", tenant="dev", pageNo=1, pageSize=200)["pageItems"]
    assert len(rows) == 100
    answer = port.call("DELETE", V1, delType="ids", ids=",".join(row["id"] for row in rows), tenant="dev")
    assert answer.status == 200, answer
    assert names(port) == []
    assert len(commits) == 200
    assert max(waiting) <= 5, "each waits for the one that is so far ahead"
