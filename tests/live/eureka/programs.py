"""The client programs: which tools they need, how each is built once, and the command that starts it.

Also a script: ``python -m tests.live.eureka.programs`` builds all of them (standard library only).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from ..building import BUILD as BUILDS
from ..building import Program, java_command, run, run_maven

HERE = Path(__file__).resolve().parent
BUILD = BUILDS / "eureka"


def build_java() -> None:
    run_maven(HERE / "java")


def build_node() -> None:
    run("npm", "ci", "--no-audit", "--no-fund", "--prefer-offline", cwd=HERE / "node")


def build_python() -> None:
    venv = BUILD / "python"
    run(sys.executable, "-m", "venv", "--clear", venv, cwd=HERE)
    run(venv / "bin" / "pip", "install", "-q", "--require-hashes", "-r", "requirements.txt", cwd=HERE / "python")


def build_go() -> None:
    BUILD.mkdir(parents=True, exist_ok=True)
    run("go", "build", "-o", BUILD / "fargo", ".", cwd=HERE / "go")


def program(
    source: str, tools: tuple[str, ...], build: Callable[[], None], product: Path, command: tuple[str, ...]
) -> Program:
    return Program(HERE / source, tools, build, product, command, BUILD)


def java_program(module: str, main: str) -> Program:
    target = HERE / "java" / module / "target"
    return program("java", ("java", "mvn"), build_java, target / "lib", java_command(target, main))


NETFLIX1 = java_program("netflix1", "live.Netflix1")
NETFLIX2 = java_program("netflix2", "live.Netflix2")
SPRING = java_program("spring", "live.SpringClient")
NODE = program(
    "node", ("node", "npm"), build_node, HERE / "node" / "node_modules", ("node", str(HERE / "node" / "client.js"))
)
PYTHON = program(
    "python",
    (),
    build_python,
    BUILD / "python" / "bin" / "python",
    (str(BUILD / "python" / "bin" / "python"), str(HERE / "python" / "client.py")),
)
GO = program("go", ("go",), build_go, BUILD / "fargo", (str(BUILD / "fargo"),))

if __name__ == "__main__":
    for one in (NETFLIX1, NETFLIX2, SPRING, NODE, PYTHON, GO):
        one.ready()
