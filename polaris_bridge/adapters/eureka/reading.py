"""What readers of a namespace are given: documents of its applications, kept as of the change that they show.

Of which applications is for those to say who keep them: a namespace as it is, or what rules leave of it for one kind of callers.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from polaris_bridge.adapters._shared.slices import Work

from .listing import Application, Applications, Body, Entry, Form
from .wire.messages import InstanceInfo, hash_code
from .wire.variants import Variant

LONG_APPLICATIONS: Final = 200
"""Documents of more applications than this are put together in slices (10 microseconds each)."""
LONG_ITEMS: Final = 400
"""More instances than this to encode for one answer are encoded in slices (10 microseconds each, compression included 20)."""
FULL_FETCH_VERSION: Final = 1
"""``versions__delta`` of full lists, as on a real server."""
SUBSET_VERSION: Final = -1
"""``versions__delta`` of VIP answers, as on a real server."""


class Readable:
    """Applications that can be read: a full list, what changed lately, and when either changed."""

    namespace: str
    reader: str
    """Who may read just this; empty: everybody."""
    full_list: Applications
    recent: Applications
    """What changed lately: each instance once, as it is now, with what happened to it last."""
    _documents: dict[Hashable, tuple[Hashable, Body]]

    # ------------------------------------------------------------------ for those who keep the lists

    @property
    def stamp(self) -> Hashable:
        """Differs when the full list does."""
        raise NotImplementedError

    @property
    def delta_stamp(self) -> Hashable:
        """Differs when what changed lately does, or the hash code."""
        raise NotImplementedError

    @property
    def version(self) -> int:
        """``versions__delta``: grows with every visible change, across restarts too."""
        raise NotImplementedError

    @property
    def counts(self) -> Mapping[str, int]:
        """Instances per status, for the hash code."""
        raise NotImplementedError

    def info(self, entry: Entry) -> InstanceInfo:
        """The document of an entry, as of now."""
        raise NotImplementedError

    def with_vip(self, vip: str, secure: bool) -> Iterable[str]:
        """The applications that have a VIP, given in lower case; some may have it no more."""
        raise NotImplementedError

    def ahead(self) -> Work | None:
        """What brings the lists up to date in slices, where that takes long; None: they are, or it does not."""
        return None

    # ------------------------------------------------------------------ reading

    @property
    def identity(self) -> Hashable:
        """What tells it from others of the same listener."""
        return self.namespace, self.reader

    @property
    def applications(self) -> Mapping[str, Application]:
        """Everything visible, by application."""
        return self.full_list.applications

    @property
    def hash_code(self) -> str:
        """``apps__hashcode`` of everything visible."""
        return hash_code(self.counts)

    def entry(self, app: str, id: str) -> Entry | None:
        """One instance of one application."""
        application = self.applications.get(app)
        return None if application is None else application.get(id)

    def entry_anywhere(self, id: str) -> Entry | None:
        """The first instance with an id, whatever its application."""
        return next((e for app in self.applications.values() if (e := app.get(id)) is not None), None)

    def all(self, variant: Variant, gzipped: bool) -> Body:
        """``GET apps``."""
        form = Form(variant, self.info)
        return self._kept(
            ("apps", form.key, gzipped),
            self.stamp,
            lambda: self.full_list.document(form, gzipped, FULL_FETCH_VERSION, self.hash_code),
        )

    def delta(self, variant: Variant, gzipped: bool) -> Body:
        """``GET apps/delta``: content, version and hash code of one moment."""
        form = Form(variant, self.info)
        return self._kept(
            ("delta", form.key, gzipped),
            self.delta_stamp,
            lambda: self.recent.document(form, gzipped, self.version, self.hash_code),
        )

    def long_work(self, what: str, variant: Variant, gzipped: bool) -> Callable[[], Work] | None:
        """How to make ``all`` ("apps") or ``delta`` in slices when there is much to encode; None when there is little."""
        form = Form(variant, self.info)
        kept = self._documents.get((what, form.key, gzipped))
        if kept is not None and kept[0] == (self.stamp if what == "apps" else self.delta_stamp):
            return None
        full = what == "apps"
        listing = self.full_list if full else self.recent
        if len(listing.applications) <= LONG_APPLICATIONS:
            items = 0
            for count, _ in listing.work(form, gzipped):
                items += count
                if items > LONG_ITEMS:
                    break
            else:
                return None
        return lambda: self._in_slices(full, form, gzipped)

    def _in_slices(self, full: bool, form: Form, gzipped: bool) -> Work:
        """Encodes what is to be encoded, then puts the document together, and keeps it as of the moment that it shows."""
        listing = self.full_list if full else self.recent
        for _, encode in list(listing.work(form, gzipped)):
            encode()
            yield

        def facts() -> tuple[int, str]:
            return (FULL_FETCH_VERSION if full else self.version), self.hash_code

        def stamp() -> Hashable:
            return self.stamp if full else self.delta_stamp

        body: Body = yield from listing.document_in_slices(form, gzipped, facts, stamp)
        self._documents[("apps" if full else "delta", form.key, gzipped)] = (stamp(), body)
        return body

    def application(self, app: str, variant: Variant) -> Body | None:
        """``GET apps/{app}``; None when there is none."""
        application = self.applications.get(app)
        if application is None:
            return None
        form = Form(variant, self.info)

        def make() -> Body:
            blocks = application.entries.encoded(form.key, form.encode, variant.separator)
            return variant.application_document(application.name, blocks)

        return self._kept(("app", app, form.key), self.stamp, make)

    def vip(self, vip: str, secure: bool, variant: Variant) -> Body:
        """``GET vips/{vip}`` and ``svips/{vip}``: exactly this spelling, else whatever its case."""
        return self._kept(
            ("vip", vip, secure, variant.format, variant.detail), self.stamp, lambda: self._vip(vip, secure, variant)
        )

    def _kept(self, key: Hashable, stamp: Hashable, make: Callable[[], Body]) -> Body:
        kept = self._documents.get(key)
        if kept is not None and kept[0] == stamp:
            return kept[1]
        if len(self._documents) > 64:  # keys may hold what clients ask for: bounded, not kept for ever
            self._documents.clear()
        body = make()
        self._documents[key] = (stamp, body)
        return body

    def _vip(self, vip: str, secure: bool, variant: Variant) -> Body:
        applications = self.applications
        entries = [
            (app, entry, spelling)
            for app in self.with_vip(vip.lower(), secure)
            if app in applications
            for entry in applications[app].entries
            for spelling in vips(entry, secure)
            if spelling.lower() == vip.lower()
        ]
        exact = [(app, entry) for app, entry, spelling in entries if spelling == vip]
        chosen = exact or [(app, entry) for app, entry, _ in entries]
        by_app: dict[str, dict[str, bytes]] = {}
        counts: dict[str, int] = {}
        for app, entry in chosen:
            if entry.id not in by_app.setdefault(app, {}):
                by_app[app][entry.id] = variant.fragment(self.info(entry))
                counts[entry.status] = counts.get(entry.status, 0) + 1
        parts = (variant.application(app, list(fragments.values())) for app, fragments in by_app.items())
        return variant.applications_document(parts, SUBSET_VERSION, hash_code(counts))


def vips(entry: Entry, secure: bool) -> Sequence[str]:
    """The VIPs of an instance."""
    if not entry.own:
        return (entry.registration.service,)
    document = entry.registration.ext
    given = document.secure_vip_address if secure else document.vip_address
    return [vip.strip() for vip in given.split(",")] if given else ()


def vip_keys(entry: Entry) -> Iterator[tuple[bool, str]]:
    """The keys that it is found under: secure or not, VIP in lower case."""
    for secure in (False, True):
        for vip in vips(entry, secure):
            yield secure, vip.lower()
