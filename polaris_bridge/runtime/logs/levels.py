"""Levels of the log scopes while the process runs."""

from __future__ import annotations

import logging
from typing import Final

from .options import LEVELS, SCOPES
from .setup import PACKAGES, ROOT

WORDS: Final = ("debug", "info", "warn", "error", "fatal", "none")
"""What a level is called; of several words for one the configuration's."""


def levels() -> dict[str, str]:
    """The lowest level that each scope writes."""
    return {scope: _word(logging.getLogger(f"{ROOT}.{scope}").getEffectiveLevel()) for scope in SCOPES}


def set_level(scope: str, level: str) -> None:
    """Change it. ``KeyError`` for an unknown scope, ``ValueError`` for an unknown level."""
    if scope not in SCOPES:
        raise KeyError(scope)
    if level not in WORDS:
        raise ValueError(level)
    packages = (name for name, its in PACKAGES.items() if its == scope)
    for name in (f"{ROOT}.{scope}", *packages):
        logging.getLogger(name).setLevel(LEVELS[level])


def _word(number: int) -> str:
    return next((word for word in WORDS if LEVELS[word] >= number), WORDS[-1])
