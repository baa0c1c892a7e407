"""Archives of configurations: files ``GROUP/dataId``, and beside them what is said of each, in one of two forms.

The older form (``.meta.yml``, 1.x and 2.x) knows the application's name alone, in lines ``GROUP.data~id.app=name`` where the last
dot of the data id is a ``~``; the newer one (``.metadata.yml``, 2.x and 3.x) is YAML with type, description and application. As
written and read by Nacos 2.5.1. Generators yield where the work may be interrupted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterable
from typing import Any, Final

import yaml
from msgspec import Struct

from .config import TEXT, TYPES, nameable

META: Final = ".meta.yml"
METADATA: Final = ".metadata.yml"
MAX_METADATA: Final = 4 * 1024 * 1024
"""Bytes of either."""

_MANY: Final = 50
_FIELDS: Final = ("appName", "dataId", "desc", "group", "type")
_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Packed(Struct, frozen=True, kw_only=True, gc=False):
    """One configuration in an archive. What the archive does not say is None."""

    group: str
    data_id: str
    content: bytes
    type: str | None = None
    desc: str | None = None
    app: str | None = None


class Unpacked(Struct, frozen=True):
    """What an archive holds."""

    configs: tuple[Packed, ...]
    unrecognized: tuple[str, ...]
    """Names of files that are no configuration, or cannot be one."""


class IllegalMetadata(Exception):
    """What an archive says of its files cannot be read."""


# ---------------------------------------------------------------------- writing


def pack(configs: Iterable[Packed], *, newer: bool) -> Generator[None, None, list[tuple[str, bytes]]]:
    """The files of an archive. Names that lead out of a folder (``..``) are left out: whoever unpacks it is safe."""
    files: list[tuple[str, bytes]] = []
    lines: list[str] = []
    for index, config in enumerate(configs):
        if not _safe(config.group, config.data_id):
            continue
        files.append((f"{config.group}/{config.data_id}", config.content))
        if newer:
            lines.append(_item(config))
        elif config.app and not config.app.isspace():
            lines.append(f"{_meta_key(config.group, config.data_id)}={config.app}\r\n")
        if index % _MANY == 0:
            yield
    if newer:
        text = "metadata:\n" + "".join(lines) if lines else "metadata: []\n"
        files.append((METADATA, text.encode("utf-8", "replace")))
    elif lines:
        files.append((META, "".join(lines).encode("utf-8", "replace")))
    return files


def _item(config: Packed) -> str:
    values = (config.app or "", config.data_id, config.desc, config.group, config.type or TEXT)
    said = [f"{name}: {_scalar(value)}\n" for name, value in zip(_FIELDS, values, strict=True) if value is not None]
    return "- " + "  ".join(said)


_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*\Z")
_WORDS: Final = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_HIDDEN: Final = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")


def _scalar(text: str) -> str:
    """A text in YAML: as it is where nobody could take it for something else, otherwise quoted as in JSON."""
    if _PLAIN.match(text) and text.lower() not in _WORDS:
        return text
    return _HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False))


def _meta_key(group: str, data_id: str) -> str:
    head, dot, tail = data_id.rpartition(".")
    return f"{group}.{head}~{tail}.app" if dot else f"{group}.{data_id}.app"


# ---------------------------------------------------------------------- reading


def unpack(files: Iterable[tuple[str, bytes]], *, newer_only: bool = False) -> Generator[None, None, Unpacked]:
    """What files say. ``newer_only``: refused without ``.metadata.yml``, as 3.x does it. Raises ``IllegalMetadata``.

    Of a file that is there twice the last counts.
    """
    found: dict[str, bytes] = {}
    said: tuple[str, bytes] | None = None
    for name, content in files:
        if said is None and name in (META, METADATA):
            said = (name, content)
        else:
            found[name] = content
    if said is not None and len(said[1]) > MAX_METADATA:
        raise IllegalMetadata(f"more than {MAX_METADATA} bytes")
    if said is not None and said[0] == METADATA:
        return (yield from _newer(found, said[1]))
    if newer_only:
        raise IllegalMetadata(f"there is no {METADATA}")
    return (yield from _older(found, b"" if said is None else said[1], told=said is not None))


def _older(found: dict[str, bytes], meta: bytes, *, told: bool) -> Generator[None, None, Unpacked]:
    apps: dict[str, str] = {}
    if told:
        lines = [line for line in re.split(r"[\r\n]+|\|", meta.decode("utf-8", "replace")) if line]
        for index, line in enumerate(lines or [""]):
            key, equals, app = line.partition("=")
            if not equals or not app or "=" in app:
                raise IllegalMetadata("a line without one '='")
            apps[key] = app
            if index % 1000 == 0:
                yield
    configs: list[Packed] = []
    strange: list[str] = []
    for index, (name, content) in enumerate(found.items()):
        group, _, data_id = name.partition("/")
        if _safe(group, data_id):
            app = apps.get(_meta_key(group, data_id))
            configs.append(Packed(group=group, data_id=data_id, content=content, app=app))
        else:
            strange.append(name)
        if index % _MANY == 0:
            yield
    return Unpacked(tuple(configs), tuple(strange))


def _newer(found: dict[str, bytes], metadata: bytes) -> Generator[None, None, Unpacked]:
    items = yield from _items(metadata)
    if not items or any(not item.get(name, "").strip() for item in items for name in ("dataId", "group", "type")):
        raise IllegalMetadata("an item without dataId, group or type")
    named = {f"{item['group']}/{item['dataId']}" for item in items}
    strange = [
        f"Item not found in metadata: {name}" if _safe(*_halves(name)) else name for name in found if name not in named
    ]
    configs: dict[str, Packed] = {}
    for index, item in enumerate(items):
        group, data_id = item["group"], item["dataId"]
        content = found.get(f"{group}/{data_id}")
        if content is None:
            strange.append(f"Item not found in file: {group}/{data_id}")
        elif not _safe(group, data_id):
            strange.append(f"{group}/{data_id}")
        else:
            type = item["type"] if item["type"] in TYPES else TEXT
            configs[f"{group}/{data_id}"] = Packed(
                group=group, data_id=data_id, content=content, type=type, desc=item.get("desc"), app=item.get("appName")
            )
        if index % _MANY == 0:
            yield
    return Unpacked(tuple(configs.values()), tuple(strange))


def _items(metadata: bytes) -> Generator[None, None, list[dict[str, str]]]:
    """The list under ``metadata``, as texts. Aliases, tags and deeper structures are nothing that Nacos writes: refused."""
    items: list[dict[str, str]] = []
    item: dict[str, str] = {}
    depth, key = 0, ""
    try:
        for index, event in enumerate(yaml.parse(metadata, Loader=_LOADER)):
            if index % _MANY == 0:
                yield
            if isinstance(event, yaml.AliasEvent):
                raise IllegalMetadata("an alias")
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                wanted = yaml.SequenceStartEvent if depth == 2 else yaml.MappingStartEvent
                if depth > 3 or not isinstance(event, wanted) or (depth == 2 and key != "metadata"):
                    raise IllegalMetadata("not a list of items under 'metadata'")
                key, item = "", {}
            elif isinstance(event, yaml.CollectionEndEvent):
                if depth == 3:
                    items.append(item)
                depth, key = depth - 1, ""
            elif isinstance(event, yaml.ScalarEvent):
                if depth not in (1, 3):
                    raise IllegalMetadata("a text where an item should be")
                if not key:
                    key = event.value or " "
                    continue
                if depth == 3 and not (event.implicit[0] and event.value in ("", "~", "null")):
                    item[key] = event.value
                key = ""
    except yaml.YAMLError as error:
        raise IllegalMetadata(str(error)) from None
    return items


def _halves(name: str) -> tuple[str, str]:
    group, _, data_id = name.partition("/")
    return group, data_id


def _safe(group: str, data_id: str) -> bool:
    """Whether these can be a configuration, and a path that stays where it is unpacked."""
    return nameable(group, data_id) and group.strip(".") != "" and data_id.strip(".") != ""
