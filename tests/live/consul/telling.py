"""What watchers are told, and how soon."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ..waiting import until
from .members import NOTICES_WITHIN_S, TOLD_WITHIN_S, Member
from .registry import Document

Told = Callable[[Document], bool]


def by_port(change: Document) -> dict[int, Document]:
    return {one["port"]: one for one in change["instances"]}


def of_ports(ports: set[int]) -> Told:
    """A list of exactly these."""
    return lambda change: set(by_port(change)) == ports


class Watch:
    """One chain of blocking reads of a member: ``service=…`` (with ``passing``) or ``key=…``."""

    def __init__(self, member: Member, **of: Any) -> None:
        self.member, self._of = member, of
        self._read = 0
        member.ask("watch", **of)
        until(self.all, NOTICES_WITHIN_S, f"{member.name} is told what is there")

    def close(self) -> None:
        self.member.ask("unwatch", **self._of)

    def all(self) -> list[Document]:
        """``at`` in ms of the epoch, ``instances`` or ``entry``; the first is what was found."""
        changes: list[Document] = self.member.ask("changes", **self._of)["changes"]
        return changes

    def skip(self) -> None:
        """What was told so far is no news."""
        self._read = len(self.all())

    def hears(self, fits: Told, what: str, within_s: float = NOTICES_WITHIN_S) -> Document:
        """Returns as soon as something like this was told."""

        def news() -> Document | None:
            return next((change for change in self.all()[self._read :] if fits(change)), None)

        return until(news, within_s, f"{self.member.name} is told: {what}")

    def expect(self, came: Callable[[], object], what: str, fits: Told) -> Document:
        """Does something, and sees that the member is told within ``TOLD_WITHIN_S``."""
        self.skip()
        came()
        since_ms = time.time() * 1000
        told = self.hears(fits, what)
        late_s = (told["at"] - since_ms) / 1000
        assert late_s < TOLD_WITHIN_S, f"{self.member.name} is told after {late_s:.1f} s: {what}"
        return told

    def expect_value(self, came: Callable[[], object], value: str | None) -> Document:
        """A key's value; None: it is gone."""

        def fits(change: Document) -> bool:
            entry = change["entry"]
            return (entry and entry["value"]) == value

        return self.expect(came, f"{value!r}", fits)
