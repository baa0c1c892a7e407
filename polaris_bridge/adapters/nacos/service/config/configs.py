"""Reading, publishing and removing configurations: what HTTP of every generation and gRPC ask for.

Answers and refusals as measured on Nacos 2.5.1. A publication is a release that everybody sees at once (or those that it names);
drafts of other protocols are not shown, and a draft that a publication takes the place of stays in the history.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from polaris_bridge.adapters.nacos.settings import NacosSettings
from polaris_bridge.adapters.nacos.translate import config as translate
from polaris_bridge.adapters.nacos.translate.names import Spaces
from polaris_bridge.adapters.nacos.wire import codes
from polaris_bridge.adapters.nacos.wire.config import (
    CAS_FAILED,
    CAS_GRAY_FAILED,
    MAX_CONTENT,
    MAX_GRAYS,
    Content,
    Publication,
    check_names,
    check_publication,
    invalid,
    nameable,
)
from polaris_bridge.adapters.nacos.wire.messages import Refused
from polaris_bridge.core.batches import SETTLED, Commit
from polaris_bridge.core.config.model import Asker, ConfigFile, Done, Door, Expected, FileKey, Seen
from polaris_bridge.core.config.ports import Broken
from polaris_bridge.core.config.reading import FileSnapshot
from polaris_bridge.core.errors import Conflict, NotFound
from polaris_bridge.core.model import Caller
from polaris_bridge.core.registry import Registry

_PUBLIC: Final = frozenset({"public", "null"})
"""Spellings of the default namespace, in any case of letters, as 3.x folds them everywhere."""


class Configs:
    """The configurations of one server, as Nacos clients name them."""

    def __init__(self, registry: Registry, spaces: Spaces, settings: NacosSettings) -> None:
        self._registry = registry
        self._centre = registry.config
        self._spaces = spaces
        self._door = Door(content_bytes=MAX_CONTENT, validate=settings.validate_format)
        self.implied: Callable[[str, Caller], None] = lambda _namespace, _caller: None
        """Told of a namespace that is there because something was published in it; inside the transaction that does so."""

    # ------------------------------------------------------------------ names

    def namespace(self, tenant: str) -> str:
        """The core's namespace that a client's spelling means; "", ``public`` and absence are one."""
        tenant = tenant.strip()
        return self._spaces.core("" if tenant.lower() in _PUBLIC else tenant)

    def key(self, data_id: str, group: str, tenant: str = "") -> FileKey:
        """Which file these name. Checks nothing."""
        return FileKey(self.namespace(tenant), group, data_id)

    def check(self, data_id: str, group: str, tenant: str = "") -> None:
        """Raise ``Refused`` unless these can name a configuration."""
        check_names(data_id, group, tenant)

    # ------------------------------------------------------------------ reading

    def query(self, key: FileKey, asker: Asker, tag: str = "") -> Content | None:
        """What a client gets. ``tag``: it asks for what was published for one, and for nothing else but a beta."""
        seen = self._centre.reading.resolve(key, asker)
        if seen is None or (tag and not tag.isspace() and not seen.active.gray):
            return None
        return translate.content_of(seen)

    def detail(self, key: FileKey) -> FileSnapshot | None:
        """A file that everybody sees something of (``full`` is not None), with all that is known of it."""
        found = self._centre.reading.snapshot(key)
        return found if found.full is not None and nameable(key.group, key.name) else None

    def beta(self, key: FileKey) -> Seen | None:
        """What is published for addresses; what Nacos clients published so counts before what other protocols did."""
        found = [seen for seen in self._centre.reading.snapshot(key).grays if translate.is_beta(seen.active)]
        return min(found, key=lambda seen: seen.active.gray != translate.BETA_SLOT, default=None)

    # ------------------------------------------------------------------ writing

    def publish(self, key: FileKey, said: Publication, caller: Caller) -> Done:
        """Publish; the names were checked. Raises ``Refused``, ``Busy``."""
        check_publication(said)
        if self._registry.ledger.namespace(key.namespace) is not None:
            return self._publish(key, said, caller)
        with self._registry.transaction():
            done = self._publish(key, said, caller)
            self.implied(key.namespace, caller)
        return done

    def _publish(self, key: FileKey, said: Publication, caller: Caller) -> Done:
        releases = self._centre.releases
        gray = translate.gray_of(said)
        of = f"gray:{gray.slot}" if gray is not None else "full"
        expected = Expected(md5=said.cas_md5, of=of) if said.cas_md5.strip() else None
        before = self._centre.files.newest(key)
        try:
            if gray is None:
                change = translate.change_of(said, before.draft if before is not None else None)
                return releases.publish(key, caller, change=change, expected=expected, door=self._door)
            if not gray.rule.ips and not gray.rule.labels:
                raise Refused(400, codes.GRAY_RULE, "config gray rule format invalid")
            if before is not None and len(before.grays) >= MAX_GRAYS and _spare(before, gray.slot):
                raise Refused(400, codes.GRAY_COUNT, f"gray config version is over max count :{MAX_GRAYS}")
            return releases.publish_gray(
                key,
                caller,
                gray.slot,
                gray.rule,
                priority=gray.priority,
                change=translate.gray_change_of(said),
                expected=expected,
                door=self._door,
            )
        except Conflict:
            text = CAS_FAILED if gray is None else CAS_GRAY_FAILED
            raise Refused(500, codes.RESOURCE_CONFLICT, text) from None
        except Broken as error:
            raise invalid(f"content is {error.why}") from None

    def remove(self, key: FileKey, tag: str, caller: Caller) -> Commit:
        """Remove a configuration with everything published of it; with ``tag``: what was published for that tag.

        Succeeds when there is nothing to remove.
        """
        if not tag or tag.isspace():
            return self._centre.files.delete(key, caller).commit
        name = tag.strip().removeprefix(translate.TAG_NAME)
        return self.stop(key, translate.TAG_SLOT + name, caller) or self._standing()

    def stop_beta(self, key: FileKey, caller: Caller) -> Commit | None:
        """End what is published for addresses, as ``beta`` finds it; None: there is nothing."""
        found = self.beta(key)
        return self.stop(key, found.active.gray if found is not None else translate.BETA_SLOT, caller)

    def stop(self, key: FileKey, slot: str, caller: Caller) -> Commit | None:
        """End one gray release; None: there is none."""
        try:
            return self._centre.releases.stop(key, slot, caller).commit
        except NotFound:
            return None

    def _standing(self) -> Commit:
        """The commit of a call that finds done what it wants: durable when that is."""
        if self._registry.idle:
            return SETTLED
        with self._registry.transaction() as commit:
            return commit


def _spare(file: ConfigFile, slot: str) -> bool:
    """Whether a slot is not in use yet."""
    return all(gray.gray != slot for gray in file.grays)
