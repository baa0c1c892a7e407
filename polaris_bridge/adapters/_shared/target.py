"""Splitting a request target (RFC 9112 section 3.2) into path and query."""

from __future__ import annotations


def split_target(target: bytes) -> tuple[str, str]:
    """Path (never empty, still percent-encoded) and query of a target in origin, absolute or asterisk form.

    A fragment, which no client should send, is dropped. Bytes are taken as latin-1, so nothing is lost.
    """
    text = target.decode("latin-1")
    if "#" in text:
        text = text[: text.index("#")]
    if not text.startswith("/") and text != "*":
        text = _origin_form(text)
    path, _, query = text.partition("?")
    return path, query


def _origin_form(absolute: str) -> str:
    _, _, rest = absolute.partition("://")
    at = next((i for i, char in enumerate(rest) if char in "/?"), len(rest))
    return rest[at:] if rest[at : at + 1] == "/" else "/" + rest[at:]
