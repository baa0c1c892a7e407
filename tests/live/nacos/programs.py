"""The client programs: which tools they need, how each is built once, and the command that starts it.

Also a script: ``python -m tests.live.nacos.programs`` builds all of them (standard library only).
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from ..building import BUILD as BUILDS
from ..building import Program, java_command, run, run_maven

HERE = Path(__file__).resolve().parent
BUILD = BUILDS / "nacos"


def build_java() -> None:
    run_maven(HERE / "java")


def build_node() -> None:
    run("npm", "ci", "--no-audit", "--no-fund", "--prefer-offline", cwd=HERE / "node")


def build_python(source: str) -> None:
    venv = BUILD / source
    run(sys.executable, "-m", "venv", "--clear", venv, cwd=HERE)
    run(venv / "bin" / "pip", "install", "-q", "--require-hashes", "-r", "requirements.txt", cwd=HERE / source)


def build_go() -> None:
    """One source, two generations of the library, whose modules have different paths: the first gets a copy."""
    BUILD.mkdir(parents=True, exist_ok=True)
    run("go", "build", "-o", BUILD / "nacos-sdk-go-2", ".", cwd=HERE / "go")
    older = BUILD / "go-1"
    shutil.rmtree(older, ignore_errors=True)
    older.mkdir()
    for name in ("main.go", "configs.go", "generation_1.go"):
        text = (HERE / "go" / name).read_text()
        (older / name).write_text(text.replace("nacos-sdk-go/v2/", "nacos-sdk-go/"))
    for kind in ("mod", "sum"):
        shutil.copy(HERE / "go" / f"generation-1.{kind}", older / f"go.{kind}")
    run("go", "build", "-tags", "generation1", "-o", BUILD / "nacos-sdk-go-1", ".", cwd=older)


def program(
    source: str, tools: tuple[str, ...], build: Callable[[], None], product: Path, command: tuple[str, ...]
) -> Program:
    return Program(HERE / source, tools, build, product, command, BUILD)


def java_program(module: str, main: str) -> Program:
    target = HERE / "java" / module / "target"
    return program("java", ("java", "mvn"), build_java, target / "lib", java_command(target, main))


def go_program(generation: int) -> Program:
    product = BUILD / f"nacos-sdk-go-{generation}"
    return program("go", ("go",), build_go, product, (str(product),))


def python_program(source: str) -> Program:
    python = BUILD / source / "bin" / "python"
    command = (str(python), str(HERE / source / "client.py"))
    return program(source, (), lambda: build_python(source), python, command)


JAVA_1 = java_program("sdk-1", "live.Sdk")
JAVA_2 = java_program("sdk-2", "live.Sdk")
JAVA_3 = java_program("sdk-3", "live.Sdk")
SPRING = java_program("spring", "live.SpringApp")
SPRING_CONFIG = java_program("spring-config", "live.ConfigApp")
DUBBO = java_program("dubbo", "live.DubboApp")
GO_1 = go_program(1)
GO_2 = go_program(2)
PYTHON_1 = python_program("python-1")
PYTHON_3 = python_program("python")
NODE = program(
    "node", ("node", "npm"), build_node, HERE / "node" / "node_modules", ("node", str(HERE / "node" / "client.js"))
)
MAINTAINER = Program(
    HERE / "maintainer",
    ("java", "mvn"),
    lambda: run_maven(HERE / "maintainer"),
    HERE / "maintainer" / "target" / "lib",
    java_command(HERE / "maintainer" / "target", "live.Maintainer"),
    BUILD,
)

if __name__ == "__main__":
    for one in (JAVA_1, JAVA_2, JAVA_3, SPRING, SPRING_CONFIG, DUBBO, GO_1, GO_2, PYTHON_1, PYTHON_3, NODE, MAINTAINER):
        one.ready()
