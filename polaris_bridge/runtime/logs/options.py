"""What ``bootstrap.logger`` can set, per scope."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

SCOPES: Final = (
    "default", "config", "auth", "store", "cache", "naming", "healthcheck", "xdsv3", "eureka", "nacos-apiserver",
    "apiserver", "token-bucket", "discoverstat", "local", "HistoryLogger", "discoverEventLocal", "cmdb",
)  # fmt: skip
"""Every scope of the file format. One that the file leaves out writes where ``default`` writes."""

LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
    "panic": logging.CRITICAL,
    "none": logging.CRITICAL + 1,
}
"""``outputLevel`` words."""


@dataclass(frozen=True, slots=True)
class LoggerOptions:
    """One scope's keys, under the names of the file in snake case. 0 switches a limit off."""

    rotate_output_path: str = ""
    """File for lines of every level. Relative paths lie under the data folder."""
    error_rotate_output_path: str = ""
    """File that errors go to as well."""
    rotation_max_size: int = 100
    """Megabytes after which a new file is begun."""
    rotation_max_backups: int = 30
    """How many finished files are kept."""
    rotation_max_age: int = 7
    """Days that finished files are kept."""
    rotation_max_duration_for_hour: int = 0
    """Hours after which a new file is begun, counted from midnight UTC."""
    output_level: str = "info"
    """debug, info, warn, error, fatal or none."""
    compress: bool = False
    """Finished files are gzipped."""
    only_content: bool = False
    """Lines are the message alone, without time, level, scope and place."""
    output_paths: tuple[str, ...] = ()
    """Further outputs that are not rotated: ``stdout``, ``stderr`` or files."""
    error_output_paths: tuple[str, ...] = ()
    """The same for errors alone."""

    @property
    def level(self) -> int:
        """The stdlib's number for ``output_level``; info for a word it does not know."""
        return LEVELS.get(self.output_level.lower(), logging.INFO)
