"""polaris-go breaks circuits by rules from our server, and the server's own breakers open and close where polaris-go's do.

``RECORD_BREAKING=1`` keeps what it said for the unit tests.
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
from .console import Console

pytestmark = [pytest.mark.live, pytest.mark.timeout(420)]

PRODUCT: Final = programs.BUILD / "go-breaker"
WARM_MS: Final = 3000
"""How long the library takes to find a rule at the most."""
UNIT: Final = Path(__file__).resolve().parents[2] / "unit" / "polaris"
BAD_PORT, GOOD_PORT = 7001, 7002


def build_program() -> None:
    programs.BUILD.mkdir(parents=True, exist_ok=True)
    run("go", "build", "-o", PRODUCT, ".", cwd=programs.HERE / "go-breaker")


PROGRAM: Final = Program(
    programs.HERE / "go-breaker", ("go",), build_program, PRODUCT, (str(PRODUCT),), programs.BUILD / "breaker"
)


@pytest.fixture(scope="module")
def program() -> Path:
    build(PROGRAM)
    return PRODUCT


def table() -> Any:
    """The unit tests' module."""
    spec = importlib.util.spec_from_file_location("breaking_table", UNIT / "breaking_table.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


ATTEMPTS: Final = 3
"""The library keeps time by the wall, and scenes last seconds: on a busy machine a step comes late."""


def test_breakers_open_and_close_where_polaris_go_has_them(
    server: Server, console: Console, program: Path, tmp_path: Path
) -> None:
    known = table()
    passes: dict[str, Any] = {}
    expected: dict[str, Any] = {}
    drawn: dict[str, Any] = {}
    for attempt in range(ATTEMPTS):
        left = [name for name in known.SCENES if name not in passes or passes[name] != expected[name]]
        if left:
            said, wanted, drawn = play(known, left, attempt, server, console, program, tmp_path)
            passes |= said
            expected |= wanted
    if os.environ.get("RECORD_BREAKING"):
        lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(each)}" for name, each in passes.items())
        known.ANSWERS.write_text(f"{{\n{lines}\n}}\n")
    assert passes == expected == known.answers()
    assert drawn.get("ports") == [GOOD_PORT], drawn


def play(
    known: Any, names: list[str], attempt: int, server: Server, console: Console, program: Path, tmp_path: Path
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Some scenes, each with a service of its own: what the library let through, what we expect, and what it chose."""
    scenes, expected = [], {}
    for at, name in enumerate(names):
        told, steps, said = known.SCENES[name]
        service = f"breaking-{attempt}-{at}"
        rules = known.named(told, service)
        console.write("POST", "/naming/v1/services", {"name": service, "namespace": "default"})
        console.write("POST", "/naming/v1/circuitbreaker/rules", *rules)
        scenes.append({"name": name, "service": service, "caller": "web", "level": "SERVICE", "steps": steps} | said)
        expected[name] = known.ours(service, rules, steps, said)
    service = f"breaking-drawn-{attempt}"
    places = [
        {"service": service, "namespace": "default", "host": "127.0.0.1", "port": p} for p in (BAD_PORT, GOOD_PORT)
    ]
    console.write("POST", "/naming/v1/services", {"name": service, "namespace": "default"})
    console.write("POST", "/naming/v1/instances", *places)
    console.write(
        "POST", "/naming/v1/circuitbreaker/rules", known.named(known.a_rule(known.row(3), level="INSTANCE"), service)
    )
    config = {
        "global": {
            "serverConnector": {"addresses": [f"127.0.0.1:{server.port}"]},
            "statReporter": {"enable": False},
        },
        "consumer": {"localCache": {"persistDir": str(tmp_path / f"kept-{attempt}")}},
    }
    asked = {"config": json.dumps(config), "warm": WARM_MS * (attempt + 1), "scenes": scenes,
             "drawn": {"name": "drawn", "service": service, "port": BAD_PORT}}  # fmt: skip
    done = subprocess.run(
        [program], input=json.dumps(asked), text=True, cwd=tmp_path, capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said_by = {each["name"]: each for each in map(json.loads, done.stdout.splitlines())}
    return {name: each["passes"] for name, each in said_by.items() if name != "drawn"}, expected, said_by["drawn"]
