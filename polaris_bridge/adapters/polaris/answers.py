"""The shape of every native answer: a code, its text, and what was asked for."""

from __future__ import annotations

from google.protobuf.message import Message
from msgspec import Struct

from polaris_bridge.core.batches import SETTLED, Commit


class Outcome(Struct, frozen=True):
    """A message to answer with, and when that becomes true. When the commit fails, the answer is 500001 instead."""

    response: Message
    commit: Commit = SETTLED
