"""Header compression (RFC 7541): a decoder, and literals for answers.

Any bytes decode, or raise ``HpackError`` after which the connection cannot go on, or raise ``TooLarge`` after which it can:
the table was kept in step. What is sent is never put into the client's table, so that an answer's header block is a constant.
"""

from __future__ import annotations

from typing import Final

from .hpack_tables import END_OF_STRING, HUFFMAN, STATIC, Field

TABLE_SIZE: Final = 4096
"""Octets of the dynamic table, the protocol's default; we do not offer more."""
_OVERHEAD: Final = 32
"""What an entry counts beside its octets (section 4.1)."""
_MAX_INTEGER_OCTETS: Final = 4
"""Of an integer's continuation: 2^28 is more than anything here may be."""
_CACHED_TEXTS: Final = 4096
_CACHED_LENGTH: Final = 256

_INDEXED: Final[tuple[Field | None, ...]] = (None, *STATIC)


class HpackError(Exception):
    """Bytes that are no header block."""


class TooLarge(Exception):  # a fact, not a fault of the block
    """The header list is larger than the caller allows; ``size`` is how large."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


class Decoder:
    """One connection's table. ``touched`` says whether the last block changed it: such a block means something else next time."""

    __slots__ = ("_limit", "_size", "_table", "touched")

    def __init__(self) -> None:
        self._table: list[Field] = []  # newest first
        self._size = 0
        self._limit = TABLE_SIZE
        self.touched = False

    def decode(self, block: bytes, most: int) -> list[Field]:
        """The header list of a block; ``most`` is the size (section 4.1) it may have."""
        fields: list[Field] = []
        append = fields.append
        table = self._table
        self.touched = False
        at, end = 0, len(block)
        try:
            while at < end:
                octet = block[at]
                at += 1
                if octet & 0x80:
                    index = octet & 0x7F
                    if index == 0x7F:
                        index, at = _integer(block, at, 0x7F)
                    field = _INDEXED[index] if index <= 61 else table[index - 62]
                    if field is None:
                        raise HpackError("index 0")
                    append(field)
                elif octet & 0x40:
                    name, at = self._name(block, at, octet & 0x3F, 0x3F)
                    value, at = _string(block, at)
                    field = (name, value)
                    append(field)
                    self._insert(field)
                elif octet & 0x20:
                    if fields:
                        raise HpackError("the table's size changed behind a field")
                    limit, at = _integer(block, at, 0x1F) if octet & 0x1F == 0x1F else (octet & 0x1F, at)
                    self._resize(limit)
                else:
                    name, at = self._name(block, at, octet & 0x0F, 0x0F)
                    value, at = _string(block, at)
                    append((name, value))
        except IndexError:
            raise HpackError("cut short, or an index beyond the table") from None
        if len(fields) * (TABLE_SIZE + _OVERHEAD) + 2 * end > most:  # else it cannot be too large
            size = sum(len(name) + len(value) + _OVERHEAD for name, value in fields)
            if size > most:
                raise TooLarge(size)
        return fields

    def _name(self, block: bytes, at: int, index: int, mask: int) -> tuple[str, int]:
        if index == 0:
            return _string(block, at)
        if index == mask:
            index, at = _integer(block, at, mask)
        field = _INDEXED[index] if index <= 61 else self._table[index - 62]
        assert field is not None
        return field[0], at

    def _insert(self, field: Field) -> None:
        self.touched = True
        size = len(field[0]) + len(field[1]) + _OVERHEAD
        self._size += size
        self._table.insert(0, field)
        if self._size > self._limit:
            self._evict()

    def _resize(self, limit: int) -> None:
        if limit > TABLE_SIZE:
            raise HpackError(f"a table of {limit} octets, {TABLE_SIZE} are allowed")
        self.touched = True
        self._limit = limit
        self._evict()

    def _evict(self) -> None:
        while self._size > self._limit:
            name, value = self._table.pop()
            self._size -= len(name) + len(value) + _OVERHEAD


def _integer(block: bytes, at: int, value: int) -> tuple[int, int]:
    """An integer whose prefix was full (section 5.1)."""
    shift = 0
    for _ in range(_MAX_INTEGER_OCTETS):
        octet = block[at]
        at += 1
        value += (octet & 0x7F) << shift
        if octet < 0x80:
            return value, at
        shift += 7
    raise HpackError("an integer without end")


def _string(block: bytes, at: int) -> tuple[str, int]:
    """A string literal (section 5.2)."""
    octet = block[at]
    at += 1
    length = octet & 0x7F
    if length == 0x7F:
        length, at = _integer(block, at, 0x7F)
    end = at + length
    if end > len(block):
        raise HpackError("a string beyond the block")
    octets = block[at:end]
    if octet < 0x80:
        return octets.decode("latin-1"), end
    text = _texts.get(octets)
    return (_huffman_text(octets) if text is None else text), end


# ---------------------------------------------------------------- Huffman

_texts: dict[bytes, str] = {}
"""Strings decoded before: the same few arrive all the time, and equal ones of all connections become one."""


def _huffman_text(octets: bytes) -> str:
    text = huffman_decode(octets).decode("latin-1")
    if len(octets) <= _CACHED_LENGTH:
        if len(_texts) >= _CACHED_TEXTS:
            _texts.clear()
        _texts[octets] = text
    return text


def _tree() -> tuple[list[list[int]], frozenset[int]]:
    """The code as a tree: of every node its two children, a symbol as its complement. With the nodes where a string may end:
    less than an octet of ones behind the last symbol (section 5.2)."""
    nodes = [[0, 0]]
    for symbol, (code, length) in enumerate(HUFFMAN):
        node = 0
        for bit in range(length - 1, 0, -1):
            side = code >> bit & 1
            if nodes[node][side] == 0:
                nodes.append([0, 0])
                nodes[node][side] = len(nodes) - 1
            node = nodes[node][side]
        nodes[node][code & 1] = ~symbol
    ends = [0]
    while len(ends) < 8:
        ends.append(nodes[ends[-1]][1])
    return nodes, frozenset(ends)


_NODES, _ENDS = _tree()
_steps: dict[int, tuple[int, bytes]] = {}
"""By node * 256 + octet: the node after the octet, and what it completed. Built as they are met, at most 65,536."""


def huffman_decode(octets: bytes) -> bytes:
    """Bytes of a Huffman-coded string. HpackError when it is none."""
    node = 0
    found: list[bytes] = []
    steps = _steps
    for octet in octets:
        step = steps.get(node << 8 | octet)
        if step is None:
            step = steps[node << 8 | octet] = _step(node, octet)
        node, symbols = step
        if symbols:
            found.append(symbols)
    if node not in _ENDS:
        raise HpackError("a Huffman string that ends within a symbol")
    return b"".join(found)


def _step(node: int, octet: int) -> tuple[int, bytes]:
    symbols = bytearray()
    for bit in range(7, -1, -1):
        node = _NODES[node][octet >> bit & 1]
        if node < 0:
            if ~node == END_OF_STRING:
                raise HpackError("a Huffman string with an end inside")
            symbols.append(~node)
            node = 0
    return node, bytes(symbols)


# ---------------------------------------------------------------- encoding

_NAMES: Final = {name: index for index, (name, _) in reversed(list(enumerate(STATIC, 1)))}
_PAIRS: Final = {field: index for index, field in enumerate(STATIC, 1)}


def encode(*fields: Field) -> bytes:
    """A header block that touches no table: static entries, else literals without indexing and without Huffman code."""
    parts: list[bytes] = []
    for name, value in fields:
        index = _PAIRS.get((name, value))
        if index is not None:
            parts.append(_number(index, 7, 0x80))
            continue
        index = _NAMES.get(name)
        parts.append(_number(index or 0, 4, 0))
        if index is None:
            parts.append(_literal(name))
        parts.append(_literal(value))
    return b"".join(parts)


def _literal(text: str) -> bytes:
    octets = text.encode("latin-1")
    return _number(len(octets), 7, 0) + octets


def _number(value: int, bits: int, first: int) -> bytes:
    """An integer behind the high bits of its first octet (section 5.1)."""
    most = (1 << bits) - 1
    if value < most:
        return bytes((first | value,))
    octets = [first | most]
    value -= most
    while value >= 0x80:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*octets, value))
