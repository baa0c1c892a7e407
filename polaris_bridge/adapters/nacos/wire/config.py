"""What is said of configurations, whatever it is said with: publications, answers, types, limits, and lists of what a client has.

Rules and texts as measured on Nacos 2.5.1 (HTTP v1; gRPC and v2 say the same texts in envelopes of their own). Pure.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable
from typing import Final, NamedTuple
from urllib.parse import quote_plus

from msgspec import Struct

from . import codes
from .messages import Refused
from .params import (
    check,
    data_id_objection,
    group_objection,
    ip_objection,
    namespace_objection,
    unquoted,
)

TEXT: Final = "text"
TYPES: Final = frozenset({"properties", "xml", "json", TEXT, "html", "yaml", "toml", "unset"})
MAX_CONTENT: Final = 10 * 1024 * 1024
"""Bytes of a content."""
MAX_LISTENED: Final = 10_000
"""Configurations that one long poll may ask for."""
MAX_GRAYS: Final = 10
"""Gray releases of one configuration."""
VIPSERVER_TAG: Final = "Vipserver-Tag"
"""Header and label of a client that wants what was published for a tag."""

NOT_FOUND: Final = "config data not exist"
CAS_FAILED: Final = "Cas publish fail, server md5 may have changed."
CAS_GRAY_FAILED: Final = "Cas publish gray config fail, server md5 may have changed."


class Publication(Struct, frozen=True, kw_only=True, gc=False):
    """What a client publishes. None: the client did not say it."""

    content: bytes
    type: str | None = None
    desc: str | None = None
    tags: tuple[str, ...] | None = None
    """``config_tags``; () takes all away, None leaves them."""
    app: str | None = None
    """None leaves it."""
    use: str | None = None
    effect: str | None = None
    schema: str | None = None
    encrypted_data_key: str = ""
    src_user: str = ""
    beta_ips: str = ""
    """Commas between addresses; not empty: for them alone."""
    tag: str = ""
    """Not empty: for the clients with this tag alone."""
    gray_name: str = ""
    """Of a gray release of 3.x; not empty: for those whom ``gray_rule`` names."""
    gray_type: str = ""
    """``beta`` or ``tag``."""
    gray_rule: str = ""
    """The expression: addresses, or a tag."""
    gray_priority: int = 0
    cas_md5: str = ""
    """Not empty: refused when the content there has another md5."""


class Content(Struct, frozen=True, kw_only=True, gc=False):
    """What a client gets of one configuration."""

    content: bytes
    md5: str
    type: str = TEXT
    encrypted_data_key: str = ""
    modified_ms: int = 0
    beta: bool = False
    """Whether it is what was published for addresses."""
    tag: str = ""
    """The tag that it was published for."""
    gray: bool = False
    """Whether not everybody gets it."""


# ---------------------------------------------------------------------- what a name, a content, an attribute may be


def type_of(text: str | None) -> str:
    """A type as it is kept: what is unknown is a text."""
    return text if text in TYPES else TEXT


def tags_of(text: str | None) -> tuple[str, ...] | None:
    """``config_tags``: a comma list. The real server stops at the first empty one; here empty ones are passed over."""
    return None if text is None else tuple(dict.fromkeys(tag for tag in text.split(",") if tag))


def addresses_of(text: str) -> tuple[str, ...]:
    """``betaIps``: a comma list."""
    return tuple(dict.fromkeys(ip for part in text.split(",") if (ip := part.strip())))


def objection(data_id: str | None, group: str | None, tenant: str | None, ip: str | None = None) -> str | None:
    """The first objection of the check that stands before every handler; what is blank passes it."""
    return namespace_objection(tenant) or data_id_objection(data_id) or group_objection(group) or ip_objection(ip)


def check_names(data_id: str, group: str, tenant: str = "", ip: str | None = None) -> None:
    """Raise ``Refused`` unless these can name a configuration."""
    check(objection(data_id, group, tenant, ip))
    if not data_id or data_id.isspace():
        raise invalid(f"invalid dataId : {data_id}")
    if not group or group.isspace():
        raise invalid(f"invalid group : {group}")


_LEGAL_DATA_ID: Final = re.compile(r"[a-zA-Z0-9\-_:.]{1,256}")
_LEGAL_GROUP: Final = re.compile(r"[a-zA-Z0-9\-_:.]{1,128}")


def nameable(group: str, data_id: str) -> bool:
    """Whether clients of Nacos could name a configuration; what they could not is not shown to them."""
    return _LEGAL_GROUP.fullmatch(group) is not None and _LEGAL_DATA_ID.fullmatch(data_id) is not None


_MAX_TAG: Final = 16
_TAG: Final = re.compile(r"[\w\-.:]*")


def check_tag(tag: str) -> None:
    """Raise ``Refused`` unless this can be a tag that something is published for; blank is none."""
    if not tag or tag.isspace():
        return
    if not _TAG.fullmatch(tag.strip()):
        raise invalid(f"invalid tag : {tag}")
    if len(tag) > _MAX_TAG:
        raise invalid(f"too long tag, over {_MAX_TAG}")


_LONGEST: Final = (("desc", 128), ("use", 32), ("effect", 32), ("schema", 32768))


def check_publication(said: Publication, most: int = MAX_CONTENT) -> None:
    """Raise ``Refused`` unless this may be published. ``most``: bytes of the content."""
    content = said.content
    if not content.strip():
        raise invalid(f"content is blank : {content[:100].decode('utf-8', 'replace')}")
    if len(content) > most:
        raise invalid(f"invalid content, over {most}")
    check_tag(said.tag)
    tags = said.tags or ()
    if len(tags) > 5:
        raise invalid("too much config_tags, over 5")
    if any(len(tag) > 64 for tag in tags):
        raise invalid("too long tag, over 64")
    for name, longest in _LONGEST:
        value = getattr(said, name)
        if value is not None and len(value) > longest:
            raise invalid(f"too long {name}, over {longest}")


def invalid(text: str) -> Refused:
    """The refusal of something that a call says."""
    return Refused(400, codes.PARAMETER_VALIDATE, text)


# ---------------------------------------------------------------------- what a client has, in the body of a long poll


class Has(NamedTuple):
    """One configuration that a client asks for, and the md5 of what it has of it ("": nothing)."""

    data_id: str
    group: str
    tenant: str
    """As the client spells it; "" when it names none."""
    md5: str


_STRIDE: Final = 512
_MAX_LINES: Final = 10 * MAX_LISTENED
"""Of a list that names things again and again."""
_WORD: Final = "\x02"
_LINE: Final = "\x01"
INVALID_PROBE: Final = "invalid probeModify"


class Unreadable(Refused):
    """A list that the check before the handlers cannot read: said as the servlet container's error page says it."""

    def __init__(self, text: str = INVALID_PROBE) -> None:
        super().__init__(500, codes.SERVER_ERROR, text)


_PLAIN: Final = bytes(set(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_:.\x01\x02"))


def probe_text(text: str | None) -> str:
    """The value of ``Listening-Configs``, of which clients may have encoded the separators twice. Raises ``Refused``."""
    if not text or text.isspace():
        raise invalid(INVALID_PROBE)
    if "%" not in text and "+" not in text:
        return text
    found = unquoted(text)
    if found is None:
        raise Unreadable("URLDecoder: Illegal hex characters in escape (%) pattern")
    return found


def probe(text: str) -> Generator[None, None, list[Has]]:
    """What a client asks for, in its order, some hundreds at a time; of what it names twice the last counts.

    ``dataId 02 group 02 md5 01`` of old clients, ``dataId 02 group 02 md5 02 tenant 01`` of newer ones; what stands after the
    last 01 is passed over. Raises ``Refused``.
    """
    if text.count(_LINE) > _MAX_LINES:
        raise invalid(INVALID_PROBE)
    lines = text.split(_LINE)
    rest = lines.pop()
    found: dict[tuple[str, str, str], Has] = {}
    checked = bool(text.encode("utf-8", "replace").translate(None, _PLAIN))
    if checked or rest:
        _shaped(lines, rest)
    for at, line in enumerate(lines):
        if at % _STRIDE == _STRIDE - 1:
            yield
        words = line.split(_WORD)
        if not 3 <= len(words) <= 4:
            raise _misshapen(lines, rest)
        data_id, group, md5 = words[0], words[1], words[2]
        tenant = words[3] if len(words) == 4 else ""
        if checked or len(data_id) > 256 or len(group) > 128 or len(tenant) > 64 or ":" in tenant or "." in tenant:
            check(objection(data_id, group, tenant))
        if not group:
            _shaped(lines, rest)
            raise invalid(f"invalid groupkey:{data_id}+")
        found[data_id, group, tenant] = Has(data_id, group, tenant, md5)
        if len(found) > MAX_LISTENED:
            raise invalid(INVALID_PROBE)
    return list(found.values())


def _shaped(lines: Iterable[str], rest: str) -> None:
    """Raise ``Unreadable`` for lists that already the check before the handlers refuses; empty lines at the end pass it."""
    pieces = [*lines, rest]
    while pieces and not pieces[-1]:
        pieces.pop()
    for piece in pieces:
        if not 2 <= len(piece.rstrip(_WORD).split(_WORD)) <= 4:
            raise Unreadable


def _misshapen(lines: list[str], rest: str) -> Refused:
    try:
        _shaped(lines, rest)
    except Unreadable as error:
        return error
    return invalid(INVALID_PROBE)


def changed_line(data_id: str, group: str, tenant: str) -> bytes:
    """One configuration in the answer of a long poll: URL-encoded, with the client's spelling of the tenant."""
    if tenant and not tenant.isspace():
        return b"%b%%02%b%%02%b%%01" % (_quoted(data_id), _quoted(group), _quoted(tenant))
    return b"%b%%02%b%%01" % (_quoted(data_id), _quoted(group))


def old_header(names: Iterable[tuple[str, str]]) -> bytes:
    """``Probe-Modify-Response``: data ids and groups."""
    return "".join(f"{data_id}:{group};" for data_id, group in names).encode("ascii", "replace")


def _quoted(text: str) -> bytes:
    return quote_plus(text, safe="-_.*").encode()
