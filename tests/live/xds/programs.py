"""The client programs: which tools they need, how each is built once, and the command that starts it.

Also a script: ``python -m tests.live.xds.programs`` builds all of them (standard library only).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from ..building import BUILD as BUILDS
from ..building import Program, java_command, run, run_maven
from ..envoy.programs import ENVOY

HERE = Path(__file__).resolve().parent
BUILD = BUILDS / "xds"
# The last two that differ: from 1.76 on endpoints are kept when a service is emptied.
JAVA_VERSIONS = ("1.75.0", "1.84.0")


def build_go(package: str) -> None:
    BUILD.mkdir(parents=True, exist_ok=True)
    run("go", "build", "-o", BUILD / f"go-{package}", f"./{package}", cwd=HERE / "go")


def build_java(version: str) -> None:
    run_maven(HERE / "java", f"-Dgrpc.version={version}", f"-Dout={BUILD / f'grpc-java-{version}'}")


def build_node() -> None:
    run("npm", "ci", "--no-audit", "--no-fund", "--prefer-offline", cwd=HERE / "node")


def nothing() -> None:
    """The program is its source."""


def program(
    source: str, tools: tuple[str, ...], build: Callable[[], None], product: Path, *command: str, name: str
) -> Program:
    """Programs of one source differ by name, so that each has a note of its own about what it was built from."""
    return Program(HERE / source, tools, build, product, command or (str(product),), BUILD / "built" / name)


def go_program(package: str) -> Program:
    return program("go", ("go",), partial(build_go, package), BUILD / f"go-{package}", name=f"go-{package}")


def java_program(version: str) -> Program:
    target = BUILD / f"grpc-java-{version}"
    command = java_command(target, "live.Caller")
    return program("java", ("java", "mvn"), partial(build_java, version), target / "lib", *command, name=version)


PYTHON_SOURCE = HERE / "python" / "client.py"
NODE_SOURCE = HERE / "node" / "client.js"
CALLERS = {
    "grpcio": program("python", (), nothing, PYTHON_SOURCE, sys.executable, str(PYTHON_SOURCE), name="python"),
    "grpc-go": go_program("client"),
    **{f"grpc-java-{version}": java_program(version) for version in JAVA_VERSIONS},
    "grpc-js": program(
        "node", ("node", "npm"), build_node, NODE_SOURCE.parent / "node_modules", "node", str(NODE_SOURCE), name="node"
    ),
}
JUDGE = go_program("judge")

if __name__ == "__main__":
    for one in (*CALLERS.values(), JUDGE, ENVOY):
        one.ready()
