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
_ZEROS = memoryview(bytes(1 << 20))


class Segment(Struct, frozen=True, gc=False):
    """One compressed part."""

    deflated: tuple[bytes, ...]
    length: int
    """Number of plain bytes."""
    crc: int
    """CRC-32 of the plain bytes."""
    joint: int
    """What this part adds to the CRC of a stream, once that was moved on by ``length`` zero bytes (see ``_append``)."""
    power: int
    """x^(8 * length), by which a CRC is moved on; 0 for parts so short that running over zeros is faster."""


def compress(plain: bytes, level: int = 1) -> Segment:
    """Compress a part on its own. Level 1: parts are made anew often, and higher levels gain little on short ones."""
    deflater = zlib.compressobj(level, zlib.DEFLATED, -15)
    deflated = deflater.compress(plain) + deflater.flush(zlib.Z_FULL_FLUSH) if plain else b""
    return _segment((deflated,), len(plain), zlib.crc32(plain))


def concatenate(segments: Iterable[Segment]) -> Segment:
    """One part out of several, without touching their bytes."""
    stream = Stream()
    for segment in segments:
        stream.add(segment)
    return _segment(tuple(stream.deflated), stream.length, stream.crc)


def join(segments: Iterable[Segment]) -> list[bytes]:
    """The gzip stream of all plain bytes in a row, as parts to be written one after another."""
    stream = Stream()
    for segment in segments:
        stream.add(segment)
    return stream.end()


class Stream:
    """A gzip stream that is being put together, part by part."""

    __slots__ = ("crc", "deflated", "length")

    def __init__(self) -> None:
        self.deflated: list[bytes] = []
        self.crc = 0
        self.length = 0

    def add(self, segment: Segment) -> None:
        """The next part."""
        self.crc = _append(self.crc, segment)
        self.length += segment.length
        self.deflated += segment.deflated

    def end(self) -> list[bytes]:
        """The whole, as parts to be written one after another."""
        trailer = _END + self.crc.to_bytes(4, "little") + (self.length & 0xFFFFFFFF).to_bytes(4, "little")
        return [_HEADER, *self.deflated, trailer]


def _segment(deflated: tuple[bytes, ...], length: int, crc: int) -> Segment:
    if length <= _ZEROS_UP_TO:
        return Segment(deflated, length, crc, crc ^ zlib.crc32(_ZEROS[:length]), 0)
    return Segment(deflated, length, crc, crc, _power(length))


def _append(crc: int, segment: Segment) -> int:
    """The CRC of everything so far with a part behind it.

    Moving a CRC on by n bytes is linear: for short parts zlib does it fastest by running over n zeros
    (crc(AB) = crc32(0^n, crc A) ^ crc32(0^n) ^ crc B), for long ones one multiplication by x^(8n) is cheaper.
    """
    if segment.power:
        return _multiply(segment.power, crc) ^ segment.joint
    return zlib.crc32(_ZEROS[: segment.length], crc) ^ segment.joint


def _times_x(a: int) -> int:
    return a >> 1 ^ (_POLYNOMIAL if a & 1 else 0)


def _times_x4(a: int) -> int:
    return _times_x(_times_x(_times_x(_times_x(a))))


_OVERFLOW = tuple(_times_x4(low) for low in range(16))
"""What the four lowest bits (the highest powers) become when everything is multiplied by x^4."""
_NIBBLES = range(0, 32, 4)


def _multiply(a: int, b: int) -> int:
    """a * b modulo the polynomial, both with x^0 in the highest of 32 bits; four bits of a at a time, highest powers first."""
    b1 = _times_x(b)
    b2 = _times_x(b1)
    b3 = _times_x(b2)
    b12, b23, b13 = b1 ^ b2, b2 ^ b3, b1 ^ b3
    b123 = b12 ^ b3
    multiples = (0, b3, b2, b23, b1, b13, b12, b123, b, b ^ b3, b ^ b2, b ^ b23, b ^ b1, b ^ b13, b ^ b12, b ^ b123)
    product = 0
    for at in _NIBBLES:
        product = product >> 4 ^ _OVERFLOW[product & 15] ^ multiples[a >> at & 15]
    return product


@lru_cache(maxsize=1024)
def _power(length: int) -> int:
    """x^(8 * length) modulo the polynomial: what moving on by so many bytes makes of 1, by zlib as long as zeros last."""
    result = _ONE
    while length:
        step = min(length, len(_ZEROS))
        zeros = _ZEROS[:step]
        result = zlib.crc32(zeros, result) ^ zlib.crc32(zeros)
        length -= step
    return result
