"""Forms of several parts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polaris_bridge.adapters._shared import multipart
from polaris_bridge.adapters._shared.multipart import MOST_PARTS, BrokenForm, NoForm, Part

TYPE = 'multipart/form-data; boundary="mark"'


def body(*each: Part, boundary: bytes = b"mark") -> bytes:
    """A form as browsers write it."""
    written = []
    for part in each:
        file = "" if part.filename is None else f'; filename="{part.filename}"'
        kind = f"Content-Type: {part.content_type}\r\n" if part.content_type else ""
        head = f'Content-Disposition: form-data; name="{part.name}"{file}\r\n{kind}\r\n'
        written.append(b"--" + boundary + b"\r\n" + head.encode() + part.content + b"\r\n")
    return b"".join(written) + b"--" + boundary + b"--\r\n"


_names = st.text(
    st.characters(min_codepoint=32, exclude_characters='"\\;\x7f', exclude_categories=["Cs", "Cc"]), max_size=8
)


@given(
    st.lists(
        st.builds(
            Part,
            _names,
            st.binary(max_size=64).filter(lambda content: b"\r\n--mark" not in b"\r\n" + content),
            st.none() | _names,
            st.sampled_from(["", "application/zip"]),
        ),
        max_size=5,
    )
)
def test_what_was_written_is_read(each: list[Part]) -> None:
    assert multipart.parts(TYPE, body(*each)) == each


@given(st.binary(max_size=400))
def test_any_body_is_read_or_refused(content: bytes) -> None:
    for form in (content, b"--mark\r\n" + content, b"--mark\r\n" + content + b"\r\n--mark--"):
        try:
            multipart.parts(TYPE, form)
        except BrokenForm:
            continue


@pytest.mark.parametrize(
    "kind", ["", "application/json", "multipart/form-dataX; boundary=a", "multipart/form-data", "multipart/form-data; boundary=",
             "multipart/form-data; boundary=" + "b" * 71],
)  # fmt: skip
def test_what_is_no_form(kind: str) -> None:
    with pytest.raises(NoForm):
        multipart.parts(kind, b"--mark--")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"abc",
        b"--mark",
        b"--mark\r\n",
        b"--mark\r\nContent-Disposition: form-data; name=a\r\n\r\nx",
        b"--markX\r\n\r\n\r\n--mark--",
        b"--mark\r\nno end of headers\r\n--mark--",
    ],
)
def test_broken_forms(content: bytes) -> None:
    with pytest.raises(BrokenForm):
        multipart.parts(TYPE, content)


def test_a_form_of_too_many_parts() -> None:
    assert len(multipart.parts(TYPE, body(*[Part("a", b"")] * MOST_PARTS))) == MOST_PARTS
    with pytest.raises(BrokenForm):
        multipart.parts(TYPE, body(*[Part("a", b"")] * (MOST_PARTS + 1)))


def test_a_preamble_and_names_with_quotes() -> None:
    form = (
        b'before\r\n--mark \r\nContent-Disposition: form-data; name="a\\"b"; filename=c.zip\r\n\r\n1\r\n--mark--after'
    )
    assert multipart.parts("Multipart/Form-Data;boundary=mark;charset=x", form) == [Part('a"b', b"1", "c.zip")]
    assert multipart.first([Part("a", b"1"), Part("a", b"2")], "a") == Part("a", b"1")
    assert multipart.first([], "a") is None
