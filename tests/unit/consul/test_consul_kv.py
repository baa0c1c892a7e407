"""The key-value store over HTTP: JSON, headers, refusals, comparing, locking, and who waits for what."""

from __future__ import annotations

import base64

import pytest
from consul_bottle import STRANGER, ConsulBottle
from hypothesis import given
from hypothesis import strategies as st

from polaris_bridge.adapters._shared import slices
from polaris_bridge.adapters.consul.server import routes_kv
from polaris_bridge.adapters.consul.settings import ConsulSettings
from polaris_bridge.adapters.consul.wire.kv import cut
from polaris_bridge.core.config.model import Change, FileKey

LOCK_FLAGS = 3304740253564472344
"""What Go's lock recipe writes."""


@pytest.fixture
def bottle() -> ConsulBottle:
    return ConsulBottle()


def session(bottle: ConsulBottle, **fields: object) -> str:
    return str(bottle.put("/v1/session/create", fields).json["ID"])


# ---------------------------------------------------------------------- reading


def test_an_entry_is_shown_with_every_member(bottle: ConsulBottle) -> None:
    assert bottle.put(f"/v1/kv/a/b?flags={LOCK_FLAGS}", b"\xff\x00").body == b"true"
    answer = bottle.get("/v1/kv/a/b")
    index = answer.index
    value = base64.b64encode(b"\xff\x00").decode()
    assert answer.text == (
        f'[{{"LockIndex":0,"Key":"a/b","Flags":{LOCK_FLAGS},"Value":"{value}",'
        f'"CreateIndex":{index},"ModifyIndex":{index}}}]'
    )
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-consul-knownleader"] == "true"
    assert answer.headers["x-consul-lastcontact"] == "0"


def test_an_empty_value_is_null_and_a_key_may_be_anything_printable(bottle: ConsulBottle) -> None:
    bottle.put("/v1/kv/a%2Fb%20%C3%A4%22", b"")
    entry = bottle.get('/v1/kv/a/b%20%C3%A4"').json[0]
    assert (entry["Key"], entry["Value"]) == ('a/b ä"', None)


def test_a_missing_key_is_a_404_with_an_index_and_without_a_body(bottle: ConsulBottle) -> None:
    for target in ("/v1/kv/a", "/v1/kv/a?raw", "/v1/kv/a?recurse", "/v1/kv/a?keys", "/v1/kv/?recurse"):
        answer = bottle.get(target)
        assert (answer.status, answer.body) == (404, b"")
        assert answer.index >= 1
        assert "content-type" not in answer.headers


def test_a_raw_value_is_text_that_no_browser_runs(bottle: ConsulBottle) -> None:
    bottle.put("/v1/kv/a", b"<script>")
    answer = bottle.get("/v1/kv/a?raw")
    assert answer.body == b"<script>"
    assert answer.headers["content-type"] == "text/plain"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "sandbox"
    assert answer.index > 0
    bottle.put("/v1/kv/e", b"")
    assert bottle.get("/v1/kv/e?raw").body == b""


def test_a_prefix_is_of_text_not_of_a_path_and_lists_in_byte_order(bottle: ConsulBottle) -> None:
    for key in ("a", "ab", "a/b", "a0", "b", "%C3%A4"):
        bottle.put(f"/v1/kv/{key}", key.encode())
    assert [e["Key"] for e in bottle.get("/v1/kv/a?recurse").json] == ["a", "a/b", "a0", "ab"]
    assert bottle.get("/v1/kv/?keys").json == ["a", "a/b", "a0", "ab", "b", "ä"]
    assert bottle.get("/v1/kv/a?recurse&raw").json[0]["Value"] == "YQ=="


def test_keys_are_cut_at_a_separator(bottle: ConsulBottle) -> None:
    for key in ("x/a", "x/b/1", "x/b/2", "x/c", "y"):
        bottle.put(f"/v1/kv/{key}", b"")
    assert bottle.get("/v1/kv/x/?keys&separator=/").json == ["x/a", "x/b/", "x/c"]
    assert bottle.get("/v1/kv/?keys&seperator=/").json == ["x/", "y"]
    assert bottle.get("/v1/kv/x?keys&separator=/b").json == ["x/a", "x/b", "x/c"]


def test_no_keys_at_all_are_an_empty_list(bottle: ConsulBottle) -> None:
    answer = bottle.get("/v1/kv/?keys")
    assert (answer.status, answer.body) == (200, b"[]")


@given(st.lists(st.text("ab/", max_size=6), unique=True), st.text("ab/", max_size=2), st.sampled_from(["/", "//", "b"]))
def test_cutting_loses_no_key(names: list[str], prefix: str, separator: str) -> None:
    under = sorted(name for name in names if name.startswith(prefix))
    found = cut(under, prefix, separator)
    assert len(found) == len(set(found))
    for name in under:
        assert any(name == each or (name.startswith(each) and each.endswith(separator)) for each in found)
    for each in found:
        assert separator not in each[len(prefix) :].removesuffix(separator)


# ---------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("method", "target", "body", "status", "text"),
    [
        ("GET", "/v1/kv/", b"", 400, "Missing key name"),
        ("PUT", "/v1/kv/", b"", 400, "Missing key name"),
        ("DELETE", "/v1/kv/", b"", 400, "Missing key name"),
        ("PUT", "/v1/kv/a?cas=1&acquire=x%20y", b"", 400, "Conflicting flags: acquire=x+y&cas=1\n"),
        ("PUT", "/v1/kv/a?release=x&acquire=x", b"", 400, "Conflicting flags: acquire=x&release=x\n"),
        ("DELETE", "/v1/kv/a?recurse&cas=1", b"", 400, "Conflicting flags: cas=1&recurse=\n"),
        ("PUT", "/v1/kv/a?flags=x", b"", 500, 'strconv.ParseUint: parsing "x": invalid syntax'),
        ("PUT", "/v1/kv/a?flags=", b"", 500, 'strconv.ParseUint: parsing "": invalid syntax'),
        ("PUT", "/v1/kv/a?cas=-1", b"", 500, 'strconv.ParseUint: parsing "-1": invalid syntax'),
        (
            "PUT",
            "/v1/kv/a?cas=18446744073709551616",
            b"",
            500,
            'strconv.ParseUint: parsing "18446744073709551616": value out of range',
        ),
        ("DELETE", "/v1/kv/a?cas=x", b"", 500, 'strconv.ParseUint: parsing "x": invalid syntax'),
        ("PUT", "/v1/kv/a?acquire=nobody", b"", 500, 'raft apply failed: invalid session "nobody"'),
        ("PUT", "/v1/kv/a?acquire=", b"", 500, "raft apply failed: missing session"),
        ("PUT", "/v1/kv/a?release=", b"", 500, "raft apply failed: missing session"),
        ("POST", "/v1/kv/a", b"", 405, "method POST not allowed"),
        ("GET", "/v1/kv/a?dc=dc9", b"", 500, "No path to datacenter"),
        ("GET", "/v1/kv/a?index=x", b"", 400, "Invalid index"),
        (
            "PUT",
            "/v1/kv/a",
            b"x" * 524_289,
            413,
            "Request body(524289 bytes) too large, max size: 524288 bytes. "
            "See https://www.consul.io/docs/agent/config/config-files#kv_max_value_size.",
        ),
    ],
)
def test_refusals(bottle: ConsulBottle, method: str, target: str, body: bytes, status: int, text: str) -> None:
    answer = bottle.ask(method, target, body)
    assert (answer.status, answer.text) == (status, text)
    assert bottle.get("/v1/kv/?keys").json == []


def test_the_largest_value_is_taken(bottle: ConsulBottle) -> None:
    bottle.done("/v1/kv/a", b"x" * 524_288)
    assert len(bottle.get("/v1/kv/a?raw").body) == 524_288


def test_a_number_may_have_zeros_before_it(bottle: ConsulBottle) -> None:
    bottle.done("/v1/kv/a?flags=" + "0" * 30 + "7", b"")
    assert bottle.get("/v1/kv/a").json[0]["Flags"] == 7


# ---------------------------------------------------------------------- writing


def test_the_same_value_again_is_no_new_index(bottle: ConsulBottle) -> None:
    bottle.put("/v1/kv/a?flags=1", b"v")
    before = bottle.get("/v1/kv/a").index
    assert bottle.put("/v1/kv/a?flags=1", b"v").body == b"true"
    assert bottle.get("/v1/kv/a").index == before
    bottle.put("/v1/kv/a?flags=2", b"v")
    entry = bottle.get("/v1/kv/a").json[0]
    assert entry["ModifyIndex"] > before == entry["CreateIndex"]


def test_a_write_that_compares(bottle: ConsulBottle) -> None:
    assert bottle.put("/v1/kv/a?cas=5", b"v").body == b"false"
    assert bottle.put("/v1/kv/a?cas=0", b"v").body == b"true"
    assert bottle.put("/v1/kv/a?cas=0", b"w").body == b"false"
    index = bottle.get("/v1/kv/a").index
    assert bottle.put(f"/v1/kv/a?cas={index}", b"w").body == b"true"
    assert bottle.put(f"/v1/kv/a?cas={index}", b"x").body == b"false"
    assert bottle.get("/v1/kv/a?raw").body == b"w"


def test_deleting(bottle: ConsulBottle) -> None:
    for key in ("a", "ab", "b", "c"):
        bottle.put(f"/v1/kv/{key}", b"")
    assert bottle.ask("DELETE", "/v1/kv/none").body == b"true"
    assert bottle.ask("DELETE", "/v1/kv/none?cas=5").body == b"true"
    assert bottle.ask("DELETE", "/v1/kv/b?cas=1").body == b"false"
    assert bottle.ask("DELETE", f"/v1/kv/b?cas={bottle.get('/v1/kv/b').index}").body == b"true"
    assert bottle.ask("DELETE", "/v1/kv/a?recurse").body == b"true"
    assert bottle.get("/v1/kv/?keys").json == ["c"]
    assert bottle.ask("DELETE", "/v1/kv/?recurse").body == b"true"
    assert bottle.get("/v1/kv/?keys").json == []


def test_a_large_tree_goes_in_portions(bottle: ConsulBottle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes_kv, "PORTION", 3)
    for n in range(8):
        bottle.put(f"/v1/kv/t/{n}", b"")
        bottle.put(f"/v1/kv/config/t/{n}", b"v")
    waiting = bottle.begin("DELETE", "/v1/kv/t/?recurse")
    assert not waiting.answered
    bottle.timers.settle()
    assert waiting.answer.body == b"true"
    assert len(bottle.get("/v1/kv/?keys").json) == 8
    assert bottle.ask("DELETE", "/v1/kv/?recurse").body == b"true"
    assert bottle.get("/v1/kv/?keys").json == []


def test_everything_is_there_after_a_restart_and_no_index_went_back(bottle: ConsulBottle) -> None:
    bottle.put("/v1/kv/a?flags=3", b"v")
    bottle.put("/v1/kv/b", b"v")
    bottle.ask("DELETE", "/v1/kv/b")
    before, gone, tree = bottle.get("/v1/kv/a"), bottle.get("/v1/kv/b"), bottle.get("/v1/kv/?recurse")
    bottle.restart()
    assert bottle.get("/v1/kv/a").json == before.json
    assert bottle.get("/v1/kv/b").index > gone.index
    assert bottle.get("/v1/kv/?recurse").index > tree.index


def test_every_datacenter_has_its_own_keys() -> None:
    bottle = ConsulBottle(ConsulSettings(datacenters={"dc1": "default", "dc2": "two"}))
    bottle.put("/v1/kv/a?dc=dc2", b"2")
    assert bottle.get("/v1/kv/a").status == 404
    assert bottle.get("/v1/kv/a?dc=dc2&raw").body == b"2"
    assert bottle.registry.kv.entries.below("two", "") == ["a"]


# ---------------------------------------------------------------------- locks


def test_a_lock(bottle: ConsulBottle) -> None:
    mine, yours = session(bottle), session(bottle)
    assert bottle.put(f"/v1/kv/l?acquire={mine}&flags={LOCK_FLAGS}", b"me").body == b"true"
    assert bottle.put(f"/v1/kv/l?acquire={mine}", b"me again").body == b"true"
    assert bottle.put(f"/v1/kv/l?acquire={yours}", b"you").body == b"false"
    entry = bottle.get("/v1/kv/l").json[0]
    assert (entry["LockIndex"], entry["Session"], entry["Flags"]) == (1, mine, 0)
    assert list(entry) == ["LockIndex", "Key", "Flags", "Value", "Session", "CreateIndex", "ModifyIndex"]
    bottle.put("/v1/kv/l", b"a plain write")
    entry = bottle.get("/v1/kv/l").json[0]
    assert (entry["LockIndex"], entry["Session"]) == (1, mine)
    assert bottle.put(f"/v1/kv/l?release={yours}", b"").body == b"false"
    assert bottle.put(f"/v1/kv/l?release={mine}", b"bye").body == b"true"
    assert bottle.put(f"/v1/kv/l?release={mine}", b"bye").body == b"false"
    entry = bottle.get("/v1/kv/l").json[0]
    assert "Session" not in entry
    assert entry["LockIndex"] == 1
    assert bottle.put(f"/v1/kv/l?acquire={yours}", b"you").body == b"true"
    assert bottle.get("/v1/kv/l").json[0]["LockIndex"] == 2


# ---------------------------------------------------------------------- waiting


@pytest.mark.parametrize(
    ("target", "changes", "others"),
    [
        ("/v1/kv/a/b", ["PUT /v1/kv/a/b", "DELETE /v1/kv/a/b", "DELETE /v1/kv/a?recurse"], ["PUT /v1/kv/a/bc", "PUT /v1/kv/a"]),
        ("/v1/kv/none", ["PUT /v1/kv/none"], ["PUT /v1/kv/a", "DELETE /v1/kv/none", "DELETE /v1/kv/a/b"]),
        ("/v1/kv/a?recurse", ["PUT /v1/kv/a/x", "DELETE /v1/kv/a/b", "DELETE /v1/kv/?recurse"], ["PUT /v1/kv/b"]),
        ("/v1/kv/a/?keys", ["PUT /v1/kv/a/x", "DELETE /v1/kv/a/b"], ["PUT /v1/kv/a", "PUT /v1/kv/b"]),
        ("/v1/kv/no/?recurse", ["PUT /v1/kv/no/x"], ["PUT /v1/kv/no", "PUT /v1/kv/b", "DELETE /v1/kv/a/b"]),
        ("/v1/kv/a/b?raw", ["PUT /v1/kv/a/b"], ["PUT /v1/kv/b"]),
        ("/v1/kv/?keys", ["PUT /v1/kv/z", "DELETE /v1/kv/a/b"], ["DELETE /v1/kv/none"]),
    ],
)  # fmt: skip
def test_a_read_waits_for_its_own_changes_alone(target: str, changes: list[str], others: list[str]) -> None:
    for change in changes:
        bottle = ConsulBottle()
        bottle.put("/v1/kv/a/b", b"1")
        bottle.put("/v1/kv/c", b"1")
        seen = bottle.get(target)
        more = "&" if "?" in target else "?"
        waiting = bottle.begin("GET", f"{target}{more}index={seen.index}&wait=60s")
        for other in (*others, "PUT /v1/session/create"):
            method, _, path = other.partition(" ")
            bottle.ask(method, path, b"" if method == "DELETE" else b"{}")
            bottle.timers.until(bottle.clock.now_s + 0.5)
            assert not waiting.answered, other
        method, _, path = change.partition(" ")
        bottle.ask(method, path, b"2")
        bottle.timers.until(bottle.clock.now_s + 1)
        assert waiting.answered, change
        assert waiting.answer.index > seen.index
        assert len(bottle.registry.kv.watches) == 0


def test_the_time_is_over_and_the_same_comes_back(bottle: ConsulBottle) -> None:
    bottle.put("/v1/kv/a", b"1")
    seen = bottle.get("/v1/kv/a")
    waiting = bottle.begin("GET", f"/v1/kv/a?index={seen.index}&wait=10s")
    bottle.put("/v1/kv/b", b"1")
    bottle.timers.until(bottle.clock.now_s + 9.9)
    assert not waiting.answered
    bottle.timers.until(bottle.clock.now_s + 0.2)
    assert (waiting.answer.index, waiting.answer.json) == (seen.index, seen.json)


def test_who_hangs_up_leaves_nothing(bottle: ConsulBottle) -> None:
    bottle.put("/v1/kv/a", b"1")
    index = bottle.get("/v1/kv/a").index
    bottle.begin("GET", f"/v1/kv/a?index={index}").hang_up()
    assert (len(bottle.registry.kv.watches), bottle.timers.pending) == (0, 0)


def test_a_write_that_changes_nothing_wakes_nobody(bottle: ConsulBottle) -> None:
    bottle.put("/v1/kv/a", b"1")
    index = bottle.get("/v1/kv/a").index
    waiting = bottle.begin("GET", f"/v1/kv/a?index={index}&wait=60s")
    for target in ("/v1/kv/a", f"/v1/kv/a?cas={index}"):
        assert bottle.put(target, b"1").body == b"true"
    bottle.timers.until(bottle.clock.now_s + 1)
    assert not waiting.answered


def test_of_thousands_of_waiting_readers_a_change_wakes_its_own(bottle: ConsulBottle) -> None:
    waiting = [bottle.begin("GET", f"/v1/kv/k{n}?index=1&wait=60s") for n in range(2000)]
    bottle.put("/v1/kv/k77", b"1")
    bottle.timers.until(bottle.clock.now_s + 1)
    assert [n for n, each in enumerate(waiting) if each.answered] == [77]
    assert len(bottle.registry.kv.watches) == 1999


@pytest.mark.parametrize("target", ["/v1/kv/?recurse", "/v1/kv/t?recurse", "/v1/kv/t?recurse&pretty"])
def test_a_large_tree_is_read_in_slices_and_waited_for_like_any(
    bottle: ConsulBottle, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    for n in range(8):
        bottle.put(f"/v1/kv/t{n}", b"v")
    small = bottle.get(target)
    monkeypatch.setattr(routes_kv, "LARGE", 5)
    monkeypatch.setattr(slices, "SLICE_S", -1.0)
    begun = bottle.begin("GET", target)
    bottle.put("/v1/kv/t5", b"changed meanwhile")
    bottle.timers.settle()
    assert begun.answer.index == small.index
    assert len(begun.answer.json) == 8
    read = bottle.get(target)
    assert read.index > small.index
    waiting = bottle.begin("GET", f"{target}&index={read.index}&wait=10s")
    late = bottle.begin("GET", f"{target}&index={read.index}&wait=60s")
    bottle.put("/v1/kv/other", b"v")
    if target.startswith("/v1/kv/t"):
        bottle.timers.until(bottle.clock.now_s + 10.1)
        bottle.timers.settle()
        assert (waiting.answer.index, waiting.answer.body) == (read.index, read.body)
        assert not late.answered
    bottle.put("/v1/kv/t1", b"w")
    bottle.timers.until(bottle.clock.now_s + 1)
    bottle.timers.settle()
    assert late.answer.index > read.index
    assert len(bottle.registry.kv.watches) == 0


def test_a_large_tree_is_whole_when_the_server_stops(bottle: ConsulBottle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes_kv, "LARGE", 1)
    for n in range(3):
        bottle.put(f"/v1/kv/t{n}", b"v")
    read = bottle.get("/v1/kv/t?recurse")
    waiting = bottle.begin("GET", f"/v1/kv/t?recurse&index={read.index}")
    bottle.http.leave()
    bottle.timers.settle()
    assert waiting.answer.json == read.json
    assert bottle.get(f"/v1/kv/t?recurse&index={read.index}").json == read.json


# ---------------------------------------------------------------------- rights


class Policy:
    """Lets tokens do what they are called: ``r`` reads, ``w`` writes, on group ``open`` and on namespaces."""

    def authenticate(self, credential: object) -> str:
        return str(getattr(credential, "token", ""))

    def allow(self, principal: str, operation: str, resource: object) -> bool:
        if getattr(resource, "kind", "") == "config-group" or getattr(resource, "kind", "").lower().startswith(
            "config"
        ):
            return principal != "" and getattr(resource, "name", "") == "open"
        return principal == "w" or (principal == "r" and not operation.startswith(("Publish", "Register")))


def test_rights_are_asked_for_and_lists_leave_out() -> None:
    bottle = ConsulBottle(ConsulSettings(auth=True), authority=Policy())
    assert bottle.put("/v1/kv/a?token=w", b"1").status == 200
    assert bottle.put("/v1/kv/config/open/f?token=w", b"1").status == 200
    refused = bottle.put("/v1/kv/a?token=r", b"2")
    assert (refused.status, refused.text) == (
        403,
        "Permission denied: token with AccessorID 'r' lacks permission 'key:write' on \"a\"",
    )
    assert bottle.get("/v1/kv/a").status == 403
    assert bottle.put("/v1/kv/config/shut/f?token=w", b"1").status == 403
    assert bottle.ask("DELETE", "/v1/kv/?recurse&token=r").status == 403
    bottle.registry.config.releases.publish(FileKey("default", "shut", "f"), STRANGER, change=Change(b"secret"))
    bottle.timers.settle()
    listed = bottle.get("/v1/kv/?keys&token=r")
    assert listed.json == ["a", "config/open/f"]
    assert listed.headers["x-consul-results-filtered-by-acls"] == "true"
    assert [e["Key"] for e in bottle.get("/v1/kv/config/?recurse&token=r").json] == ["config/open/f"]


def test_a_tree_with_nothing_in_it_is_not_waited_for_long():
    bottle = ConsulBottle()
    index = bottle.get("/v1/kv/config/app/?recurse").index
    waiting = bottle.begin("GET", f"/v1/kv/config/app/?recurse&index={index}&wait=55s")
    bottle.timers.settle()
    assert not waiting.answered
    bottle.move(4)
    assert (waiting.answer.status, waiting.answer.index) == (404, index)
    waiting = bottle.begin("GET", f"/v1/kv/config/app/?recurse&index={index}&wait=55s")
    bottle.done("/v1/kv/config/app/data", b"x")
    bottle.timers.settle()
    assert waiting.answer.status == 200
