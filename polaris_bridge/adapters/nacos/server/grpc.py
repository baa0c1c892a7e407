"""Nacos' gRPC port: two methods, and a table of what is asked through them. No rule of business here.

A request is looked at in the order of Nacos 2.5.1: whether a client may ask it at all, whether somebody answers it, whether its
connection is set up, whether its body can be read; then who asks, then what is asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Final, Literal

from polaris_bridge.adapters.nacos.service.connections import Connection, Setup
from polaris_bridge.adapters.nacos.translate.keys import SOURCE
from polaris_bridge.adapters.nacos.wire import json_in
from polaris_bridge.adapters.nacos.wire.messages import Refused
from polaris_bridge.adapters.nacos.wire.payload import Malformed, Payload, decode, encode
from polaris_bridge.core.errors import Busy, CoreError
from polaris_bridge.core.model import Caller
from polaris_bridge.core.ports import Undecided
from polaris_bridge.transport.rpc import Call, Later, Methods, RpcError, Status

from .grpc_answers import BAD_GATEWAY, DONE, NOT_FOUND, UNREGISTERED, Pending, Written, error, json, refusal, success
from .grpc_config import CONFIG_KINDS
from .grpc_kinds import Asked, Kind, Kinds
from .grpc_naming import KINDS

if TYPE_CHECKING:
    from polaris_bridge.adapters.nacos.service.nacos import NacosService

REQUEST: Final = "/Request/request"
STREAM: Final = "/BiRequestStream/requestBiStream"

BUSY_S: Final = 1.0
"""How long the answer to an overload is held back, as there: clients come back at once."""

ABILITIES: Final = b'{"supportPersistentInstanceByGrpc":true,"fuzzyWatch":true,"lock":true}'
_SETUP_ACK: Final = encode("SetupAckRequest", b'{"headers":{},"abilityTable":%b,"module":"internal"}' % ABILITIES)
_HEALTHY: Final = encode("HealthCheckResponse", DONE)
_UNREGISTERED: Final = error(500, UNREGISTERED, "Connection is unregistered.")
_NO_HANDLER: Final = error(500, NOT_FOUND, "RequestHandler Not Found")
_UNREADABLE: Final = error(500, BAD_GATEWAY, "errCode: 101, errMsg: Nacos deserialize failed.  ")

_SERVERS_ONLY: Final = frozenset(
    {
        "DistroDataRequest",
        "MemberReportRequest",
        "ServerLoaderInfoRequest",
        "ServerReloadRequest",
        "ConfigChangeClusterSyncRequest",
        "SwitchSyncRequest",
    }
)
"""What servers ask each other."""

_ANSWER: Final = re.compile(
    rb'\x12.{1,2}\x1a.\w{3,60}Response.*"resultCode"\s*:\s*200\b.*"requestId"\s*:\s*"(\d{1,18})"[^{}]*\}\Z', re.DOTALL
)
"""The usual answer of a client to what the server asked. Decoding one takes thirty times as long."""
_SHORT: Final = 512
"""Longer messages are not tried: the pattern takes more than its length's time on those that are made for it."""


Observe = Callable[[str, int, float], None]
"""Told of every finished call: type of request, status (200, or the error code), seconds."""


Discovered = Callable[[str, str], None]
"""Told of every read: namespace and service of the core, "*" for all."""


def methods(
    service: NacosService,
    kinds: Kinds | None = None,
    *,
    observe: Observe | None = None,
    discovered: Discovered | None = None,
) -> Methods:
    """The methods of one listener. ``kinds`` None: everything that its settings open."""
    table = Methods()
    if kinds is None:
        kinds = {**KINDS, **CONFIG_KINDS} if service.settings.config_open else KINDS
    desk = Desk(service, kinds, observe, discovered)
    table.unary(REQUEST, desk.request)
    table.stream(STREAM, desk.open)
    return table


class Desk:
    """Where requests and streams come in."""

    def __init__(
        self, service: NacosService, kinds: Kinds, observe: Observe | None, discovered: Discovered | None
    ) -> None:
        self.service = service
        self.connections = service.connections
        self.requests = service.requests
        self._kinds = kinds
        self._observe = observe
        self._discovered = discovered

    # ------------------------------------------------------------------ requests

    def request(self, data: bytes, call: Call) -> bytes | Later:
        """``Request/request``."""
        began = perf_counter()
        try:
            payload = decode(data)
        except Malformed as fault:
            raise RpcError(Status.INTERNAL, f"Invalid protobuf byte sequence: {fault}") from None
        type = payload.type
        if type == "ServerCheckRequest":
            return self._finished(type, self._checked(call), began)
        if type in _SERVERS_ONLY:
            return self._finished(type, error(500, BAD_GATEWAY, f" invoke {type} from sdk is forbidden"), began, 502)
        kind = self._kinds.get(type)
        if kind is None and type != "HealthCheckRequest":
            if type == "PushAckRequest":
                self._acknowledged(payload, call)
            return self._finished("unknown", _NO_HANDLER, began, NOT_FOUND)
        connection = self.connections.known(call.link)
        if connection is None:
            return self._finished(type, _UNREGISTERED, began, UNREGISTERED)
        if kind is None:
            return self._finished(type, self._healthy(payload), began)
        if not connection.app and (app := payload.headers.get("app")):
            connection.app = app
        return self._run(kind, payload, connection, began)

    def _checked(self, call: Call) -> bytes:
        id = self.connections.check(call.link).id
        members = b'"connectionId":%b,"supportAbilityNegotiation":true' % json(id)
        return encode("ServerCheckResponse", success(members))

    def _healthy(self, payload: Payload) -> bytes:
        try:
            json_in.check(payload.body)
        except Malformed:
            return _UNREADABLE
        return _HEALTHY

    def _acknowledged(self, payload: Payload, call: Call) -> None:
        """Old clients acknowledge with a request; the real servers have forgotten how to answer it (2.5.1: 302)."""
        connection = self.connections.known(call.link)
        if connection is not None:
            self._answered(connection, payload)

    def _run(self, kind: Kind, payload: Payload, connection: Connection, began: float) -> bytes | Later:
        caller = Caller(SOURCE, connection.host, "", connection.id, connection.version)
        try:
            reply = kind.run(
                self.service,
                Asked(connection, payload.headers, payload.body, caller, self._door(kind, payload, caller)),
            )
        except Undecided as undecided:
            return self._once_decided(undecided, kind, payload, connection, began)
        except (Refused, CoreError, Malformed) as fault:
            return self._refused(fault, kind, payload.type, began)
        if isinstance(reply, bytes):
            return self._finished(payload.type, encode(kind.answer, reply), began)
        if isinstance(reply, Written):
            commit = reply.commit
            if commit.done and commit.error is None:
                return self._finished(payload.type, encode(kind.answer, reply.body), began)
            return self._once_durable(reply, kind, payload.type, began)
        return reply

    def _door(self, kind: Kind, payload: Payload, caller: Caller) -> Callable[[Literal["r", "w"], str, str], Caller]:
        admission = self.service.admission

        def enter(action: Literal["r", "w"], namespace: str, name: str) -> Caller:
            if kind.discovers and self._discovered is not None:
                self._discovered(namespace, name or "*")
            if kind.kind == "":
                return caller
            shown = admission.shown_in_payload(payload.headers.get, caller.address)
            return admission.admit(shown, action, kind.kind, namespace, name, caller)

        return enter

    def _once_durable(self, reply: Written, kind: Kind, type: str, began: float) -> Later:
        pending = Pending()

        def settled(fault: Exception | None) -> None:
            if fault is None:
                pending.settle(self._finished(type, encode(kind.answer, reply.body), began))
            else:
                pending.settle(self._finished(type, refusal(fault, kind.answer, kind.refused), began, 500))

        reply.commit.then(settled)
        return pending

    def _once_decided(
        self, undecided: Undecided, kind: Kind, payload: Payload, connection: Connection, began: float
    ) -> bytes | Later:
        """A password is being checked: the same again afterwards."""
        pending = Pending()

        def again() -> None:
            reply = self._run(kind, payload, connection, began)
            if isinstance(reply, bytes):
                pending.settle(reply)
            else:
                reply.then(pending.settle)

        try:
            undecided.then(again)
        except CoreError as fault:
            return self._refused(fault, kind, payload.type, began)
        return pending

    def _refused(self, fault: Exception, kind: Kind, type: str, began: float) -> bytes | Later:
        if isinstance(fault, Malformed):
            return self._finished(type, _UNREADABLE, began, BAD_GATEWAY)
        status = fault.grpc if isinstance(fault, Refused) else 500
        answer = self._finished(type, refusal(fault, kind.answer, kind.refused), began, status)
        if not isinstance(fault, Busy):
            return answer
        pending = Pending()
        self.service.registry.scheduler.later(BUSY_S, lambda: pending.settle(answer))
        return pending

    def _finished(self, type: str, answer: bytes, began: float, status: int = 200) -> bytes:
        if self._observe is not None:
            self._observe(type, status, perf_counter() - began)
        return answer

    # ------------------------------------------------------------------ streams

    def open(self, call: Call) -> Stream:
        """``BiRequestStream/requestBiStream``."""
        return Stream(self, call)

    def _answered(self, connection: Connection, payload: Payload) -> None:
        """A client's answer to what it was asked, whatever type it calls it."""
        try:
            ack = json_in.ack(payload.body)
        except Malformed:
            return
        self.requests.answered(connection, ack.request_id, ack.success)
        if payload.type == "ClientConfigMetricResponse":
            self.service.client_metrics.answered(connection, payload.body)

    def set_up(self, call: Call, payload: Payload) -> bytes | None:
        """A client says who it is. One that speaks of abilities is told ours, the others (before 2.3) expect nothing."""
        try:
            setup = json_in.setup_request(payload.body)
        except Malformed:
            return None
        self.connections.set_up(call, Setup(setup.client_version, setup.tenant, setup.labels, payload.client_ip))
        return _SETUP_ACK if setup.abilities is not None else None


class Stream:
    """One stream of a client."""

    __slots__ = ("_call", "_connection", "_desk")

    def __init__(self, desk: Desk, call: Call) -> None:
        self._desk = desk
        self._call = call
        self._connection: Connection | None = None

    def on_message(self, message: bytes) -> bytes | None:
        """See ``rpc.StreamHandler``: answers to pushes, nearly always."""
        desk = self._desk
        connection = self._connection
        if connection is not None:
            desk.connections.heard(connection)
            match = _ANSWER.match(message) if len(message) <= _SHORT else None
            if match is not None and not desk.service.client_metrics.waiting:
                desk.requests.answered(connection, match[1].decode(), True)
                return None
        try:
            payload = decode(message)
        except Malformed as fault:
            raise RpcError(Status.INTERNAL, f"Invalid protobuf byte sequence: {fault}") from None
        if payload.type == "ConnectionSetupRequest":
            answer = desk.set_up(self._call, payload)
            self._connection = desk.connections.known(self._call.link)
            return answer
        if connection is not None:
            desk._answered(connection, payload)
        return None

    def on_end(self) -> bool:
        """See ``rpc.StreamHandler``: a client that sends no more is gone."""
        return False

    def on_close(self) -> None:
        """See ``rpc.StreamHandler``."""
        self._connection = None
        self._desk.connections.stream_over(self._call)
