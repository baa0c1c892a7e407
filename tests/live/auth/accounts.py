"""Users, groups, roles, tokens and policies as an administrator makes them, over the console's API."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import httpx

from ..polaris.console import SUCCESS, TOKEN, Console, Document

PASSWORD = "secret-1"
READING = ("Discover*",)
WRITING = ("RegisterInstance", "DeregisterInstance")

_numbers = itertools.count(1)


@dataclass(frozen=True)
class User:
    """A user of the main user."""

    id: str
    name: str
    token: str


@dataclass(frozen=True)
class Group:
    """A group of users, with a token of its own."""

    id: str
    token: str


@dataclass(frozen=True)
class Role:
    """What users and groups can have."""

    id: str


_PRINCIPALS = {User: "users", Group: "groups", Role: "roles"}


class Accounts:
    """What the main user does. ``url`` is ``http://host:port`` of the console."""

    def __init__(self, url: str, console: Console) -> None:
        self._console = console
        self._http = httpx.Client(base_url=url, timeout=10, headers={"X-Polaris-Token": TOKEN})

    def close(self) -> None:
        self._http.close()

    def create(self) -> User:
        """A user without any right."""
        name = f"live-{next(_numbers)}"
        made = self._console.write("POST", "/core/v1/users", {"name": name, "password": PASSWORD, "source": "live"})
        user_id = str(made[0]["user"]["id"])
        return User(user_id, name, self._token(user_id))

    def group(self) -> Group:
        """A group without members and without any right."""
        answer = self._console.post("/core/v1/usergroup", {"name": f"live-{next(_numbers)}"})
        assert answer["code"] == SUCCESS, answer
        group_id = str(answer["userGroup"]["id"])
        token = self._console.read("/core/v1/usergroup/token", id=group_id)["userGroup"]["auth_token"]
        return Group(group_id, str(token))

    def join(self, group: Group, user: User) -> None:
        """Makes the user a member."""
        self._put_each("/core/v1/usergroups", {"id": group.id, "add_relations": {"users": [{"id": user.id}]}})

    def leave(self, group: Group, user: User) -> None:
        """Makes it none."""
        self._put_each("/core/v1/usergroups", {"id": group.id, "remove_relations": {"users": [{"id": user.id}]}})

    def delete_group(self, group: Group) -> None:
        self._console.write("POST", "/core/v1/usergroups/delete", {"id": group.id})

    def role(self) -> Role:
        """A role that nobody has."""
        role = Role(f"live-role-{next(_numbers)}")
        self._console.write("POST", "/core/v1/roles", {"id": role.id, "name": role.id})
        return role

    def give(self, role: Role, *holders: User | Group) -> None:
        """The role is had by these and nobody else."""
        users = [{"id": one.id} for one in holders if isinstance(one, User)]
        groups = [{"id": one.id} for one in holders if isinstance(one, Group)]
        self._put_each("/core/v1/roles", {"id": role.id, "name": role.id, "users": users, "user_groups": groups})

    def delete_role(self, role: Role) -> None:
        self._console.write("POST", "/core/v1/roles/delete", {"id": role.id})

    def allow(self, whom: User | Group | Role, functions: tuple[str, ...], service: str = "") -> str:
        """These functions in the namespace default, or with one service of it, by a policy of its own; the policy's id."""
        resources: Document = {"namespaces": [{"id": "default"}]}
        if service:
            found = self._console.read("/naming/v1/services", namespace="default", name=service)["services"]
            resources = {"services": [{"id": found[0]["id"]}]}
        policy: Document = {
            "name": f"live-{next(_numbers)}",
            "action": "ALLOW",
            "principals": {_PRINCIPALS[type(whom)]: [{"id": whom.id}]},
            "functions": list(functions),
            "resources": resources,
        }
        answer = self._console.post("/core/v1/auth/strategy", policy)
        assert answer["code"] == SUCCESS, answer
        return str(answer["authStrategy"]["id"])

    def delete_policy(self, policy: str) -> None:
        self._console.write("POST", "/core/v1/auth/strategies/delete", {"id": policy})

    def refresh(self, user: User) -> User:
        """The user with a new token, which ends the old one."""
        self._put("/core/v1/user/token/refresh", {"id": user.id})
        return User(user.id, user.name, self._token(user.id))

    def enable(self, user: User, enabled: bool) -> None:
        """Switches the token on or off."""
        self._put("/core/v1/user/token/status", {"id": user.id, "token_enable": enabled})

    def _token(self, user_id: str) -> str:
        return str(self._console.read("/core/v1/user/token", id=user_id)["user"]["auth_token"])

    def _put_each(self, path: str, item: Document) -> None:
        self._console.write("PUT", path, item)

    def _put(self, path: str, item: Document) -> None:
        answer = self._http.put(path, json=item).json()
        assert answer["code"] == SUCCESS, (path, item, answer)
