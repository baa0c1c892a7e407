"""DNS messages: a question in, an answer out. By hand, because a library takes ten times as long for an answer.

Only what an authority over a small tree needs: one question a message, EDNS (RFC 6891) with the client subnet (RFC 7871) sent
back, owner names compressed where they were written before. dnspython judges it in the tests.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from msgspec import Struct
from msgspec.structs import force_setattr

A: Final = 1
NS: Final = 2
CNAME: Final = 5
SOA: Final = 6
PTR: Final = 12
MX: Final = 15
TXT: Final = 16
AAAA: Final = 28
SRV: Final = 33
OPT: Final = 41
IXFR: Final = 251
AXFR: Final = 252
ANY: Final = 255

IN: Final = 1
ANY_CLASS: Final = 255

NOERROR: Final = 0
FORMERR: Final = 1
SERVFAIL: Final = 2
NXDOMAIN: Final = 3
NOTIMP: Final = 4
REFUSED: Final = 5
BADVERS: Final = 16

HEADER: Final = struct.Struct("!HHHHHH")
_QUESTION_TAIL: Final = struct.Struct("!HH")
_FIXED: Final = struct.Struct("!HHIH")
_SRV: Final = struct.Struct("!HHH")
_SOA: Final = struct.Struct("!IIIII")
_OPTION: Final = struct.Struct("!HH")
_POINTER: Final = struct.Struct("!H")

_RESPONSE: Final = 0x8000
_AUTHORITATIVE: Final = 0x0400
_TRUNCATED: Final = 0x0200
_RECURSION_DESIRED: Final = 0x0100
_RECURSION_AVAILABLE: Final = 0x0080
_OPCODE: Final = 0x7800

_AT_QUESTION: Final = b"\xc0\x0c"
"""A pointer to the name of the question."""
_POINTED: Final = 0x4000
"""Where pointers cannot reach any more."""
_OWN: Final = b""
MOST_NAME: Final = 255
MOST_LABEL: Final = 63
_CLIENT_SUBNET: Final = 8
_SUBNET_HEAD: Final = 4
PLAIN_SIZE: Final = 512
"""Bytes that an answer over UDP may have when the client says nothing else."""
MOST_MESSAGE: Final = 65_535


class Malformed(Exception):
    """A message that is not to be answered: shorter than a header, or an answer itself."""


class Question(Struct, frozen=True, gc=False):
    """What one message asks. With ``error`` set nothing else but the header's part is to be believed."""

    id: int
    name: str = ""
    """Lower case, with the final dot."""
    type: int = 0
    class_: int = IN
    wire: bytes = b""
    """The question as it was typed: name, type, class."""
    recursion: bool = False
    opcode: int = 0
    size: int = 0
    """What the client can take over UDP, by EDNS; 0: it does not speak EDNS."""
    subnet: bytes = b""
    """The client subnet option as it came (family, lengths, address)."""
    error: int = NOERROR
    """Why it cannot be answered."""


class Record(Struct, frozen=True, gc=False):
    """One record of an answer. Records are made once and written often: what is written is made with them."""

    type: int
    data: bytes
    """Names in it are written in full, in wire form."""
    ttl: int = 0
    """Seconds."""
    owner: bytes = _OWN
    """In wire form; empty: the name that was asked."""
    wire: bytes = b""
    """All of it without compression, its own owner in front. Follows from the others."""
    target: bytes = b""
    """The name that an SRV record points at; empty for others. Follows from the data."""

    def __post_init__(self) -> None:
        wire = self.owner + _FIXED.pack(self.type, IN, self.ttl, len(self.data)) + self.data
        force_setattr(self, "wire", wire)
        if self.type == SRV:
            force_setattr(self, "target", self.data[_SRV.size :])


class Answer(Struct, frozen=True):
    """What is said to a question."""

    rcode: int = NOERROR
    answers: Sequence[Record] = ()
    authority: Sequence[Record] = ()
    additional: Sequence[Record] = ()
    """Of these only those whose owner an answer points at are kept when answers are left out."""
    authoritative: bool = True
    scoped: bool = False
    """Whether it is for the client subnet of the question only; else for everybody."""


# ---------------------------------------------------------------------- names and record data


@lru_cache(maxsize=4096)
def name_wire(name: str) -> bytes:
    """A name (final dot or not) in wire form. Raises ``ValueError`` when it cannot be one."""
    parts: list[bytes] = []
    for label in name.rstrip(".").split(".") if name.rstrip(".") else ():
        raw = label.encode()
        if not 0 < len(raw) <= MOST_LABEL:
            raise ValueError(f"no label of a name: {label[:80]!r}")
        parts.append(bytes([len(raw)]) + raw)
    wire = b"".join(parts) + b"\0"
    if len(wire) > MOST_NAME:
        raise ValueError("a name of more than 255 bytes")
    return wire


def name_text(wire: bytes) -> str:
    """A name in wire form as lower-case text, with the final dot."""
    return _text(wire)


def srv(priority: int, weight: int, port: int, target: bytes) -> bytes:
    """RFC 2782."""
    return _SRV.pack(priority, min(weight, 65_535), port) + target


def soa(primary: bytes, mailbox: bytes, serial: int, refresh: int, retry: int, expire: int, minimum: int) -> bytes:
    """RFC 1035 section 3.3.13. Seconds."""
    return primary + mailbox + _SOA.pack(serial & 0xFFFFFFFF, refresh, retry, expire, minimum)


def txt(text: str) -> bytes:
    """A text, in pieces of 255 bytes."""
    raw = text.encode()
    return b"".join(bytes([len(p)]) + p for p in (raw[i : i + 255] for i in range(0, len(raw), 255))) or b"\0"


# ---------------------------------------------------------------------- questions


def read(data: bytes) -> Question:
    """A question from a message. Raises ``Malformed`` for what is to be dropped; other errors are in ``Question.error``."""
    if len(data) < HEADER.size:
        raise Malformed("shorter than a header")
    id, flags, questions, answers, authority, additional = HEADER.unpack_from(data)
    if flags & _RESPONSE:
        raise Malformed("an answer")
    recursion, opcode = bool(flags & _RECURSION_DESIRED), (flags & _OPCODE) >> 11
    if opcode:
        return Question(id, opcode=opcode, recursion=recursion, error=NOTIMP)
    if questions != 1:
        return Question(id, recursion=recursion, error=FORMERR)
    try:
        end = _question_end(data)
        type, class_ = _QUESTION_TAIL.unpack_from(data, end)
        end += 4
        size, subnet, error = _extended(data, end, answers + authority, additional) if additional else (0, b"", NOERROR)
        name = _text(data[12 : end - 4])
    except (IndexError, struct.error, UnicodeDecodeError, ValueError):
        return Question(id, recursion=recursion, error=FORMERR)
    return Question(id, name, type, class_, data[12:end], recursion, 0, size, subnet, error)


def _question_end(data: bytes) -> int:
    """Where the name of the question ends. Pointers have nothing to point at yet."""
    at = HEADER.size
    while length := data[at]:
        if length > MOST_LABEL:
            raise ValueError("a pointer in the question")
        at += length + 1
    if at + 1 - HEADER.size > MOST_NAME:
        raise ValueError("a name of more than 255 bytes")
    return at + 1


@lru_cache(maxsize=4096)
def _text(wire: bytes) -> str:
    """A name in wire form as lower-case text; a dot inside a label makes it one that is found nowhere."""
    labels: list[str] = []
    at = 0
    while length := wire[at]:
        label = wire[at + 1 : at + 1 + length]
        labels.append(label.decode().lower() if b"." not in label else label.decode().lower().replace(".", "\\."))
        at += length + 1
    return ".".join(labels) + "."


def _extended(data: bytes, at: int, before: int, additional: int) -> tuple[int, bytes, int]:
    """Size, subnet and error of the OPT record; zeros without one. ``before``: records that stand before the additional ones."""
    found: tuple[int, bytes, int] | None = None
    for place in range(min(before + additional, 64)):
        root = data[at] == 0
        at = _skip_name(data, at)
        type, class_, ttl, length = _FIXED.unpack_from(data, at)
        at += _FIXED.size
        if at + length > len(data):
            raise ValueError("a record that ends too early")
        if type == OPT and place >= before:
            if found is not None or not root:
                raise ValueError("OPT twice, or with a name")
            version = ttl >> 16 & 0xFF
            size = max(class_, PLAIN_SIZE)
            found = size, _subnet(data[at : at + length]), BADVERS if version else NOERROR
        at += length
    return found or (0, b"", NOERROR)


def _skip_name(data: bytes, at: int) -> int:
    while length := data[at]:
        if length >= 0xC0:
            data[at + 1]  # a pointer is two bytes
            return at + 2
        if length > MOST_LABEL:
            raise ValueError("an unknown kind of label")
        at += length + 1
    return at + 1


def _subnet(options: bytes) -> bytes:
    at = 0
    while at < len(options):
        code, length = _OPTION.unpack_from(options, at)
        at += 4
        if at + length > len(options):
            raise ValueError("an option that ends too early")
        if code == _CLIENT_SUBNET:
            subnet = options[at : at + length]
            if not _SUBNET_HEAD <= length <= _SUBNET_HEAD + 16:  # it is sent back, so it must not be any length
                raise ValueError("a client subnet without lengths, or longer than an address")
            return subnet
        at += length
    return b""


# ---------------------------------------------------------------------- answers


def write(question: Question, answer: Answer, *, recursors: bool = False, truncated: bool = False) -> bytes:
    """The message. ``recursors``: whether other names are resolved here; ``truncated``: the client should ask by TCP."""
    rcode = answer.rcode
    flags = _RESPONSE | question.opcode << 11 | (rcode & 0xF)
    if answer.authoritative:
        flags |= _AUTHORITATIVE
    if question.recursion:
        flags |= _RECURSION_DESIRED
    if recursors:
        flags |= _RECURSION_AVAILABLE
    if truncated:
        flags |= _TRUNCATED
    wire = question.wire
    additional = len(answer.additional) + (question.size > 0)
    head = HEADER.pack(question.id, flags, 1 if wire else 0, len(answer.answers), len(answer.authority), additional)
    parts = [head, wire]
    append = parts.append
    at = HEADER.size + len(wire)
    places: dict[bytes, int] = {wire[:-4]: HEADER.size} if wire else {}
    for records in (answer.answers, answer.authority, answer.additional):
        for record in records:
            owner, written = record.owner, record.wire
            if not owner:
                written = _AT_QUESTION + written
            elif (place := places.get(owner)) is not None:
                written = _POINTER.pack(0xC000 | place) + written[len(owner) :]
            elif at < _POINTED:
                places[owner] = at
            append(written)
            at += len(written)
            target = record.target
            if target and at < _POINTED:
                places.setdefault(target, at - len(target))
    if question.size:
        append(_opt(question, answer))
    return b"".join(parts)


def _opt(question: Question, answer: Answer) -> bytes:
    data = b""
    if question.subnet:
        family, prefix, address = question.subnet[:2], question.subnet[2:3], question.subnet[4:]
        scope = prefix if answer.scoped and answer.rcode == NOERROR else b"\0"  # 0: the answer is for everybody
        data = _OPTION.pack(_CLIENT_SUBNET, len(question.subnet)) + family + prefix + scope + address
    return b"\0" + _FIXED.pack(OPT, question.size, (answer.rcode >> 4) << 24, len(data)) + data


def fitted(
    question: Question, answer: Answer, *, most_answers: int, most_bytes: int, mark: bool, recursors: bool = False
) -> bytes:
    """The message with as many answers as there is room for, one at least. ``mark``: say so when some were left out.

    Sizes are measured without compression, as the agent does; when that leaves nothing, as they are sent. A message that
    has no room for a single answer says that it is cut off, whatever ``mark`` says.
    """
    count = len(answer.answers)
    if count > most_answers:
        answer = _cut(answer, most_answers)
    room = most_bytes - HEADER.size - len(question.wire) - (len(_opt(question, answer)) if question.size else 0)
    owner = len(question.wire) - 4
    if sum([_size(part, owner) for part in (answer.answers, answer.authority, answer.additional) if part]) > room:
        answer = _cut(answer, max(1, _fitting(answer, owner, room)))
    message = write(question, answer, recursors=recursors, truncated=mark and len(answer.answers) < count)
    if len(message) <= most_bytes:
        return message
    alone = Answer(answer.rcode, answer.answers[:1], (), (), answer.authoritative, answer.scoped)
    message = write(question, alone, recursors=recursors, truncated=mark and count > 1)
    if len(message) <= most_bytes:
        return message
    return write(question, Answer(answer.rcode, scoped=answer.scoped), recursors=recursors, truncated=True)


def _fitting(answer: Answer, owner: int, room: int) -> int:
    """How many answers fit with what belongs to them."""
    beside: dict[bytes, int] = {}
    for record in answer.additional:
        beside[record.owner] = beside.get(record.owner, 0) + _size((record,), owner)
    room -= _size(answer.authority, owner)
    for place, record in enumerate(answer.answers):
        room -= _size((record,), owner) + (beside.pop(record.target, 0) if record.target else 0)
        if room < 0:
            return place
    return len(answer.answers)


def _cut(answer: Answer, most: int) -> Answer:
    """The first answers, and of the additional records those that belong to them."""
    answers = answer.answers[:most]
    wanted = {record.target for record in answers if record.target}
    additional = [r for r in answer.additional if r.owner in wanted]
    return Answer(answer.rcode, answers, answer.authority, additional, answer.authoritative, answer.scoped)


def _size(records: Sequence[Record], owner: int) -> int:
    return sum([len(record.wire) if record.owner else len(record.wire) + owner for record in records])
