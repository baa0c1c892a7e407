"""The door of keys and values: its parts, put together over one ledger."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..config.shelf import Shelf, Writer
from ..events import Published
from .entries import Entries, Note
from .files import FileValues
from .keeping import ENTRY, SESSION, Keeper
from .model import KeySession
from .sessions import KeySessions, under
from .watching import KeyWatches

if TYPE_CHECKING:
    from ..documents import Documents
    from ..ledger import Ledger
    from ..ports import Clock, Scheduler


class KeyValues:
    """Entries, sessions, watchers and the values of configuration files, each in its part."""

    def __init__(
        self,
        ledger: Ledger,
        documents: Documents,
        clock: Clock,
        scheduler: Scheduler,
        note: Note,
        ensure_namespace: Callable[[str, int], None],
    ) -> None:
        self._ledger = ledger
        keeper = Keeper(ledger, documents, clock)
        shelf = Shelf(Writer(ledger, documents, clock), SESSION, KeySession, under)
        self.watches = KeyWatches(clock, scheduler)
        self.sessions = KeySessions(keeper, shelf, self.watches, scheduler, ensure_namespace, note)
        self.entries = Entries(keeper, self.watches, ensure_namespace, self.sessions.newest, note)
        self.sessions.entries = self.entries
        self.files = FileValues(ledger, documents, clock)
        ledger.observers.append(self._published)

    def load(self) -> None:
        """Take over what the store held. Called once the documents are loaded."""
        self.entries.load(self._ledger.floor)
        self.sessions.load()
        self.files.load()
        self.watches.newest = self._ledger.floor

    def within(self, namespace: str) -> bool:
        """Whether a namespace has entries or sessions, in the newest state."""
        return self.entries.within(namespace) or self.sessions.within(namespace)

    def tick(self) -> None:
        """Let time pass. To be called once a second."""
        self.sessions.tick()
        self.entries.tick()

    # ------------------------------------------------------------------ after a publication

    def _published(self, published: Published) -> None:
        for change in published.documents:
            if change.before is None and change.after is None:  # made and deleted in one transaction
                continue
            if change.kind == ENTRY:
                self.entries.published(change, published.revision)
            elif change.kind == SESSION:
                self.sessions.published(change, published.revision)
        self.files.published(published)

    def wake(self) -> None:
        """Wake those who wait for what changed in the last publication. Called last, like every waking."""
        self.watches.wake()
