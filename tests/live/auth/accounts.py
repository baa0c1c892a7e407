"""Users, tokens and policies as an administrator makes them, over the console's API."""

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

    def allow(self, user: User, functions: tuple[str, ...]) -> None:
        """These functions in the namespace default, by a policy of its own."""
        policy: Document = {
            "name": f"live-{next(_numbers)}",
            "action": "ALLOW",
            "principals": {"users": [{"id": user.id}]},
            "functions": list(functions),
            "resources": {"namespaces": [{"id": "default"}]},
        }
        answer = self._console.post("/core/v1/auth/strategy", policy)
        assert answer["code"] == SUCCESS, answer

    def refresh(self, user: User) -> User:
        """The user with a new token, which ends the old one."""
        self._put("/core/v1/user/token/refresh", {"id": user.id})
        return User(user.id, user.name, self._token(user.id))

    def enable(self, user: User, enabled: bool) -> None:
        """Switches the token on or off."""
        self._put("/core/v1/user/token/status", {"id": user.id, "token_enable": enabled})

    def _token(self, user_id: str) -> str:
        return str(self._console.read("/core/v1/user/token", id=user_id)["user"]["auth_token"])

    def _put(self, path: str, item: Document) -> None:
        answer = self._http.put(path, json=item).json()
        assert answer["code"] == SUCCESS, (path, item, answer)
