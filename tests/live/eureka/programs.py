"""The client programs: which tools they need, how each is built once, and the command that starts it.

Also a script: ``python tests/live/eureka/programs.py`` builds all of them (standard library only).
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILD = HERE.parents[2] / "build" / "live" / "eureka"
# Small heaps and the quick compiler alone: several of them share two cores.
JAVA = ("java", "-Xmx256m", "-Xss512k", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp")
GENERATED = {"target", "node_modules", "__pycache__"}


class MissingToolsError(Exception):
    """Tools that a program needs and this machine lacks."""


class BuildFailedError(Exception):
    """A build that ended with an error, with what it printed."""


@dataclass(frozen=True)
class Program:
    """One source folder, its build, and the command of the result."""

    source: Path
    tools: tuple[str, ...]
    build: Callable[[], None]
    product: Path
    command: tuple[str, ...]

    def ready(self) -> None:
        """Builds unless what is there was built from the same sources. Raises MissingToolsError, BuildFailedError."""
        missing = [tool for tool in self.tools if shutil.which(tool) is None]
        if missing:
            raise MissingToolsError(f"{self.source.name} client: no {', '.join(missing)} on this machine")
        stamp = BUILD / f"{self.source.name}.sources"
        digest = self._digest()
        if self.product.exists() and stamp.exists() and stamp.read_text() == digest:
            return
        self.build()
        BUILD.mkdir(parents=True, exist_ok=True)
        stamp.write_text(digest)

    def _digest(self) -> str:
        digest = hashlib.sha256()
        for path in sorted(self.source.rglob("*")):
            if path.is_file() and not GENERATED & set(path.parts):
                digest.update(str(path.relative_to(self.source)).encode() + b"\0" + path.read_bytes())
        return digest.hexdigest()


def run(*command: str | Path, cwd: Path) -> None:
    """Runs a build step quietly; its output is shown only when it fails."""
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise BuildFailedError(f"{' '.join(map(str, command))} in {cwd}:\n{done.stdout[-4000:]}")


def build_java() -> None:
    maven = ("mvn", "-q", "-B", "-ntp")
    try:
        run(*maven, "-o", "package", cwd=HERE / "java")
    except BuildFailedError:  # offline works from the second time on
        run(*maven, "package", cwd=HERE / "java")


def build_node() -> None:
    run("npm", "ci", "--no-audit", "--no-fund", "--prefer-offline", cwd=HERE / "node")


def build_python() -> None:
    venv = BUILD / "python"
    run(sys.executable, "-m", "venv", "--clear", venv, cwd=HERE)
    run(venv / "bin" / "pip", "install", "-q", "--require-hashes", "-r", "requirements.txt", cwd=HERE / "python")


def build_go() -> None:
    BUILD.mkdir(parents=True, exist_ok=True)
    run("go", "build", "-o", BUILD / "fargo", ".", cwd=HERE / "go")


def java_program(module: str, main: str) -> Program:
    target = HERE / "java" / module / "target"
    return Program(
        source=HERE / "java",
        tools=("java", "mvn"),
        build=build_java,
        product=target / "lib",
        command=(*JAVA, f"{target / 'classes'}:{target / 'lib'}/*", main),
    )


NETFLIX1 = java_program("netflix1", "live.Netflix1")
NETFLIX2 = java_program("netflix2", "live.Netflix2")
SPRING = java_program("spring", "live.SpringClient")
NODE = Program(
    HERE / "node",
    ("node", "npm"),
    build_node,
    HERE / "node" / "node_modules",
    ("node", str(HERE / "node" / "client.js")),
)
PYTHON = Program(
    HERE / "python",
    (),
    build_python,
    BUILD / "python" / "bin" / "python",
    (str(BUILD / "python" / "bin" / "python"), str(HERE / "python" / "client.py")),
)
GO = Program(HERE / "go", ("go",), build_go, BUILD / "fargo", (str(BUILD / "fargo"),))

if __name__ == "__main__":
    for program in (NETFLIX1, NETFLIX2, SPRING, NODE, PYTHON, GO):
        program.ready()
