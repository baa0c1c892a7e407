"""HPACK: the examples of RFC 7541, appendix C; whatever is encoded decodes; whatever comes is decoded or refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polaris_bridge.transport.hpack import Decoder, HpackError, TooLarge, encode, huffman_decode
from polaris_bridge.transport.hpack_tables import HUFFMAN, STATIC

MOST = 2**20

DATES = ("Mon, 21 Oct 2013 20:13:21 GMT", "Mon, 21 Oct 2013 20:13:22 GMT")
REQUESTS = [
    [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com")],
    [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com"), ("cache-control", "no-cache")],
    [
        (":method", "GET"), (":scheme", "https"), (":path", "/index.html"), (":authority", "www.example.com"),
        ("custom-key", "custom-value"),
    ],
]  # fmt: skip
ANSWERS = [
    [(":status", "302"), ("cache-control", "private"), ("date", DATES[0]), ("location", "https://www.example.com")],
    [(":status", "307"), ("cache-control", "private"), ("date", DATES[0]), ("location", "https://www.example.com")],
    [
        (":status", "200"), ("cache-control", "private"), ("date", DATES[1]), ("location", "https://www.example.com"),
        ("content-encoding", "gzip"), ("set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"),
    ],
]  # fmt: skip
TABLE_OF_256 = "3fe101"
APPENDIX_C = {
    "C.2.1": [("400a637573746f6d2d6b65790d637573746f6d2d686561646572", [("custom-key", "custom-header")])],
    "C.2.2": [("040c2f73616d706c652f70617468", [(":path", "/sample/path")])],
    "C.2.3": [("100870617373776f726406736563726574", [("password", "secret")])],
    "C.2.4": [("82", [(":method", "GET")])],
    "C.3": list(zip([
        "828684410f7777772e6578616d706c652e636f6d", "828684be58086e6f2d6361636865",
        "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
    ], REQUESTS, strict=True)),
    "C.4": list(zip([
        "828684418cf1e3c2e5f23a6ba0ab90f4ff", "828684be5886a8eb10649cbf", "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
    ], REQUESTS, strict=True)),
    "C.5": list(zip([
        TABLE_OF_256 + "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e17687474"
        "70733a2f2f7777772e6578616d706c652e636f6d",
        "4803333037c1c0bf",
        "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d4153444a4b48514b425a584f5"
        "157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31",
    ], ANSWERS, strict=True)),
    "C.6": list(zip([
        TABLE_OF_256 + "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae"
        "82ae43d3",
        "4883640effc1c0bf",
        "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1"
        "ab270fb5291f9587316065c003ed4ee5b1063d5007",
    ], ANSWERS, strict=True)),
}  # fmt: skip


@pytest.mark.parametrize("example", APPENDIX_C)
def test_the_examples_of_the_rfc(example: str) -> None:
    decoder = Decoder()
    for block, fields in APPENDIX_C[example]:
        assert decoder.decode(bytes.fromhex(block), MOST) == fields


def test_the_table_of_256_octets_has_evicted_what_the_rfc_says() -> None:
    decoder = Decoder()
    for block, _ in APPENDIX_C["C.5"]:
        decoder.decode(bytes.fromhex(block), MOST)
    assert decoder._size == 215
    assert [name for name, _ in decoder._table] == ["set-cookie", "content-encoding", "date"]


def test_the_code_is_complete_and_no_code_begins_another() -> None:
    assert sum(2.0**-length for _, length in HUFFMAN) == 1
    assert HUFFMAN[ord("a")] == (0x3, 5)
    assert HUFFMAN[ord("&")] == (0xF8, 8)
    assert HUFFMAN[256] == (0x3FFFFFFF, 30)
    assert len(STATIC) == 61
    assert (STATIC[15], STATIC[60]) == (("accept-encoding", "gzip, deflate"), ("www-authenticate", ""))


def huffman(octets: bytes) -> bytes:
    bits = "".join(f"{code:0{length}b}" for code, length in (HUFFMAN[octet] for octet in octets))
    bits += "1" * (-len(bits) % 8)
    return bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))


@given(st.binary(max_size=200))
def test_huffman_there_and_back(octets: bytes) -> None:
    assert huffman_decode(huffman(octets)) == octets


@pytest.mark.parametrize(
    "octets",
    [b"\x1f\xff", b"\xff" * 4, b"\x07\xff\xff", b"\x06"],
    ids=["padding too long", "end inside", "two octets", "zeros"],
)
def test_huffman_strings_that_are_none(octets: bytes) -> None:
    with pytest.raises(HpackError):
        huffman_decode(octets)


TEXT = st.text(st.characters(max_codepoint=255), max_size=40)
FIELDS = st.lists(st.tuples(TEXT, TEXT), max_size=12)


class Encoder:
    """All representations there are, as a test chooses."""

    def __init__(self) -> None:
        self.table: list[tuple[str, str]] = []

    def number(self, value: int, bits: int, first: int) -> bytes:
        most = (1 << bits) - 1
        if value < most:
            return bytes([first | value])
        out = [first | most]
        value -= most
        while value > 127:
            out.append(value % 128 + 128)
            value //= 128
        return bytes([*out, value])

    def string(self, text: str, coded: bool) -> bytes:
        octets = text.encode("latin-1")
        if coded:
            octets = huffman(octets)
        return self.number(len(octets), 7, 0x80 if coded else 0) + octets

    def field(self, name: str, value: str, how: int, coded: bool) -> bytes:
        known = [*STATIC, *self.table]
        if (name, value) in known:
            return self.number(known.index((name, value)) + 1, 7, 0x80)
        index = next((n for n, (other, _) in enumerate(known, 1) if other == name), 0)
        bits, first = [(6, 0x40), (4, 0), (4, 0x10)][how]
        literal = b"" if index else self.string(name, coded)
        if how == 0:
            self.table.insert(0, (name, value))
            while sum(len(n) + len(v) + 32 for n, v in self.table) > 4096:
                self.table.pop()
        return self.number(index, bits, first) + literal + self.string(value, coded)


@given(st.lists(st.lists(st.tuples(TEXT, TEXT, st.integers(0, 2), st.booleans()), max_size=8), max_size=12))
def test_blocks_of_one_connection_in_all_representations(blocks) -> None:
    encoder, decoder = Encoder(), Decoder()
    for block in blocks:
        octets = b"".join(encoder.field(*field) for field in block)
        assert decoder.decode(octets, MOST) == [(name, value) for name, value, _, _ in block]


@given(FIELDS)
def test_our_blocks_need_no_table(fields: list[tuple[str, str]]) -> None:
    decoder = Decoder()
    assert decoder.decode(encode(*fields), MOST) == fields
    assert not decoder.touched


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_any_bytes_decode_or_are_refused_and_the_table_keeps_its_size(blocks: list[bytes]) -> None:
    decoder = Decoder()
    for block in blocks:
        try:
            decoder.decode(block, 500)
        except HpackError:
            return
        except TooLarge:
            pass
        assert decoder._size == sum(len(name) + len(value) + 32 for name, value in decoder._table) <= 4096


def test_a_list_that_is_too_large_keeps_the_table_in_step() -> None:
    encoder, decoder = Encoder(), Decoder()
    with pytest.raises(TooLarge):
        decoder.decode(encoder.field("name", "x" * 1000, 0, False), 500)
    assert decoder.decode(encoder.field("name", "x" * 1000, 0, False), 5000) == [("name", "x" * 1000)]


@pytest.mark.parametrize(
    "block",
    ["80", "be", "ffffffffffff", "3fe21f", "8220", "4005", "7f", "0085", "40ff80808080"],
    ids=lambda value: value,
)
def test_blocks_that_are_none(block: str) -> None:
    with pytest.raises(HpackError):
        Decoder().decode(bytes.fromhex(block), MOST)
