"""The gRPC methods of port 8093 as a table: the configuration centre for clients.

As on port 8091 the code of a business error is in the body. Where the configuration centre is switched off every call is
answered 400401, as for a group of calls that the listener does not serve.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any, Final, Protocol

from polaris_bridge.adapters.polaris.answers import code_of
from polaris_bridge.adapters.polaris.service.admission import Admission
from polaris_bridge.adapters.polaris.service.config.answers import discovered
from polaris_bridge.adapters.polaris.service.config.clients import ConfigClients
from polaris_bridge.adapters.polaris.service.operations import config_operation
from polaris_bridge.adapters.polaris.settings import CONFIG, GroupSettings
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.errors import Denied
from polaris_bridge.transport.rpc import Call, Later, Methods

from .grpc_desk import Answer, Answering, Desk, Observers, Stream, decoded

SERVICE: Final = "/v1.PolarisConfigGRPC/"


class Parts(Protocol):
    """What of the service is reached from here."""

    @property
    def admission(self) -> Admission: ...
    @property
    def config(self) -> ConfigClients: ...


def methods(parts: Parts, groups: GroupSettings, observers: Observers) -> Methods:
    """The table of one listener."""
    table = Methods()
    desk = Desk(parts.admission, groups, observers, shut=frozenset() if parts.config.open else frozenset({CONFIG}))
    clients = parts.config
    writes: tuple[tuple[str, str, Any, Answer], ...] = (
        ("CreateConfigFile", "CreateConfigFile", v1.ConfigFile, clients.create),
        ("UpdateConfigFile", "UpdateConfigFile", v1.ConfigFile, clients.update),
        ("PublishConfigFile", "PublishConfigFile", v1.ConfigFileRelease, clients.publish),
        (
            "UpsertAndPublishConfigFile",
            "UpsertAndReleaseConfigFile",
            v1.ConfigFilePublishInfo,
            clients.upsert_and_publish,
        ),
    )
    reads: tuple[tuple[str, str, Any, Answering], ...] = (
        ("GetConfigFile", "DiscoverConfigFile", v1.ClientConfigFileInfo, clients.reading.get),
        ("WatchConfigFiles", "WatchConfigFile", v1.ClientWatchConfigFileRequest, clients.watching.watch),
        ("GetConfigFileMetadataList", "DiscoverConfigFileNames", v1.ConfigFileGroupRequest, clients.lists.files),
    )
    for method, operation, kind, write in writes:
        table.unary(SERVICE + method, desk.unary(CONFIG, operation, kind, write))
    for method, operation, kind, read in reads:
        table.unary(SERVICE + method, desk.encoded(CONFIG, operation, kind, read))
    table.stream(SERVICE + "Discover", lambda call: _Discover(desk, clients, call))
    return table


class _Discover(Stream):
    """One answer per question, in order."""

    __slots__ = ("_clients",)

    def __init__(self, desk: Desk, clients: ConfigClients, call: Call) -> None:
        super().__init__(desk, call)
        self._clients = clients

    def on_message(self, data: bytes, /) -> bytes | Later:
        """See ``StreamHandler``."""
        start = perf_counter()
        desk = self._desk
        m = decoded(v1.ConfigDiscoverRequest, data)
        if not desk.open(CONFIG):
            return discovered(v1.ClientAPINotOpen, 0).SerializeToString()
        operation, status = config_operation(m), 200
        try:
            caller = desk.admit(self._token, operation, m, self._caller)
        except Denied as error:
            status = 401
            answer: bytes | Later = discovered(code_of(error), m.type).SerializeToString()
        else:
            answer = self._clients.lists.discover(m, caller)
        desk.observe(operation, status, perf_counter() - start)
        return answer
