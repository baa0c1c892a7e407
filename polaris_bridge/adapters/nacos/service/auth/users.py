"""Users as Nacos' console and tools manage them. They are users of the directory: one made here logs in through every protocol.

A user that is made here belongs to the main user on whose behalf it was made, and may do what its roles say.
"""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Callable
from typing import Final

from msgspec import structs

from polaris_bridge.adapters.nacos.service.admission import NO_RIGHT, Forbidden, Shown
from polaris_bridge.adapters.nacos.translate.auth import MASKED, is_admin
from polaris_bridge.adapters.nacos.translate.keys import SOURCE
from polaris_bridge.adapters.nacos.wire.messages import Refused
from polaris_bridge.core.auth.values import ADMINISTRATOR, SUB, USER, User
from polaris_bridge.core.batches import SETTLED, Commit
from polaris_bridge.core.errors import CoreError, Unavailable
from polaris_bridge.core.model import Caller
from polaris_bridge.core.ports import Resource

from .desk import Desk, Illegal, Listed, Operator, Page, paged

FIRST: Final = "nacos"
"""Name of the administrator that Nacos begins with."""
MAX_PASSWORD: Final = 72
"""Bytes; hashes look at no more."""

_NAME: Final = re.compile(r"[^\x00-\x20\x7f/:]{1,64}")
_LETTERS: Final = string.ascii_letters + string.digits

Tell = Callable[[Commit | Refused | CoreError], None]
"""Told once what became of a change whose password had to be hashed."""


class Users:
    """The calls about users."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._directory = desk.directory

    # ------------------------------------------------------------------ commands

    def create(self, shown: Shown | None, name: str, password: str, caller: Caller) -> Callable[[Tell], None]:
        """Make a user. Raises ``Illegal`` for a name that somebody has, and like ``Admission.admit``."""
        operator = self._desk.admit(shown, "CreateUsers", Resource(""), caller)
        if not operator.owner:
            raise Forbidden(NO_RIGHT)
        self._free(name)
        _check_password(password)

        def made(hashed: str) -> Commit:
            self._free(name)
            return self._directory.create(self._new(name, hashed, SUB, operator.owner), operator.caller)

        return self._hashing(password, made)

    def begin(self, password: str, caller: Caller) -> tuple[str, Callable[[Tell], None]] | None:
        """Make the first administrator, with a password made up when none is given. None: there is an administrator."""
        if any(is_admin(user) for user in self._directory.newest_all(User)):
            return None
        password = password.strip() or "".join(secrets.choice(_LETTERS) for _ in range(16))
        _check_password(password)
        self._free(FIRST)

        def made(hashed: str) -> Commit:
            self._free(FIRST)
            if any(is_admin(user) for user in self._directory.newest_all(User)):
                raise Forbidden(NO_RIGHT)
            return self._directory.create(self._new(FIRST, hashed, ADMINISTRATOR, ""), caller)

        return password, self._hashing(password, made)

    def set_password(self, shown: Shown | None, name: str, password: str, caller: Caller) -> Callable[[Tell], None]:
        """Users set their own, and main users everybody's whom policies let them; nobody but administrators that of an
        administrator."""
        user = self._desk.user(name)
        target = Resource("") if user is None else Resource(USER, id=user.id)
        operator = self._desk.admit(shown, "UpdateUserPassword", target, caller)
        if not operator.is_main and (user is None or user.id != operator.id):
            raise Forbidden(NO_RIGHT)
        if user is None:
            raise Illegal(f"user {name} not exist!")
        if user.rank == ADMINISTRATOR and not operator.is_administrator:
            raise Forbidden(NO_RIGHT)
        _check_password(password)
        id = user.id

        def made(hashed: str) -> Commit:
            now = self._directory.newest(User, id)
            if now is None:
                raise Illegal(f"user {name} not exist!")
            return self._directory.put(structs.replace(now, password=hashed), operator.caller)

        return self._hashing(password, made)

    def delete(self, shown: Shown | None, name: str, caller: Caller) -> Commit:
        """Success also for one that is not there. Administrators and main users are not deleted, nor does anybody delete
        itself."""
        user = self._desk.user(name)
        target = Resource("") if user is None else Resource(USER, id=user.id)
        operator = self._desk.admit(shown, "DeleteUsers", target, caller)
        if user is None:
            return SETTLED
        if is_admin(user):
            raise Illegal(f"cannot delete admin: {name}")
        if user.id == operator.id:
            raise Forbidden(NO_RIGHT)
        return self._directory.delete(user, operator.caller) or SETTLED

    def _free(self, name: str) -> None:
        """Names are unique here, whoever owns a user: Nacos knows no owners."""
        if not _NAME.fullmatch(name):
            raise Illegal(f"user name '{name[:80]}' is illegal")
        if self._directory.newest_named(User, name):
            raise Illegal(f"user '{name}' already exist!")

    def _new(self, name: str, hashed: str, rank: str, owner: str) -> User:
        id = self._directory.unique()
        token = self._desk.accounts.tokens.make(User, id)
        return User(id=id, name=name, rank=rank, owner=owner, password=hashed, token=token, source=SOURCE)

    def _hashing(self, password: str, made: Callable[[str], Commit]) -> Callable[[Tell], None]:
        """A change that is made when its password is hashed, in a thread."""

        def begin(tell: Tell) -> None:
            def hashed(result: str) -> None:
                try:
                    tell(made(result) if result else Unavailable("the password could not be hashed"))
                except (Refused, CoreError) as error:
                    tell(error)

            try:
                self._desk.accounts.passwords.make(password, hashed)
            except (Refused, CoreError) as error:
                tell(error)

        return begin

    # ------------------------------------------------------------------ queries

    def find(self, shown: Shown | None, page: Page, name: str, caller: Caller) -> Listed:
        """Users that the caller may see. Where Nacos shows the hash of a password there are asterisks."""
        operator = self._desk.admit(shown, "DescribeUsers", Resource(""), caller)
        wanted = page.wanted(name)
        found = (each for each in self._names(operator) if wanted(each))
        return paged(({"username": each, "password": MASKED} for each in found), page)

    def search(self, shown: Shown | None, part: str, caller: Caller) -> list[str]:
        """Names with something in them."""
        operator = self._desk.admit(shown, "DescribeUsers", Resource(""), caller)
        return [each for each in self._names(operator) if part in each]

    def _names(self, operator: Operator) -> list[str]:
        sees = self._desk.sees(operator, "DescribeUsers", USER)
        users = sorted(self._desk.snapshot.users.values(), key=lambda user: (user.created_ms, user.id))
        return [self._desk.name_of(user.id) for user in users if user.id == operator.id or sees(user.id)]


def _check_password(password: str) -> None:
    if not password.strip() or "\0" in password or len(password.encode("utf-8", "surrogatepass")) > MAX_PASSWORD:
        raise Illegal(f"the password must have 1 to {MAX_PASSWORD} bytes, none of them 0")
