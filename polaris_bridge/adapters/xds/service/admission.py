"""The auth seam of xDS: with the listener's ``auth`` on, every stream shows a token or came with a client's certificate, and may
read the namespace of its node, or register there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from polaris_bridge.adapters.xds.settings import XdsSettings
from polaris_bridge.core.auth.values import NAMESPACE, SERVICE
from polaris_bridge.core.errors import Denied
from polaris_bridge.core.ports import Authority, Credential, Resource

READ: Final = "DiscoverInstances"
WRITE: Final = "RegisterInstance"
_BEARER: Final = "bearer "


class Unproven(Denied):
    """Nothing was shown that proves who the client is."""


class Admission:
    """Who may read what."""

    def __init__(self, authority: Authority, settings: XdsSettings) -> None:
        self._authority = authority
        self._settings = settings

    def enter(self, header: Callable[[str], str | None], address: str) -> str | None:
        """The principal of a client; None: it may do everything. Raises ``Unproven``."""
        settings = self._settings
        if not settings.auth:
            return None
        token = header("x-polaris-token") or ""
        authorization = header("authorization") or ""
        if not token and authorization.lower().startswith(_BEARER):
            token = authorization[len(_BEARER) :].strip()
        if not token:
            if settings.certificates:
                return None
            raise Unproven("a token is needed: metadata x-polaris-token, or authorization: Bearer")
        principal = self._authority.authenticate(Credential(token=token, address=address))
        if principal is None:
            raise Unproven("the token is not known")
        return principal

    def reads(self, principal: str | None, namespace: str) -> None:
        """Raises ``Denied`` unless the principal may read a namespace."""
        self._check(principal, READ, Resource(NAMESPACE, namespace, namespace))

    def registers(self, principal: str | None, namespace: str, service: str) -> None:
        """Raises ``Denied`` unless the principal may register at a service."""
        self._check(principal, WRITE, Resource(SERVICE, namespace, service))

    def _check(self, principal: str | None, operation: str, resource: Resource) -> None:
        if principal is not None and not self._authority.allow(principal, operation, resource):
            raise Denied(f"{principal or 'anonymous'} may not {operation} {resource.name or resource.namespace}")
