"""Who may do what, over HTTP and gRPC alike: every call passes here with what its client showed.

Texts and codes as in Nacos 2.5.1. With the listener's ``auth`` off everybody comes in and nothing is looked at; the calls about
accounts need a right all the same. Unlike on the real server what changes in the directory counts at once.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Final, Literal

from msgspec import Struct, structs

from polaris_bridge.adapters.nacos.settings import NacosSettings
from polaris_bridge.adapters.nacos.translate.names import Spaces
from polaris_bridge.adapters.nacos.wire.messages import Refused
from polaris_bridge.core.auth.ports import Accounts, Overseer
from polaris_bridge.core.auth.records import tell_refusal
from polaris_bridge.core.auth.values import CONFIG_GROUP, NAMESPACE, SERVICE
from polaris_bridge.core.config.model import GroupKey
from polaris_bridge.core.errors import Denied
from polaris_bridge.core.model import Caller, ServiceKey
from polaris_bridge.core.ports import Authority, Credential, Resource
from polaris_bridge.core.registry import Registry

from .auth.patterns import Patterns
from .auth.proof import Proof

Action = Literal["r", "w"]
Kind = Literal["naming", "config"]

NOBODY: Final = "user not found!"
NO_RIGHT: Final = "authorization failed!"
TRUSTED: Final = "nacos:server"
"""The principal of who showed the identity header: it may do everything."""

_ACCESS_DENIED: Final = 10001
_BEARER: Final = "Bearer "
_OPERATIONS: Final[dict[Kind, dict[Action, str]]] = {
    "naming": {"r": "DiscoverInstances", "w": "RegisterInstance"},
    "config": {"r": "DiscoverConfigFile", "w": "PublishConfigFile"},
}
"""What an action is called in policies."""


class Shown(Struct, frozen=True, gc=False):
    """What a client showed: an access token, or a name with a password, or the servers' own header."""

    token: str = ""
    name: str = ""
    password: str = ""
    address: str = ""
    """Where it came from: failed tries are counted by it."""
    trusted: bool = False
    """Whether it showed the identity header of the settings."""

    def __repr__(self) -> str:
        """Without secrets."""
        return f"Shown(name={self.name!r}, address={self.address!r}, trusted={self.trusted!r})"


class Forbidden(Refused):
    """Not let in. HTTP of every generation says it as a servlet container does (JSON with ``timestamp``, ``status``, ``error``,
    ``message`` and ``path``), gRPC in the answer of the call with ``errorCode`` 403."""

    def __init__(self, text: str) -> None:
        super().__init__(403, _ACCESS_DENIED, text, grpc=403)


def file_name(group: str, data_id: str) -> str:
    """A configuration file as calls of kind ``config`` name it here, where those of kind ``naming`` name a service."""
    return f"{group}/{data_id}"


Look = Callable[[str], str | None]
"""Finds a parameter or a header by name; None when it is absent."""


class Admission:
    """Who may do what."""

    def __init__(
        self,
        registry: Registry,
        settings: NacosSettings,
        authority: Authority,
        accounts: Accounts | None,
        spaces: Spaces,
    ) -> None:
        """``authority`` judges; ``accounts``: the directory behind it, None when there is none.

        Raises ``ValueError`` for a signing key that nobody should use.
        """
        self._registry = registry
        self._on = settings.auth
        self._identity = (settings.identity_key.lower(), settings.identity_value.encode())
        self._has_identity = bool(settings.identity_key and settings.identity_value)
        strict = authority if accounts is None else accounts.judge
        self.proof = Proof(registry, settings, strict, accounts)
        self._authority = authority
        self._strict = strict
        self._overseer = authority if isinstance(authority, Overseer) else None
        self._patterns = (
            None
            if accounts is None
            else (Patterns(registry, accounts.directory, spaces, split_group=settings.split_group))
        )

    # ------------------------------------------------------------------ what was shown

    def shown(self, parameter: Look, header: Look, address: str) -> Shown | None:
        """What an HTTP request shows: ``header`` is asked with lower-case names, ``parameter`` for query and form.

        None: nothing. A parameter counts before a header of the same name, a bearer token before both, as in Nacos.
        """
        if self._has_identity:
            value = header(self._identity[0])
            if value is not None and hmac.compare_digest(value.encode("utf-8", "replace"), self._identity[1]):
                return Shown(address=address, trusted=True)
        bearer = parameter("Authorization") or header("authorization")
        token = parameter("accessToken") or header("accesstoken") or ""
        return _shown(bearer, token, parameter("username"), parameter("password"), address)

    def shown_in_payload(self, header: Look, address: str) -> Shown | None:
        """What a gRPC payload shows in its headers; None: nothing. The identity header does not count there."""
        token = header("accessToken") or ""
        return _shown(header("Authorization"), token, header("username"), header("password"), address)

    # ------------------------------------------------------------------ letting in

    def admit(
        self, shown: Shown | None, action: Action, kind: Kind, namespace: str, service: str, caller: Caller
    ) -> Caller:
        """The caller with its principal, if it may read or write a service (of the core, as the core calls it; "": a list), or
        a configuration file (see ``file_name``).

        Raises ``Forbidden``, ``Throttled``, and ``Undecided`` while a password is being checked.
        """
        if not self._on:
            return caller
        resource = self._resource(kind, namespace, service)
        caller = self._known(shown, _OPERATIONS[kind][action], resource, caller)
        if not self.may(caller.principal, action, kind, namespace, service):
            raise self._refused(caller, _OPERATIONS[kind][action], resource)
        return caller

    def admit_operation(
        self, shown: Shown | None, operation: str, resource: Resource, caller: Caller, *, strict: bool = False
    ) -> Caller:
        """The same for a call of consoles, by the name that policies know it by. ``strict``: also with ``auth`` off."""
        if not self._on and not strict:
            return caller
        caller = self._known(shown, operation, resource, caller)
        if not self.may_do(caller.principal, operation, resource, strict=strict):
            raise self._refused(caller, operation, resource)
        return caller

    def identify(self, shown: Shown | None, operation: str, caller: Caller) -> Caller:
        """The caller with its principal, whatever it may do. Raises like ``admit``."""
        return self._known(shown, operation, Resource(""), caller)

    def _known(self, shown: Shown | None, operation: str, resource: Resource, caller: Caller) -> Caller:
        try:
            principal = self._principal(shown)
        except Forbidden as error:
            tell_refusal(self._registry, caller, operation, resource, Denied(error.text))
            raise
        return structs.replace(caller, principal=principal)

    def _principal(self, shown: Shown | None) -> str:
        if shown is None:
            raise Forbidden(NOBODY)
        if shown.trusted:
            return TRUSTED
        if shown.token:
            found = self.proof.of_token(shown.token, shown.address)
            if not isinstance(found, str):
                raise Forbidden(found.text)
            return found
        if not shown.name or not shown.password:
            raise Forbidden(NOBODY)
        credential = Credential(shown.name, shown.password, address=shown.address)
        try:
            principal = self._strict.authenticate(credential)
        except Denied:
            principal = None
        if not principal:
            raise Forbidden(NOBODY)
        return principal

    def _refused(self, caller: Caller, operation: str, resource: Resource) -> Forbidden:
        denied = Denied(f"{caller.principal} may not {operation} {resource}")
        tell_refusal(self._registry, caller, operation, resource, denied)
        return Forbidden(NO_RIGHT)

    # ------------------------------------------------------------------ rights

    def may(self, principal: str, action: Action, kind: Kind, namespace: str, service: str) -> bool:
        """Whether a principal may read or write a service, or a configuration file (see ``file_name``); with ``service`` ""
        whether a list of the namespace has anything for it."""
        if not self._on or self._is_trusted(principal):
            return True
        patterns = self._patterns
        if patterns is not None and patterns.knows(principal, action, kind, namespace, service):
            return True
        operation = _OPERATIONS[kind][action]
        what = self._resource(kind, namespace, service)
        known = patterns is None or self._registry.ledger.namespace(namespace) is not None
        # of what is in no namespace yet the authority only knows whether the call as such is allowed somewhere
        if known and self._authority.allow(principal, operation, what):
            return True
        return patterns is not None and patterns.allow(principal, operation, action, kind, namespace, service)

    def may_do(self, principal: str, operation: str, resource: Resource, *, strict: bool = False) -> bool:
        """Whether a principal may do what policies know by a name."""
        if self._is_trusted(principal) or not (self._on or strict):
            return True
        return (self._strict if strict else self._authority).allow(principal, operation, resource)

    def sees(self, caller: Caller) -> Callable[[ServiceKey], bool] | None:
        """Which services of a list a caller may see; None: all of them."""
        principal = caller.principal
        if not self._on or self._is_trusted(principal):
            return None
        if self._overseer is not None and self._overseer.oversees(principal, _OPERATIONS["naming"]["r"]):
            return None
        return lambda key: self.may(principal, "r", "naming", key.namespace, key.name)

    def check_everywhere(self, caller: Caller, operation: str) -> None:
        """Raises ``Forbidden`` when a caller who was let in may not do an operation with every resource of every namespace."""
        principal = caller.principal
        if not self._on or self._overseer is None or self._is_trusted(principal):
            return
        if not self._overseer.oversees(principal, operation):
            raise self._refused(caller, operation, Resource(""))

    def _resource(self, kind: Kind, namespace: str, name: str) -> Resource:
        """What a call is about. Rights to configuration are given by groups of files."""
        if not name:
            return Resource(NAMESPACE, namespace, namespace)
        if kind == "naming":
            return Resource(SERVICE, namespace, name)
        group = name.partition("/")[0]
        known = self._registry.config.reading.group(GroupKey(namespace, group))
        return Resource(CONFIG_GROUP, namespace, group, "" if known is None else str(known.id))

    def check_whole(self, caller: Caller, namespace: str, kind: Kind = "naming") -> None:
        """Raises ``Forbidden`` when a caller who was let in may not read everything in a namespace."""
        if not self.reads_whole(caller.principal, namespace, kind):
            raise self._refused(caller, _OPERATIONS[kind]["r"], Resource(NAMESPACE, namespace, namespace))

    def reads_whole(self, principal: str, namespace: str, kind: Kind = "naming") -> bool:
        """Whether a principal may read every service, or every configuration file, of a namespace."""
        if not self._on or self._is_trusted(principal):
            return True
        operation = _OPERATIONS[kind]["r"]
        if self._registry.ledger.namespace(namespace) is not None and self._authority.allow(
            principal, operation, Resource(NAMESPACE, namespace, namespace)
        ):
            return True
        return self._patterns is not None and self._patterns.whole(principal, operation, namespace, kind)

    @property
    def revision(self) -> int:
        """Moves when decisions may be others than before."""
        return 0 if self._overseer is None else self._overseer.revision

    def _is_trusted(self, principal: str) -> bool:
        """Whether a principal is who showed the identity header, and no account that was given its name for an id."""
        return principal == TRUSTED and self._has_identity and not self.proof.is_account(TRUSTED)


def _shown(bearer: str | None, token: str, name: str | None, password: str | None, address: str) -> Shown | None:
    if bearer is not None and bearer.startswith(_BEARER) and not bearer[len(_BEARER) :].isspace():
        token = bearer[len(_BEARER) :] or token
    if token and not token.isspace():
        return Shown(token=token, address=address)
    if name or password:
        return Shown(name=name or "", password=password or "", address=address)
    return None
