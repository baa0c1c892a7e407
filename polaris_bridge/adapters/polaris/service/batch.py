"""The rules of console calls that are about many things at once: how many, what the answer's own code is, what is echoed.

As polaris-server 1.19: the items are judged first, and when one is refused only the refused ones are answered and nothing is
done; else each is done for itself and answered in order. The outer code is that of all items when they agree, else the class of
the worst.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from polaris_bridge.core.batches import SETTLED
from polaris_bridge.core.errors import CoreError

from ..answers import Outcome, code_of, respond, text
from ..wire import v1

MAX_BATCH: Final = 100
OK: Final[int] = v1.ExecuteSuccess


class Refused(Exception):
    """What a query asks for cannot be answered: the code, and what follows the code's text."""

    def __init__(self, code: int, why: str = "") -> None:
        super().__init__(why)
        self.code = code
        self.why = why


def info(code: int, why: str = "") -> str:
    """The text of a code, and after it what is wrong here."""
    return f"{text(code)}: {why}" if why else text(code)


def each(
    items: Sequence[Any],
    check: Callable[[Any], int],
    do: Callable[[Any], Outcome],
    field: str,
) -> Outcome:
    """Judge all items, then do one after another. ``field``: where an answer echoes the item that it is about.

    ``check`` gives 200000 or what is wrong with an item; what the core refuses is answered for its item alone.
    """
    answer = sized(items)
    if answer is not None:
        return Outcome(answer)
    refused = [respond(code, **{field: item}) for item in items if (code := check(item)) != OK]
    if refused:
        return Outcome(collected(refused))
    done = [attempt(do, item, field) for item in items]
    return outcome(written([d.response for d in done]), done)


def attempt(do: Callable[[Any], Outcome], item: Any, field: str) -> Outcome:
    """One item; what the core refuses becomes its answer."""
    try:
        return do(item)
    except CoreError as error:
        return Outcome(respond(code_of(error), **{field: item}))


def outcome(answer: Any, done: Iterable[Outcome]) -> Outcome:
    """The answer to a batch, true when the last of its commits is: a transaction that fails takes the later ones with it."""
    commit = SETTLED
    for one in done:
        if one.commit is not SETTLED:
            commit = one.commit
    return Outcome(answer, commit)


def sized(items: Sequence[Any]) -> Any:
    """The answer to a batch that is empty or too long; None for others."""
    if not items:
        return batch_answer(v1.EmptyRequest)
    return batch_answer(v1.BatchSizeOverLimit) if len(items) > MAX_BATCH else None


def written(answers: Sequence[Any]) -> v1.BatchWriteResponse:
    """The answer to a batch whose items were done."""
    codes = {answer.code.value for answer in answers}
    if len(codes) == 1:
        code = codes.pop()
    elif any(code >= 500_000 for code in codes):
        code = v1.ExecuteException
    elif any(code >= 400_000 for code in codes):
        code = v1.BadRequest
    else:
        code = OK
    return _batch(code, answers)


def collected(answers: Sequence[Any]) -> v1.BatchWriteResponse:
    """The answer to a batch as it was told of one answer after another: the highest code that is no success."""
    worst = max((answer.code.value for answer in answers if answer.code.value >= 300_000), default=OK)
    return _batch(worst, answers)


def batch_answer(code: int, why: str = "") -> v1.BatchWriteResponse:
    """The answer to a batch of which nothing was looked at."""
    return _batch(code, (), why)


def _batch(code: int, answers: Sequence[Any], why: str = "") -> v1.BatchWriteResponse:
    answer = v1.BatchWriteResponse()
    answer.code.value = code
    answer.info.value = info(code, why)
    answer.size.value = len(answers)
    answer.responses.extend(answers)
    return answer


def queried(amount: int = 0, size: int = 0, code: int = OK, why: str = "") -> v1.BatchQueryResponse:
    """An answer to a query: how many there are, how many of them follow."""
    answer = v1.BatchQueryResponse()
    answer.code.value = code
    answer.info.value = info(code, why)
    answer.amount.value = amount
    answer.size.value = size
    return answer


def answering(query: Callable[[], v1.BatchQueryResponse]) -> v1.BatchQueryResponse:
    """What a query finds, or the answer to one that is refused."""
    try:
        return query()
    except Refused as refused:
        return queried(code=refused.code, why=refused.why)
