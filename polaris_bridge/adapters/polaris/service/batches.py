"""Writes of many things at once: which requests are no batch at all, and one code for the answers of all items.

Seen in polaris-server 1.19: items are checked before any of them is done; when one fails its check, nothing is done and the
answer holds only those that failed, with the highest of their codes. After the work every item has its answer, in order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from google.protobuf.message import Message

from polaris_bridge.adapters.polaris.answers import text
from polaris_bridge.adapters.polaris.wire import v1

MAX_BATCH: Final = 100


def not_a_batch(items: Sequence[Message]) -> v1.BatchWriteResponse | None:
    """The answer to no items (400002) or more than a hundred (400003); None for a batch to work on."""
    if not items:
        return batch_answer(v1.EmptyRequest, ())
    if len(items) > MAX_BATCH:
        return batch_answer(v1.BatchSizeOverLimit, ())
    return None


def refused(answers: Sequence[v1.Response]) -> v1.BatchWriteResponse:
    """The answer when items failed their check before anything was done."""
    return batch_answer(max(answer.code.value for answer in answers), answers)


def worked(answers: Sequence[v1.Response]) -> v1.BatchWriteResponse:
    """The answer after the work: the code that all items have, else the worst class among them, else success."""
    return batch_answer(overall([answer.code.value for answer in answers]), answers)


def overall(codes: Sequence[int]) -> int:
    """One code for many."""
    if len(set(codes)) == 1:
        return codes[0]
    worst = max((code // 1000 for code in codes), default=0)
    if worst >= 500:
        return v1.ExecuteException
    return v1.BadRequest if worst >= 400 else v1.ExecuteSuccess


def batch_answer(code: int, answers: Iterable[v1.Response], info: str | None = None) -> v1.BatchWriteResponse:
    """A batch's answer with a code of its own."""
    answer = v1.BatchWriteResponse()
    answer.code.value = code
    answer.info.value = text(code) if info is None else info
    answer.responses.extend(answers)
    answer.size.value = len(answer.responses)
    return answer
