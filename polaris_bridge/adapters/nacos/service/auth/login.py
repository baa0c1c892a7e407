"""Logging in: an access token for a name and a password. Answered whether or not the listener asks for credentials."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from polaris_bridge.adapters.nacos.service.admission import NOBODY, Admission, Shown
from polaris_bridge.adapters.nacos.translate.auth import is_admin
from polaris_bridge.adapters.nacos.wire.messages import Refused
from polaris_bridge.core.auth.ports import Accounts
from polaris_bridge.core.auth.records import tell_refusal
from polaris_bridge.core.batches import Commit
from polaris_bridge.core.errors import Denied
from polaris_bridge.core.model import Caller
from polaris_bridge.core.ports import Authority, Credential, Resource
from polaris_bridge.core.registry import Registry

from .desk import Failed
from .proof import Proof, Unproven, find_user

_ACCESS_DENIED: Final = 10001


class Granted(Struct, frozen=True, rename="camel"):
    """The answer to a login."""

    access_token: str
    token_ttl: int
    global_admin: bool
    username: str


class Rejected(Refused):
    """A login that fails: the bare text, not the container's page."""

    def __init__(self, text: str = NOBODY) -> None:
        super().__init__(403, _ACCESS_DENIED, text)


class Login:
    """Gives tokens."""

    def __init__(
        self, registry: Registry, admission: Admission, authority: Authority, accounts: Accounts | None
    ) -> None:
        """``authority`` without ``accounts``: nobody keeps accounts, it judges names by itself."""
        self._registry = registry
        self._proof: Proof = admission.proof
        self._authority = authority if accounts is None else accounts.judge
        self._accounts = accounts

    def ready(self) -> Commit:
        """Done when tokens can be given; until then ``login`` must not be called."""
        return self._proof.ready()

    def login(self, shown: Shown | None, caller: Caller) -> Granted:
        """A token for who shows a password, or the same one again for who shows a token.

        As on Nacos 2.5.1 a wrong password is 403 ``user not found!`` and an unknown name 500. Raises ``Throttled``, and
        ``Undecided`` while the password is being checked.
        """
        if shown is None:
            raise self._told(Rejected(), "", caller)
        if shown.token:
            return self._again(shown, caller)
        if not shown.name or not shown.password:
            raise self._told(Rejected(), shown.name, caller)
        try:
            principal = self._authority.authenticate(Credential(shown.name, shown.password, address=shown.address))
        except Denied:
            principal = None
        if not principal:
            accounts = self._accounts
            known = accounts is None or find_user(accounts.directory.snapshot, shown.name) is not None
            raise self._told(Rejected() if known else Failed(f"User {shown.name} not found"), shown.name, caller)
        token = self._proof.issue(principal, shown.password)
        if token is None:
            raise Failed("there is no key to sign tokens with")
        return self._granted(token, self._proof.ttl_s, principal, shown.name)

    def _again(self, shown: Shown, caller: Caller) -> Granted:
        found = self._proof.of_token(shown.token, shown.address)
        if isinstance(found, Unproven):
            raise self._told(Rejected(found.text), "", caller)
        return self._granted(shown.token, self._proof.left_s(shown.token), found, found)

    def _granted(self, token: str, ttl_s: int, principal: str, name: str) -> Granted:
        if self._accounts is None:
            return Granted(token, ttl_s, True, principal)
        user = self._accounts.directory.snapshot.users.get(principal)
        if user is None:
            return Granted(token, ttl_s, False, name)
        return Granted(token, ttl_s, is_admin(user), self._proof.login_name(principal))

    def _told(self, error: Refused, name: str, caller: Caller) -> Refused:
        tell_refusal(self._registry, caller, "Login", Resource("user", "", name), Denied(error.text))
        return error
