"""What subscribers are told, and how soon: the same questions to libraries that give lists and to one that gives events."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..waiting import until
from .members import NOTICES_WITHIN_S, TOLD_WITHIN_S, Member
from .registry import Document

Told = Callable[[Document], bool]


def by_port(change: Document) -> dict[int, Document]:
    return {one["port"]: one for one in change["instances"]}


class Watch:
    """One subscription of a member, with what it was told since it was last asked."""

    def __init__(self, member: Member, service: str, **more: str) -> None:
        self.member, self.service, self._more = member, service, more
        self._read = 0
        member.ask("watch", service, **more)

    def close(self) -> None:
        """Later changes are no concern; the library that knows no end of a subscription goes on asking."""
        if self.member.client.told_lists:
            self.member.ask("unwatch", self.service, **self._more)

    def all(self) -> list[Document]:
        return self.member.changes(self.service, **self._more)

    def skip(self) -> None:
        """What was told so far is no news."""
        self._read = len(self.all())

    def expect(self, came: Callable[[], object], what: str, list_told: Told, event_told: Told) -> None:
        """Does something, and sees that the library is told within ``TOLD_WITHIN_S``: a list or an event like this."""
        self.skip()
        came()
        since_ms = time.time() * 1000
        fits = list_told if self.member.client.told_lists else event_told

        def news() -> Document | None:
            return next((change for change in self.all()[self._read :] if fits(change)), None)

        told = until(news, NOTICES_WITHIN_S, f"{self.member.name} is told: {what}")
        late_s = (told["at"] - since_ms) / 1000
        assert late_s < TOLD_WITHIN_S, f"{self.member.name} is told after {late_s:.1f} s: {what}"

    def expect_port(self, came: Callable[[], object], port: int, fits: Told = lambda one: True) -> None:
        """An instance of this port comes or changes, and is then like this."""
        self.expect(
            came,
            f"{port}",
            lambda change: port in by_port(change) and fits(by_port(change)[port]),
            lambda change: change["event"] != "DELETED" and port in by_port(change) and fits(by_port(change)[port]),
        )

    def expect_gone(self, came: Callable[[], object], port: int) -> None:
        self.expect(
            came,
            f"{port} gone",
            lambda change: port not in by_port(change),
            lambda change: change["event"] == "DELETED" and port in by_port(change),
        )
