"""The Eureka server that Spring Cloud ships: how it is built once, and the command that starts it.

Also a script: ``python -m tests.live.migration.programs`` builds it (standard library only).
"""

from __future__ import annotations

from pathlib import Path

from ..building import BUILD as BUILDS
from ..building import Program, java_command, run_maven

HERE = Path(__file__).resolve().parent
TARGET = HERE / "java" / "target"

EUREKA = Program(
    HERE / "java",
    ("java", "mvn"),
    lambda: run_maven(HERE / "java"),
    TARGET / "lib",
    java_command(TARGET, "live.EurekaServer"),
    BUILDS / "migration",
)

if __name__ == "__main__":
    EUREKA.ready()
