"""Where threads are, now or over a while. Watching takes some microseconds of each look and nothing else."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Final

LOOK_S: Final = 0.01
"""Time between two looks."""
DEEPEST: Final = 128
"""Frames of a stack that are told; of a deeper one the innermost."""

Stack = tuple[CodeType, ...]


class Sampler:
    """Looks at all threads for a while. One watch at a time."""

    def __init__(self) -> None:
        self._watching = False

    def watch(self, seconds: float, done: Callable[[str], None]) -> bool:
        """Begin; ``done`` gets the profile in the watching thread. False when there is a watch already."""
        if self._watching:
            return False
        self._watching = True

        def work() -> None:
            profile = _watch(seconds)
            self._watching = False
            done(profile)

        # a daemon: a profile must not hold up the end of the process
        threading.Thread(target=work, name="profile", daemon=True).start()
        return True


def _watch(seconds: float) -> str:
    counts: Counter[tuple[str, Stack]] = Counter()
    me = threading.get_ident()
    end = time.monotonic() + seconds
    while True:
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        for ident, frame in sys._current_frames().items():
            if ident != me:
                counts[(names.get(ident, "thread"), _codes(frame))] += 1
        left = end - time.monotonic()
        if left <= 0:
            return collapsed(counts)
        time.sleep(min(LOOK_S, left))


def _codes(frame: FrameType | None) -> Stack:
    """The functions of a stack, innermost first. Code lives on when its frame is gone; frames would keep what they hold."""
    found: list[CodeType] = []
    while frame is not None and len(found) < DEEPEST:
        found.append(frame.f_code)
        frame = frame.f_back
    return tuple(found)


def collapsed(counts: Counter[tuple[str, Stack]]) -> str:
    """One line a stack: thread and functions from the outermost, parted by ``;``, then how often it was seen."""
    lines = []
    for (thread, stack), count in counts.most_common():
        frames = [thread, *(f"{_module(code)}:{code.co_qualname}" for code in reversed(stack))]
        lines.append(f"{';'.join(frame.replace(';', ',').replace(' ', '_') for frame in frames)} {count}\n")
    return "".join(lines)


def _module(code: CodeType) -> str:
    """The end of a file's path: enough to know it, and nothing of where this machine keeps it."""
    return "/".join(code.co_filename.removesuffix(".py").split("/")[-2:])


def stacks() -> str:
    """Every thread and every task of the running loop, innermost frame first."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    parts = []
    for ident, frame in sys._current_frames().items():
        parts.append(f"thread {names.get(ident, ident)}\n{_lines(traceback.extract_stack(frame))}")
    for task in asyncio.all_tasks():
        frames = traceback.StackSummary.from_list(
            [
                (f.f_code.co_filename, f.f_lineno, f.f_code.co_qualname, "")
                for f in reversed(task.get_stack(limit=DEEPEST))
            ]
        )
        parts.append(f"task {task.get_name()}\n{_lines(frames)}")
    return "\n".join(parts)


def _lines(stack: traceback.StackSummary) -> str:
    return "".join(
        f"    {'/'.join(f.filename.split('/')[-2:])}:{f.lineno} {f.name}\n" for f in list(reversed(stack))[:DEEPEST]
    )
