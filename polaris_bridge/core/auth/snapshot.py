"""The directory at one revision: immutable, with the indexes that questions need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from .rights import Rights
from .values import ADMINISTRATOR, ANONYMOUS, GROUP, POLICY, ROLE, USER, Entry, Group, Policy, Role, User

_NOTHING: Final[Mapping[str, Any]] = {}
_EMPTY: Final[Mapping[str, Mapping[str, Any]]] = {USER: {}, GROUP: {}, ROLE: {}, POLICY: {}}


class Snapshot:
    """Everybody and every policy. ``changed`` makes the next one; what did not change is shared."""

    __slots__ = ("_entries", "_links", "_names", "_rights", "revision")

    def __init__(self) -> None:
        self.revision = 0
        self._entries: Mapping[str, Mapping[str, Any]] = _EMPTY
        self._names: Mapping[tuple[str, str], str] = {}
        """Ids of users by owner and name."""
        self._links: Mapping[tuple[str, str], tuple[str, ...]] = {}
        """By kind of entry and id of a principal: the ids of the groups, roles, policies that name it."""
        self._rights: dict[str, Rights] = {}

    # ------------------------------------------------------------------ entries

    @property
    def users(self) -> Mapping[str, User]:
        """By id."""
        return self._entries[USER]

    @property
    def groups(self) -> Mapping[str, Group]:
        """By id."""
        return self._entries[GROUP]

    @property
    def roles(self) -> Mapping[str, Role]:
        """By id."""
        return self._entries[ROLE]

    @property
    def policies(self) -> Mapping[str, Policy]:
        """By id."""
        return self._entries[POLICY]

    def user_named(self, name: str, owner_name: str) -> User | None:
        """A user by its name and that of its owner; a main user or administrator is its own owner."""
        own = self._names.get(("", owner_name))
        if own is None:
            return None
        if name == owner_name:
            return self.users.get(own)
        return self.users.get(self._names.get((own, name), ""))

    def users_called(self, name: str) -> list[User]:
        """Every user of a name, whoever owns it; main users first."""
        found = [user for user in self.users.values() if user.name == name]
        return sorted(found, key=lambda user: (user.owner != "", user.created_ms))

    def principal(self, id: str) -> User | Group | None:
        """A user or a group."""
        return self.users.get(id) or self.groups.get(id)

    # ------------------------------------------------------------------ who belongs to what

    def groups_of(self, user: str) -> tuple[str, ...]:
        """Ids of the groups that a user is in."""
        return self._links.get((GROUP, user), ())

    def roles_of(self, principal: str) -> tuple[str, ...]:
        """Ids of the roles that a user or group has by itself."""
        return self._links.get((ROLE, principal), ())

    def policies_of(self, principal: str) -> list[Policy]:
        """The policies that name a principal itself."""
        return [self.policies[id] for id in self._links.get((POLICY, principal), ())]

    def default_policy(self, principal: str) -> Policy | None:
        """The policy that what a principal creates is added to."""
        return next((policy for policy in self.policies_of(principal) if policy.default), None)

    def everything_of(self, principal: str) -> tuple[str, ...]:
        """All that a principal is: itself, its groups, the roles of both."""
        own = (principal, *self.groups_of(principal))
        return (*own, *dict.fromkeys(role for each in own for role in self.roles_of(each)))

    def rights(self, principal: str) -> Rights:
        """What a principal may do; of nobody's id, nothing."""
        found = self._rights.get(principal)
        if found is None:
            user = self.users.get(principal)
            known = user is not None or principal in self.groups or principal == ANONYMOUS
            policies = (
                {p.id: p for each in self.everything_of(principal) for p in self.policies_of(each)} if known else {}
            )
            everything = user is not None and user.rank == ADMINISTRATOR
            found = self._rights[principal] = Rights(policies.values(), everything=everything)
        return found

    # ------------------------------------------------------------------ the next one

    def changed(self, revision: int, changes: Iterable[tuple[str, str, Entry | None]]) -> Snapshot:
        """The directory after changes: kind, id, and the entry as it is now (None: gone)."""
        entries = {kind: self._entries[kind] for kind in _EMPTY}
        touched: dict[str, dict[str, Any]] = {}
        names, links = dict(self._names), dict(self._links)
        for kind, id, after in changes:
            if kind not in touched:
                touched[kind] = dict(entries[kind])
                entries[kind] = touched[kind]
            before = touched[kind].pop(id, None)
            if before is not None:
                _unlink(names, links, kind, before)
            if after is not None:
                touched[kind][id] = after
                _link(names, links, kind, after)
        next_one = Snapshot()
        next_one.revision = revision
        next_one._entries, next_one._names, next_one._links = entries, names, links
        return next_one


def _named(kind: str, entry: Any) -> tuple[str, ...]:
    """The principals that an entry names."""
    if kind == GROUP:
        return tuple(entry.members)
    if kind == ROLE:
        return (*entry.users, *entry.groups)
    return tuple(entry.principals) if kind == POLICY else ()


def _link(
    names: dict[tuple[str, str], str], links: dict[tuple[str, str], tuple[str, ...]], kind: str, entry: Any
) -> None:
    if kind == USER:
        names.setdefault((entry.owner, entry.name), entry.id)
    for principal in dict.fromkeys(_named(kind, entry)):
        links[kind, principal] = (*links.get((kind, principal), ()), entry.id)


def _unlink(
    names: dict[tuple[str, str], str], links: dict[tuple[str, str], tuple[str, ...]], kind: str, entry: Any
) -> None:
    if kind == USER and names.get((entry.owner, entry.name)) == entry.id:
        del names[entry.owner, entry.name]
    for principal in dict.fromkeys(_named(kind, entry)):
        left = tuple(id for id in links[kind, principal] if id != entry.id)
        if left:
            links[kind, principal] = left
        else:
            del links[kind, principal]
