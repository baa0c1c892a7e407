"""Users: created, changed, deleted, listed; their passwords and tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import structs

from polaris_bridge.adapters.polaris.answers import Outcome, respond
from polaris_bridge.adapters.polaris.service.batches import MAX_BATCH, batch_answer
from polaris_bridge.adapters.polaris.service.console.filters import answering, single
from polaris_bridge.adapters.polaris.service.queries import list_answer, wild
from polaris_bridge.adapters.polaris.service.routes import Query, Result
from polaris_bridge.adapters.polaris.translate.auth import render_user
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.auth.values import ADMINISTRATOR, MAIN, SUB, USER, User
from polaris_bridge.core.model import Caller

from .desk import OK, Desk, Operator, Waiting, first_of, is_administrator, latest_first, one_by_one, part, said
from .names import PASSWORD_RULE, is_name, is_password

FILTERS = ("id", "name", "owner", "source", "group_id", "hide_admin", "offset", "limit")


class Users:
    """The calls about users."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._directory = desk.directory

    # ------------------------------------------------------------------ commands

    def create(self, users: Sequence[v1.User], caller: Caller) -> Result:
        """An administrator creates main users, everybody else sub users of the own main user. Answers carry the ids."""
        if len(users) > MAX_BATCH:
            return Outcome(batch_answer(v1.BatchSizeOverLimit, ()))
        operator = self._desk.operator(caller)
        good = {at for at, m in enumerate(users) if self._defect(m, operator) == OK}
        hashes: dict[int, str] = {}

        def finish() -> Outcome:
            made = iter(range(len(users)))

            def do(m: v1.User) -> Outcome:
                return self._create(m, hashes.get(next(made), ""), operator, caller)

            return one_by_one(users, do, "user")

        if not good:
            return finish()

        def begin(tell: Callable[[Outcome], None]) -> None:
            left = sorted(good, reverse=True)

            def work(at: int) -> None:
                self._desk.accounts.passwords.make(users[at].password.value, lambda hashed: done(at, hashed))

            def done(at: int, hashed: str) -> None:
                hashes[at] = hashed
                if left:
                    work(left.pop())
                else:
                    tell(finish())

            work(left.pop())

        return Waiting(begin)

    def _defect(self, m: v1.User, operator: Operator) -> int:
        if not is_name(m.name.value):
            return v1.InvalidUserName
        if not is_password(m.password.value):
            return v1.InvalidUserPassword
        if not operator.owner:
            return v1.InvalidUserOwners
        if self._taken(m.name.value, "" if is_administrator(operator) else operator.owner):
            return v1.UserExisted
        if m.id.value and self._directory.newest(User, m.id.value) is not None:
            return v1.UserExisted
        return v1.InvalidParameter if not m.source.value else OK

    def _taken(self, name: str, owner: str) -> bool:
        """Names differ below one owner, and from the owner's."""
        if any(user.owner == owner for user in self._directory.newest_named(User, name)):
            return True
        above = self._directory.newest(User, owner) if owner else None
        return above is not None and above.name == name

    def _create(self, m: v1.User, hashed: str, operator: Operator, caller: Caller) -> Outcome:
        code = self._defect(m, operator)
        if code == v1.InvalidParameter:  # found out by the store in the original, which repeats nothing
            return Outcome(respond(code))
        if code != OK:
            return Outcome(respond(code, user=_echo(m, operator.owner)))
        if not hashed:
            return Outcome(respond(v1.ExecuteException, user=_echo(m, operator.owner)))
        id = m.id.value or self._directory.unique()
        rank = MAIN if is_administrator(operator) else SUB
        user = User(
            id=id,
            name=m.name.value,
            rank=rank,
            owner="" if rank == MAIN else operator.owner,
            password=hashed,
            token=self._desk.accounts.tokens.make(User, id),
            source=m.source.value,
            comment=m.comment.value,
            mobile=m.mobile.value,
            email=m.email.value,
            metadata=dict(m.metadata),
        )
        commit = self._directory.create(user, caller)
        answer = respond(OK, user=_echo(m, ""))
        answer.user.id.value = id
        return Outcome(answer, commit)

    def update(self, m: v1.User, caller: Caller) -> Outcome:
        """Comment, mobile, email and metadata, those that are given."""
        user = self._directory.newest(User, m.id.value)
        if user is None:
            return Outcome(respond(v1.NotFoundUser))
        given: dict[str, Any] = {
            name: getattr(m, name).value for name in ("comment", "mobile", "email") if m.HasField(name)
        }
        if m.metadata:
            given["metadata"] = dict(m.metadata)
        commit = self._directory.put(structs.replace(user, **given), caller)
        return Outcome(respond(OK, user=_echo(m)), commit)

    def set_password(self, m: v1.ModifyUserPassword, caller: Caller) -> Result:
        """A sub user shows its old password too. What is wrong with a password is answered 400412; the original says 500000."""
        user = self._directory.newest(User, m.id.value)
        if user is None:
            return respond(v1.NotFoundUser)
        if not is_password(m.new_password.value):
            return said(v1.InvalidUserPassword, PASSWORD_RULE)
        accounts, old = self._desk.accounts, m.old_password.value
        trusted = self._desk.operator(caller).is_main
        if not trusted and not old:
            return said(v1.InvalidUserPassword, "original password is empty")
        if not trusted and accounts.tries.blocked(user.id, caller.address):
            return respond(v1.IPRateLimit)

        def begin(tell: Callable[[Outcome], None]) -> None:
            def hashed(new: str) -> None:
                now = self._directory.newest(User, m.id.value)
                if now is None or not new:
                    tell(Outcome(respond(v1.NotFoundUser if now is None else v1.ExecuteException)))
                    return
                commit = self._directory.put(structs.replace(now, password=new), caller)
                tell(Outcome(respond(OK), commit))

            def checked(right: bool) -> None:
                if right:
                    accounts.passwords.make(m.new_password.value, hashed)
                else:
                    accounts.tries.failed(user.id, caller.address)
                    tell(Outcome(said(v1.InvalidUserPassword, "original password match failed")))

            if trusted:
                accounts.passwords.make(m.new_password.value, hashed)
            else:
                accounts.passwords.check(user.password, old, checked)

        return Waiting(begin)

    def delete(self, users: Sequence[v1.User], caller: Caller) -> Outcome:
        """Nothing is deleted when one of them is not there. Nobody deletes itself or its owner; 400218 while there are sub
        users."""
        if any(self._directory.newest(User, m.id.value) is None for m in users):
            return Outcome(batch_answer(v1.NotFoundUser, ()))
        operator = self._desk.operator(caller)

        def do(m: v1.User) -> Outcome:
            user = self._directory.newest(User, m.id.value)
            if user is None:  # named twice
                return Outcome(respond(OK, user=_echo(m)))
            if user.id in (operator.owner, operator.id) or self._last(user):
                return Outcome(respond(v1.NotAllowedAccess, user=_echo(m)))
            if user.rank == MAIN and any(other.owner == user.id for other in self._directory.newest_all(User)):
                return Outcome(respond(v1.SubAccountExisted, user=_echo(m)))
            commit = self._directory.delete(user, caller)
            return Outcome(respond(OK, user=_echo(m)), *(() if commit is None else (commit,)))

        return one_by_one(users, do, "user")

    def _last(self, user: User) -> bool:
        """Whether nobody could come in any more without this one."""
        if user.rank == SUB:
            return False
        return not any(other.rank != SUB and other.id != user.id for other in self._directory.newest_all(User))

    # ------------------------------------------------------------------ tokens

    def token(self, query: Query, _caller: Caller) -> v1.Response:
        """The token of the user with an id."""
        user = self._desk.snapshot.users.get(single(query).get("id", ""))
        if user is None:
            return respond(v1.NotFoundUser)
        answer = respond(OK)
        answer.user.id.value = user.id
        answer.user.name.value = user.name
        answer.user.auth_token.value = user.token
        answer.user.token_enable.value = user.token_enabled
        return answer

    def enable_token(self, m: v1.User, caller: Caller) -> Outcome:
        """Switch a token on or off. Only administrators switch off those of main users: nobody would be left to undo it."""
        user = self._directory.newest(User, m.id.value)
        if user is None:
            return Outcome(respond(v1.NotFoundUser))
        on = m.token_enable.value
        if not on and user.rank != SUB and not is_administrator(self._desk.operator(caller)):
            return Outcome(respond(v1.NotAllowedAccess, "only disable sub-account token", user=_echo(m)))
        commit = self._directory.put(structs.replace(user, token_enabled=on), caller)
        return Outcome(respond(OK, user=_echo(m)), commit)

    def refresh_token(self, m: v1.User, caller: Caller) -> Outcome:
        """A new token; the old one ends at once."""
        user = self._directory.newest(User, m.id.value)
        if user is None:
            return Outcome(respond(v1.NotFoundUser))
        token = self._desk.accounts.tokens.make(User, user.id)
        commit = self._directory.put(structs.replace(user, token=token), caller)
        answer = respond(OK, user=_echo(m))
        answer.user.auth_token.value = token
        return Outcome(answer, commit)

    # ------------------------------------------------------------------ queries

    def find(self, query: Query, caller: Caller) -> v1.BatchQueryResponse:
        """Users whom the caller may see, of its owner; administrators are not listed."""
        return answering(lambda: self._find(query, caller))

    def _find(self, query: Query, caller: Caller) -> v1.BatchQueryResponse:
        filters, where = first_of(query, FILTERS)
        snapshot, operator = self._desk.snapshot, self._desk.operator(caller)
        if not is_administrator(operator):
            filters["owner"] = operator.owner
        group = snapshot.groups.get(filters["group_id"]) if "group_id" in filters else None
        sees = self._desk.sees(caller, "DescribeUsers", USER)
        found = (
            user
            for user in snapshot.users.values()
            if user.rank != ADMINISTRATOR
            and filters.get("id", user.id) == user.id
            and ("owner" not in filters or filters["owner"] in (user.owner, user.id))
            and wild(filters.get("name", "*"), user.name)
            and wild(filters.get("source", "*"), user.source)
            and ("group_id" not in filters or (group is not None and user.id in group.members))
            and (user.id == caller.principal or sees(user.id))
        )
        amount, shown = part(found, where, latest_first)
        answer = list_answer(OK, amount, len(shown))
        answer.users.extend(map(render_user, shown))
        return answer


def _echo(m: v1.User, owner: str | None = None) -> v1.User:
    """A request as its answer repeats it: without the secrets in it."""
    echo = v1.User()
    echo.CopyFrom(m)
    echo.ClearField("password")
    echo.ClearField("auth_token")
    if owner is not None:
        echo.owner.value = owner
    return echo
