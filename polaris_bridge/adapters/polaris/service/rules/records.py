"""Rules as documents of the core, and back: what is kept is the message itself, unknown fields included.

Times, and whether a console may edit a rule, are the server's to say; they are not part of what is kept.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message

from polaris_bridge.adapters.polaris.translate.times import local_time
from polaris_bridge.core.model import Document

from .fields import clear, flag, has, number, put_flag, put_text, text
from .kinds import Kind, Moment

_NOT_KEPT = ("ctime", "mtime", "etime", "editable", "deleteable", "service_token")


def lift(kind: Kind, rule: Message, id: str, revision: str, before: Document | None, moment: Moment) -> Document:
    """A checked rule as a document, under an id and a revision."""
    kept: Any = type(rule)()
    kept.CopyFrom(rule)
    clear(kept, *_NOT_KEPT)
    put_text(kept, "id", id)
    put_text(kept, "revision", revision)
    if kind.namespace and not text(kept, "namespace"):
        put_text(kept, "namespace", kind.namespace)
    kind.settle(kept, None if before is None else message_of(kind, before), moment)
    return document_of(kind, kept, id)


def document_of(kind: Kind, kept: Message, id: str) -> Document:
    """A rule in the form that is kept, as a document."""
    return Document(
        kind.name,
        id,
        namespace=text(kept, "namespace"),
        name=text(kept, "name"),
        targets=kind.subjects(kept),
        enabled=is_enabled(kind, kept),
        priority=number(kept, "priority"),
        body=kept.SerializeToString(deterministic=True),
    )


def is_enabled(kind: Kind, rule: Message) -> bool:
    """Whether a rule is switched on; one without a switch always is."""
    return kind.switch is None or flag(rule, kind.switch.field) != kind.switch.off


def enable(kind: Kind, rule: Message, on: bool) -> None:
    """Switch a rule."""
    assert kind.switch is not None
    put_flag(rule, kind.switch.field, on != kind.switch.off)


def message_of(kind: Kind, document: Document) -> Any:
    """A rule as it is kept."""
    rule = kind.message()
    rule.ParseFromString(document.body)
    return rule


def same_rule(kind: Kind, a: Document, b: Document) -> bool:
    """Whether two documents say the same to their readers, revisions apart."""
    return _said(kind, a) == _said(kind, b)


def _said(kind: Kind, document: Document) -> bytes:
    rule = message_of(kind, document)
    kind.dress(rule)
    clear(rule, "revision")
    return bytes(rule.SerializeToString(deterministic=True))


def shown(kind: Kind, document: Document) -> Any:
    """A rule as readers see it: with its times."""
    rule = message_of(kind, document)
    put_text(rule, "ctime", local_time(document.created_ms))
    put_text(rule, "mtime", local_time(document.updated_ms))
    if has(rule, "etime"):
        put_text(rule, "etime", _enabled_since(kind, document))
    kind.dress(rule)
    return rule


def listed(kind: Kind, document: Document) -> Any:
    """A rule as a console sees it: it may be edited and deleted."""
    rule = shown(kind, document)
    put_flag(rule, "editable", True)
    put_flag(rule, "deleteable", True)
    return rule


def _enabled_since(kind: Kind, document: Document) -> str:
    if not document.enabled or (document.enabled_ms == document.created_ms and not kind.enabled_at_birth):
        return ""
    return local_time(document.enabled_ms)
