"""Logging in, and whether one has to."""

from __future__ import annotations

from collections.abc import Callable

from polaris_bridge.adapters.polaris.answers import Outcome, respond
from polaris_bridge.adapters.polaris.service.routes import Query, Result
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.auth.values import User
from polaris_bridge.core.model import Caller

from .desk import OK, Desk, Waiting, said

WRONG = "name or password is wrong"


class Login:
    """A token for a name and a password."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def status(self, _query: Query, _caller: Caller) -> v1.Response:
        """Which calls are judged."""
        answer = respond(OK)
        for name, on in self._desk.accounts.switches.items():
            answer.optionSwitch.options[name] = "true" if on else "false"
        return answer

    def login(self, m: v1.LoginRequest, caller: Caller) -> Result:
        """A sub user has to say whose it is. 401001 for a wrong password, 400312 for a name that nobody has."""
        name = m.name.value
        owner = m.owner.value or name
        whom = f"{owner}/{name}"
        tries = self._desk.accounts.tries
        if tries.blocked(whom, caller.address):
            self._desk.note(caller, "login", name, "Throttled")
            return respond(v1.IPRateLimit)
        user = self._desk.snapshot.user_named(name, owner)
        if user is None:
            tries.failed(whom, caller.address)
            self._desk.note(caller, "login", name, "NotFound")
            return respond(v1.NotFoundUser)

        def begin(tell: Callable[[Outcome], None]) -> None:
            def checked(right: bool) -> None:
                if right:
                    tries.succeeded(whom, caller.address)
                    tell(Outcome(self._granted(user)))
                else:
                    tries.failed(whom, caller.address)
                    self._desk.note(caller, "login", name, "Denied")
                    tell(Outcome(said(v1.NotAllowedAccess, WRONG)))

            self._desk.accounts.passwords.check(user.password, m.password.value, checked)

        return Waiting(begin)

    def _granted(self, user: User) -> v1.Response:
        now = self._desk.snapshot.users.get(user.id, user)  # its token may have been replaced meanwhile
        answer = respond(OK)
        found = answer.loginResponse
        found.user_id.value = now.id
        found.name.value = now.name
        found.role.value = now.rank
        found.owner_id.value = now.owner
        found.token.value = now.token
        return answer
