"""The client programs: which tools they need, how each is built once, and the command that starts it.

Also a script: ``python -m tests.live.polaris.programs`` builds all of them (standard library only).
"""

from __future__ import annotations

from pathlib import Path

from ..building import BUILD as BUILDS
from ..building import Program, java_command, run, run_maven

HERE = Path(__file__).resolve().parent
BUILD = BUILDS / "polaris"


def build_go() -> None:
    """One source, two versions of the library: the second has a module file of its own."""
    BUILD.mkdir(parents=True, exist_ok=True)
    run("go", "build", "-o", BUILD / "polaris-go-1.6", ".", cwd=HERE / "go")
    run("go", "build", "-modfile", "polaris-go-1.7.mod", "-o", BUILD / "polaris-go-1.7", ".", cwd=HERE / "go")


def build_go_grpc() -> None:
    BUILD.mkdir(parents=True, exist_ok=True)
    run("go", "build", "-o", BUILD / "grpc-go-polaris", ".", cwd=HERE / "go-grpc")


def build_java() -> None:
    run_maven(HERE / "java")


def go_program(source: str, name: str) -> Program:
    product = BUILD / name
    return Program(
        HERE / source, ("go",), build_go if source == "go" else build_go_grpc, product, (str(product),), BUILD
    )


def java_program(module: str, main: str) -> Program:
    target = HERE / "java" / module / "target"
    return Program(HERE / "java", ("java", "mvn"), build_java, target / "lib", java_command(target, main), BUILD)


GO_1_6 = go_program("go", "polaris-go-1.6")
GO_1_7 = go_program("go", "polaris-go-1.7")
GO_GRPC = go_program("go-grpc", "grpc-go-polaris")
JAVA = java_program("sdk", "live.Sdk")
SPRING = java_program("spring", "live.SpringApp")
SPRING_CONFIG = java_program("spring-config", "live.SpringConfig")

if __name__ == "__main__":
    for one in (GO_1_6, GO_1_7, GO_GRPC, JAVA, SPRING, SPRING_CONFIG):
        one.ready()
