"""Nacos configurations as values of the configuration centre, and back. Pure.

A Nacos group and data id are the core's group and file. A beta release and one for a tag are gray releases in slots of their
own; what readers get is what the core gives them, so a rule that Nacos could not say still holds for its clients.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from msgspec import Struct

from polaris_bridge.adapters.nacos.wire.config import (
    TEXT,
    TYPES,
    VIPSERVER_TAG,
    Content,
    Publication,
    addresses_of,
    type_of,
)
from polaris_bridge.core.config.model import ANYBODY, EXACT, Active, Asker, Change, GrayRule, Match, Seen, Text

from .keys import SOURCE

BETA_SLOT: Final = "beta"
"""The slot of what is published for addresses."""
BETA_PRIORITY: Final = 2_000_000_000
TAG_SLOT: Final = "tag:"
"""How the slots begin of what is published for clients with one tag."""
TAG_PRIORITY: Final = 1_999_999_999
TAG_NAME: Final = "tag_"
"""How Nacos calls them: ``tag_T``."""


# ---------------------------------------------------------------------- what is written


class Attributes(Struct, frozen=True, gc=False, omit_defaults=True):
    """What only Nacos says of a configuration."""

    app: str = ""
    use: str = ""
    effect: str = ""
    schema: str = ""


def change_of(said: Publication, before: Text | None) -> Change:
    """A publication as a change of the draft ``before``.

    As on Nacos 2.5.1 what it does not say of description, use, effect and schema is gone, and app and tags stay. Tags with
    values are other protocols' and stay in any case, unless the publication says them as ``key=value``. The bytes are kept as
    they came: a file that another protocol had encrypted is not so any more.
    """
    old = attributes_of(before)
    new = Attributes(old.app if said.app is None else said.app, said.use or "", said.effect or "", said.schema or "")
    return Change(
        content=said.content,
        format=type_of(said.type),
        comment=said.desc or "",
        tags=None if said.tags is None else merged(said.tags, before.tags if before is not None else {}),
        ext={SOURCE: _plain(new)} if new != Attributes() or old != Attributes() else None,
        algorithm="",
        client_key=said.encrypted_data_key,
    )


def gray_change_of(said: Publication) -> Change:
    """What is published for some clients: its content. A type that it does not say is that of everybody's content."""
    return Change(
        content=said.content,
        format=None if said.type is None else type_of(said.type),
        algorithm="",
        client_key=said.encrypted_data_key,
    )


def merged(said: tuple[str, ...], before: Mapping[str, str]) -> dict[str, str]:
    """Tags that a client says, laid over what is there."""
    valued = {key: value for key, value in before.items() if value}
    shown = {f"{key}={value}": key for key, value in valued.items()}
    return valued | {tag: "" for tag in said if tag not in shown and tag not in valued}


def _plain(found: Attributes) -> dict[str, str]:
    return {name: value for name in Attributes.__struct_fields__ if (value := getattr(found, name))}


class Gray(NamedTuple):
    """For whom something is published that not everybody gets."""

    slot: str
    rule: GrayRule
    priority: int


def gray_of(said: Publication) -> Gray | None:
    """For whom something is published; None: for everybody. Addresses count before a tag, as on Nacos."""
    if said.beta_ips.strip():
        return beta(said.beta_ips)
    if said.tag.strip():
        return tagged(said.tag.strip())
    if not said.gray_name:
        return None
    by_address = said.gray_type == BETA_SLOT
    found = beta(said.gray_rule) if by_address else tagged(said.gray_rule)
    return Gray(slot_of(said.gray_name), found.rule, said.gray_priority or found.priority)


def beta(addresses: str) -> Gray:
    """What is published for addresses."""
    return Gray(BETA_SLOT, GrayRule(ips=addresses_of(addresses)), BETA_PRIORITY)


def tagged(tag: str) -> Gray:
    """What is published for a tag."""
    return Gray(TAG_SLOT + tag, GrayRule(labels=(Match(VIPSERVER_TAG, EXACT, (tag,)),)), TAG_PRIORITY)


def slot_of(gray_name: str) -> str:
    """The slot of a gray release by Nacos' name of it: ``beta``, ``tag_T``, or one of its own."""
    return TAG_SLOT + gray_name[len(TAG_NAME) :] if gray_name.startswith(TAG_NAME) else gray_name


def gray_name_of(slot: str) -> str:
    """Nacos' name of a slot."""
    return TAG_NAME + slot[len(TAG_SLOT) :] if slot.startswith(TAG_SLOT) else slot


# ---------------------------------------------------------------------- who asks


def asker_of(ip: str, tag: str = "", labels: Mapping[str, str] | None = None) -> Asker:
    """A client as gray releases see it. ``tag``: what it asks for; else the labels of its connection say it."""
    if tag and not tag.isspace():
        return Asker({**(labels or {}), VIPSERVER_TAG: tag}, ip)
    return Asker(dict(labels), ip) if labels else Asker(ANYBODY.labels, ip)


# ---------------------------------------------------------------------- what is read


def content_of(seen: Seen) -> Content:
    """A release as a client gets it."""
    text, active = seen.release.text, seen.active
    return Content(
        content=seen.content,
        md5=seen.md5,
        type=shown_type(text),
        encrypted_data_key=text.client_key,
        modified_ms=seen.release.activated.at_ms,
        beta=is_beta(active),
        tag=tag_of(active),
        gray=bool(active.gray),
    )


def is_beta(active: Active) -> bool:
    """Whether something is published for addresses and nothing else, through whatever protocol."""
    rule = active.rule
    return active.gray == BETA_SLOT or (rule is not None and bool(rule.ips) and not rule.labels)


def tag_of(active: Active) -> str:
    """The tag that something is published for."""
    return active.gray[len(TAG_SLOT) :] if active.gray.startswith(TAG_SLOT) else ""


def addresses_shown(active: Active) -> str:
    """``betaIps`` of a release."""
    return ",".join(active.rule.ips) if active.rule is not None else ""


def shown_type(text: Text) -> str:
    """The type of a content; a format that Nacos does not know is a text."""
    return text.format if text.format in TYPES else TEXT


def shown_tags(text: Text) -> list[str]:
    """``configTags``: a tag with a value is ``key=value``."""
    return [f"{key}={value}" if value else key for key, value in text.tags.items()]


def attributes_of(text: Text | None) -> Attributes:
    """What only Nacos says of a content."""
    own: Any = text.ext.get(SOURCE) if text is not None else None
    if not isinstance(own, dict):
        return Attributes()
    return Attributes(**{name: str(own[name]) for name in Attributes.__struct_fields__ if own.get(name)})
