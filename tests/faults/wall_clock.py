"""A child whose wall clock jumps when a test says so."""

from __future__ import annotations

import os
import struct
from pathlib import Path

from child import ROOT

MOVED = """
import mmap, os, struct, time

_file = open(os.environ["CLOCK_MOVED"], "rb")
_moved = mmap.mmap(_file.fileno(), 8, access=mmap.ACCESS_READ)
_time_ns = time.time_ns


def time_ns():
    return _time_ns() + struct.unpack("<q", _moved)[0]


time.time_ns = time_ns
time.time = lambda: time_ns() / 1e9
"""
"""Taken in by the child as ``sitecustomize``: its wall clock is off by as many nanoseconds as a file says."""


class WallClock:
    """Of a child."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(MOVED)
        self._file = folder / "moved"
        self.env = {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "CLOCK_MOVED": str(self._file)}
        self._file.write_bytes(bytes(8))

    def move(self, seconds: int) -> None:
        """To so much before or after the true time."""
        with self._file.open("r+b") as file:
            file.write(struct.pack("<q", seconds * 1_000_000_000))
