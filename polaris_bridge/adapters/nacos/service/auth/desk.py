"""What the calls about accounts have in common: who asks, whom a name means, pages, refusals."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from html import escape
from typing import Final, TypeVar

from msgspec import Struct

from polaris_bridge.adapters.nacos.service.admission import NO_RIGHT, TRUSTED, Admission, Forbidden, Shown
from polaris_bridge.adapters.nacos.translate.auth import is_admin, like
from polaris_bridge.adapters.nacos.wire.messages import Refused
from polaris_bridge.core.auth.ports import Accounts
from polaris_bridge.core.auth.snapshot import Snapshot
from polaris_bridge.core.auth.values import MAIN, Role, User
from polaris_bridge.core.model import Caller
from polaris_bridge.core.ports import Resource

T = TypeVar("T")

_VALIDATE: Final = 20002
_SERVER: Final = 30000
_MISSING: Final = 10000


class Illegal(Refused):
    """An argument that the real server refuses: 400, the same text in every generation."""

    def __init__(self, why: str) -> None:
        super().__init__(400, _VALIDATE, f"caused: {escape(why, quote=False)};")


class Failed(Refused):
    """What the real server answers with 500: a parameter that is not there, a user that nobody is."""

    def __init__(self, why: str, code: int = _SERVER) -> None:
        super().__init__(500, code, f"caused: {escape(why).replace('&#x27;', '&#39;')};")


def absent(parameter: str, kind: str = "String") -> Failed:
    """A required parameter that is not there; ``kind`` is its Java type."""
    why = f"Required request parameter '{parameter}' for method parameter type {kind} is not present"
    return Failed(why, _MISSING)


class Operator(Struct, frozen=True):
    """Who asks."""

    caller: Caller
    id: str
    is_main: bool
    """Whether it owns others, so that it may change what only owners change."""
    is_administrator: bool
    owner: str
    """Id of the main user on whose behalf it acts."""


class Page(Struct, frozen=True, gc=False):
    """Which part of a list is wanted, and of which names."""

    number: int
    size: int
    blur: bool = False
    """Whether ``*`` in a filter stands for anything."""

    def wanted(self, filter_: str) -> Callable[[str], bool]:
        """The filter as a question; an empty one lets all through."""
        if self.blur or not filter_:
            return like(filter_)
        return lambda name: name == filter_


class Listed(Struct, frozen=True, rename="camel"):
    """One page, in the shape of all generations."""

    total_count: int
    page_number: int
    pages_available: int
    page_items: list[dict[str, str]]


def paged(found: Iterable[dict[str, str]], page: Page) -> Listed:
    """A part of a list. Raises ``Illegal`` for one that is none."""
    if page.number < 1 or page.size < 1:
        raise Illegal("pageNo and pageSize must be greater than zero")
    everything = list(found)
    begin = (page.number - 1) * page.size
    pages = -(-len(everything) // page.size)
    return Listed(len(everything), page.number, pages, everything[begin : begin + page.size])


class Desk:
    """The directory, seen by calls. All of them need a right, whether the listener asks for credentials or not."""

    def __init__(self, admission: Admission, accounts: Accounts) -> None:
        self._admission = admission
        self.accounts = accounts
        self.directory = accounts.directory

    @property
    def snapshot(self) -> Snapshot:
        """The directory as readers see it."""
        return self.directory.snapshot

    def admit(self, shown: Shown | None, operation: str, resource: Resource, caller: Caller) -> Operator:
        """Who asks, if it may. Raises like ``Admission.admit``."""
        caller = self._admission.admit_operation(shown, operation, resource, caller, strict=True)
        return self.operator(caller)

    def operator(self, caller: Caller) -> Operator:
        """Who asks. Whoever shows the identity header acts for the oldest main user."""
        snapshot, id = self.snapshot, caller.principal
        user = snapshot.users.get(id)
        if user is not None:
            return Operator(caller, id, is_admin(user), is_admin(user) and user.rank != MAIN, user.owner or id)
        group = snapshot.groups.get(id)
        if group is not None:
            return Operator(caller, id, False, False, group.owner)
        if id != TRUSTED:
            return Operator(caller, id, False, False, "")
        main = sorted((u for u in snapshot.users.values() if is_admin(u)), key=lambda u: (u.rank != MAIN, u.created_ms))
        return Operator(caller, id, True, True, main[0].id if main else "")

    def sees(self, operator: Operator, operation: str, kind: str) -> Callable[[str], bool]:
        """Whether an operator may see an entry of a kind, by its id."""
        return lambda id: self._admission.may_do(operator.id, operation, Resource(kind, id=id), strict=True)

    def may(self, operator: Operator, operation: str, resource: Resource) -> None:
        """Raises ``Forbidden`` when an operator may not do something more."""
        if not self._admission.may_do(operator.id, operation, resource, strict=True):
            raise Forbidden(NO_RIGHT)

    # ------------------------------------------------------------------ names, in the newest state

    def user(self, name: str) -> User | None:
        """The user whom a login name means; see ``proof.find_user``."""
        owner, slash, own = name.partition("/")
        if slash:
            above = [u.id for u in self.directory.newest_named(User, owner) if not u.owner]
            return next((u for u in self.directory.newest_named(User, own) if above and u.owner == above[0]), None)
        called = self.directory.newest_named(User, name)
        top = next((u for u in called if not u.owner), None)
        return top if top is not None else called[0] if len(called) == 1 else None

    def role(self, name: str, operator: Operator) -> Role | None:
        """The role of a name: the operator's own one first."""
        found = self.directory.newest_named(Role, name)
        return next((role for role in found if role.owner == operator.owner), found[0] if found else None)

    def name_of(self, id: str) -> str:
        """The login name of a user; empty for nobody."""
        return self._admission.proof.login_name(id)
