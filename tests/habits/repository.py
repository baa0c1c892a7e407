"""The repository as the habit tests read it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "polaris_bridge"
ADAPTERS = PACKAGE / "adapters"


def text(path: str) -> str:
    """A file by its path in the repository."""
    return (ROOT / path).read_text("utf-8")


def modules(folder: Path) -> list[Path]:
    """Python files below a folder."""
    return sorted(folder.rglob("*.py"))


def adapters() -> list[Path]:
    """Packages of protocols; what begins with an underscore serves all of them."""
    return sorted(path.parent for path in ADAPTERS.glob("[a-z]*/__init__.py"))


def documents() -> list[Path]:
    """Everything people read: markdown that belongs to the repository."""
    return [path for path in committed() if path.suffix == ".md"]


def committed() -> list[Path]:
    """Files that git tracks, or would. A copy without git is taken as a whole."""
    found = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if found.returncode == 0 and found.stdout:
        paths = (ROOT / name for name in found.stdout.decode().split("\0") if name)
    else:
        paths = (path for path in ROOT.rglob("*") if not any(part in _MADE for part in path.parts))
    return sorted(path for path in paths if path.is_file())


_MADE = {".git", ".venv", "__pycache__", "node_modules", "target", "data", "build", "dist", ".hypothesis"}


def make_targets() -> set[str]:
    """Targets that `make help` lists."""
    return set(re.findall(r"^([a-z-]+):.*## ", text("Makefile"), re.MULTILINE))


def code_blocks(path: Path) -> list[str]:
    """Fenced and indented blocks of a markdown file, and what stands between single backticks."""
    body = path.read_text("utf-8")
    fenced = re.findall(r"^```[^\n]*\n(.*?)^```", body, re.MULTILINE | re.DOTALL)
    rest = re.sub(r"^```.*?^```", "", body, flags=re.MULTILINE | re.DOTALL)
    return fenced + re.findall(r"^    (.*)$", rest, re.MULTILINE) + re.findall(r"`([^`\n]+)`", rest)
