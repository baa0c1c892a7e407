"""Which form a request asks for and sends, from its header values. Pure; header values are given as text, None when absent.

Netflix servers choose the body of cached answers by whether ``Accept`` contains ``json`` and label it by ordinary negotiation, so
that some headers get JSON called XML. Here the label always tells the truth.
"""

from __future__ import annotations

from typing import Final

from .messages import Format
from .variants import VARIANTS, Detail, Variant

JSON_TYPE: Final = "application/json"
XML_TYPE: Final = "application/xml"
CONTENT_TYPES: Final[dict[Format, str]] = {"json": JSON_TYPE, "xml": XML_TYPE}
_FORMATS: Final[dict[str, Format]] = {JSON_TYPE: "json", XML_TYPE: "xml"}
_BODY_CHARSETS: Final = frozenset({"utf-8", "iso-8859-1"})
_WELL_KNOWN: Final[dict[str | None, Format]] = {
    None: "xml",
    "": "xml",
    "*/*": "xml",
    XML_TYPE: "xml",
    JSON_TYPE: "json",
    "application/json, application/*+json": "json",
}
"""``Accept`` values of nearly every client, for both kinds of endpoint."""
_PARSE_ERRORS: Final[dict[Format, bytes]] = {
    "json": b'{"error": "cannot parse request body"}',
    "xml": b"<error><message>cannot parse request body</message></error>",
}


def list_format(accept: str | None) -> Format | None:
    """Format of a cached answer (apps, delta, one app, vips): JSON when the header has ``json`` in it, else XML; None = 406."""
    known = _WELL_KNOWN.get(accept)
    if known is not None or accept is None:
        return known
    weights = _weights(accept)
    json, xml = weights["json"][0] > 0, weights["xml"][0] > 0
    if json and xml:
        return "json" if "json" in accept.lower() else "xml"
    return "json" if json else "xml" if xml else None


def entity_format(accept: str | None) -> Format | None:
    """Format of a by-id answer: the client's preference, XML where it has none; None = 406."""
    known = _WELL_KNOWN.get(accept)
    if known is not None or accept is None:
        return known
    weights = _weights(accept)
    best: Format = "json" if weights["json"] > weights["xml"] else "xml"
    return best if weights[best][0] > 0 else None


def _weights(accept: str) -> dict[Format, tuple[float, int, int]]:
    """For each format: quality (0 = refused), specificity and how early in the header its most specific range stands."""
    found: dict[Format, tuple[float, int, int]] = {"json": (0.0, 0, 0), "xml": (0.0, 0, 0)}
    for index, part in enumerate(accept.split(",")):
        media_type, _, parameters = part.partition(";")
        media_type = media_type.strip().lower()
        for format_, content_type in CONTENT_TYPES.items():
            specificity = {content_type: 3, "application/*": 2, "*/*": 1, "*": 1}.get(media_type, 0)
            if specificity > found[format_][1]:
                found[format_] = (_quality(parameters), specificity, -index)
    return found


def _quality(parameters: str) -> float:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                return 1.0
    return 1.0


def wants_compact(x_eureka_accept: str | None) -> bool:
    """``X-Eureka-Accept``: compact in any case; everything else means full."""
    return x_eureka_accept is not None and x_eureka_accept.lower() == "compact"


def list_variant(accept: str | None, x_eureka_accept: str | None) -> Variant | None:
    """Variant of a cached answer; None = 406."""
    format_ = list_format(accept)
    if format_ is None:
        return None
    detail: Detail = "compact" if wants_compact(x_eureka_accept) else "full"
    return VARIANTS[format_, detail]


def accepts_gzip(accept_encoding: str | None) -> bool:
    """Whether a gzipped answer is welcome. Unlike Netflix servers, ``gzip;q=0`` is a refusal."""
    if accept_encoding is None or "gzip" not in accept_encoding:
        return False
    for part in accept_encoding.split(","):
        coding, _, parameters = part.partition(";")
        if coding.strip() in ("gzip", "x-gzip"):
            return _quality(parameters) > 0
    return False


def body_format(content_type: str | None) -> Format | None:
    """Format of a request body: JSON or XML with an optional charset of UTF-8 or ISO-8859-1 (read as UTF-8, like a real
    server); None = 415."""
    if content_type == JSON_TYPE:
        return "json"
    media_type, _, parameters = (content_type or "").partition(";")
    format_ = _FORMATS.get(media_type.strip().lower())
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset" and value.strip().strip('"').lower() not in _BODY_CHARSETS:
            return None
    return format_


def parse_error(format_: Format) -> tuple[str, bytes]:
    """Content type and body of the 400 answer to a body that cannot be parsed."""
    return CONTENT_TYPES[format_], _PARSE_ERRORS[format_]
