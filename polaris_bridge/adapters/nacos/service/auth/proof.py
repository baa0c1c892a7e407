"""Access tokens and whom they prove: the signing key, what is issued, and what was verified lately.

Deleting or switching off a user ends its tokens, as everything does that changes the directory: they are verified anew.
"""

from __future__ import annotations

import secrets
from typing import Final

from msgspec import Struct

from polaris_bridge.adapters.nacos.settings import NacosSettings
from polaris_bridge.adapters.nacos.wire.tokens import EXPIRED, INVALID, MIN_KEY, BadToken, Signer, key_of
from polaris_bridge.core.auth.ports import Accounts
from polaris_bridge.core.auth.snapshot import Snapshot
from polaris_bridge.core.auth.values import User
from polaris_bridge.core.batches import SETTLED, Commit
from polaris_bridge.core.errors import Denied
from polaris_bridge.core.model import SYSTEM, Document
from polaris_bridge.core.ports import Authority, Credential
from polaris_bridge.core.registry import Registry

KEY_KIND: Final = "nacos-token-key"
KEY_ID: Final = "key"
MAX_KEPT: Final = 50_000
"""Tokens that are remembered."""


class Unproven(Struct, frozen=True, gc=False):
    """Why a token proves nothing."""

    text: str


class _Seen(Struct, frozen=True, gc=False):
    principal: str
    expires_s: int


class Proof:
    """The tokens of one server."""

    def __init__(
        self, registry: Registry, settings: NacosSettings, authority: Authority, accounts: Accounts | None
    ) -> None:
        """Raises ``ValueError`` for a key in the settings that is short or published."""
        self._registry = registry
        self._authority = authority
        self._accounts = accounts
        self._given = Signer(key_of(settings.token_key)) if settings.token_key else None
        self.ttl_s = settings.token_ttl_s
        self._stored: tuple[bytes, Signer] | None = None
        self._making: Commit | None = None
        self._seen: dict[str, _Seen] = {}
        self._state: Snapshot | None = None
        """The directory that ``_seen`` is about."""
        if settings.auth:
            self.ready()

    # ------------------------------------------------------------------ the key

    def ready(self) -> Commit:
        """When tokens can be signed: the key is in the store before anything is signed with it.

        Without one in the settings it is made at the first start, or at the first login when no credentials are demanded.
        """
        if self._signer() is not None:
            return SETTLED
        if self._making is None or self._making.done:
            documents = self._registry.documents
            made = documents.newest(KEY_KIND, KEY_ID)  # by another listener, and on its way into the store
            self._making = documents.put(made or Document(KEY_KIND, KEY_ID, body=secrets.token_bytes(MIN_KEY)), SYSTEM)
        return self._making

    def _signer(self) -> Signer | None:
        if self._given is not None:
            return self._given
        document = self._registry.documents.get(KEY_KIND, KEY_ID)
        if document is None or len(document.body) < MIN_KEY:
            return None
        if self._stored is None or self._stored[0] != document.body:
            self._stored = document.body, Signer(document.body)
        return self._stored[1]

    # ------------------------------------------------------------------ out

    def issue(self, principal: str, fallback: str) -> str | None:
        """A token for who proved a principal; None while there is no key. Groups have no name to sign: theirs is
        ``fallback``, the secret that was shown."""
        signer = self._signer()
        if signer is None:
            return None
        name = self.login_name(principal) if self._accounts is not None else principal
        if not name:
            return fallback
        return signer.sign(name, self._registry.clock.wall_ms() // 1000 + self.ttl_s)

    def left_s(self, token: str) -> int:
        """Seconds that a token which proved something still counts; those of the directory count as long as a new one."""
        seen = self._seen.get(token)
        if seen is None or seen.expires_s == _FOREVER:
            return self.ttl_s
        return max(0, seen.expires_s - self._registry.clock.wall_ms() // 1000)

    def login_name(self, principal: str) -> str:
        """The name that a user logs in with: its own, or ``owner/name`` when others have it too. Empty for other principals."""
        snapshot = self._snapshot()
        user = None if snapshot is None else snapshot.users.get(principal)
        if snapshot is None or user is None:
            return ""
        found = find_user(snapshot, user.name)
        if found is user:
            return user.name
        owner = snapshot.users.get(user.owner)
        return user.name if owner is None else f"{owner.name}/{user.name}"

    # ------------------------------------------------------------------ in

    def of_token(self, token: str, address: str) -> str | Unproven:
        """The principal that a token proves: an access token, or the token that the directory keeps for a user or group."""
        state = self._snapshot()
        if state is not self._state:
            self._seen, self._state = {}, state
        seen = self._seen.get(token)
        if seen is None:
            found = self._look(token, address)
            if isinstance(found, Unproven):
                return found
            if len(self._seen) >= MAX_KEPT:
                self._seen.clear()
            seen = self._seen[token] = found
        if seen.expires_s < self._registry.clock.wall_ms() // 1000:
            return Unproven(EXPIRED)
        return seen.principal

    def _look(self, token: str, address: str) -> _Seen | Unproven:
        if "." not in token:
            try:
                principal = self._authority.authenticate(Credential(token=token, address=address))
            except Denied:
                principal = None
            return _Seen(principal, _FOREVER) if principal else Unproven(INVALID)
        signer = self._signer()
        if signer is None:
            return Unproven(INVALID)
        try:
            claims = signer.read(token)
        except BadToken as error:
            return Unproven(str(error))
        snapshot = self._snapshot()
        if snapshot is None:
            return _Seen(claims.name, claims.expires_s)
        user = find_user(snapshot, claims.name)
        if user is None or not user.token_enabled:
            return Unproven(INVALID)
        return _Seen(user.id, claims.expires_s)

    def is_account(self, id: str) -> bool:
        """Whether a user or a group has this id."""
        snapshot = self._snapshot()
        return snapshot is not None and snapshot.principal(id) is not None

    def _snapshot(self) -> Snapshot | None:
        return None if self._accounts is None else self._accounts.directory.snapshot


_FOREVER: Final = 1 << 62


def find_user(snapshot: Snapshot, name: str) -> User | None:
    """The user whom a login name means, as everywhere: ``owner/name`` says which; a name alone is that of a user without owner,
    or of the only one who has it."""
    owner, slash, own = name.partition("/")
    if slash:
        return snapshot.user_named(own, owner)
    found = snapshot.user_named(name, name)
    if found is not None:
        return found
    called = snapshot.users_called(name)
    return called[0] if len(called) == 1 else None
