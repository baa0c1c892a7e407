"""The auth seam of the native protocol: every operation passes here with its caller, whatever transport brought it.

polaris-server 1.19 judges console calls when ``consoleOpen`` and client calls when ``clientOpen``; a refusal is code 401001.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from google.protobuf.message import Message
from msgspec import structs

from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.auth.ports import Overseer
from polaris_bridge.core.auth.values import CONFIG_GROUP
from polaris_bridge.core.errors import Denied
from polaris_bridge.core.model import Caller, ServiceKey
from polaris_bridge.core.ports import Authority, Credential, OpenDoor, Resource

from .routes import ADMIN, CLIENT, CONSOLE, EVERYBODY, STRICT

Refused = Callable[[Caller, str, Resource, Denied], None]
"""Told of every refusal: who, what, about which resource, why."""


class Admission:
    """Who may do what. ``operation`` is a function's name as ``/maintain/v1/server/functions`` lists it."""

    def __init__(
        self,
        client: Authority,
        console: Authority | None = None,
        strict: Authority | None = None,
        *,
        service_of: Callable[[str], ServiceKey | None] = lambda _id: None,
        refused: Refused | None = None,
    ) -> None:
        """``client`` judges everybody for whom there is no judge of their own. ``service_of``: whose instance has an id."""
        console = console or client
        judges = {CLIENT: client, CONSOLE: console, ADMIN: console, STRICT: strict or console}
        self._judges: dict[str, Authority | None] = {
            door: None if type(judge) is OpenDoor else judge for door, judge in judges.items()
        }
        """By door; None: everybody may come in, so nothing is looked at."""
        self._judges[EVERYBODY] = None
        self._service_of = service_of
        self._refused = refused

    def admit(
        self,
        token: str,
        operation: str,
        messages: Iterable[Message],
        caller: Caller,
        door: str = CLIENT,
        resources: tuple[Resource, ...] | None = None,
    ) -> Caller:
        """The caller with its principal. Raises ``Denied`` when it may not do this to every resource named.

        ``token`` is the header ``x-polaris-token``; in calls of clients one in a message (``service_token``, ``token``) counts
        instead. (polaris-controller sends a ``service_token`` of its own making with console calls, which nobody looks at.)
        ``resources``: what it is about, when the messages do not say so.
        """
        judge = self._judges[door]
        if judge is None:
            return caller
        messages = tuple(messages)
        shown = next(filter(None, map(_token_of, messages)), token) if door == CLIENT else token
        resource = NOTHING
        try:
            principal = judge.authenticate(Credential(token=shown, address=caller.address)) if shown else ""
            if principal is None:
                raise Denied("the token is not known")
            if principal:
                caller = structs.replace(caller, principal=principal)
            found = self._found(messages) if resources is None else resources
            for resource in found or (NOTHING,):
                if not judge.allow(principal, operation, resource):
                    raise Denied(f"{principal or 'anonymous'} may not {operation} {resource}")
        except Denied as error:
            if self._refused is not None:
                self._refused(caller, operation, resource, error)
            raise
        return caller

    def sees(self, caller: Caller, operation: str, door: str = CONSOLE) -> Callable[[Resource], bool] | None:
        """What of a list a caller may see; None: all of it."""
        judge, principal = self._judges[door], caller.principal
        if judge is None or (isinstance(judge, Overseer) and judge.oversees(principal, operation)):
            return None
        return lambda resource: judge.allow(principal, operation, resource)

    def _found(self, messages: tuple[Message, ...]) -> tuple[Resource, ...]:
        found = resources_of(messages)
        if any(resource.kind == "instance" for resource in found):
            return tuple(dict.fromkeys(self._whose(resource) for resource in found))
        return found

    def _whose(self, resource: Resource) -> Resource:
        """The service of an instance that is named by its id alone; nothing when there is no such instance."""
        if resource.kind != "instance":
            return resource
        service = self._service_of(resource.id)
        return NOTHING if service is None else Resource("service", service.namespace, service.name)


NOTHING: Final = Resource("")
"""The resource of an operation that is about none."""
DEFAULT: Final = "default"
"""The namespace of who names none."""


def resources_of(messages: Iterable[Message]) -> tuple[Resource, ...]:
    """What an operation is about, each once. Instances that only their ids name have the kind ``instance``."""
    return tuple(dict.fromkeys(found for message in messages for found in _resources(message)))


def _resources(message: Any) -> Iterator[Resource]:
    kind = message.DESCRIPTOR.name
    parts = _PARTS.get(kind)
    if parts is not None:
        for part in parts(message):
            yield from _resources(part)
        return
    finder = _FINDERS.get(kind)
    if finder is not None:
        found = finder(message)
        if found.kind:
            yield found
    if kind == "ServiceAlias" and message.service.value:  # who reads the alias reads what stands behind it
        yield Resource("service", message.namespace.value, message.service.value)


def _instance(m: Any) -> Resource:
    if m.id.value and not m.service.value:
        return Resource("instance", id=m.id.value)
    return Resource("service", m.namespace.value, m.service.value)


def _beat(m: Any) -> Resource:
    if m.service:
        return Resource("service", m.namespace, m.service)
    return Resource("instance", id=m.instanceId)


def _service(m: Any) -> Resource:
    return Resource("service", m.namespace.value, m.name.value, m.id.value)


def _discovered(m: Any) -> Resource:
    """A type that is about no service (the namespaces, all services of one) names none."""
    namespace, name = m.service.namespace.value, m.service.name.value
    if not name:
        return Resource("namespace", namespace, namespace) if namespace else NOTHING
    return Resource("service", namespace or DEFAULT, name)


def _rule(kind: str) -> Callable[[Any], Resource]:
    def find(m: Any) -> Resource:
        return Resource(kind, _text(m.namespace), _text(m.name), _text(m.id))

    return find


def _account(kind: str) -> Callable[[Any], Resource]:
    """An entry of the directory that exists; a new one is nothing yet."""

    def find(m: Any) -> Resource:
        id = _text(m.id)
        return Resource(kind, id=id) if id else NOTHING

    return find


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value.value)


def _config(m: Any) -> Resource:
    """The group of a file or a release: rights are given by group. Who asks for all groups of a namespace is asked about that."""
    namespace, group = m.namespace.value, m.group.value
    if group:
        return Resource(CONFIG_GROUP, namespace, group)
    return Resource("namespace", namespace, namespace) if namespace else NOTHING


_FINDERS: Final[dict[str, Callable[[Any], Resource]]] = {
    "ConfigFileGroup": lambda m: Resource(CONFIG_GROUP, m.namespace.value, m.name.value),
    "ConfigFile": _config,
    "ConfigFileRelease": _config,
    "ConfigFilePublishInfo": _config,
    "ClientConfigFileInfo": _config,
    "Instance": _instance,
    "Service": _service,
    "ServiceAlias": lambda m: Resource("service", m.alias_namespace.value, m.alias.value),
    "ServiceContract": lambda m: Resource("service", m.namespace, m.service),
    "DiscoverRequest": _discovered,
    "InstanceHeartbeat": _beat,
    "Namespace": lambda m: Resource("namespace", m.name.value, m.name.value),
    "RouteRule": _rule("routing"),
    "Rule": _rule("rate_limit"),
    "CircuitBreakerRule": _rule("circuit_breaker"),
    "FaultDetectRule": _rule("fault_detect"),
    "LaneGroup": lambda m: Resource("lane", "", m.name, m.id),
    "LosslessRule": lambda m: Resource("lossless", m.namespace, m.service, m.id),
    "BlockAllowListRule": _rule("block_allow"),
    "TrafficMirroring": lambda m: Resource("traffic_mirroring", m.namespace.value, m.service.value),
    "FaultInjection": lambda m: Resource("fault_injection", m.namespace.value, m.service.value),
    "Client": lambda m: Resource("client", "", "", m.id.value),
    "User": _account("user"),
    "ModifyUserPassword": _account("user"),
    "UserGroup": _account("user_group"),
    "ModifyUserGroup": _account("user_group"),
    "Role": _account("role"),
    "AuthStrategy": _account("auth_policy"),
    "ModifyAuthStrategy": _account("auth_policy"),
}


def _exported(m: Any) -> list[v1.ConfigFile]:
    return [v1.ConfigFile(namespace=m.namespace, group=group) for group in m.groups]


_PARTS: Final[dict[str, Callable[[Any], Iterable[Any]]]] = {
    "HeartbeatsRequest": lambda m: m.heartbeats,
    "ConfigFileExportRequest": _exported,
    "ClientWatchConfigFileRequest": lambda m: m.watch_files,
    "ConfigFileGroupRequest": lambda m: (m.config_file_group,),
    "ConfigDiscoverRequest": lambda m: (m.config_file,),
}
"""Messages that are many."""


def _token_of(message: Any) -> str:
    match message.DESCRIPTOR.name:
        case "Instance":
            return str(message.service_token.value)
        case "Service":
            return str(message.token.value)
        case "DiscoverRequest":
            return str(message.service.token.value)
        case _:
            return ""
