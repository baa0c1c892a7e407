"""Extracts of recorded traffic between real Eureka clients and servers, as exchanges of bytes.

The files in ``data`` keep lines of full recordings unchanged; the first line of each says who spoke with whom.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class Exchange:
    """One request and its answer; bodies are without content encoding, header names lower-case."""

    source: str
    method: str
    target: str
    request_headers: dict[str, str]
    request: bytes
    status: int
    response_headers: dict[str, str]
    response: bytes

    def __str__(self) -> str:
        return f"{self.source} {self.method} {self.target} {self.status}"


def _side(side: dict[str, Any]) -> tuple[dict[str, str], bytes]:
    headers = {name.lower(): value for name, value in side["headers"]}
    body = side["body"]
    raw = base64.b64decode(body["base64"]) if isinstance(body, dict) else body.encode()
    return headers, gzip.decompress(raw) if headers.get("content-encoding") == "gzip" else raw


def exchanges() -> Iterator[Exchange]:
    """All recorded exchanges, in order."""
    for path in sorted(DATA.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            event = json.loads(line)
            if event.get("kind") != "http":
                continue
            request_headers, request = _side(event["request"])
            response_headers, response = _side(event["response"])
            yield Exchange(
                path.stem,
                event["request"]["method"],
                event["request"]["target"],
                request_headers,
                request,
                event["response"]["status"],
                response_headers,
                response,
            )


ALL = list(exchanges())
REGISTRATIONS = [e for e in ALL if e.method == "POST" and e.target.startswith("/eureka/apps/")]
BATCHES = [e for e in ALL if e.method == "POST" and "peerreplication" in e.target]
DOCUMENTS = [e for e in ALL if e.status in (200, 409) and e.response and "peerreplication" not in e.target]
