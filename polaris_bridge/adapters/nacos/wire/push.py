"""Packets of the UDP push that 1.x clients know: lists to them, their acknowledgements, and which clients want it.

As between Java 1.4.8 and server 2.5.1: the list travels as a JSON text inside of JSON, gzipped from 1024 bytes on.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Generator
from typing import Final

import msgspec
from msgspec import Struct

GZIPPED_FROM: Final = 1024
"""Bytes of a packet from which on it is compressed."""
MAX_PACKET: Final = 65_507
"""Bytes that fit into one datagram of IPv4."""
MAX_LIST: Final = 2 * 1024 * 1024
"""Bytes of a list that are compressed at most to see whether they fit; hosts shrink to a twentieth or so."""
MAX_ACK: Final = 64 * 1024
"""Bytes of an answer that are looked at; a real one has about 80."""

_PIECE: Final = 32 * 1024
_GZIP: Final = 31
_encode: Final = msgspec.json.Encoder().encode

_AGENTS: Final[tuple[tuple[str, tuple[int, ...]], ...]] = (
    ("Nacos-Java-Client", (0, 1, 0)),
    ("Nacos-Go-Client", (0, 1, 0)),
    ("Nacos-DNS", (0, 4, 3)),
    ("Nacos-C-Client", (1, 0, 12)),
    ("vip-client4cpp", (1, 0, 12)),
    ("Nacos-CSharp-Client", (0, 9, 0)),
)
"""How the user agent of a client that takes pushes begins, and since which version it does."""

_VERSION: Final = re.compile(r":v(\d{1,6})(?:\.(\d{1,6}))?(?:\.(\d{1,6}))?", re.ASCII)


def welcome(agent: str) -> bool:
    """Whether a client with this user agent takes pushes."""
    for name, since in _AGENTS:
        if agent.startswith(name):
            found = _VERSION.search(agent)
            return found is not None and tuple(int(part or 0) for part in found.groups()) >= since
    return False


def packet(info: bytes, ref: int) -> Generator[None, None, bytes | None]:
    """One packet, made piece by piece: yields where the work may be interrupted, returns None when it would not fit.

    ``info``: a ServiceInfo in the form ``udp``. ``ref``: what the acknowledgement names.
    """
    if len(info) > MAX_LIST:
        return None
    whole = b'{"type":"dom","data":%b,"lastRefTime":%d}' % (_encode(info.decode()), ref)
    if len(whole) < GZIPPED_FROM:
        return whole
    compress = zlib.compressobj(zlib.Z_BEST_SPEED if len(whole) > _PIECE else zlib.Z_DEFAULT_COMPRESSION, wbits=_GZIP)
    parts = []
    size = 0
    for at in range(0, len(whole), _PIECE):
        if at:
            yield
        parts.append(compress.compress(whole[at : at + _PIECE]))
        size += len(parts[-1])
        if size > MAX_PACKET:
            return None
    parts.append(compress.flush())
    found = b"".join(parts)
    return found if len(found) <= MAX_PACKET else None


class _Answer(Struct, rename="camel", gc=False):
    type: str = ""
    last_ref_time: str | int = ""


_answer: Final = msgspec.json.Decoder(_Answer)


def acknowledged(datagram: bytes) -> int | None:
    """The ``ref`` that a client acknowledges; None for whatever else it says (``dump-ack``, noise)."""
    if len(datagram) > MAX_ACK:
        return None
    try:
        found = _answer.decode(datagram)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    if found.type != "push-ack":
        return None
    ref = found.last_ref_time
    if isinstance(ref, int):
        return ref
    return int(ref) if ref.isascii() and ref.isdecimal() and len(ref) < 20 else None
