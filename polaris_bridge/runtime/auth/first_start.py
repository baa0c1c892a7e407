"""The accounts of a new installation: an administrator whose password nobody else knows, or, when asked for, the one that
PolarisMesh ships and everybody knows.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from polaris_bridge.core.auth.directory import Directory, default_name
from polaris_bridge.core.auth.values import (
    ALLOW,
    ANY,
    CONFIG_GROUP,
    GROUP,
    MAIN,
    NAMESPACE,
    POLICY,
    ROLE,
    SERVICE,
    USER,
    Grant,
    Policy,
    User,
)
from polaris_bridge.core.batches import Commit
from polaris_bridge.core.model import SYSTEM

from .tokens import Tokens

ADMINISTRATOR: Final = "polaris"
PASSWORD_FILE: Final = "initial-password"
PASSWORD_LENGTH: Final = 16

SEEDED: Final = User(
    id="65e4789a6d5b49669adf1e9e8387549c",
    name="polaris",
    rank=MAIN,
    password="$2b$10$zx5BIprRX4F2sU2xZqtYNOTg./dCyF34FXZ0.CcEnMuBPQwbkQvDy",
    token="nu/0WRA4EqSR1FagrjRj0fZwPXuGlMpX+zCuWu4uMqy8xr1vRjisSbA25aAC3mtU8MeeRsKhQiDAynUR09I=",
)
"""The user that standalone PolarisMesh 1.17 to 1.19 begins with; its password is its name."""

_SEEDED_POLICY: Final = "fbca9bfa04ae4ead86e1ecf5811e32a9"
_READ_POLICY: Final = "bfa04ae1e32a94fbca9ead86e1ecf581"
_WRITE_POLICY: Final = "e3d86e1ecf5812bfa04ae1a94fbca9ea"

_RULES: Final = (
    "routing", "rate_limit", "circuit_breaker", "fault_detect", "lane", "lossless", "block_allow", "traffic_mirroring",
    "fault_injection",
)  # fmt: skip
EVERYTHING: Final = tuple(
    Grant(kind, ANY) for kind in (NAMESPACE, SERVICE, CONFIG_GROUP, *_RULES, USER, GROUP, ROLE, POLICY)
)


def random_password() -> str:
    """Letters and digits, about 95 bits."""
    letters = string.ascii_letters + string.digits
    return "".join(secrets.choice(letters) for _ in range(PASSWORD_LENGTH))


def is_empty(directory: Directory) -> bool:
    """Whether nobody has an account."""
    return not directory.snapshot.users


def knows_seeded(directory: Directory) -> bool:
    """Whether the account that everybody knows is there with its public token or password."""
    user = directory.snapshot.users.get(SEEDED.id)
    return user is not None and (user.token == SEEDED.token or user.password == SEEDED.password)


def seed(directory: Directory) -> Commit | None:
    """Create the original's user and policies. None when they are there."""
    if SEEDED.id in directory.snapshot.users:
        return None
    return _create(directory, SEEDED, _SEEDED_POLICY)


def create_administrator(directory: Directory, tokens: Tokens, hashed: str) -> Commit:
    """Create the first administrator."""
    id = directory.unique()
    user = User(id=id, name=ADMINISTRATOR, rank=MAIN, password=hashed, token=tokens.make(User, id), source="Polaris")
    return _create(directory, user, directory.unique())


def _create(directory: Directory, user: User, policy: str) -> Commit:
    with directory.transaction() as commit:
        directory.put(user, SYSTEM)
        for each in _policies(user, policy):
            if directory.newest(Policy, each.id) is None:
                directory.put(each, SYSTEM)
    return commit


def _policies(user: User, own: str) -> Iterator[Policy]:
    """What the original's installations begin with."""
    yield Policy(
        id=own,
        name=default_name(user),
        owner=user.id,
        effect=ALLOW,
        word="READ_WRITE",
        default=True,
        comment="default admin",
        functions=(ANY,),
        users=(user.id,),
        grants=EVERYTHING,
    )
    yield Policy(
        id=_READ_POLICY,
        name="全局只读策略",
        owner=user.id,
        comment="every resource, reading only",
        functions=("Describe*", "List*", "Get*"),
        grants=EVERYTHING,
    )
    yield Policy(
        id=_WRITE_POLICY,
        name="全局读写策略",
        owner=user.id,
        comment="every resource, reading and writing",
        functions=(ANY,),
        grants=EVERYTHING,
    )


def write_password(data: Path, password: str) -> Path:
    """Keep a password in a file that only this user can read."""
    path = data / PASSWORD_FILE
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(f"{ADMINISTRATOR} {password}\n")
    return path
