"""The authority over the one directory: who a credential proves, and whether that principal may do something.

The path of every call: a token that was looked at before is known from a dictionary, and so is a decision. Both are forgotten
when the directory changes. Passwords are checked in a thread; whoever asks meanwhile is told to ask again (``Undecided``).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final

from polaris_bridge.core.auth.directory import Directory
from polaris_bridge.core.auth.ownership import Ownership
from polaris_bridge.core.auth.rights import NO_LABELS
from polaris_bridge.core.auth.values import ACCOUNTS, ANONYMOUS, CONFIG_GROUP, NAMESPACE, SERVICE, Group, User
from polaris_bridge.core.config.model import GroupKey
from polaris_bridge.core.errors import Throttled, TokenDisabled, TokenReplaced
from polaris_bridge.core.model import ServiceKey
from polaris_bridge.core.ports import Credential, Resource, Undecided
from polaris_bridge.core.registry import Registry

from .passwords import Passwords
from .tokens import Tokens, same
from .tries import Tries

MAX_KEPT: Final = 50_000
"""Decisions and tokens that are remembered."""
WRONG_S: Final = 10.0
"""How long a wrong password is known to be wrong, so that whoever asks again is answered."""

FUNCTIONS: Final[Mapping[str, str]] = {
    "service:read": "DiscoverInstances",
    "registration:write": "RegisterInstance",
    "server:read": "DescribeServices",
    "Heartbeat": "RegisterInstance",
}
"""Operations that policies know under another name. Whoever may register may say that it lives."""
FREE: Final = frozenset({"ReportClient", "DescribeReportClients", "DescribeServerFunctions"})
"""What everybody may do who shows nothing wrong, as in the original. Prometheus finds its targets by the second."""

NOTHING: Final = Resource("")


class Judge:
    """The one authority. Its doors are ``Door``s; it is itself the strict one."""

    def __init__(
        self,
        registry: Registry,
        directory: Directory,
        tokens: Tokens,
        passwords: Passwords,
        tries: Tries,
        ownership: Ownership | None = None,
    ) -> None:
        self._registry = registry
        self.directory = directory
        self._tokens = tokens
        self._passwords = passwords
        self._tries = tries
        self._ownership = ownership
        self._shown: dict[str, str] = {}
        """Tokens that counted, and whom they prove."""
        self._decisions: dict[tuple[Any, ...], bool] = {}
        self._wrong: dict[bytes, float] = {}
        self._checking: dict[bytes, list[Callable[[], None]]] = {}
        self._secret = secrets.token_bytes(32)
        directory.followers.append(self.forget)

    def forget(self) -> None:
        """The directory changed."""
        self._shown = {}
        self._decisions = {}

    # ------------------------------------------------------------------ who

    def authenticate(self, credential: Credential) -> str | None:
        """See ``Authority``."""
        if credential.token:
            return self._bearer(credential.token)
        if credential.name or credential.password:
            return self._named(credential)
        return ""

    def _bearer(self, token: str) -> str | None:
        found = self._shown.get(token)
        if found is not None:
            return found
        whose = self._tokens.read(token)
        if whose is None:
            return None
        kind, id = whose
        snapshot = self.directory.snapshot
        entry: User | Group | None = snapshot.users.get(id) if kind is User else snapshot.groups.get(id)
        if entry is None or not entry.token:
            return None
        if not same(token, entry.token):
            raise TokenReplaced(f"the token of {entry.name} was replaced")
        if not entry.token_enabled:
            raise TokenDisabled(f"the token of {entry.name} is switched off")
        if len(self._shown) >= MAX_KEPT:
            self._shown.clear()
        self._shown[token] = entry.id
        return entry.id

    def _named(self, credential: Credential) -> str | None:
        """A name with its password, or any name with a token for a password."""
        password = credential.password
        if password in self._shown or self._tokens.read(password) is not None:
            try:
                found = self._bearer(password)
            except TokenReplaced:
                return None
            if found is not None:
                return found
        user = self._meant(credential.name)
        hashed = "" if user is None else user.password
        if user is not None and self._passwords.known(hashed, password):
            if not user.token_enabled:
                raise TokenDisabled(f"{user.name} is switched off")
            return user.id
        digest = self._digest(credential, hashed)
        until = self._wrong.get(digest)
        if until is not None and until > self._registry.clock.monotonic():
            return None
        if digest not in self._checking and self._tries.blocked(credential.name, credential.address):
            raise Throttled("too many failed tries")
        raise Undecided(lambda again: self._check(digest, hashed, credential, again))

    def _meant(self, name: str) -> User | None:
        """The user of a name. ``owner/name`` says which sub user; a name alone has to be unique among those without owner,
        then among all."""
        snapshot = self.directory.snapshot
        owner, slash, own = name.partition("/")
        if slash:
            return snapshot.user_named(own, owner)
        found = snapshot.user_named(name, name)
        if found is not None:
            return found
        called = snapshot.users_called(name)
        return called[0] if len(called) == 1 else None

    def _check(self, digest: bytes, hashed: str, credential: Credential, again: Callable[[], None]) -> None:
        waiting = self._checking.get(digest)
        if waiting is not None:
            waiting.append(again)
            return
        waiting = self._checking[digest] = [again]

        def done(right: bool) -> None:
            del self._checking[digest]
            if right:
                self._tries.succeeded(credential.name, credential.address)
            else:
                self._tries.failed(credential.name, credential.address)
                if len(self._wrong) >= MAX_KEPT:
                    self._wrong.clear()
                self._wrong[digest] = self._registry.clock.monotonic() + WRONG_S
            for each in waiting:
                each()

        try:
            self._passwords.check(hashed, credential.password, done)
        except BaseException:
            del self._checking[digest]
            raise

    def _digest(self, credential: Credential, hashed: str) -> bytes:
        text = f"{credential.name}\0{credential.address}\0{hashed}\0{credential.password}"
        return hmac.digest(self._secret, text.encode("utf-8", "surrogatepass"), hashlib.sha256)

    # ------------------------------------------------------------------ may

    def allow(self, principal: str, operation: str, resource: Resource) -> bool:
        """See ``Authority``."""
        if operation in FREE:
            return True
        function = FUNCTIONS.get(operation, operation)
        rights = self.directory.snapshot.rights(principal or ANONYMOUS)
        if rights.everything:
            return True
        resource = self._effective(resource, function)
        labels = self._labels(resource) if rights.labelled else NO_LABELS
        key = (principal, function, resource, *sorted(labels.items())) if labels else (principal, function, resource)
        decision = self._decisions.get(key)
        if decision is None:
            decision = rights.allow(function, resource, labels)
            if len(self._decisions) >= MAX_KEPT:
                self._decisions.clear()
            self._decisions[key] = decision
        if not decision and self._ownership is not None:
            return self._ownership.owns(principal, resource)
        return decision

    @property
    def revision(self) -> int:
        """See ``Overseer``."""
        return self.directory.snapshot.revision

    def oversees(self, principal: str, operation: str) -> bool:
        """See ``Overseer``."""
        return self.directory.snapshot.rights(principal or ANONYMOUS).oversees(FUNCTIONS.get(operation, operation))

    def _effective(self, resource: Resource, function: str) -> Resource:
        """What a decision is about: what is not there yet is something in its namespace; a new namespace is nothing."""
        kind = resource.kind
        if kind == SERVICE:
            if self._registry.ledger.service(ServiceKey(resource.namespace, resource.name)).record is not None:
                return Resource(SERVICE, resource.namespace, resource.name)
            return self._namespace(resource.namespace)
        if kind == NAMESPACE:
            return self._namespace(resource.namespace or resource.name)
        if kind == CONFIG_GROUP:
            group = self._registry.config.reading.group(GroupKey(resource.namespace, resource.name))
            if group is None:
                return self._namespace(resource.namespace)
            return Resource(CONFIG_GROUP, resource.namespace, resource.name, str(group.id))
        if not kind or kind in ACCOUNTS:
            return resource
        document = self._registry.documents.newest(kind, resource.id) if resource.id else None
        if document is None:
            return self._namespace(resource.namespace)
        return Resource(kind, document.namespace, document.name, document.id)

    def _namespace(self, name: str) -> Resource:
        if not name or self._registry.ledger.namespace(name) is None:
            return NOTHING
        return Resource(NAMESPACE, name, name, name)

    def _labels(self, resource: Resource) -> Mapping[str, str]:
        """The metadata that a resource has now."""
        match resource.kind:
            case "service":
                record = self._registry.snapshot(ServiceKey(resource.namespace, resource.name)).record
                return NO_LABELS if record is None else record.metadata
            case "namespace":
                found = self._registry.ledger.namespaces.get(resource.namespace)
                return NO_LABELS if found is None else found.metadata
            case "config_group":
                group = self._registry.config.reading.group(GroupKey(resource.namespace, resource.name))
                return NO_LABELS if group is None else group.metadata
            case "user" | "user_group" | "role" | "auth_policy":
                snapshot = self.directory.snapshot
                lists: tuple[Mapping[str, Any], ...] = (
                    snapshot.users,
                    snapshot.groups,
                    snapshot.roles,
                    snapshot.policies,
                )
                entry = next((each[resource.id] for each in lists if resource.id in each), None)
                return NO_LABELS if entry is None else entry.metadata
        return NO_LABELS


class Lenient:
    """A door where whoever shows nothing true is nobody in particular, instead of being sent away."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    def authenticate(self, credential: Credential) -> str | None:
        """See ``Authority``."""
        try:
            return self._judge.authenticate(credential) or ""
        except TokenReplaced:
            return ""

    def allow(self, principal: str, operation: str, resource: Resource) -> bool:
        """See ``Authority``."""
        return self._judge.allow(principal, operation, resource)

    @property
    def revision(self) -> int:
        """See ``Overseer``."""
        return self._judge.revision

    def oversees(self, principal: str, operation: str) -> bool:
        """See ``Overseer``."""
        return self._judge.oversees(principal, operation)
