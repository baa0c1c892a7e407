"""The calls of clients of the configuration centre over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from polaris_bridge.adapters.polaris.service.admission import resources_of
from polaris_bridge.adapters.polaris.service.operations import config_operation
from polaris_bridge.adapters.polaris.service.routes import CLIENT, Encoded, Handle, Query, Result, Route
from polaris_bridge.adapters.polaris.settings import CONFIG
from polaris_bridge.adapters.polaris.wire import json, v1
from polaris_bridge.core.model import Caller
from polaris_bridge.core.ports import Resource

from .clients import ConfigClients
from .discover import LaterBytes

_VERSION_MAX: Final = (1 << 64) - 1


def client_routes(clients: ConfigClients) -> tuple[Route, ...]:
    """The client API; nothing where the configuration centre is switched off."""
    if not clients.open:
        return ()

    def get(query: Query, caller: Caller) -> Result:
        return clients.reading.get_json(_asked(query), caller)

    def files(m: v1.ConfigFileGroupRequest, caller: Caller) -> Result:
        return _json(clients.lists.files(m, caller), _listed)

    def discover(m: v1.ConfigDiscoverRequest, caller: Caller) -> Result:
        return _json(clients.lists.discover(m, caller), _discovered)

    return (
        Route(
            method="GET",
            path="/config/v1/GetConfigFile",
            operation="DiscoverConfigFile",
            handle=get,
            response="ConfigClientResponse",
            resources=_resources,
            query=("namespace", "group", "fileName", "version", "tags"),
            group=CLIENT,
            include=frozenset({CONFIG}),
            about="What a client gets of a file; tags are its labels, each as key=value.",
        ),
        _post(
            "WatchConfigFile",
            "WatchConfigFile",
            clients.watching.watch_json,
            "ClientWatchConfigFileRequest",
            "ConfigClientResponse",
            "Wait until one of the files has a newer release, at most 30 seconds.",
        ),
        _post(
            "GetConfigFileMetadataList",
            "DiscoverConfigFileNames",
            files,
            "ConfigFileGroupRequest",
            "ConfigClientListResponse",
            "The released files of a group.",
        ),
        _post(
            "ConfigDiscover",
            "DiscoverConfigFile",
            discover,
            "ConfigDiscoverRequest",
            "ConfigDiscoverResponse",
            "A file, the files of a group, or the groups of a namespace.",
            named=config_operation,
        ),
    )


def _post(
    name: str,
    operation: str,
    handle: Handle,
    request: str,
    response: str,
    about: str,
    named: Callable[[Any], str] | None = None,
) -> Route:
    return Route(
        method="POST",
        path=f"/config/v1/{name}",
        operation=operation,
        handle=handle,
        named=named,
        takes="one",
        request=request,
        response=response,
        group=CLIENT,
        include=frozenset({CONFIG}),
        about=about,
    )


def _asked(query: Query) -> v1.ClientConfigFileInfo:
    """The question in a URL. A version that is no number counts as none, a tag without ``=`` as one without a value."""
    m = v1.ClientConfigFileInfo()
    m.namespace.value = query.get("namespace", [""])[0]
    m.group.value = query.get("group", [""])[0]
    m.file_name.value = query.get("fileName", [""])[0]
    version = query.get("version", [""])[0]
    number = int(version) if version.isascii() and version.isdecimal() and len(version) <= 20 else 0
    m.version.value = min(number, _VERSION_MAX)
    for tag in query.get("tags", ()):
        key, _, value = tag.partition("=")
        m.tags.add(key={"value": key.strip()}, value={"value": value.partition("=")[0].strip()})
    return m


def _resources(query: Query) -> tuple[Resource, ...]:
    return resources_of((_asked(query),))


# ---------------------------------------------------------------------- answers


class _Later:
    """An answer that takes a while, as JSON."""

    __slots__ = ("_answer", "_encode")

    def __init__(self, answer: LaterBytes, encode: Callable[[bytes], Encoded]) -> None:
        self._answer = answer
        self._encode = encode

    def then(self, reply: Callable[[Encoded], None]) -> None:
        """See ``routes.Later``."""
        self._answer.then(lambda body: reply(self._encode(body)))


def _json(answer: bytes | LaterBytes, encode: Callable[[bytes], Encoded]) -> Encoded | _Later:
    return encode(answer) if isinstance(answer, bytes) else _Later(answer, encode)


def _listed(body: bytes) -> Encoded:
    answer = v1.ConfigClientListResponse.FromString(body)
    return Encoded(answer.code.value, json.encode(answer))


def _discovered(body: bytes) -> Encoded:
    answer = v1.ConfigDiscoverResponse.FromString(body)
    return Encoded(answer.code, json.encode(answer))
