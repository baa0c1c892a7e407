"""Values as rows: the key in columns, everything else in one msgpack array, protocol attributes in blobs of their own.

A document is an array in the order of ``_FIELDS``, which only ever grows at its end: an older row, whose array is
shorter, gets the defaults of the values, and a row written by a newer version is read without what it has more.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter
from typing import Any, Final

import msgspec
from msgspec import Struct, msgpack, structs

from polaris_bridge.core.model import (
    Document,
    Lease,
    Liveness,
    NamespaceRecord,
    Registration,
    ServiceRecord,
    Switch,
    SwitchRow,
)
from polaris_bridge.core.ports import DOCUMENT, NAMESPACE, REGISTRATION, SERVICE, SWITCH, ExtTypes, Row, Value

_FIELDS: Final[dict[type[Struct], tuple[str, ...]]] = {
    NamespaceRecord: (
        "comment", "owners", "metadata", "export_to", "auto_created", "created_ms", "updated_ms", "ext",
    ),
    ServiceRecord: (
        "metadata", "business", "department", "owners", "comment", "reference", "export_to", "protect_threshold",
        "auto_created", "guessed", "ext", "created_ms", "updated_ms",
    ),
    Registration: (
        "service", "host", "port", "vpc", "liveness", "reported", "protocol", "version", "weight", "priority",
        "logic_set", "ports", "metadata", "tags", "location", "cluster", "ephemeral", "copied_from", "created_ms",
        "updated_ms", "lost_ms", "seq",
    ),
    Switch: ("word", "lingers"),
    Document: (
        "namespace", "name", "targets", "enabled", "priority", "body", "lease_ms", "created_ms", "updated_ms", "enabled_ms",
    ),
}  # fmt: skip
"""What stands in a document, in order. Append only; a field appended needs a default in its value."""

_KEY_COLUMNS: Final = {NAMESPACE: 1, SERVICE: 2, REGISTRATION: 3, SWITCH: 7, DOCUMENT: 2}

_SHARED: Final = 1 << 16
"""How many different values are remembered while loading, to keep repeated ones once."""

_SMALL: Final = 16
"""Attributes that take no more bytes are likely to be those of many others too."""

Columns = tuple[Any, ...]


class Unreadable(Exception):
    """A row is not what this version, or any older one, would have written."""


def _document(kind: type[Struct]) -> type[Struct]:
    """The array that a value is stored as, a struct with the value's own types and defaults."""
    known = {field.name: field for field in structs.fields(kind)}
    fields = [(name, known[name].type, _default(known[name])) for name in _FIELDS[kind]]
    return msgspec.defstruct(f"{kind.__name__}Document", fields, frozen=True, gc=False, array_like=True)


def _default(field: structs.FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return msgspec.field(default_factory=field.default_factory)
    return msgspec.field(default=field.default)


class _Shape:
    """How one kind of value is packed into a document and read from it."""

    def __init__(self, kind: type[Struct]) -> None:
        self.pick: Callable[[Any], tuple[Any, ...]] = attrgetter(*_FIELDS[kind])
        self.decode: Callable[[bytes], Any] = msgpack.Decoder(_document(kind)).decode
        self._names = _FIELDS[kind]

    def fields(self, document: bytes) -> dict[str, Any]:
        """The fields of a value that come from its document."""
        return dict(zip(self._names, self.pick(self.decode(document)), strict=True))


_NAMESPACE = _Shape(NamespaceRecord)
_SERVICE = _Shape(ServiceRecord)
_REGISTRATION = _Shape(Registration)
_SWITCH = _Shape(Switch)
_KEPT = _Shape(Document)

_encode = msgpack.Encoder().encode


def _opaque(value: Any) -> bytes | None:
    """Protocol attributes as a column; bytes are those of a source that was not declared when they were loaded."""
    return value if value is None or isinstance(value, bytes) else _encode(value)


_COLUMNS: Final[dict[str, Callable[[Any], Columns]]] = {
    NAMESPACE: lambda value: (_encode(_NAMESPACE.pick(value)),),
    SERVICE: lambda value: (_encode(_SERVICE.pick(value)),),
    REGISTRATION: lambda value: (_encode(_REGISTRATION.pick(value)), _opaque(value.ext), _opaque(value.marks)),
    SWITCH: lambda value: (_encode(_SWITCH.pick(value.switch)),),
    DOCUMENT: lambda value: (_encode(_KEPT.pick(value)),),
}

_NOTHING: Final[dict[str, Columns]] = {
    NAMESPACE: (None,),
    SERVICE: (None,),
    REGISTRATION: (None, None, None),
    SWITCH: (None,),
    DOCUMENT: (None,),
}


def columns(row: Row) -> Columns:
    """A row as parameters of its table's upsert. Raises what msgspec raises for a value that cannot be packed."""
    if row.value is None:
        return (*row.key, row.revision, 1, row.changed_ms, *_NOTHING[row.table])
    return (*row.key, row.revision, 0, row.changed_ms, *_COLUMNS[row.table](row.value))


class _Opaque:
    """Decodes the attributes of each declared source; those of other sources stay bytes."""

    def __init__(self, types: dict[str, type[Struct]], share: Callable[[Any], Any]) -> None:
        self._share = share
        self._small: dict[tuple[str, bytes], Any] = {}
        self._decoders = {source: msgpack.Decoder(kind).decode for source, kind in types.items()}
        self._texts = {
            source: tuple(field.name for field in structs.fields(kind) if field.type in (str, str | None))
            for source, kind in types.items()
        }

    def lift(self, source: str, column: bytes | None) -> Any:
        decode = self._decoders.get(source)
        if column is None or decode is None:
            return column
        if len(column) > _SMALL:
            return self._decoded(decode, source, column)
        known = self._small.get((source, column))
        if known is None:
            known = self._decoded(decode, source, column)
            if len(self._small) < _SHARED:
                self._small[(source, column)] = known
        return known

    def _decoded(self, decode: Callable[[bytes], Any], source: str, column: bytes) -> Any:
        value = decode(column)
        for name in self._texts[source]:
            # nobody else has seen this value yet, so this is still its construction
            structs.force_setattr(value, name, self._share(getattr(value, name)))
        return value


class Reader:
    """Turns rows back into values; strings and small values that repeat are kept once. For one load."""

    def __init__(self, types: ExtTypes) -> None:
        self._known: dict[Any, Any] = {}
        self._ext = _Opaque(types.ext, self._share)
        self._marks = _Opaque(types.marks, self._share)
        self._lift: dict[str, Callable[[Columns], Value]] = {
            NAMESPACE: self._namespace,
            SERVICE: self._service,
            REGISTRATION: self._registration,
            SWITCH: self._switch,
            DOCUMENT: self._kept,
        }

    def values(self, table: str, rows: Iterable[Columns]) -> Iterator[Value]:
        """The values of a table's living rows. Raises ``Unreadable`` naming the row."""
        lift = self._lift[table]
        for row in rows:
            try:
                value = lift(row)
            except (msgspec.MsgspecError, TypeError, ValueError) as error:
                raise Unreadable(f"row {row[: _KEY_COLUMNS[table]]} of table {table}: {error}") from error
            yield value

    def _share(self, value: Any) -> Any:
        known = self._known
        if len(known) < _SHARED:
            return known.setdefault(value, value)
        return known.get(value, value)

    def _liveness(self, value: Liveness) -> Liveness:
        return self._share(value) if isinstance(value, Lease) else value

    def _namespace(self, row: Columns) -> Value:
        name, revision, document = row
        return NamespaceRecord(name=name, revision=revision, **_NAMESPACE.fields(document))

    def _service(self, row: Columns) -> Value:
        namespace, name, revision, document = row
        return ServiceRecord(
            namespace=sys.intern(namespace), name=sys.intern(name), revision=revision, **_SERVICE.fields(document)
        )

    def _kept(self, row: Columns) -> Value:
        kind, id, revision, document = row
        return Document(kind=sys.intern(kind), id=id, revision=revision, **_KEPT.fields(document))

    def _switch(self, row: Columns) -> Value:
        namespace, service, host, port, vpc, source, key, revision, document = row
        switch = Switch(source=sys.intern(source), key=key, revision=revision, **_SWITCH.fields(document))
        return SwitchRow(sys.intern(namespace), sys.intern(service), host, port, vpc, switch)

    def _registration(self, row: Columns) -> Value:
        source, namespace, key, revision, packed, ext, marks = row
        document = _REGISTRATION.decode(packed)
        share, intern = self._share, sys.intern
        return Registration(
            source=intern(source),
            namespace=intern(namespace),
            key=key,
            service=intern(document.service),
            host=share(document.host),
            port=document.port,
            vpc=intern(document.vpc),
            liveness=self._liveness(document.liveness),
            reported=intern(document.reported),
            protocol=intern(document.protocol),
            version=share(document.version),
            weight=document.weight,
            priority=document.priority,
            logic_set=intern(document.logic_set),
            ports=share(document.ports),
            metadata={intern(name): share(value) for name, value in document.metadata.items()},
            tags=share(tuple(map(share, document.tags))),
            location=share(document.location),
            cluster=intern(document.cluster),
            ephemeral=document.ephemeral,
            copied_from=intern(document.copied_from),
            ext=self._ext.lift(source, ext),
            marks=self._marks.lift(source, marks),
            created_ms=document.created_ms,
            updated_ms=document.updated_ms,
            lost_ms=document.lost_ms,
            seq=document.seq,
            revision=revision,
        )
