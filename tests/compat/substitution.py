"""Replaces values that the recorded server assigned by those of the live one, in later requests and in expected answers."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

from .exchange import ReplayError
from .recording import Request

_SHORTEST_CAPTURE = 4


@dataclass
class Substitution:
    """Recorded value -> live value, for values a server assigns."""

    table: dict[str, str] = field(default_factory=dict)

    def learn(self, recorded: str, live: str) -> None:
        """Remember a pair; short values are refused because they would match anywhere."""
        if len(recorded) < _SHORTEST_CAPTURE:
            raise ReplayError(f"captured value {recorded!r} is too short to be replaced safely; narrow the capture")
        self.table[recorded] = live

    def in_text(self, text: str) -> str:
        """The text with every recorded value replaced where it stands as a whole word."""
        for recorded, live in self.table.items():
            text = re.sub(rf"(?<![\w-]){re.escape(recorded)}(?![\w-])", live.replace("\\", r"\\"), text)
        return text

    def in_bytes(self, body: bytes) -> bytes:
        """As in_text, for bodies that are text; others stay as they are."""
        if not self.table:
            return body
        try:
            return self.in_text(body.decode()).encode()
        except UnicodeDecodeError:
            return body

    def in_tree(self, tree: Any) -> Any:
        """A decoded body with the recorded values replaced in every leaf."""
        if not self.table:
            return tree
        if isinstance(tree, dict):
            return {key: self.in_tree(value) for key, value in tree.items()}
        if isinstance(tree, list):
            return [self.in_tree(item) for item in tree]
        if isinstance(tree, str):
            return self.in_text(tree)
        if isinstance(tree, int) and not isinstance(tree, bool) and str(tree) in self.table:
            return int(self.table[str(tree)])
        return tree

    def in_request(self, request: Request) -> Request:
        """A request with live values in its target, headers and body."""
        if not self.table:
            return request
        headers = tuple((name, self.in_text(value)) for name, value in request.headers)
        return replace(request, target=self.in_text(request.target), headers=headers, body=self.in_bytes(request.body))
