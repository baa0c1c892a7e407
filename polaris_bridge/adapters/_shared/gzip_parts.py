"""One gzip stream out of parts that were compressed once and kept.

A part is a run of raw DEFLATE blocks that refers to nothing before it and ends on a byte boundary (Z_FULL_FLUSH), so parts
can stand one after another in one stream (RFC 1951). The trailer's CRC-32 of everything is computed from the parts' CRCs:
appending n bytes multiplies the CRC so far by x^(8n) modulo the CRC polynomial (RFC 1952 section 8 defines the CRC).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from functools import lru_cache

from msgspec import Struct

_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # deflate, no flags, no time, unknown system
_END = b"\x03\x00"  # a final block of fixed Huffman codes that holds only its end mark
_POLYNOMIAL = 0xEDB88320  # of CRC-32, x^0 in the highest bit
_ONE = 0x80000000
_ZEROS_UP_TO = 16384
_ZEROS = memoryview(bytes(_ZEROS_UP_TO))


class Segment(Struct, frozen=True, gc=False):
    """One compressed part."""

    deflated: bytes
    length: int
    """Number of plain bytes."""
    crc: int
    """CRC-32 of the plain bytes."""
    joint: int
    """What this part adds to the CRC of a stream, once that was moved on by ``length`` zero bytes (see ``join``)."""


def compress(plain: bytes, level: int = 1) -> Segment:
    """Compress a part on its own. Level 1: parts are made anew often, and higher levels gain little on short ones."""
    deflater = zlib.compressobj(level, zlib.DEFLATED, -15)
    deflated = deflater.compress(plain) + deflater.flush(zlib.Z_FULL_FLUSH) if plain else b""
    crc = zlib.crc32(plain)
    length = len(plain)
    return Segment(deflated, length, crc, crc ^ zlib.crc32(_ZEROS[:length]) if length <= _ZEROS_UP_TO else crc)


def join(segments: Iterable[Segment]) -> list[bytes]:
    """The gzip stream of all plain bytes in a row, as parts to be written one after another.

    Moving a CRC on by n bytes is linear: for short parts zlib does it fastest by running over n zeros
    (crc(AB) = crc32(0^n, crc A) ^ crc32(0^n) ^ crc B), for long ones one multiplication by x^(8n) is cheaper.
    """
    parts = [_HEADER]
    append = parts.append
    crc32, zeros = zlib.crc32, _ZEROS
    crc = total = 0
    for segment in segments:
        length = segment.length
        if length <= _ZEROS_UP_TO:
            crc = crc32(zeros[:length], crc) ^ segment.joint
        else:
            crc = _multiply(_power(length), crc) ^ segment.joint
        total += length
        append(segment.deflated)
    append(_END + crc.to_bytes(4, "little") + (total & 0xFFFFFFFF).to_bytes(4, "little"))
    return parts


def _multiply(a: int, b: int) -> int:
    """a * b modulo the polynomial, both with x^0 in the highest of 32 bits."""
    product = 0
    while a:
        if a & _ONE:
            product ^= b
        a = a << 1 & 0xFFFFFFFF
        b = b >> 1 ^ (_POLYNOMIAL if b & 1 else 0)
    return product


@lru_cache(maxsize=1024)
def _power(length: int) -> int:
    """x^(8 * length) modulo the polynomial."""
    result = _ONE
    square = _ONE >> 8
    while length:
        if length & 1:
            result = _multiply(square, result)
        square = _multiply(square, square)
        length >>= 1
    return result
