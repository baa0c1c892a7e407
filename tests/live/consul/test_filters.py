"""Expressions of the filter language, many and random: go-bexpr finds what we find, and refuses what we refuse."""

from __future__ import annotations

import json
import os
import random
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from polaris_bridge.adapters.consul.filters import BadFilter, Filters, ListOf, MapOf, Record, Scalar
from polaris_bridge.adapters.consul.service.patterns import linear

from ..conftest import lacking
from . import programs
from .conftest import built

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]
FACTOR = int(os.environ.get("SOAK_FACTOR", "1"))
EXPRESSIONS = 4000 * FACTOR
SEED = int(os.environ.get("FILTER_SEED", "20261123"))
Judge = Callable[[Sequence[dict[str, Any]]], list[dict[str, Any]]]

TEXT, INT, BOOL = Scalar(), Scalar("int"), Scalar("bool")
INSTANCE = Record(
    {
        "Node": Record({"Node": TEXT, "Address": TEXT, "TaggedAddresses": MapOf(), "Meta": MapOf()}),
        "Service": Record(
            {
                "ID": TEXT,
                "Service": TEXT,
                "Tags": ListOf(TEXT),
                "TaggedAddresses": MapOf(Record({"Address": TEXT, "Port": INT})),
                "Meta": MapOf(),
                "Port": INT,
                "Weights": Record({"Passing": INT, "Warning": INT}),
                "EnableTagOverride": BOOL,
            }
        ),
        "Checks": ListOf(
            Record({"CheckID": TEXT, "Status": TEXT, "Output": TEXT, "ServiceTags": ListOf(TEXT), "ExposedPort": INT})
        ),
    }
)
"""The types of the judge's program."""

WORDS = ("web", "api", "a", "b", "v1", "passing", "critical", "10.0.0.1", "", "é", "zone", "env", "not", "in", "true")
NUMBERS = (0, 1, 2, 80, 8001, 65535, -1)
TEXT_FIELDS = ("Node.Node", "Node.Address", "Service.ID", "Service.Service", "Checks.Status", "Checks.CheckID")
MAPS = ("Node.Meta", "Service.Meta", "Node.TaggedAddresses")
LISTS = ("Service.Tags", "Checks.ServiceTags")
INTS = ("Service.Port", "Service.Weights.Passing", "Checks.ExposedPort", "Service.TaggedAddresses.lan.Port")
ODD = (
    *(
        "Nonsense",
        "Service.Nonsense",
        "Service",
        "Checks",
        "Node.Meta.a.b",
        "Service.Tags.a",
        "service.port",
        "Node.node",
    ),
    *("Service.TaggedAddresses", "Service.TaggedAddresses.lan", "Checks.ServiceTags.x", "Service.EnableTagOverride"),
)
PATTERNS = ("^web$", "w.b", "[a-z]+", "a|b", "(?i)WEB", "^$", "(", "[", "a{2,1}", "\\d+", "\\pL", "(?P<x>a)", "(?=a)")


@dataclass
class Maker:
    """Random expressions and answers."""

    dice: random.Random

    def expression(self, depth: int = 0) -> str:
        kind = self.dice.random()
        if depth > 3 or kind < 0.45:
            return self.comparison()
        if kind < 0.60:
            return f"not{self.blank()}{self.expression(depth + 1)}"
        if kind < 0.72:
            return f"({self.gap()}{self.expression(depth + 1)}{self.gap()})"
        word = self.dice.choice(("and", "or"))
        return f"{self.expression(depth + 1)}{self.blank()}{word}{self.blank()}{self.expression(depth + 1)}"

    def comparison(self) -> str:
        kind, value = self.dice.random(), self.value()
        if kind < 0.30:
            return f"{self.selector()}{self.gap()}{self.dice.choice(('==', '!='))}{self.gap()}{value}"
        word = f"{self.dice.choice(('', f'not{self.blank()}'))}"
        if kind < 0.45:
            return f"{value}{self.blank()}{word}in{self.blank()}{self.selector()}"
        if kind < 0.60:
            return f"{self.selector()}{self.blank()}{word}contains{self.blank()}{value}"
        if kind < 0.75:
            pattern = self.quoted(self.dice.choice(PATTERNS))
            return f"{self.selector()}{self.blank()}{word}matches{self.blank()}{pattern}"
        return f"{self.selector()}{self.blank()}is{self.blank()}{word}empty"

    def selector(self) -> str:
        kind = self.dice.random()
        if kind < 0.30:
            return self.dice.choice(TEXT_FIELDS)
        if kind < 0.50:
            return self.dice.choice(MAPS) + self.dice.choice(
                ("", ".a", ".zone", '["a"]', '["b c"]', "[`zone`]", "[ `a` ]")
            )
        if kind < 0.65:
            return self.dice.choice(LISTS)
        if kind < 0.80:
            return self.dice.choice(INTS)
        if kind < 0.85:
            return "Service.EnableTagOverride"
        return self.dice.choice(ODD)

    def value(self) -> str:
        kind = self.dice.random()
        if kind < 0.35:
            return self.quoted(self.dice.choice(WORDS))
        if kind < 0.65:
            return str(self.dice.choice((*NUMBERS, "1.5", "007", "0x10", "1_000", "true", "false", "T", "9" * 20)))
        return self.dice.choice(("web", "a", "passing", "a.b", "v1", "true", "x_y", "empty"))

    def quoted(self, text: str) -> str:
        if self.dice.random() < 0.3 and "`" not in text:
            return f"`{text}`"
        return json.dumps(text, ensure_ascii=False)

    def gap(self) -> str:
        return self.dice.choice(("", "", " ", "  ", "\t"))

    def blank(self) -> str:
        return self.dice.choice((" ", " ", " ", "\n", " \t"))

    def broken(self) -> str:
        """An expression with something taken away, doubled or put in."""
        text = self.expression(2)
        for _ in range(self.dice.randint(1, 2)):
            at = self.dice.randrange(len(text) + 1)
            bit = self.dice.choice(("", '"', "(", ")", " ", "==", "in", "not ", "[", "]", ".", "-", "é", "\\", "0"))
            text = text[:at] + bit + text[at + self.dice.choice((0, 1, 2)) :]
        return text.replace("not.", "no.")

    def instance(self) -> dict[str, Any]:
        def word() -> str:
            return self.dice.choice(WORDS)

        def words() -> list[str]:
            return [word() for _ in range(self.dice.choice((0, 1, 2)))]

        def meta() -> dict[str, str]:
            return {key: word() for key in self.dice.sample(("a", "b c", "zone", ""), self.dice.randint(0, 3))}

        return {
            "Node": {"Node": word(), "Address": word(), "TaggedAddresses": meta(), "Meta": meta()},
            "Service": {
                "ID": word(),
                "Service": word(),
                "Tags": words(),
                "TaggedAddresses": {
                    key: {"Address": word(), "Port": self.dice.choice(NUMBERS)}
                    for key in self.dice.sample(("lan", "wan"), self.dice.randint(0, 2))
                },
                "Meta": meta(),
                "Port": self.dice.choice(NUMBERS),
                "Weights": {"Passing": self.dice.choice(NUMBERS), "Warning": 1},
                "EnableTagOverride": self.dice.random() < 0.5,
            },
            "Checks": [
                {
                    "CheckID": word(),
                    "Status": word(),
                    "Output": "",
                    "ServiceTags": words(),
                    "ExposedPort": self.dice.choice(NUMBERS),
                }
                for _ in range(self.dice.choice((0, 1, 2)))
            ],
        }


@pytest.fixture(scope="module")
def judged() -> Judge:
    """What go-bexpr says of questions."""
    reason = built(programs.JUDGE)
    if reason:
        lacking(reason)

    def ask(questions: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        lines = "".join(json.dumps(question) + "\n" for question in questions)
        done = subprocess.run(
            programs.JUDGE.command, input=lines, capture_output=True, text=True, timeout=100, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return [json.loads(line) for line in done.stdout.splitlines()]

    return ask


def ours(filters: Filters, question: dict[str, Any]) -> dict[str, Any]:
    try:
        wanted = filters.get(question["filter"], INSTANCE)
    except BadFilter as refused:
        return {"refused": str(refused)}
    return {"found": [wanted(one) for one in question["data"]]}


@pytest.mark.parametrize("kind", ["whole", "broken"])
def test_the_same_is_found_and_refused(judged: Judge, kind: str) -> None:
    """Nothing is refused that go-bexpr takes. It insists on blanks where we do not (``x not in"y"``, ``A .B``), so of what is
    broken a little is liberty; and an unquoted ``not`` is never the beginning of a value here."""
    maker = Maker(random.Random(f"{SEED} {kind}"))
    make = maker.expression if kind == "whole" else maker.broken
    questions = [{"filter": make(), "data": [maker.instance() for _ in range(4)]} for _ in range(EXPRESSIONS)]
    filters = Filters(linear)
    differing, liberties, answered = [], 0, 0
    for question, theirs in zip(questions, judged(questions), strict=True):
        mine = ours(filters, question)
        answered += "found" in theirs
        if mine.get("found") == theirs.get("found"):
            continue
        if kind == "broken" and "found" in mine:
            liberties += 1
        else:
            differing.append((question["filter"], mine, theirs))
    assert answered > EXPRESSIONS / 50
    assert liberties < EXPRESSIONS / 200
    assert not differing, f"{len(differing)} of {EXPRESSIONS}:\n" + "\n".join(map(str, differing[:12]))
