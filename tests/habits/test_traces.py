"""Committed files say nothing about the machines they were made on, nor where packages were fetched from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .repository import ROOT, committed

TRACES = re.compile(
    r"(?<![\w.~-])/(?:work|home/[a-z]\w*|Users/[A-Za-z]\w*)/"
    r"|\bpypi\.org|pythonhosted\.org|registry\.npmjs\.org|registry\.yarnpkg\.com|proxy\.golang\.org|sum\.golang\.org"
    r"|\brepo1?\.maven\.(?:apache\.)?org|\b(?:extra-)?index-url\b\s*[=:]?\s*http|\"resolved\":"
)
READ_BYTES = 4_000_000


def offences(body: str) -> list[str]:
    return [f"line {body.count(chr(10), 0, m.start()) + 1}: {m.group()}" for m in TRACES.finditer(body)]


def test_no_traces() -> None:
    itself = Path(__file__)
    found: dict[str, list[str]] = {}
    for path in committed():
        body = path.read_bytes()[:READ_BYTES]
        if path == itself or b"\0" in body[:8000]:
            continue
        if wrong := offences(body.decode("utf-8", "replace")):
            found[str(path.relative_to(ROOT))] = wrong[:5]
    assert found == {}


@pytest.mark.parametrize(
    "line",
    ["path = '/work/x/y'", "see /home/bob/x", "https://pypi.org/simple", "--index-url https://mirror/simple",
     '"resolved": "x"', "https://registry.npmjs.org/a"],
)  # fmt: skip
def test_a_trace_is_seen(line: str) -> None:
    assert offences(line)


@pytest.mark.parametrize("line", ["--no-emit-index-url", "net/work/load", "$HOME/x", "/var/lib/polaris-bridge/x"])
def test_ordinary_text_is_none(line: str) -> None:
    assert not offences(line)
