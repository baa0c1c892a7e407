"""Client programs of the live tests: which tools each needs, and how it is built once. Standard library only."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

BUILD = Path(__file__).resolve().parents[2] / "build" / "live"
# Small heaps and the quick compiler alone: several of them share two cores.
JAVA = ("java", "-Xmx256m", "-Xss512k", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp")
GENERATED = {"target", "node_modules", "__pycache__"}


class MissingToolsError(Exception):
    """Tools that a program needs and this machine lacks."""


class BuildFailedError(Exception):
    """A build that ended with an error, with what it printed."""


@dataclass(frozen=True)
class Program:
    """One source folder, its build, and the command of the result. ``folder`` is the suite's own under ``BUILD``."""

    source: Path
    tools: tuple[str, ...]
    build: Callable[[], None]
    product: Path
    command: tuple[str, ...]
    folder: Path

    def ready(self) -> None:
        """Builds unless what is there was built from the same sources. Raises MissingToolsError, BuildFailedError."""
        missing = [tool for tool in self.tools if shutil.which(tool) is None]
        if missing:
            raise MissingToolsError(f"{self.source.name} client: no {', '.join(missing)} on this machine")
        stamp = self.folder / f"{self.source.name}.sources"
        digest = self._digest()
        if self.product.exists() and stamp.exists() and stamp.read_text() == digest:
            return
        self.build()
        self.folder.mkdir(parents=True, exist_ok=True)
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


def run_maven(folder: Path, *options: str) -> None:
    """Packages a project; offline works from the second time on."""
    maven = ("mvn", "-q", "-B", "-ntp", *options)
    try:
        run(*maven, "-o", "package", cwd=folder)
    except BuildFailedError:
        run(*maven, "package", cwd=folder)


def java_command(target: Path, main: str) -> tuple[str, ...]:
    """Runs the main class of a module whose ``lib`` holds its dependencies."""
    return (*JAVA, f"{target / 'classes'}:{target / 'lib'}/*", main)
