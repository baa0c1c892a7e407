"""The client programs: which tools they need, how each is built once, and the command that starts it.

Also a script: ``python -m tests.live.consul.programs`` builds all of them (standard library only).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from ..building import BUILD as BUILDS
from ..building import Program, java_command, run, run_maven

HERE = Path(__file__).resolve().parent
BUILD = BUILDS / "consul"


def build_java() -> None:
    run_maven(HERE / "java")


def build_node() -> None:
    run("npm", "ci", "--no-audit", "--no-fund", "--prefer-offline", cwd=HERE / "node")


def build_python(library: str) -> None:
    """One source, two libraries of one name: an environment for each."""
    venv = BUILD / library
    requirements = f"requirements-{library}.txt"
    run(sys.executable, "-m", "venv", "--clear", venv, cwd=HERE)
    run(venv / "bin" / "pip", "install", "-q", "--require-hashes", "-r", requirements, cwd=HERE / "python")


def build_go(source: str, product: str, package: str = ".") -> None:
    BUILD.mkdir(parents=True, exist_ok=True)
    run("go", "build", "-o", BUILD / product, package, cwd=HERE / source)


def program(
    source: str,
    tools: tuple[str, ...],
    build: Callable[[], None],
    product: Path,
    command: tuple[str, ...],
    of: str = "",
) -> Program:
    """``of``: what is built, where several are built from one source."""
    return Program(HERE / source, tools, build, product, command, BUILD / of if of else BUILD)


def go_program(source: str, product: str, package: str = ".") -> Program:
    binary = BUILD / product
    return program(
        source, ("go",), lambda: build_go(source, product, package), binary, (str(binary),), f"stamps-{product}"
    )


def python_program(library: str) -> Program:
    python = BUILD / library / "bin" / "python"
    command = (str(python), str(HERE / "python" / "client.py"))
    return program("python", (), lambda: build_python(library), python, command, f"stamps-{library}")


def java_program(module: str, main: str) -> Program:
    target = HERE / "java" / module / "target"
    return program("java", ("java", "mvn"), build_java, target / "lib", java_command(target, main))


GO = go_program("go", "consul-go")
JUDGE = go_program("go", "judge", "./judge")
PROMETHEUS = go_program("prometheus", "prometheus-sd")
TEMPLATE = go_program("template", "consul-template", "github.com/hashicorp/consul-template")
PY_CONSUL = python_program("py-consul")
PYTHON_CONSUL = python_program("python-consul")
NODE = program(
    "node", ("node", "npm"), build_node, HERE / "node" / "node_modules", ("node", str(HERE / "node" / "client.js"))
)
SPRING = java_program("spring", "live.SpringApp")

if __name__ == "__main__":
    for one in (GO, JUDGE, PROMETHEUS, TEMPLATE, PY_CONSUL, PYTHON_CONSUL, NODE, SPRING):
        one.ready()
