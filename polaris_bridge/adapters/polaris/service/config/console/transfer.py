"""Configuration files as archives: what is exported, and what becomes of one that somebody uploads."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

from polaris_bridge.adapters._shared import multipart
from polaris_bridge.adapters._shared.multipart import BrokenForm, NoForm
from polaris_bridge.adapters.polaris.answers import Outcome, bare, code_of
from polaris_bridge.adapters.polaris.service.console.filters import single
from polaris_bridge.adapters.polaris.service.console.names import is_name
from polaris_bridge.adapters.polaris.service.routes import Encoded, Result, Text, Unreadable, Upload
from polaris_bridge.adapters.polaris.translate.config import (
    ALGORITHM,
    DATA_KEY,
    ENCRYPTED,
    SECRET_TAGS,
    add_tags,
    shown_tags,
    text_of,
)
from polaris_bridge.adapters.polaris.wire import config_archive, config_cipher, json, v1
from polaris_bridge.adapters.polaris.wire.config_archive import BadArchive, Entry
from polaris_bridge.adapters.polaris.wire.config_cipher import BadCipher
from polaris_bridge.core.batches import SETTLED
from polaris_bridge.core.config.model import Door, FileKey, GroupKey
from polaris_bridge.core.config.transfer import OVERWRITE, SKIP, Carried, Report
from polaris_bridge.core.errors import CoreError, NotFound
from polaris_bridge.core.model import Caller

from .answers import OK
from .office import Answered, Office

FIELD: Final = "config"
"""Where the form of an upload has the archive."""
MOST_BYTES: Final = 4 * 1024 * 1024
"""Of an upload, as in the original."""
MOST_EXPORTED: Final = 256 * 1024 * 1024
"""Bytes of contents in one archive; who wants more exports fewer groups at a time."""
QUERY: Final = ("namespace", "group", "conflict_handling")


class Transfers:
    """Export and import."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._centre = office.centre

    # ------------------------------------------------------------------ out

    def export(self, m: v1.ConfigFileExportRequest, _caller: Caller) -> Result:
        """All files of some groups, or some files of one group, as they are drafted, in the clear."""
        namespace, groups, names = m.namespace.value, [g.value for g in m.groups], [n.value for n in m.names]
        if not is_name(namespace):
            return _exported(v1.InvalidNamespaceName)
        if not groups or (names and len(groups) > 1):
            return _exported(v1.InvalidParameter)
        return self._office.listed(self._export([GroupKey(namespace, group) for group in groups], names), MANY)

    def _export(self, groups: list[GroupKey], names: list[str]) -> Generator[None, None, Any]:
        keys = [FileKey(*groups[0], name) for name in names]
        for group in [] if names else groups:
            found: list[FileKey] = []
            for key in self._centre.reading.keys(group):
                found.append(key)
                yield
            keys += reversed(found)
        entries: list[Entry] = []
        size = 0
        for key in keys:
            file = self._centre.reading.snapshot(key).file
            if file is not None:
                path = key.name if names else f"{key.group}/{key.name}"
                content = self._office.plain(file.draft)
                entries.append(Entry(path, content, shown_tags(file.draft), file.draft.comment))
                size += len(content)
            if size > MOST_EXPORTED:
                return _exported(v1.InvalidParameter, f"more than {MOST_EXPORTED} bytes: export fewer groups at a time")
            yield
        if not entries:
            return _exported(v1.NotFoundResourceConfigFile)
        archive = yield from config_archive.pack(entries)
        return Text(archive, "application/zip", headers=_ATTACHED)

    # ------------------------------------------------------------------ in

    def bring_in(self, upload: Upload, caller: Caller) -> Result:
        """Make drafts of the files in an archive, all of them in one commit or none. A file that is there stays as it is, or
        (``conflict_handling`` overwrite) becomes what the archive says."""
        archive = _archive(upload)
        return self._office.worked(self._bring_in(archive, single(upload.query), caller))

    def _bring_in(
        self, archive: bytes, asked: dict[str, str], caller: Caller
    ) -> Generator[None, None, Outcome | Answered]:
        try:
            entries = yield from config_archive.unpack(archive)
        except BadArchive as error:
            return Outcome(unread(str(error)))
        namespace, group = asked.get("namespace", ""), asked.get("group", "")
        files: list[Carried] = []
        for entry in entries:
            try:
                files.append(_carried(entry, namespace, group))
            except BadCipher as error:
                return Outcome(_imported(v1.DecryptConfigFileException, str(error)))
            yield
        code = self._judged(files, caller)
        if code != OK:
            return Outcome(_imported(code))
        result = self._taken(files, asked.get("conflict_handling", ""), caller)
        if isinstance(result, Outcome):
            return result
        outcome = Outcome(_imported(OK), result.commit if files else SETTLED)
        named, operator = {file.key: file for file in files}, self._office.operator(caller)
        shown: dict[str, list[bytes]] = {}
        for field, keys in (
            ("createConfigFiles", result.created),
            ("skipConfigFiles", result.skipped),
            ("overwriteConfigFiles", result.overwritten),
        ):
            shown[field] = []
            for key in keys:  # of two in an archive with one name the last is shown
                shown[field].append(json.fragment(_shown(named[key], operator)))
                yield
        return Answered(outcome, Encoded(OK, json.encode(outcome.response, shown)))

    def _judged(self, files: list[Carried], caller: Caller) -> int:
        """200000, or why nothing of an archive is taken."""
        sees = self._office.visible.config_groups(caller, "ImportConfigFiles")
        most = self._office.settings.content_max
        for file in files:
            if not file.key.name:
                return v1.InvalidConfigFileName
            if not is_name(file.key.namespace):
                return v1.InvalidNamespaceName
            if not file.key.group:
                return v1.InvalidParameter
            if len(file.content) > most and len(text_of(file.content)) > most:
                return v1.InvalidConfigFileContentLength
            if not all(key for key in file.tags):
                return v1.InvalidConfigFileTags
        if not all(sees(key) for key in {file.key.parent for file in files}):
            return v1.NotAllowedAccess
        return OK

    def _taken(self, files: list[Carried], policy: str, caller: Caller) -> Report | Outcome:
        """What became of the files, or why nothing became of them."""
        door = Door(content_chars=self._office.settings.content_max)
        try:
            with self._office.registry.transaction():
                for key in {file.key.parent: None for file in files}:
                    self._office.writing.ensure_group(key, caller)
                report = self._centre.transfer.bring_in(
                    files, OVERWRITE if policy == OVERWRITE else SKIP, caller, publish=False, door=door
                )
                if report.failed:
                    raise _Failed(report)
        except _Failed as failed:
            why = failed.report.failed[0]
            return Outcome(_imported(v1.InvalidParameter, f"{'/'.join(why.key)}: {why.why}"))
        except CoreError as error:
            return Outcome(_imported(v1.NotFoundNamespace if isinstance(error, NotFound) else code_of(error)))
        return report


MANY: Final = 1 << 30
"""The size of work that is done in slices whatever it is."""

_ATTACHED: Final = ((b"Content-Disposition", b"attachment; filename=config.zip"),)


class _Failed(Exception):
    """Undoes an import of which not everything gets in."""

    def __init__(self, report: Report) -> None:
        super().__init__()
        self.report = report


def _archive(upload: Upload) -> bytes:
    """The archive in an upload. Raises ``Unreadable`` in the words of Go's library."""
    if len(upload.body) > MOST_BYTES:
        raise Unreadable("http: request body too large")
    try:
        form = multipart.parts(upload.content_type, upload.body)
    except NoForm:
        raise Unreadable("request Content-Type isn't multipart/form-data") from None
    except BrokenForm as error:
        raise Unreadable(f"multipart: NextPart: {error}") from None
    part = multipart.first(form, FIELD)
    if part is None or part.filename is None:
        raise Unreadable("http: no such file")
    if not (part.filename.endswith(".zip") and config_archive.is_archive(part.content)):
        raise Unreadable("invalid content type")
    return part.content


def _carried(entry: Entry, namespace: str, group: str) -> Carried:
    """A file of an archive; ``group``: where it comes from outside, the first step of its path is left out all the same.

    One that the original exported is encrypted, with the key among its tags. Raises ``BadCipher``.
    """
    own, _, name = entry.path.rpartition("/") if "/" not in entry.path else entry.path.partition("/")
    tags = {key: value for key, value in entry.tags.items() if key not in SECRET_TAGS}
    content, algorithm = entry.content, entry.tags.get(ALGORITHM, "")
    if algorithm and entry.tags.get(DATA_KEY):
        content = config_cipher.opened(content, entry.tags[DATA_KEY])
    elif entry.tags.get(ENCRYPTED) != "true":
        algorithm = ""
    return Carried(FileKey(namespace, group or own, name), content, _format(name), entry.comment, tags, {}, algorithm)


def _format(name: str) -> str:
    """What a file is by its name: what follows the last dot in its last step."""
    _, dot, extension = name.rpartition("/")[2].rpartition(".")
    return extension if dot else "text"


def _shown(file: Carried, operator: str) -> v1.ConfigFile:
    m = v1.ConfigFile()
    m.namespace.value, m.group.value, m.name.value = file.key
    m.content.value, m.format.value = text_of(file.content), file.format
    if file.comment:
        m.comment.value = file.comment
    add_tags(m, file.tags)
    m.create_by.value = m.modify_by.value = operator
    return m


def _imported(code: int, info: str | None = None) -> v1.ConfigImportResponse:
    answer = v1.ConfigImportResponse.FromString(bare(code))
    if info is not None:
        answer.info.value += f": {info}"
    return answer


def _exported(code: int, info: str | None = None) -> v1.ConfigExportResponse:
    answer = v1.ConfigExportResponse.FromString(bare(code))
    if info is not None:
        answer.info.value += f": {info}"
    return answer


def unread(why: str) -> v1.Response:
    """The answer to an archive that cannot be read: that of a body which cannot be read."""
    answer = v1.Response.FromString(bare(v1.ParseException))
    answer.info.value += f": {why}"
    return answer
