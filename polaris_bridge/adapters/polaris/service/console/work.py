"""Items of a batch, judged and done: each for itself, in order, one answer for each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, cast

from polaris_bridge.adapters.polaris.answers import Outcome, code_of, respond
from polaris_bridge.adapters.polaris.service.batches import batch_answer, not_a_batch, refused, worked
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.batches import SETTLED
from polaris_bridge.core.errors import CoreError

OK: Final[int] = v1.ExecuteSuccess


def each(items: Sequence[Any], check: Callable[[Any], int], do: Callable[[Any], Outcome], field: str) -> Outcome:
    """Judge all items, then do one after another. ``field``: where an answer echoes the item that it is about.

    ``check`` gives 200000 or what is wrong with an item; what the core refuses is answered for its item alone.
    """
    answer = not_a_batch(items)
    if answer is not None:
        return Outcome(answer)
    wrong = [respond(code, **{field: item}) for item in items if (code := check(item)) != OK]
    if wrong:
        return Outcome(refused(wrong))
    done = [attempt(do, item, field) for item in items]
    return joined(worked(_answers(done)), done)


def one_by_one(items: Sequence[Any], do: Callable[[Any], Outcome], field: str) -> Outcome:
    """Do one after another without judging all before: the answer's code is the highest of those that are no success."""
    answer = not_a_batch(items)
    if answer is not None:
        return Outcome(answer)
    done = [attempt(do, item, field) for item in items]
    answers = _answers(done)
    code = max((a.code.value for a in answers if a.code.value >= 300_000), default=OK)
    return joined(batch_answer(code, answers), done)


def attempt(do: Callable[[Any], Outcome], item: Any, field: str) -> Outcome:
    """One item; what the core refuses becomes its answer."""
    try:
        return do(item)
    except CoreError as error:
        return Outcome(respond(code_of(error), **{field: item}))


def joined(answer: Any, done: Iterable[Outcome]) -> Outcome:
    """The answer to a batch, true when the last of its commits is: a transaction that fails takes the later ones with it."""
    commit = SETTLED
    for one in done:
        if one.commit is not SETTLED:
            commit = one.commit
    return Outcome(answer, commit)


def _answers(done: Iterable[Outcome]) -> list[v1.Response]:
    return [cast(v1.Response, one.response) for one in done]
