"""Concatenated compressed parts are one valid gzip stream."""

from __future__ import annotations

import gzip
import random
import zlib

from hypothesis import example, given
from hypothesis import strategies as st

from polaris_bridge.adapters._shared.gzip_parts import compress, concatenate, join

LONG = bytes(random.Random(3).randbytes(16_385))
PART = st.one_of(
    st.binary(max_size=300),
    st.integers(0, 40_000).map(lambda n: (LONG * 3)[:n]),
    st.tuples(st.binary(min_size=1, max_size=9), st.integers(1, 4000)).map(lambda pair: pair[0] * pair[1]),
)


def one_member(stream: bytes) -> bytes:
    """Plain bytes of a stream that must consist of exactly one gzip member, as strict clients read it."""
    inflater = zlib.decompressobj(31)
    plain = inflater.decompress(stream)
    assert inflater.eof
    assert inflater.unused_data == b""
    return plain


@given(st.lists(PART, max_size=12), st.integers(1, 9))
@example([LONG, LONG[:-1], b"", LONG + b"x"], 1)
@example([], 1)
def test_a_join_is_the_concatenation(parts, level):
    plain = b"".join(parts)
    stream = b"".join(join([compress(part, level) for part in parts]))
    assert one_member(stream) == gzip.decompress(stream) == plain
    assert int.from_bytes(stream[-8:-4], "little") == zlib.crc32(plain)


def test_thousands_of_parts_in_any_order():
    plain = [b"<instance><instanceId>host-%d</instanceId><port>%d</port></instance>" % (i, i * 7) for i in range(5000)]
    segments = [compress(part) for part in plain]
    order = list(range(5000))
    random.Random(1).shuffle(order)
    assert one_member(b"".join(join([segments[i] for i in order]))) == b"".join(plain[i] for i in order)


def test_parts_are_handed_over_uncopied():
    segment = compress(b"shared" * 1000)
    parts = join([segment, segment])
    assert parts[1] is parts[2] is segment.deflated[0]


@given(st.lists(st.lists(PART, max_size=4), max_size=4))
def test_parts_of_parts(groups):
    whole = join([concatenate([compress(part) for part in group]) for group in groups])
    assert one_member(b"".join(whole)) == b"".join(part for group in groups for part in group)
