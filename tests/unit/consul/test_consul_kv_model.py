"""Plain keys and files together as a model: writes from both sides, locks, losses and restarts beside a naive oracle, with
readers that wait as clients do."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from consul_bottle import STRANGER, ConsulBottle, Waiting
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from polaris_bridge.core.config.model import Change, FileKey

NS = "default"
NAMES = {"a": "a", "config/g/f": "config/g/f", "config/x": "config/default/x", "config/default/x": "config/default/x"}
"""Key -> the one under which the oracle knows it."""
FILES = {"config/g/f": FileKey(NS, "g", "f"), "config/default/x": FileKey(NS, "default", "x")}
READS = [*NAMES, "?recurse", "config/?recurse", "config/x?recurse", "config/g/?keys"]

names = st.sampled_from(list(NAMES))
values = st.sampled_from([b"", b"1", b"\xff"])


@dataclass
class Kept:
    value: bytes
    flags: int = 0
    session: str = ""
    turns: int = 0


class Reader:
    """Reads one thing, waits with its index, and reads again when it is answered."""

    def __init__(self, target: str) -> None:
        self.target = f"/v1/kv/{target}"
        self.index = 0
        self.seen: object = None
        self.waiting: Waiting | None = None

    def follow(self, bottle: ConsulBottle) -> None:
        """Take the answers that are there, and wait again."""
        for _ in range(5):
            if self.waiting is not None:
                if not self.waiting.answered:
                    return
                self.take(self.waiting.answer)
            more = "&" if "?" in self.target else "?"
            self.waiting = bottle.begin("GET", f"{self.target}{more}index={self.index}&wait=600s")
        raise AssertionError("it never waits")

    def take(self, answer: Any) -> None:
        seen = _without_indexes(answer)
        assert answer.index >= self.index, "an index went back"
        assert seen == self.seen or answer.index > self.index, "another content under the same index"
        self.index, self.seen = answer.index, seen


def _without_indexes(answer: Any) -> object:
    return answer.json if answer.status == 200 else answer.status


class KeysMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.bottle = ConsulBottle()
        self.kept: dict[str, Kept] = {}
        self.readers = [Reader(target) for target in READS]
        self.sessions = [self.session(), self.session()]
        self.spelt: dict[str, str] = {}
        """Name -> the key under which it is listed."""

    def session(self) -> str:
        return str(self.bottle.put("/v1/session/create", {"LockDelay": "0s"}).json["ID"])

    @rule(key=names, value=values, flags=st.integers(0, 1), cas=st.sampled_from(["", "own", "0", "7"]))
    def put(self, key: str, value: bytes, flags: int, cas: str) -> None:
        name = NAMES[key]
        target = f"/v1/kv/{key}?flags={flags}"
        fits = True
        if cas:
            index = self.modify_index(key) if cas == "own" else int(cas)
            fits = index == self.modify_index(key)
            target += f"&cas={index}"
        assert self.bottle.put(target, value).json is fits
        if fits:
            kept = self.kept.setdefault(name, Kept(value))
            kept.value, kept.flags = value, flags
            self.spelt[name] = key

    def modify_index(self, key: str) -> int:
        answer = self.bottle.get(f"/v1/kv/{key}")
        return int(answer.json[0]["ModifyIndex"]) if answer.status == 200 else 0

    @rule(key=names, value=values, which=st.integers(0, 1), release=st.booleans())
    def lock(self, key: str, value: bytes, which: int, release: bool) -> None:
        name, id = NAMES[key], self.sessions[which]
        kept = self.kept.get(name)
        word = "release" if release else "acquire"
        fits = (kept is not None and kept.session == id) if release else (kept is None or kept.session in ("", id))
        assert self.bottle.put(f"/v1/kv/{key}?{word}={id}", value).json is fits
        if not fits:
            return
        kept = self.kept.setdefault(name, Kept(value))
        kept.turns += not release and not kept.session
        kept.value, kept.flags, kept.session = value, 0, "" if release else id
        self.spelt[name] = key

    @rule(which=st.integers(0, 1))
    def lose(self, which: int) -> None:
        self.bottle.done(f"/v1/session/destroy/{self.sessions[which]}")
        for kept in self.kept.values():
            if kept.session == self.sessions[which]:
                kept.session = ""
        self.sessions[which] = self.session()

    @rule(key=names)
    def delete(self, key: str) -> None:
        assert self.bottle.ask("DELETE", f"/v1/kv/{key}").json is True
        self.kept.pop(NAMES[key], None)

    @rule(prefix=st.sampled_from(["", "config/", "config/x", "config/d", "b"]))
    def delete_below(self, prefix: str) -> None:
        assert self.bottle.ask("DELETE", f"/v1/kv/{prefix}?recurse").json is True
        self.kept = {n: k for n, k in self.kept.items() if not self.spelt[n].startswith(prefix)}

    @rule(name=st.sampled_from(list(FILES)), value=values)
    def publish_elsewhere(self, name: str, value: bytes) -> None:
        self.bottle.registry.config.releases.publish(FILES[name], STRANGER, change=Change(value))
        self.bottle.timers.settle()
        if name not in self.kept:
            self.spelt[name] = name
        self.kept.setdefault(name, Kept(value)).value = value

    @rule(name=st.sampled_from(list(FILES)))
    def delete_elsewhere(self, name: str) -> None:
        self.bottle.registry.config.files.delete(FILES[name], STRANGER)
        self.bottle.timers.settle()
        self.kept.pop(name, None)

    @rule(key=names, value=values, breaks=st.booleans())
    def transaction(self, key: str, value: bytes, breaks: bool) -> None:
        encoded = base64.b64encode(value).decode()
        operations = [
            {"KV": {"Verb": "set", "Key": key, "Value": encoded}},
            {"KV": {"Verb": "set", "Key": "a", "Value": encoded}},
            {"KV": {"Verb": "get" if breaks else "get-or-empty", "Key": "none"}},
        ]
        assert self.bottle.put("/v1/txn", operations).status == (409 if breaks else 200)
        if not breaks:
            for each in (key, "a"):
                kept = self.kept.setdefault(NAMES[each], Kept(value))
                kept.value, kept.flags = value, 0
                self.spelt[NAMES[each]] = each

    @rule()
    def restart(self) -> None:
        self.bottle.restart()
        for reader in self.readers:
            reader.waiting = None

    @invariant()
    def reads_are_those_of_the_oracle(self) -> None:
        for key, name in NAMES.items():
            answer, kept = self.bottle.get(f"/v1/kv/{key}"), self.kept.get(name)
            assert answer.status == (404 if kept is None else 200)
            if kept is None:
                continue
            entry = answer.json[0]
            assert base64.b64decode(entry["Value"] or "") == kept.value
            assert (entry["Key"], entry["Flags"], entry.get("Session", "")) == (key, kept.flags, kept.session)
            assert entry["LockIndex"] == kept.turns
            assert 0 < entry["CreateIndex"] <= entry["ModifyIndex"] == answer.index
        assert self.bottle.get("/v1/kv/?keys").json == sorted(self.spelt[name] for name in self.kept)
        for name, file in FILES.items():
            seen = self.bottle.registry.config.reading.resolve(file)
            assert (None if seen is None else seen.content) == (self.kept[name].value if name in self.kept else None)

    @invariant()
    def every_reader_ends_with_the_newest(self) -> None:
        self.bottle.timers.until(self.bottle.clock.now_s + 0.1)
        for reader in self.readers:
            reader.follow(self.bottle)
            assert reader.seen == _without_indexes(self.bottle.get(reader.target)), reader.target
        assert len(self.bottle.registry.kv.watches) == len(READS)


TestKeys = KeysMachine.TestCase
TestKeys.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
