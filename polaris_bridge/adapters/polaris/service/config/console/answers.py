"""The shapes of what consoles of the configuration centre are answered, and what becomes of the core's refusals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from google.protobuf.message import Message

from polaris_bridge.adapters.polaris.answers import Outcome, bare, code_of
from polaris_bridge.adapters.polaris.service.config.writing import Written
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.batches import SETTLED, Commit
from polaris_bridge.core.errors import Conflict, CoreError

OK: Final[int] = v1.ExecuteSuccess


def said(code: int, info: str | None = None, **fields: Message) -> v1.ConfigResponse:
    """An answer with the code's own text, or another one, and what it is about by field name."""
    answer = v1.ConfigResponse.FromString(bare(code))
    if info is not None:
        answer.info.value = info
    for name, value in fields.items():
        getattr(answer, name).CopyFrom(value)
    return answer


def listed(code: int, info: str | None = None, total: int | None = None) -> v1.ConfigBatchQueryResponse:
    """A list without items. ``total``: how many there are on all pages."""
    answer = v1.ConfigBatchQueryResponse.FromString(bare(code))
    if info is not None:
        answer.info.value = info
    if total is not None:
        answer.total.value = total
    return answer


def collected(answers: Sequence[v1.ConfigResponse]) -> v1.ConfigBatchWriteResponse:
    """The answers to a batch under one code: the highest of those that are no success."""
    codes = [answer.code.value for answer in answers]
    code = max((code for code in codes if code >= 300_000), default=OK)
    batch = v1.ConfigBatchWriteResponse.FromString(bare(code))
    batch.responses.extend(answers)
    return batch


def written(result: Written, **about: Message) -> Outcome:
    """What became of a write, as an answer about a file or a release."""
    answer = said(result.code, result.info)
    for name, value in about.items():
        getattr(answer, name).CopyFrom(value)
    return Outcome(answer, result.commit)


def guarded(do: Callable[[], Outcome]) -> Outcome:
    """What a command comes to; what the core refuses becomes the answer."""
    try:
        return do()
    except CoreError as error:
        return Outcome(said(v1.DataConflict if isinstance(error, Conflict) else code_of(error)))


class Joined:
    """Outcomes of several commands as one: the last commit of them tells whether all came true."""

    def __init__(self) -> None:
        self.answers: list[v1.ConfigResponse] = []
        self.commit: Commit = SETTLED

    def add(self, outcome: Outcome) -> None:
        """One more."""
        assert isinstance(outcome.response, v1.ConfigResponse)
        self.answers.append(outcome.response)
        if outcome.commit is not SETTLED:
            self.commit = outcome.commit
