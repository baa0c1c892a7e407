"""Puts access control together from the configuration: the directory, its judge, the doors, the first account."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from polaris_bridge.core.auth.directory import Directory
from polaris_bridge.core.auth.ownership import Ownership
from polaris_bridge.core.auth.ports import Accounts, Doors
from polaris_bridge.core.batches import Commit
from polaris_bridge.core.ports import Authority, OpenDoor
from polaris_bridge.core.registry import Registry

from . import first_start
from .judge import Judge, Lenient
from .passwords import Passwords, Post, hash_now
from .tokens import Tokens
from .tries import Tries

log = logging.getLogger(__name__)


class AccessSettings(Struct, frozen=True, kw_only=True):
    """The section ``auth`` of the configuration file."""

    salt: str = "polarismesh@2021"
    seed_default_admin: bool = False
    initial_password: str = ""
    console_open: bool = False
    """Whether calls of consoles and scripts are judged."""
    console_strict: bool = True
    client_open: bool = False
    """Whether calls of SDKs are judged."""
    client_strict: bool = False
    asked_elsewhere: bool = False
    """Whether a port of another protocol asks for credentials."""


class Access:
    """Access control of one server. Made when the registry is loaded."""

    def __init__(
        self,
        registry: Registry,
        settings: AccessSettings,
        *,
        unique: Callable[[], str],
        post: Post,
        owned: frozenset[str],
    ) -> None:
        """``owned``: kinds of documents that belong to who made them. Raises ``ValueError`` for a salt that is no key, and
        for a directory that cannot be read."""
        self._settings = settings
        self._registry = registry
        self._tokens = Tokens(settings.salt)
        monotonic = registry.clock.monotonic
        self._passwords = Passwords(post, monotonic)
        self.directory = Directory(registry, unique)
        judged = settings.console_open or settings.client_open
        owners_matter = judged or settings.asked_elsewhere
        ownership = Ownership(registry, self.directory, owned) if owners_matter else None
        tries = Tries(monotonic)
        judge = Judge(registry, self.directory, self._tokens, self._passwords, tries, ownership)
        self.doors = Doors(
            console=_door(judge, settings.console_open, settings.console_strict),
            client=_door(judge, settings.client_open, settings.client_strict),
            strict=judge,
        )
        switches = {
            "auth": judged,
            "clientOpen": settings.client_open,
            "consoleOpen": settings.console_open,
        }
        self.accounts = Accounts(self.directory, judge, self._tokens, self._passwords, tries, switches)

    async def begin(self, data: Path | None) -> list[str]:
        """Make sure that there is an account. Returns what has to be said to whoever starts the server."""
        said = []
        settings = self._settings
        if settings.seed_default_admin:
            await _durable(first_start.seed(self.directory))
        elif first_start.is_empty(self.directory):
            password = settings.initial_password or first_start.random_password()
            hashed = await asyncio.to_thread(hash_now, password)
            await _durable(first_start.create_administrator(self.directory, self._tokens, hashed))
            if not settings.initial_password:
                said.append(self._tell(password, data))
        if first_start.knows_seeded(self.directory):
            said.append(
                "WARNING: the user polaris has the password or the token that PolarisMesh ships: everybody knows them "
                "(auth.user.option.seedDefaultAdmin)"
            )
            log.warning(said[-1])
        return said

    def _tell(self, password: str, data: Path | None) -> str:
        text = f"first start: the administrator is {first_start.ADMINISTRATOR}, password {password}"
        if data is None:
            return text
        try:
            return f"{text} (kept in {first_start.write_password(data, password)}, delete it when you have read it)"
        except OSError as error:
            return f"{text} (could not be kept in a file: {error})"

    def close(self) -> None:
        """Let go of the threads."""
        self._passwords.close()


def _door(judge: Judge, judged: bool, strict: bool) -> Authority:
    if not judged:
        return OpenDoor()
    return judge if strict else Lenient(judge)


async def _durable(commit: Commit | None) -> None:
    """Wait until a command is in the store. Raises why it is not."""
    if commit is None:
        return
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def settled(error: Exception | None) -> None:
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    commit.then(settled)
    await done
