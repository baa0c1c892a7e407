"""What the directory holds: users, groups, roles and policies, each kept as a document of the core.

Secrets (password hashes, tokens) stand in these values because something has to keep them; their ``repr`` leaves them out.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct, structs

from polaris_bridge.core.model import Document

ADMINISTRATOR: Final = "admin"
MAIN: Final = "main"
SUB: Final = "sub"
"""Ranks. An administrator may do everything; a main user owns sub users; a sub user may do what policies say."""

ALLOW: Final = "allow"
DENY: Final = "deny"
READ: Final = "read"
"""Effects of policies. READ allows operations that only look."""

ANY: Final = "*"
"""Every function, every resource of a kind."""
ANONYMOUS: Final = "__anonymous__"
"""The id under which policies speak of callers who showed nothing."""

NAMESPACE: Final = "namespace"
SERVICE: Final = "service"
CONFIG_GROUP: Final = "config_group"
USER: Final = "user"
GROUP: Final = "user_group"
ROLE: Final = "role"
POLICY: Final = "auth_policy"
ACCOUNTS: Final = frozenset({USER, GROUP, ROLE, POLICY})
"""Kinds of resources that are entries of the directory itself."""


class User(Struct, frozen=True, gc=False, omit_defaults=True):
    """An account of a person or a program. Names are unique below one owner."""

    id: str
    name: str
    rank: str = SUB
    owner: str = ""
    """Id of the main user that it belongs to; empty for main users and administrators."""
    password: str = ""
    """A bcrypt hash; empty: nobody can log in with a password."""
    token: str = ""
    token_enabled: bool = True
    source: str = ""
    comment: str = ""
    mobile: str = ""
    email: str = ""
    metadata: dict[str, str] = {}
    created_ms: int = 0
    updated_ms: int = 0

    def __repr__(self) -> str:
        """Without secrets."""
        return f"User({self.id!r}, {self.name!r}, {self.rank!r})"


class Group(Struct, frozen=True, gc=False, omit_defaults=True):
    """Users who have rights in common, and a token that stands for just these rights."""

    id: str
    name: str
    owner: str = ""
    token: str = ""
    token_enabled: bool = True
    source: str = ""
    comment: str = ""
    metadata: dict[str, str] = {}
    members: tuple[str, ...] = ()
    """Ids of users."""
    created_ms: int = 0
    updated_ms: int = 0

    def __repr__(self) -> str:
        """Without secrets."""
        return f"Group({self.id!r}, {self.name!r})"


class Role(Struct, frozen=True, gc=False, omit_defaults=True):
    """Rights that users and groups are given together, under a name."""

    id: str
    name: str
    owner: str = ""
    source: str = ""
    comment: str = ""
    default: bool = False
    metadata: dict[str, str] = {}
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    created_ms: int = 0
    updated_ms: int = 0


class Grant(Struct, frozen=True, gc=False, omit_defaults=True, array_like=True):
    """A resource that a policy speaks of: all of a kind (``id`` is ``*``), one by its id, or one by namespace and name.

    What is granted on a namespace holds for everything in it.
    """

    kind: str
    id: str = ""
    namespace: str = ""
    name: str = ""


class Condition(Struct, frozen=True, gc=False, array_like=True):
    """A label that a resource must have: ``compare`` is a key of ``rights.COMPARISONS``."""

    key: str
    value: str
    compare: str


class Policy(Struct, frozen=True, gc=False, omit_defaults=True):
    """Principals × functions × resources, with an effect. No function named means all of them."""

    id: str
    name: str
    owner: str = ""
    effect: str = ALLOW
    word: str = ""
    """How its maker wrote the effect, where several words mean the same."""
    default: bool = False
    """Made with its one principal, ends with it; what the principal creates is added to it."""
    comment: str = ""
    source: str = ""
    metadata: dict[str, str] = {}
    functions: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    grants: tuple[Grant, ...] = ()
    conditions: tuple[Condition, ...] = ()
    """All of them must hold; resources that ``grants`` name need not fulfil them."""
    created_ms: int = 0
    updated_ms: int = 0

    @property
    def principals(self) -> tuple[str, ...]:
        """The ids of all that it speaks of."""
        return (*self.users, *self.groups, *self.roles)


Entry = User | Group | Role | Policy
E = TypeVar("E", User, Group, Role, Policy)

KINDS: Final[dict[str, type[Any]]] = {USER: User, GROUP: Group, ROLE: Role, POLICY: Policy}
KIND_OF: Final[dict[type[Any], str]] = {entry: kind for kind, entry in KINDS.items()}
"""Which kind of document an entry is kept as."""

_encoder = msgspec.msgpack.Encoder(order="deterministic")
_decoders = {kind: msgspec.msgpack.Decoder(entry) for kind, entry in KINDS.items()}


def to_document(entry: Entry) -> Document:
    """The document that keeps an entry. Its times are those that the documents stamp."""
    body = _encoder.encode(structs.replace(entry, created_ms=0, updated_ms=0))
    return Document(KIND_OF[type(entry)], entry.id, name=entry.name, body=body)


def from_document(document: Document) -> Any:
    """The entry in a document. Raises ``msgspec.ValidationError`` or ``DecodeError`` for what is none."""
    entry = _decoders[document.kind].decode(document.body)
    return structs.replace(entry, created_ms=document.created_ms, updated_ms=document.updated_ms)
