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
    """One block in one variant: joined, or (after a change, until somebody reads) its items' bytes one by one."""

    __slots__ = ("derived", "ends", "joined", "parts", "separator")

    def __init__(self, parts: list[bytes | None], separator: bytes) -> None:
        self.separator = separator
        self.parts: list[bytes | None] | None = parts
        """None stands for an item that is to be encoded; the list is None while ``joined`` holds everything."""
        self.joined = b""
        self.ends: array[int] = array("L")
        self.derived: Any = None

    def loosen(self) -> list[bytes | None]:
        """The items' bytes, to be changed by the caller."""
        if self.parts is None:
            self.parts = list(self._split())
            self.joined, self.derived = b"", None
        return self.parts

    def join(self, values: list[V], encode: Callable[[V], bytes]) -> None:
        """Encode what is missing and put everything together."""
        if self.parts is None:
            return
        parts = [encode(v) if part is None else part for part, v in zip(self.parts, values, strict=True)]
        self.ends = array("L")
        at = -len(self.separator)
        for part in parts:
            at += len(self.separator) + len(part)
            self.ends.append(at)
        self.joined, self.parts = self.separator.join(parts), None

    def _split(self) -> Iterator[bytes]:
        start = 0
        for end in self.ends:
            yield self.joined[start:end]
            start = end + len(self.separator)


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
            for encoded in block.encoded.values():
                encoded.loosen().append(None)
            return
        index = block.ids.index(id)
        block.values[index] = value
        for encoded in block.encoded.values():
            encoded.loosen()[index] = None

    def drop(self, id: str) -> None:
        """Take an item out; nothing happens when it is not there."""
        block = self._place.pop(id, None)
        if block is None:
            return
        index = block.ids.index(id)
        del block.ids[index]
        del block.values[index]
        for encoded in block.encoded.values():
            del encoded.loosen()[index]
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
            loose = None if encoded is None else encoded.parts
            if encoded is None or loose is not None or (derive is not None and encoded.derived is None):
                items = len(block.ids) if encoded is None or loose is None else loose.count(None)
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
        encoded = block.encoded[variant] = _Encoded([None] * len(block.values), separator)
    encoded.join(block.values, encode)
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
