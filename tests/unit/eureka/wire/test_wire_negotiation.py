"""Header values to forms, as tables."""

from __future__ import annotations

import pytest

from polaris_bridge.adapters.eureka.wire import (
    VARIANTS,
    accepts_gzip,
    body_format,
    entity_format,
    list_format,
    list_variant,
    parse_error,
    wants_compact,
)

VENDOR = "application/vnd.x+json"


@pytest.mark.parametrize(
    ("accept", "of_lists", "of_entities"),
    [
        (None, "xml", "xml"),
        ("", "xml", "xml"),
        ("*/*", "xml", "xml"),
        ("*", "xml", "xml"),
        ("application/*", "xml", "xml"),
        ("application/xml", "xml", "xml"),
        ("application/json", "json", "json"),
        ("Application/JSON", "json", "json"),
        ("application/json;charset=UTF-8", "json", "json"),
        ("application/json, application/*+json", "json", "json"),
        ("application/xml, application/json", "json", "xml"),
        ("application/json, application/xml", "json", "json"),
        ("application/json;q=0.5, application/xml", "json", "xml"),
        ("application/xml;q=0.5, application/json", "json", "json"),
        ("application/xml, application/json;q=0", "xml", "xml"),
        ("text/html, image/gif, image/jpeg, */*; q=0.2", "xml", "xml"),
        ("*/*;q=0.1, application/json", "json", "json"),
        ("text/json, application/xml", "xml", "xml"),
        ("*/*, application/xml;q=0", "json", "json"),
        ("text/html", None, None),
        (VENDOR, None, None),
        ("application/json;q=0", None, None),
        (",;,", None, None),
        ("application/json;q=oops", "json", "json"),
    ],
)
def test_accept(accept: str | None, of_lists: str | None, of_entities: str | None) -> None:
    assert list_format(accept) == of_lists
    assert entity_format(accept) == of_entities


@pytest.mark.parametrize(
    ("header", "compact"),
    [(None, False), ("", False), ("full", False), ("compact", True), ("COMPACT", True), ("x", False)],
)
def test_x_eureka_accept(header: str | None, compact: bool) -> None:
    assert wants_compact(header) is compact
    variant = list_variant("application/json", header)
    assert variant is VARIANTS["json", "compact" if compact else "full"]
    assert variant.content_type == "application/json"


def test_no_variant_for_what_is_not_acceptable() -> None:
    assert list_variant("text/html", "compact") is None


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        (None, False),
        ("", False),
        ("identity", False),
        ("deflate", False),
        ("gzip", True),
        ("gzip, deflate", True),
        ("deflate, gzip;q=1.0, *;q=0.5", True),
        ("x-gzip", True),
        ("gzip;q=0", False),
        ("notgzip", False),
    ],
)
def test_accept_encoding(header: str | None, accepted: bool) -> None:
    assert accepts_gzip(header) is accepted


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("application/json", "json"),
        ("application/json;charset=UTF-8", "json"),
        ('APPLICATION/JSON; charset="utf-8"', "json"),
        ("application/json; charset=iso-8859-1", "json"),
        ("application/xml", "xml"),
        ("application/xml; charset=utf-8; x=y", "xml"),
        ("application/json; charset=utf-16", None),
        ("application/vnd.x+json", None),
        ("text/plain", None),
        ("text/xml", None),
        ("", None),
        (None, None),
    ],
)
def test_content_type(content_type: str | None, expected: str | None) -> None:
    assert body_format(content_type) == expected


def test_parse_errors() -> None:
    assert parse_error("json") == ("application/json", b'{"error": "cannot parse request body"}')
    assert parse_error("xml") == ("application/xml", b"<error><message>cannot parse request body</message></error>")
