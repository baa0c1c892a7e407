"""Keys below ``config/`` are files of the configuration centre: the same bytes and versions, seen from both sides."""

from __future__ import annotations

import base64

import pytest
from consul_bottle import STRANGER, ConsulBottle
from hypothesis import given
from hypothesis import strategies as st

from polaris_bridge.adapters.consul.settings import ConsulSettings
from polaris_bridge.adapters.consul.translate.config_keys import KeyRule, format_of
from polaris_bridge.core.config.model import IN, Change, FileKey, GrayRule, Match, Seen
from polaris_bridge.runtime.configcentre.formats import Parsers
from polaris_bridge.runtime.configcentre.sealing import AesSealing
from polaris_bridge.runtime.configcentre.serverkey import ServerKeys

NS = "default"
FILE = FileKey(NS, "app", "a.yaml")
KEY = "/v1/kv/config/app/a.yaml"
PLAIN = KeyRule()
SPRING = KeyRule(spring=True)


@pytest.fixture
def bottle() -> ConsulBottle:
    return ConsulBottle()


def publish(bottle: ConsulBottle, content: bytes, file: FileKey = FILE) -> None:
    """What a Nacos or Polaris client does."""
    bottle.registry.config.releases.publish(file, STRANGER, change=Change(content))
    bottle.timers.settle()


def delete(bottle: ConsulBottle, file: FileKey = FILE) -> None:
    bottle.registry.config.files.delete(file, STRANGER)
    bottle.timers.settle()


def seen(bottle: ConsulBottle, file: FileKey = FILE) -> Seen | None:
    """What a client of the configuration centre gets."""
    return bottle.registry.config.reading.resolve(file)


def content(bottle: ConsulBottle, file: FileKey = FILE) -> bytes | None:
    found = seen(bottle, file)
    return None if found is None else found.content


def session(bottle: ConsulBottle, **fields: object) -> str:
    return str(bottle.put("/v1/session/create", fields).json["ID"])


# ---------------------------------------------------------------------- the rule


@pytest.mark.parametrize(
    ("key", "file", "spring"),
    [
        ("config/g/f", ("g", "f"), ("g", "f")),
        ("config/g/d/f.yaml", ("g", "d/f.yaml"), ("g", "d/f.yaml")),
        ("config/f", ("default", "f"), ("default", "f")),
        ("config/default/f", ("default", "f"), ("default", "f")),
        ("config/web,dev/data", ("web,dev", "data"), ("config", "web,dev/data")),
        ("config/web/data", ("web", "data"), ("config", "web/data")),
        ("config/config/web/data", ("config", "web/data"), ("config", "web/data")),
        ("config/", None, None),
        ("config/g/", None, None),
        ("config/g/d/", None, None),
        ("config//f", None, None),
        ("config", None, None),
        ("Config/g/f", None, None),
        ("my/config/g/f", None, None),
        ("config/g/" + "x" * 257, None, None),
        ("config/" + "x" * 129 + "/f", None, None),
    ],
)
def test_which_keys_are_files(key: str, file: tuple[str, str] | None, spring: tuple[str, str] | None) -> None:
    assert PLAIN.file(NS, key) == (None if file is None else FileKey(NS, *file))
    assert SPRING.file(NS, key) == (None if spring is None else FileKey(NS, *spring))


_part = st.text("ad/,", min_size=1, max_size=5) | st.sampled_from(["data", "config", "default", "web/data"])


@given(st.sampled_from([PLAIN, SPRING]), _part, _part)
def test_a_file_is_found_under_its_keys_and_no_two_files_share_one(rule: KeyRule, group: str, name: str) -> None:
    file = FileKey(NS, group, name)
    key = rule.key(file)
    for each in (key, rule.short(file), *rule.others(file)):
        if each is not None:
            assert rule.file(NS, each) == file
            groups = rule.groups(each)
            assert groups is None or group in groups
            for cut in range(len(each) + 1):
                below = rule.groups(each[:cut])
                assert below is None or group in below
    found = rule.file(NS, f"config/{group}/{name}")
    if found is not None:
        assert rule.key(found) is not None
        assert f"config/{group}/{name}" in (rule.key(found), *rule.others(found))


def test_the_format_of_a_new_file_is_that_of_its_name() -> None:
    assert [format_of(name) for name in ("a.yml", "b.YAML", "c.json", "data", "d.conf", ".properties")] == [
        "yaml", "yaml", "json", "text", "text", "properties",
    ]  # fmt: skip


# ---------------------------------------------------------------------- from both sides


def test_what_is_put_is_published_and_what_is_published_is_read(bottle: ConsulBottle) -> None:
    bottle.done(f"{KEY}?flags=7", b"a: 1\r\n\xff")
    found = seen(bottle)
    assert found is not None
    assert (found.content, found.release.text.format) == (b"a: 1\r\n\xff", "yaml")
    publish(bottle, b"a: 2")
    entry = bottle.get(KEY).json[0]
    assert (base64.b64decode(entry["Value"]), entry["Flags"], entry["Key"]) == (b"a: 2", 7, "config/app/a.yaml")
    assert bottle.get(f"{KEY}?raw").body == b"a: 2"


def test_plain_keys_are_no_files(bottle: ConsulBottle) -> None:
    for key in ("app/a", "config/app/", "config"):
        bottle.done(f"/v1/kv/{key}", b"v")
    assert bottle.registry.config.reading.all(NS) == []
    assert bottle.get("/v1/kv/?keys").json == ["app/a", "config", "config/app/"]


def test_a_file_has_the_versions_of_the_centre(bottle: ConsulBottle) -> None:
    bottle.done(KEY, b"1")
    first = seen(bottle)
    bottle.done(KEY, b"1")
    same = seen(bottle)
    bottle.done(KEY, b"2")
    second = seen(bottle)
    assert first is not None
    assert same is not None
    assert second is not None
    assert first.version == same.version < second.version
    operations = [entry.operation for entry in bottle.registry.config.history.find(group="app").entries]
    assert operations.count("publish") == 2


def test_deleting_on_either_side_deletes_for_all(bottle: ConsulBottle) -> None:
    bottle.done(KEY, b"1")
    before = bottle.get(KEY).index
    assert bottle.ask("DELETE", KEY).body == b"true"
    assert content(bottle) is None
    publish(bottle, b"2")
    delete(bottle)
    answer = bottle.get(KEY)
    assert answer.status == 404
    assert answer.index > before


def test_drafts_and_gray_releases_are_not_seen_and_wake_nobody(bottle: ConsulBottle) -> None:
    bottle.registry.config.files.put(FILE, Change(b"draft"), STRANGER)
    bottle.timers.settle()
    assert bottle.get(KEY).status == 404
    publish(bottle, b"all")
    read = bottle.get(KEY)
    waiting = bottle.begin("GET", f"{KEY}?index={read.index}&wait=60s")
    centre = bottle.registry.config
    centre.files.put(FILE, Change(b"another draft"), STRANGER)
    rule = GrayRule((Match("env", IN, ("x",)),))
    centre.releases.publish_gray(FILE, STRANGER, "beta", rule, change=Change(b"some"))
    bottle.timers.settle()
    bottle.timers.until(bottle.clock.now_s + 1)
    assert not waiting.answered
    assert bottle.get(KEY).json == read.json
    centre.releases.promote(FILE, "beta", STRANGER)
    bottle.timers.settle()
    bottle.timers.until(bottle.clock.now_s + 1)
    assert base64.b64decode(waiting.answer.json[0]["Value"]) == b"some"


def test_a_file_without_a_key_stays_the_centres_own(bottle: ConsulBottle) -> None:
    publish(bottle, b"v", FileKey(NS, "g", "dir/"))
    publish(bottle, b"v", FileKey("elsewhere", "g", "f"))
    assert bottle.get("/v1/kv/?keys").json == []


def test_both_are_one_list_in_byte_order(bottle: ConsulBottle) -> None:
    for key in ("a", "config/app/", "config/zz", "configs", "z"):
        bottle.done(f"/v1/kv/{key}", b"")
    publish(bottle, b"1", FileKey(NS, "app", "b"))
    publish(bottle, b"1", FileKey(NS, "default", "c"))
    keys = ["a", "config/app/", "config/app/b", "config/default/c", "config/zz", "configs", "z"]
    assert bottle.get("/v1/kv/?keys").json == keys
    assert [e["Key"] for e in bottle.get("/v1/kv/?recurse").json] == keys
    assert bottle.get("/v1/kv/config/app?keys").json == ["config/app/", "config/app/b"]
    assert bottle.get("/v1/kv/config/?keys&separator=/").json == ["config/app/", "config/default/", "config/zz"]
    assert bottle.ask("DELETE", "/v1/kv/config/?recurse").body == b"true"
    assert bottle.get("/v1/kv/?keys").json == ["a", "configs", "z"]
    assert content(bottle, FileKey(NS, "default", "c")) is None


def test_a_key_without_a_group_is_listed_as_it_was_written(bottle: ConsulBottle) -> None:
    bottle.done("/v1/kv/config/x", b"1")
    assert bottle.get("/v1/kv/?keys").json == ["config/x"]
    assert bottle.get("/v1/kv/config/default/x").json[0]["Key"] == "config/default/x"
    publish(bottle, b"2", FileKey(NS, "default", "x"))
    assert bottle.get("/v1/kv/?keys").json == ["config/x"]
    bottle.done("/v1/kv/config/default/x", b"3")
    assert bottle.get("/v1/kv/?keys").json == ["config/default/x"]


def test_springs_layout() -> None:
    bottle = ConsulBottle(ConsulSettings(spring_layout=True))
    bottle.done("/v1/kv/config/web,dev/data", b"a: 1")
    assert content(bottle, FileKey(NS, "config", "web,dev/data")) == b"a: 1"
    publish(bottle, b"a: 2", FileKey(NS, "config", "web/data"))
    publish(bottle, b"hidden", FileKey(NS, "web", "data"))
    publish(bottle, b"plain", FileKey(NS, "web", "key"))
    assert bottle.get("/v1/kv/config/web/data?raw").body == b"a: 2"
    assert bottle.get("/v1/kv/config/?keys").json == ["config/web,dev/data", "config/web/data", "config/web/key"]
    assert bottle.get("/v1/kv/config/web/?keys").json == ["config/web/data", "config/web/key"]
    assert bottle.get("/v1/kv/config/config/web/data?raw").body == b"a: 2"


# ---------------------------------------------------------------------- indexes and waiting


def test_a_write_that_compares(bottle: ConsulBottle) -> None:
    assert bottle.put(f"{KEY}?cas=0", b"1").body == b"true"
    assert bottle.put(f"{KEY}?cas=0", b"2").body == b"false"
    index = bottle.get(KEY).json[0]["ModifyIndex"]
    publish(bottle, b"theirs")
    assert bottle.put(f"{KEY}?cas={index}", b"mine").body == b"false"
    index = bottle.get(KEY).json[0]["ModifyIndex"]
    assert bottle.put(f"{KEY}?cas={index}", b"mine").body == b"true"
    assert bottle.ask("DELETE", f"{KEY}?cas={index}").body == b"false"
    assert bottle.ask("DELETE", f"{KEY}?cas={bottle.get(KEY).index}").body == b"true"
    assert bottle.put(f"{KEY}?cas=0", b"again").body == b"true"


def test_an_index_outlives_a_restart(bottle: ConsulBottle) -> None:
    bottle.done(KEY, b"1")
    before = bottle.get(KEY)
    bottle.restart()
    assert bottle.get(KEY).json == before.json
    assert bottle.get("/v1/kv/config/?keys").json == ["config/app/a.yaml"]
    assert bottle.put(f"{KEY}?cas={before.index}", b"2").body == b"true"


@pytest.mark.parametrize(
    "target",
    [
        "/v1/kv/config/x",
        "/v1/kv/config/default/x",
        "/v1/kv/config/?recurse",
        "/v1/kv/config/default/?keys",
        "/v1/kv/?keys",
    ],
)
def test_readers_wait_for_files_too(target: str) -> None:
    file = FileKey(NS, "default", "x")
    bottle = ConsulBottle()
    more = "&" if "?" in target else "?"

    def wait() -> tuple[int, object]:
        read = bottle.get(target)
        return read.index, bottle.begin("GET", f"{target}{more}index={read.index}&wait=60s")

    for change in (
        lambda: publish(bottle, b"1", file),
        lambda: publish(bottle, b"2", file),
        lambda: delete(bottle, file),
    ):
        index, waiting = wait()
        publish(bottle, str(index).encode(), FileKey("elsewhere", "default", "x"))
        bottle.timers.until(bottle.clock.now_s + 1)
        assert not waiting.answered  # type: ignore[attr-defined]
        change()
        bottle.timers.until(bottle.clock.now_s + 1)
        assert waiting.answered  # type: ignore[attr-defined]
        assert waiting.answer.index > index  # type: ignore[attr-defined]


def test_another_group_wakes_nobody(bottle: ConsulBottle) -> None:
    publish(bottle, b"1")
    waiting = [
        bottle.begin("GET", f"{target}index={bottle.get(target).index}&wait=60s")
        for target in (f"{KEY}?", "/v1/kv/config/app/?recurse&")
    ]
    publish(bottle, b"1", FileKey(NS, "other", "a.yaml"))
    bottle.done("/v1/kv/config/app2/b", b"1")
    bottle.timers.until(bottle.clock.now_s + 1)
    assert not any(each.answered for each in waiting)


# ---------------------------------------------------------------------- locks


@pytest.mark.parametrize("key", ["/v1/kv/config/app/a.yaml", "/v1/kv/config/y"])
def test_a_file_is_locked_like_any_key(bottle: ConsulBottle, key: str) -> None:
    mine, yours = session(bottle, LockDelay="0s"), session(bottle)
    assert bottle.put(f"{key}?acquire={mine}&flags=3", b"1").body == b"true"
    assert bottle.put(f"{key}?acquire={yours}", b"2").body == b"false"
    read = bottle.get(key)
    entry = read.json[0]
    assert (entry["Session"], entry["LockIndex"], entry["Flags"]) == (mine, 1, 3)
    assert bottle.get(f"{key}?raw").body == b"1"
    waiting = bottle.begin("GET", f"{key}?index={read.index}&wait=60s")
    bottle.put(f"/v1/session/destroy/{mine}")
    bottle.timers.until(bottle.clock.now_s + 1)
    assert waiting.answer.index > read.index
    assert "Session" not in waiting.answer.json[0]
    assert bottle.put(f"{key}?acquire={yours}", b"3").body == b"true"
    assert bottle.get(key).json[0]["LockIndex"] == 2
    assert bottle.put(f"{key}?release={yours}", b"4").body == b"true"
    assert bottle.get(f"{key}?raw").body == b"4"


def test_a_lost_session_may_delete_a_file(bottle: ConsulBottle) -> None:
    owner = session(bottle, Behavior="delete", LockDelay="5s")
    bottle.put(f"{KEY}?acquire={owner}", b"1")
    bottle.put(f"/v1/session/destroy/{owner}")
    assert bottle.get(KEY).status == 404
    assert content(bottle) is None
    other = session(bottle)
    assert bottle.put(f"{KEY}?acquire={other}", b"2").body == b"false"
    bottle.move(6)
    assert bottle.put(f"{KEY}?acquire={other}", b"2").body == b"true"


def test_the_lock_of_a_file_that_others_delete_goes_with_it(bottle: ConsulBottle) -> None:
    owner, other = session(bottle), session(bottle)
    bottle.put(f"{KEY}?acquire={owner}", b"1")
    delete(bottle)
    assert bottle.get(KEY).status == 404
    assert bottle.put(f"{KEY}?acquire={other}", b"2").body == b"true"
    assert bottle.get(KEY).json[0]["LockIndex"] == 1


def test_the_locks_of_files_are_not_listed_as_keys(bottle: ConsulBottle) -> None:
    owner = session(bottle)
    bottle.put(f"{KEY}?acquire={owner}", b"1")
    assert bottle.get("/v1/kv/?keys").json == ["config/app/a.yaml"]
    assert bottle.ask("DELETE", "/v1/kv/config/?recurse").body == b"true"
    assert bottle.registry.kv.entries.newest_below(NS, "") == []


# ---------------------------------------------------------------------- what the server says of files


def test_what_is_not_its_format_is_refused_where_that_is_asked_for(bottle: ConsulBottle) -> None:
    assert bottle.put("/v1/kv/config/app/b.json", b"{").status == 200
    strict = ConsulBottle(ConsulSettings(validate_format=True))
    strict.registry.config.use(formats=Parsers())
    answer = strict.put("/v1/kv/config/app/b.json", b'{"a":\n x}')
    assert answer.status == 500
    assert b"line 2, column 2" in answer.body
    operations = [
        {"KV": {"Verb": "set", "Key": "config/app/a.txt", "Value": base64.b64encode(b"x").decode()}},
        {"KV": {"Verb": "set", "Key": "config/app/b.json", "Value": base64.b64encode(b"{").decode()}},
    ]
    answer = strict.put("/v1/txn", operations)
    assert answer.status == 409
    assert [error["OpIndex"] for error in answer.json["Errors"]] == [1]
    assert strict.get("/v1/kv/config/?recurse").status == 404, "nothing of it was done"


def test_a_closed_configuration_centre_has_no_keys_and_takes_none() -> None:
    closed = ConsulBottle(ConsulSettings(config_open=False))
    publish(closed, b"a")
    id = session(closed)
    assert closed.put("/v1/kv/other", b"plain").status == 200
    assert [closed.get(path).status for path in (KEY, "/v1/kv/config/?recurse", "/v1/kv/config/?keys")] == [404] * 3
    assert closed.get("/v1/kv/?keys").json == ["other"]
    for query in ("", "?cas=0", f"?acquire={id}", f"?release={id}"):
        assert closed.put(KEY + query, b"b").status == 403, query
    for query in ("", "?cas=1"):
        assert closed.ask("DELETE", KEY + query).status == 403, query
    closed.ask("DELETE", "/v1/kv/?recurse")
    closed.timers.settle()
    assert content(closed) == b"a"
    assert closed.get("/v1/kv/other").status == 404


def test_a_file_that_is_encrypted_is_read_as_it_is_kept_and_written_as_it_comes(bottle: ConsulBottle) -> None:
    config = bottle.registry.config
    config.use(sealing=AesSealing(ServerKeys(None)))
    config.releases.publish(FILE, STRANGER, change=Change(b"secret", algorithm="AES"))
    bottle.timers.settle()
    sealed = bottle.get(KEY + "?raw").body
    assert sealed != b"secret"
    assert sealed == content(bottle)
    bottle.put(KEY, sealed)
    assert (found := seen(bottle)) is not None
    assert (found.version, found.release.text.algorithm) == (1, "AES"), "it says this already"
    bottle.put(KEY, b"plain")
    assert bottle.get(KEY + "?raw").body == content(bottle) == b"plain"
