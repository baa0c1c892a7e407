"""The door of the configuration centre: its parts, put together over one ledger."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..events import Published
from ..watching import MIN_INTERVAL_S
from .desk import Desk, Note
from .files import Files, Groups
from .history import History
from .holders import Holders
from .model import ANYBODY, Asker, FileKey
from .ports import Bodies, Formats, Patterns, Sealing
from .reading import Reading
from .releases import Releases
from .shelf import COUNTER, FILE, GROUP, HISTORY, RELEASE, TEMPLATE, Shelf
from .templates import Templates
from .tidying import PER_RUN, References, Tidier
from .transfer import Transfer
from .watching import FileWatches, Has, Listening, stale

if TYPE_CHECKING:
    from ..documents import Documents
    from ..ledger import Ledger
    from ..ports import Clock, Scheduler


class ConfigCentre:
    """Groups, files, releases, history, templates, readers, watchers and holders, each in its part."""

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
        self._desk = Desk(ledger, documents, clock, note, ensure_namespace)
        self.watches = FileWatches(clock, scheduler)
        self.groups = Groups(self._desk)
        self.files = Files(self._desk, self.groups)
        self.releases = Releases(self._desk, self.groups)
        self.history = History(self._desk)
        self.templates = Templates(self._desk)
        self.reading = Reading(self._desk, self.watches.revision)
        self.transfer = Transfer(self._desk, self.reading, self.files, self.releases)
        self.holders = Holders(self.reading, clock)
        self._references = References(self._desk)
        self._tidier = Tidier(self._desk, self._references)
        desk = self._desk
        self._shelves: dict[str, Shelf[Any]] = {
            GROUP: desk.groups,
            FILE: desk.files,
            RELEASE: desk.releases,
            HISTORY: desk.entries,
            COUNTER: desk.counters,
            TEMPLATE: desk.templates,
        }
        self._woken: dict[FileKey, None] = {}
        ledger.observers.append(self._published)

    def use(
        self,
        *,
        formats: Formats | None = None,
        sealing: Sealing | None = None,
        patterns: Patterns | None = None,
        bodies: Bodies | None = None,
    ) -> None:
        """Put in what comes from outside; before the first command."""
        desk = self._desk
        desk.formats = formats or desk.formats
        desk.sealing = sealing or desk.sealing
        desk.patterns = patterns or desk.patterns
        desk.bodies = bodies or desk.bodies

    @property
    def sealing(self) -> Sealing:
        """The ciphers."""
        return self._desk.sealing

    @property
    def formats(self) -> Formats:
        """The parsers."""
        return self._desk.formats

    def load(self) -> None:
        """Take over what the store held. Called once the documents are loaded."""
        for shelf in self._shelves.values():
            shelf.load()
        self._references.load()
        self.watches.start(self._ledger.floor)

    def listen(
        self,
        has: dict[FileKey, Has],
        told: Callable[[list[FileKey]], None],
        asker: Asker = ANYBODY,
        *,
        min_interval_s: float = MIN_INTERVAL_S,
    ) -> Listening | list[FileKey]:
        """The files of which a client would get something else than it has; none: wait for such, and tell them once.

        ``told`` runs on the core's thread right after the publication, must not raise and not block; it gets an empty list
        at shutdown.
        """
        found = list(stale(self.reading, has.items(), asker))
        return found or Listening(self.watches, self.reading, has, asker, told, min_interval_s)

    def tidy(self, before_ms: int, most: int = PER_RUN) -> int:
        """Remove at most so many things older than a time (see ``tidying.CleanHistory``); how many."""
        return self._tidier.run(before_ms, most)

    # ------------------------------------------------------------------ after a publication

    def _published(self, published: Published) -> None:
        """Everything derived is in step before anybody is woken."""
        files: dict[FileKey, None] = {}
        for change in published.documents:
            shelf = self._shelves.get(change.kind)
            if shelf is None:
                continue
            document = change.after or change.before
            if change.kind == FILE and document is not None:
                files[self._desk.files.decode(document).key] = None
            self._references.follow(change)
            if change.after is None and change.before is not None:
                shelf.gone(change)
        if files:
            for key in files:
                self.reading.forget(key)
            self.watches.published(files, published.revision)
            self._woken = files

    def wake(self) -> None:
        """Tell those who wait for the files of the last publication. Called last, like every waking."""
        woken, self._woken = self._woken, {}
        if woken:
            self.watches.wake(woken)
