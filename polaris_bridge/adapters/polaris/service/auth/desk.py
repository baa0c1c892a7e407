"""What the calls about accounts have in common: who asks, what that one may see, batches, answers that wait for a hash."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from msgspec import Struct

from polaris_bridge.adapters.polaris.answers import Outcome, code_of, failed, respond, text
from polaris_bridge.adapters.polaris.service.batches import MAX_BATCH, batch_answer
from polaris_bridge.adapters.polaris.service.console.filters import Refused, page, single
from polaris_bridge.adapters.polaris.service.console.work import attempt, joined
from polaris_bridge.adapters.polaris.service.queries import Page
from polaris_bridge.adapters.polaris.service.routes import Query
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.auth.ports import Accounts
from polaris_bridge.core.auth.snapshot import Snapshot
from polaris_bridge.core.auth.values import ADMINISTRATOR, ANONYMOUS, SUB, USER, Group, User
from polaris_bridge.core.errors import CoreError
from polaris_bridge.core.events import OperationRecord
from polaris_bridge.core.model import Caller
from polaris_bridge.core.ports import Resource
from polaris_bridge.core.registry import Registry

OK = v1.ExecuteSuccess
T = TypeVar("T")


class Operator(Struct, frozen=True):
    """Who asks: a user, or a group by its token."""

    id: str
    rank: str
    owner: str
    """Id of the main user on whose behalf it acts: its own, or that of its owner."""

    @property
    def is_main(self) -> bool:
        """Whether it owns others, so that it may change what only owners change."""
        return self.rank != SUB


class Desk:
    """The directory, seen by calls."""

    def __init__(self, registry: Registry, accounts: Accounts) -> None:
        self.registry = registry
        self.accounts = accounts
        self.directory = accounts.directory

    @property
    def snapshot(self) -> Snapshot:
        """The directory as readers see it."""
        return self.directory.snapshot

    def operator(self, caller: Caller) -> Operator:
        """Who asks. Whoever has no account has no owner."""
        found: User | Group | None = self.snapshot.principal(caller.principal)
        if isinstance(found, User):
            return Operator(found.id, found.rank, found.owner or found.id)
        return Operator("", SUB, "") if found is None else Operator(found.id, SUB, found.owner)

    def sees(self, caller: Caller, operation: str, kind: str) -> Callable[[str], bool]:
        """Whether a caller may see an entry of a kind, by its id."""
        allow, principal = self.accounts.judge.allow, caller.principal
        return lambda id: allow(principal, operation, Resource(kind, id=id))

    def name_of(self, kind: str, id: str) -> str | None:
        """The name of a user, group or role."""
        if kind == USER and id == ANONYMOUS:
            return ANONYMOUS
        snapshot = self.snapshot
        lists: dict[str, Mapping[str, Any]] = {
            "user": snapshot.users,
            "user_group": snapshot.groups,
            "role": snapshot.roles,
            "auth_policy": snapshot.policies,
        }
        entry = lists[kind].get(id)
        return None if entry is None else entry.name

    def note(self, caller: Caller, operation: str, user: str, result: str) -> None:
        """A record of something that is no change: a try to log in."""
        now_ms = self.registry.clock.wall_ms()
        record = OperationRecord(now_ms, "user", user, "", operation, caller, "", result)
        for told in self.registry.operations:
            told(record)


def first_of(query: Query, allowed: Collection[str]) -> tuple[dict[str, str], Page]:
    """The filters and the page. Raises ``Refused`` for others, and for pages that are no numbers."""
    filters = single(query)
    for name in filters:
        if name not in allowed:
            raise Refused(v1.InvalidParameter, f"{name} is not allowed")
    return filters, page(filters)


def part(found: Iterable[T], where: Page, key: Callable[[T], Any]) -> tuple[int, list[T]]:
    """How many there are, and those of a page, in an order."""
    ordered = sorted(found, key=key)
    return len(ordered), ordered[where.offset : where.offset + where.limit]


def latest_first(entry: Any) -> tuple[int, str]:
    """The order of lists."""
    return (-entry.updated_ms, entry.id)


def one_by_one(items: Sequence[Any], do: Callable[[Any], Outcome], field: str) -> Outcome:
    """Every item for itself. As in the original no items are no error here; the answer's code is the highest of its errors."""
    if len(items) > MAX_BATCH:
        return Outcome(batch_answer(v1.BatchSizeOverLimit, ()))
    done = [attempt(do, item, field) for item in items]
    answers: list[Any] = [one.response for one in done]
    code = max((answer.code.value for answer in answers if answer.code.value >= 300_000), default=OK)
    return joined(batch_answer(code, answers), done)


def said(code: int, why: str) -> v1.Response:
    """An answer with a reason after the code's text."""
    return respond(code, f"{text(code)}:{why}")


class Waiting:
    """An answer that needs something first, and is given when what was done then is in the store. See ``routes.Later``."""

    __slots__ = ("_begin",)

    def __init__(self, begin: Callable[[Callable[[Outcome], None]], None]) -> None:
        """``begin`` is given whom to tell the outcome; it may raise what the core refuses."""
        self._begin = begin

    def then(self, reply: Callable[[Any], None]) -> None:
        """See ``routes.Later``."""

        def tell(outcome: Outcome) -> None:
            commit, response = outcome.commit, outcome.response
            commit.then(lambda error: reply(response if error is None else failed(response, error)))

        try:
            self._begin(tell)
        except CoreError as error:
            reply(respond(code_of(error)))


def is_administrator(operator: Operator) -> bool:
    """Whether no policy binds it."""
    return operator.rank == ADMINISTRATOR
