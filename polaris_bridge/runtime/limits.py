"""The limit of open files: raised as far as the system allows, because every connection is one of them."""

from __future__ import annotations

import resource
from typing import Final, NamedTuple

RESERVED: Final = 256
"""Files that are no connection: the store, log files, listening sockets, the event loop's own, and room to refuse politely."""
CEILING: Final = 1_048_576
"""Enough for anything; some systems refuse "unlimited"."""


class OpenFiles(NamedTuple):
    """The soft limit before and after, and the hard one."""

    before: int
    soft: int
    hard: int
    reason: str = ""
    """Why it could not be raised; empty when it could."""

    @property
    def connections(self) -> int:
        """How many connections can be open at once; new ones beyond are to be refused."""
        return max(self.soft - RESERVED, 1)

    def __str__(self) -> str:
        if self.reason:
            return (
                f"open files: limited to {self.soft} ({self.reason}), which allows {self.connections} connections; "
                f"raise it with `ulimit -n`, or LimitNOFILE= in a systemd unit"
            )
        if self.before == self.soft:
            return f"open files: limited to {self.soft}, which allows {self.connections} connections"
        return (
            f"open files: limit raised from {self.before} to {self.soft}, which allows {self.connections} connections"
        )


def raise_open_files() -> OpenFiles:
    """Raise the soft limit of open files to the hard one. Never raises; the result says what came of it."""
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = hard == resource.RLIM_INFINITY
    wanted = CEILING if unlimited else min(hard, CEILING)
    if before == resource.RLIM_INFINITY or before >= wanted:
        soft = CEILING if before == resource.RLIM_INFINITY else before
        return OpenFiles(soft, soft, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError) as error:
        return OpenFiles(before, before, hard, str(error))
    return OpenFiles(before, wanted, hard)
