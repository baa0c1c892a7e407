"""polaris-go answers every case of the routing table, with rules from our server; the server's own explanations agree.

``RECORD_ROUTING=1`` writes what it said into ``tests/unit/polaris/data/routing_agreement.json``, which the unit test reads.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from ..building import Program, run
from ..conftest import build
from ..server import Server
from . import programs
from .console import SUCCESS, Console

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

UNIT: Final = Path(__file__).resolve().parents[2] / "unit" / "polaris"
TURNS: Final = 40
"""Calls of each case with several shares: one of three in a hundred is missed once in 300 runs, and no case has one."""
BATCH: Final = 100
ASKED_AT_LEAST: Final = 250
WITHIN_S: Final = 150
Document = dict[str, Any]
LANE: Final = "lane"
CHAINS: Final = {
    "": ("dstMetaRouter", "ruleBasedRouter", "nearbyBasedRouter"),
    "set": ("setDivisionRouter", "nearbyBasedRouter"),
    "canary": ("canaryRouter",),
    LANE: ("ruleBasedRouter",),
}
"""Routers of the library, by what a case is about."""
REGION_ZONE_CAMPUS: Final = ("region", "zone", "campus")


def table() -> Any:
    """The unit tests' module."""
    spec = importlib.util.spec_from_file_location("routing_table", UNIT / "routing_table.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def build_program() -> None:
    programs.BUILD.mkdir(parents=True, exist_ok=True)
    run("go", "build", "-o", programs.BUILD / "go-routing", ".", cwd=programs.HERE / "go-routing")


NEWER: Final = os.environ.get("ROUTING_PROGRAM", "")
"""The program built with a polaris-go that has lanes (after 1.7.0): it is asked those cases, and no others; their answers are of
commit f80df73. Without it they are asked of our server alone."""
PRODUCT: Final = programs.BUILD / "go-routing"
PROGRAM: Final = Program(
    programs.HERE / "go-routing", ("go",), build_program, PRODUCT, (str(PRODUCT),), programs.BUILD / "routing"
)


@pytest.fixture(scope="module")
def program() -> Path:
    if NEWER:
        return Path(NEWER)
    build(PROGRAM)
    return PRODUCT


def configuration(options: Document, address: str, folder: Path) -> str:
    """The library's file for a case."""
    nearby: Document = {"matchLevel": options.get("match", "zone"), "maxMatchLevel": options.get("widest", "")}
    nearby["unhealthyPercentToDegrade"] = options.get("percent", 100)
    routing = {
        "chain": CHAINS[options.get("chain", "")],
        "enableRecoverAll": options.get("recoverAll", True),
        "plugin": {
            "nearbyBasedRouter": nearby,
            "ruleBasedRouter": {"failoverType": options.get("failover", "all")},
        },
    }
    shared: Document = {
        "serverConnector": {"addresses": [address]},
        "system": {"variables": options.get("variables", {})},
        "statReporter": {"enable": False},
    }
    if "location" in options:
        place = dict(zip(REGION_ZONE_CAMPUS, options["location"], strict=True))
        shared["location"] = {"providers": [{"type": "local", "options": place}]}
    consumer = {"localCache": {"persistDir": str(folder / "kept")}, "serviceRouter": routing}
    return json.dumps({"global": shared, "consumer": consumer})  # JSON is YAML


def call(name: str, config: str, question: Document, turns: int) -> Document:
    """A question of ours as the library is asked it."""
    caller = question.get("caller", {})
    arguments = [
        {"type": kind, "key": key, "value": value}
        for kind, parts in (("header", "headers"), ("query", "query"), ("cookie", "cookies"))
        for key, value in question.get(parts, {}).items()
    ]
    arguments += [
        {"type": kind, "key": "", "value": question[kind]}
        for kind in ("method", "path", "callerIp")
        if kind in question
    ]
    return {
        "name": name, "config": config, "namespace": question["namespace"], "service": question["service"],
        "callerNamespace": "default" if "service" in caller else "", "callerService": caller.get("service", ""),
        "labels": caller.get("labels", {}), "arguments": arguments, "metadata": question.get("metadata", {}),
        "canary": question.get("canary", ""), "turns": turns,
    }  # fmt: skip


def written(console: Console, told: list[Document]) -> None:
    """Every case is on the server before the first call, for the library keeps what it was told."""
    for path, kind in (
        ("/naming/v1/services", "services"),
        ("/naming/v1/instances", "instances"),
        ("/naming/v2/routings", "rules"),
        ("/naming/v1/lane/groups", "lanes"),
    ):
        items = [item for each in told for item in each[kind]]
        for at in range(0, len(items), BATCH):
            console.write("POST", path, *items[at : at + BATCH])


def test_the_routing_table_is_what_polaris_go_does(
    server: Server, console: Console, program: Path, tmp_path: Path
) -> None:
    cases = table().cases()
    told = [table().named(case, at) for at, case in enumerate(cases)]
    written(console, told)
    configs: dict[str, str] = {}
    calls = []
    for case, each in zip(cases, told, strict=True):
        if (case.options.get("chain") == LANE) is not bool(NEWER):
            continue
        key = json.dumps(case.options, sort_keys=True)
        configs.setdefault(key, configuration(case.options, f"127.0.0.1:{server.port}", tmp_path))
        shares = max(
            (len(sub["destinations"]) for r in each["rules"] for sub in r["routing_config"].get("rules", ())), default=1
        )
        calls.append(call(case.name, key, each["call"], TURNS if shares > 1 else 1))
    done = subprocess.run(
        [program], input=json.dumps({"configs": configs, "calls": calls}), text=True, cwd=tmp_path,
        capture_output=True, timeout=WITHIN_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    said = {result["name"]: result["answers"] for result in map(json.loads, done.stdout.splitlines())}
    if os.environ.get("RECORD_ROUTING"):
        record(table().answers() | said, [case.name for case in cases])
    answers = table().answers()
    assert said == {name: answer for name, answer in answers.items() if name in said}
    explained = [(case, each["call"]) for case, each in zip(cases, told, strict=True) if askable(case.options)]
    assert len(explained) > ASKED_AT_LEAST
    for case, question in explained:
        expected = case.ours if case.differs else answers[case.name]
        assert shares_of(console, question, case.options) == {tuple(share) for share in expected if share}, case.name


def record(answers: dict[str, Any], names: list[str]) -> None:
    """Keeps the answers to the cases that there are, in their order."""
    known = (name for name in names if name in answers)
    lines = ",\n".join(f"{json.dumps(name, ensure_ascii=False)}: {json.dumps(answers[name])}" for name in known)
    table().ANSWERS.write_text(f"{{\n{lines}\n}}\n")


def askable(options: Document) -> bool:
    """Whether the server's own options are those of a case: it has one set of them, the library's defaults."""
    defaults = {"match": "zone", "widest": "", "percent": 100}
    kept = ("recoverAll", "failover")
    return not any(name in options for name in kept) and all(options.get(k, v) == v for k, v in defaults.items())


def shares_of(console: Console, question: Document, options: Document) -> set[tuple[int, ...]]:
    """The groups that our server would send a call to."""
    caller = question.get("caller", {}) | {"variables": options.get("variables", {})}
    if "location" in options:
        caller["location"] = dict(zip(REGION_ZONE_CAMPUS, options["location"], strict=True))
    answer = console.post("/naming/v1/routing/explain", question | {"caller": caller})
    assert answer["code"] == SUCCESS, answer
    best = min((group["priority"] for group in answer["groups"]), default=0)
    return {
        tuple(sorted(one["port"] for one in group["instances"]))
        for group in answer["groups"]
        if group["priority"] == best
    }
