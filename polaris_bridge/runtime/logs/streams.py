"""The outputs that are no file of ours: stdout and stderr, whatever they are at the moment of writing."""

from __future__ import annotations

import sys
from typing import Final

STREAMS: Final = ("stdout", "stderr")


class Stream:
    """One of them as an output of log lines."""

    def __init__(self, name: str) -> None:
        self._name = name

    def write(self, lines: bytes) -> bool:
        """Append whole lines. What stderr does not take is lost: there is no place left."""
        stream = getattr(sys, self._name)
        if stream is None:
            return self._name == "stderr"
        try:
            stream.write(lines.decode("utf-8", "replace"))
            stream.flush()
        except (OSError, ValueError):
            return self._name == "stderr"
        return True

    def reopen(self) -> None:
        """Nothing to do: it has no path."""

    def close(self) -> None:
        """Not ours to close."""


_stderr = Stream("stderr")


def to_stderr(lines: bytes) -> None:
    """Write lines to stderr."""
    _stderr.write(lines)
