"""Who may do what: the tokens of a request against this server's accounts, asked in Consul's words.

With the listener's ``auth`` off everybody comes in and nothing is looked at, as on an agent with ACLs off. Texts as in
Consul 1.20; a token's accessor is the id of its account.
"""

from __future__ import annotations

from typing import Final

from msgspec import structs

from polaris_bridge.adapters._shared.exchange import Request
from polaris_bridge.adapters.consul.settings import ConsulSettings
from polaris_bridge.adapters.consul.wire.params import Params
from polaris_bridge.adapters.consul.wire.refusals import Refused, denied
from polaris_bridge.core.auth.records import tell_refusal
from polaris_bridge.core.auth.values import CONFIG_GROUP, NAMESPACE, SERVICE
from polaris_bridge.core.errors import Denied
from polaris_bridge.core.model import Caller
from polaris_bridge.core.ports import Authority, Credential, Resource
from polaris_bridge.core.registry import Registry

_READ: Final = {"service": "DiscoverInstances", "key": "DiscoverConfigFile", "query": "DiscoverInstances"}
_WRITE: Final = {"service": "RegisterInstance", "key": "PublishConfigFile", "query": "RegisterInstance"}
_KINDS: Final = {"service": SERVICE, "key": CONFIG_GROUP}
"""What a resource of Consul is called in policies; everything else is its whole namespace."""
_NOT_FOUND: Final = "ACL not found"


class Admission:
    """Who may do what."""

    def __init__(self, registry: Registry, settings: ConsulSettings, authority: Authority) -> None:
        self.on = settings.auth
        """Whether anything is asked at all."""
        self._registry = registry
        self._authority = authority

    def identify(self, params: Params, request: Request, caller: Caller) -> Caller:
        """The caller with the principal that its token proves; without a token it stays anonymous.

        Raises ``Refused`` (403) for a token that proves nothing.
        """
        token = shown(params, request)
        if not token:
            return caller
        try:
            principal = self._authority.authenticate(Credential(token=token, address=request.peer))
        except Denied as error:
            tell_refusal(self._registry, caller, "authenticate", Resource(""), error)
            raise denied(_NOT_FOUND) from None
        if principal is None:
            tell_refusal(self._registry, caller, "authenticate", Resource(""), Denied(_NOT_FOUND))
            raise denied(_NOT_FOUND)
        return structs.replace(caller, principal=principal)

    def may(self, caller: Caller, right: str, namespace: str, name: str) -> bool:
        """Whether a caller has a right such as ``service:write`` on a name ("" = on everything of its kind)."""
        if not self.on:
            return True
        operation, resource = _asked(right, namespace, name)
        return self._authority.allow(caller.principal, operation, resource)

    def require(self, caller: Caller, right: str, namespace: str, name: str) -> None:
        """The same; raises ``Refused`` (403) when it has not."""
        if self.may(caller, right, namespace, name):
            return
        operation, resource = _asked(right, namespace, name)
        text = lacking(caller.principal, right, name)
        tell_refusal(self._registry, caller, operation, resource, Denied(text))
        raise Refused(403, text)


def _asked(right: str, namespace: str, name: str) -> tuple[str, Resource]:
    kind, _, action = right.partition(":")
    operation = (_READ if action in ("read", "list") else _WRITE).get(
        kind, "DiscoverInstances" if action in ("read", "list") else "RegisterInstance"
    )
    known = _KINDS.get(kind)
    if known is None or not name:
        return operation, Resource(NAMESPACE, namespace, namespace)
    return operation, Resource(known, namespace, name)


def shown(params: Params, request: Request) -> str:
    """The token of a request; "" when there is none. Parameter, then ``X-Consul-Token``, then a bearer token."""
    found = params.text("token") if params else ""
    if found:
        return found
    found = request.header(b"x-consul-token") or ""
    if found:
        return found
    scheme, _, value = (request.header(b"authorization") or "").partition(" ")
    words = value.split()
    return words[0] if scheme.lower() == "bearer" and words else ""


def lacking(principal: str, right: str, name: str) -> str:
    """The text of a refusal."""
    on = f' on "{name}"' if name else ""
    if not principal:
        hint = "The anonymous token is used implicitly when a request does not specify a token."
        return f"Permission denied: anonymous token lacks permission '{right}'{on}. {hint}"
    return f"Permission denied: token with AccessorID '{principal}' lacks permission '{right}'{on}"
