"""Encoded lists that cost one item when one item changed.

A list of items is kept in blocks. Each block remembers, per variant (a protocol's form), the encoded bytes of its items one
after another; a change re-encodes its item and joins its block again, all other bytes are used as they are. What a caller
derives from a block's bytes (say, a compressed form) is kept with them. Nothing is encoded before somebody asks.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Hashable, Iterator
from functools import partial
from typing import Any, Final, Generic, TypeVar

V = TypeVar("V")
D = TypeVar("D")

BLOCK: Final = 64
"""Items in a block: small enough to join in microseconds, large enough that a document has few parts."""


class _Encoded:
    """One block in one variant: the items' bytes with separators between, and where each ends."""

    __slots__ = ("derived", "ends", "joined", "stale")

    def __init__(self, joined: bytes, ends: array[int]) -> None:
        self.joined = joined
        self.ends = ends
        self.stale: set[int] = set()
        self.derived: Any = None


class _Block(Generic[V]):
    __slots__ = ("encoded", "ids", "values")

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.values: list[V] = []
        self.encoded: dict[Hashable, _Encoded] = {}


class Pieces(Generic[V]):
    """An ordered collection of items by id, with their encodings. Replacing an item keeps its place."""

    __slots__ = ("_blocks", "_place")

    def __init__(self) -> None:
        self._blocks: list[_Block[V]] = []
        self._place: dict[str, _Block[V]] = {}

    def __len__(self) -> int:
        return len(self._place)

    def __contains__(self, id: str) -> bool:
        return id in self._place

    def __iter__(self) -> Iterator[V]:
        for block in self._blocks:
            yield from block.values

    def get(self, id: str) -> V | None:
        """The item under an id."""
        block = self._place.get(id)
        return None if block is None else block.values[block.ids.index(id)]

    def put(self, id: str, value: V) -> None:
        """Insert an item at the end, or replace the one under its id."""
        block = self._place.get(id)
        if block is None:
            if not self._blocks or len(self._blocks[-1].ids) >= BLOCK:
                self._blocks.append(_Block())
            block = self._blocks[-1]
            self._place[id] = block
            block.ids.append(id)
            block.values.append(value)
            block.encoded.clear()
            return
        index = block.ids.index(id)
        block.values[index] = value
        for encoded in block.encoded.values():
            encoded.stale.add(index)

    def drop(self, id: str) -> None:
        """Take an item out; nothing happens when it is not there."""
        block = self._place.pop(id, None)
        if block is None:
            return
        index = block.ids.index(id)
        del block.ids[index]
        del block.values[index]
        block.encoded.clear()
        if not block.ids:
            self._blocks.remove(block)
        elif len(self._blocks) > 8 and len(self._place) < len(self._blocks) * BLOCK // 4:
            self._compact()

    def work(
        self,
        variant: Hashable,
        encode: Callable[[V], bytes],
        separator: bytes,
        derive: Callable[[bytes], Any] | None = None,
    ) -> Iterator[tuple[int, Callable[[], object]]]:
        """What ``encoded`` (and ``derived``) would have to do, block by block: how many items, and what does it.

        For those who spread the work over time: in the end the call finds it done.
        """
        for block in self._blocks:
            encoded = block.encoded.get(variant)
            items = len(block.ids) if encoded is None else len(encoded.stale)
            if items or (derive is not None and encoded is not None and encoded.derived is None):
                yield items, partial(_derived, block, variant, encode, separator, derive)

    def encoded(self, variant: Hashable, encode: Callable[[V], bytes], separator: bytes) -> list[bytes]:
        """The blocks' bytes in one variant, in order. ``separator`` stands between items, not between blocks."""
        return [_fresh(block, variant, encode, separator).joined for block in self._blocks]

    def derived(
        self, variant: Hashable, encode: Callable[[V], bytes], separator: bytes, derive: Callable[[bytes], D]
    ) -> list[D]:
        """What ``derive`` makes of each block's bytes, made once per change of the block."""
        return [_derived(block, variant, encode, separator, derive) for block in self._blocks]

    def _compact(self) -> None:
        items = [(i, v) for block in self._blocks for i, v in zip(block.ids, block.values, strict=True)]
        self._blocks.clear()
        self._place.clear()
        for id, value in items:
            self.put(id, value)


def _fresh(block: _Block[V], variant: Hashable, encode: Callable[[V], bytes], separator: bytes) -> _Encoded:
    encoded = block.encoded.get(variant)
    if encoded is None:
        parts = [encode(value) for value in block.values]
        encoded = block.encoded[variant] = _join(parts, separator)
    elif encoded.stale:
        parts = list(_split(encoded, separator))
        for index in encoded.stale:
            parts[index] = encode(block.values[index])
        encoded = block.encoded[variant] = _join(parts, separator)
    return encoded


def _derived(
    block: _Block[V],
    variant: Hashable,
    encode: Callable[[V], bytes],
    separator: bytes,
    derive: Callable[[bytes], Any] | None,
) -> Any:
    encoded = _fresh(block, variant, encode, separator)
    if derive is not None and encoded.derived is None:
        encoded.derived = derive(encoded.joined)
    return encoded.derived


def _join(parts: list[bytes], separator: bytes) -> _Encoded:
    ends = array("L")
    at = -len(separator)
    for part in parts:
        at += len(separator) + len(part)
        ends.append(at)
    return _Encoded(separator.join(parts), ends)


def _split(encoded: _Encoded, separator: bytes) -> Iterator[bytes]:
    start = 0
    for end in encoded.ends:
        yield encoded.joined[start:end]
        start = end + len(separator)
