"""CreateConfigFile, UpdateConfigFile, PublishConfigFile, UpsertAndPublishConfigFile: what clients and consoles write.

Codes, texts and the order of the checks are those of polaris-server 1.19; what differs on purpose is in the adapter's README.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

from msgspec import Struct

from polaris_bridge.adapters.polaris.answers import code_of, text
from polaris_bridge.adapters.polaris.settings import PolarisSettings
from polaris_bridge.adapters.polaris.translate.config import (
    GRAY_PRIORITY,
    GRAY_SLOT,
    GRAY_TYPE,
    UNNAMED_CIPHER,
    algorithm_of,
    change_of,
    draft_key,
    file_key,
    rule_of,
)
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.batches import SETTLED, Commit
from polaris_bridge.core.config.model import Done, Door, Expected, FileKey, GroupKey
from polaris_bridge.core.config.ports import Broken, TooLong
from polaris_bridge.core.errors import Conflict, CoreError, Invalid, NotFound
from polaris_bridge.core.model import Caller
from polaris_bridge.core.registry import Registry

from .answers import OK

AUTO_CREATED: Final = "auto created"
"""The comment of a group that is made because a file needs it."""
NAMESPACE_MAX: Final = 64
GROUP_MAX: Final = 128
NAME_MAX: Final = 128
"""Characters. A file that another protocol made under a longer name can be changed and released."""
_NAME: Final = re.compile(r"[0-9A-Za-z\-./:_]+", re.ASCII)


class Written(Struct, frozen=True):
    """What became of a write: a code, its text when that is another than the code's own, and what was done."""

    code: int = OK
    info: str | None = None
    done: Done | None = None

    @property
    def commit(self) -> Commit:
        """What has to be durable before anybody is told."""
        return SETTLED if self.done is None else self.done.commit


class Writing:
    """Writes to the configuration centre."""

    def __init__(self, registry: Registry, settings: PolarisSettings, operator: Callable[[Caller], str]) -> None:
        """``operator``: the name of who asks, which owns groups that are made on the way."""
        self._registry = registry
        self._operator = operator
        self._centre = registry.config
        self._most = settings.content_max
        self._draft = Door(content_chars=settings.content_max)
        self._release = Door(content_chars=settings.content_max, validate=settings.validate_format)

    # ------------------------------------------------------------------ drafts

    def create(self, m: v1.ConfigFile, caller: Caller) -> Written:
        """A new draft; its namespace and group are made when they are not there. 400201 when it exists."""
        key = draft_key(m)
        fault = (
            self._fault(key, m.content.value, m.tags) or _group_fault(key) or self._too_long(key) or self._no_cipher(m)
        )
        if fault is not None:
            return fault
        try:
            with self._registry.transaction():
                self.ensure_group(key.parent, caller)
                return Written(done=self._centre.files.create(key, change_of(m), caller, door=self._draft))
        except Conflict:
            return Written(v1.ExistedResource)
        except CoreError as error:
            return self._refused(error, key)

    def update(self, m: v1.ConfigFile, caller: Caller) -> Written:
        """Another draft; 400202 when there is none. What the request does not say is empty afterwards."""
        key = draft_key(m)
        fault = self._fault(key, m.content.value, m.tags) or self._no_cipher(m)
        if fault is not None:
            return fault
        try:
            return Written(done=self._centre.files.update(key, change_of(m), caller, door=self._draft))
        except NotFound:
            return Written(v1.NotFoundResource)
        except CoreError as error:
            return self._refused(error, key)

    # ------------------------------------------------------------------ releases

    def publish(self, m: v1.ConfigFileRelease, caller: Caller) -> Written:
        """Give the draft to everybody, or (``release_type`` gray) to clients with certain labels.

        409000 while a gray release is active. The name of an existing release brings that one back.
        """
        key = file_key(m)
        fault = _named(key) or self._no_namespace(key)
        if fault is not None:
            return fault
        releases, name, why = self._centre.releases, m.name.value, m.release_description.value
        gray = m.release_type.value == GRAY_TYPE
        if gray and not m.beta_labels:
            return Written(v1.InvalidMatchRule)
        if self._gray(key):
            return Written(v1.DataConflict)
        try:
            if gray:
                done = releases.publish_gray(
                    key,
                    caller,
                    GRAY_SLOT,
                    rule_of(m.beta_labels),
                    priority=GRAY_PRIORITY,
                    name=name,
                    description=why,
                    comment=m.comment.value,
                    door=self._release,
                    alone=True,
                )
            else:
                done = releases.publish(
                    key,
                    caller,
                    name=name,
                    description=why,
                    comment=m.comment.value,
                    door=self._release,
                    alone=True,
                )
        except CoreError as error:
            return self._refused(error, key)
        return Written(done=done)

    def upsert_and_publish(self, m: v1.ConfigFilePublishInfo, caller: Caller, *, compare: bool = True) -> Written:
        """Write a file and release it, in one commit.

        ``compare``: ``md5`` must be that of the draft which is there, else 409000; a new file is compared with nothing.
        """
        key = file_key(m)
        fault = _named(key) or self._long_content(m.content.value) or self._too_long(key) or self._no_cipher(m)
        if fault is not None:
            return fault
        try:
            with self._registry.transaction():
                self.ensure_group(key.parent, caller)
                done = self._centre.releases.publish(
                    key,
                    caller,
                    change=change_of(m),
                    name=m.release_name.value,
                    description=m.release_description.value,
                    expected=Expected(md5=m.md5.value, of="draft") if compare else None,
                    door=self._release,
                    alone=True,
                )
        except CoreError as error:
            return self._refused(error, key)
        return Written(done=done)

    def ensure_group(self, key: GroupKey, caller: Caller) -> None:
        """A group that is not there is made, inside the command under way. Raises ``NotFound`` without its namespace."""
        self._centre.groups.ensure(key, caller, comment=AUTO_CREATED, owners=self._operator(caller))

    # ------------------------------------------------------------------ checks

    def _fault(self, key: FileKey, content: str, tags: Iterable[v1.ConfigFileTag]) -> Written | None:
        """What is wrong with a draft, as the real server looks at it."""
        if not key.name:
            return Written(v1.InvalidConfigFileName)
        if not _NAME.fullmatch(key.namespace):
            return Written(v1.InvalidNamespaceName)
        return self._long_content(content) or self._bare_tags(key, tags)

    def _long_content(self, content: str) -> Written | None:
        if len(content) > self._most:
            return Written(v1.InvalidConfigFileContentLength, _too_long(self._most))
        return None

    def _bare_tags(self, key: FileKey, tags: Iterable[v1.ConfigFileTag]) -> Written | None:
        """A tag without a key or a value is refused, unless the file has it already: those of other protocols have no value."""
        bare = {tag.key.value for tag in tags if not tag.key.value or not tag.value.value}
        if not bare:
            return None
        file = self._centre.reading.snapshot(key).file
        known = file.draft.tags if file is not None else {}
        if all(known.get(name) == "" for name in bare):
            return None
        return Written(v1.InvalidConfigFileTags)

    def _too_long(self, key: FileKey) -> Written | None:
        """Names that the real server's store does not take, for files that are not there yet."""
        if self._centre.reading.snapshot(key).file is not None:
            return None
        for name, most, code in zip(key, _MOST, _CODES, strict=True):
            if len(name) > most:
                return Written(code)
        return None

    def _no_cipher(self, m: v1.ConfigFile | v1.ConfigFilePublishInfo) -> Written | None:
        """What the real server says of an algorithm that it has not."""
        algorithm = algorithm_of(m)
        if not algorithm or algorithm in self._centre.sealing.algorithms:
            return None
        named = "" if algorithm == UNNAMED_CIPHER else algorithm
        return Written(v1.EncryptConfigFileException, f"plugin Crypto not found target: {named}")

    def _no_namespace(self, key: FileKey) -> Written | None:
        if self._registry.ledger.namespace(key.namespace) is None:
            return Written(v1.NotFoundNamespace)
        return None

    def _gray(self, key: FileKey) -> bool:
        """Whether a gray release is active in the newest state, which ``alone`` of the core judges too, but for its own slot."""
        file = self._centre.files.newest(key)
        return file is not None and bool(file.grays)

    def _refused(self, error: CoreError, key: FileKey) -> Written:
        """What the core's refusals are called natively."""
        match error:
            case TooLong():
                return Written(v1.InvalidConfigFileContentLength, _too_long(error.most))
            case Broken():
                code: int = v1.InvalidConfigFileFormat
                return Written(code, f"{text(code)}: {error.why}")
            case Invalid(field="algorithm"):
                return Written(v1.EncryptConfigFileException, str(error))
            case Invalid(field="gray rule"):
                code = v1.InvalidMatchRule
                return Written(code, f"{text(code)}: {error.why}")
            case Conflict():
                return Written(v1.DataConflict)
            case NotFound():
                return self._no_namespace(key) or Written(v1.NotFoundResource)
        return Written(code_of(error))


_MOST: Final = (NAMESPACE_MAX, GROUP_MAX, NAME_MAX)
_CODES: Final[tuple[int, ...]] = (v1.InvalidNamespaceName, v1.InvalidConfigFileGroupName, v1.InvalidConfigFileName)


def _named(key: FileKey) -> Written | None:
    """What a request about a release does not name as it has to."""
    if not key.name:
        return Written(v1.InvalidConfigFileName)
    if not _NAME.fullmatch(key.namespace):
        return Written(v1.InvalidNamespaceName)
    return _group_fault(key)


def _group_fault(key: FileKey) -> Written | None:
    return None if _NAME.fullmatch(key.group) else Written(v1.InvalidConfigFileGroupName)


def _too_long(most: int) -> str:
    return f"content length too long. max length ={most}"
