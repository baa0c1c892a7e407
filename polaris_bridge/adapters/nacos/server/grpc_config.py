"""The configuration requests of gRPC clients: decode, check, ask the service, and say what came of it.

Codes and texts as Nacos 2.5.1 gives them over gRPC: refusals are said in the answer's own type, those of a removal with
``errorCode`` 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from polaris_bridge.adapters._shared.slices import Work
from polaris_bridge.adapters.nacos.service.admission import Forbidden, file_name
from polaris_bridge.adapters.nacos.translate.config import asker_of
from polaris_bridge.adapters.nacos.translate.keys import SOURCE
from polaris_bridge.adapters.nacos.wire import codes, config_payloads, json_in
from polaris_bridge.adapters.nacos.wire.config import VIPSERVER_TAG, Publication, check_tag, invalid, objection, tags_of
from polaris_bridge.adapters.nacos.wire.config_payloads import BatchListenRequest, Context, PublishRequest
from polaris_bridge.adapters.nacos.wire.messages import Refused
from polaris_bridge.adapters.nacos.wire.params import check
from polaris_bridge.adapters.nacos.wire.payload import encode
from polaris_bridge.core.config.model import ANYBODY, Asker, FileKey
from polaris_bridge.core.errors import CoreError
from polaris_bridge.core.model import Caller

from .grpc_answers import DONE, Pending, Written, error, failure, refusal
from .grpc_kinds import Asked, Kind, Kinds, Reply

if TYPE_CHECKING:
    from polaris_bridge.adapters.nacos.service.nacos import NacosService

STRIDE: Final = 64
"""Files of one request that are looked at before others get their turn."""
MOST_LISTENED: Final = 100_000
"""Files that one connection may listen to. Java opens one for each 3000; others have one for all."""

_LISTENED: Final = "ConfigChangeBatchListenResponse"
_NONE_CHANGED: Final = b',"changedConfigs":[]'
_WATCHED: Final = "ConfigFuzzyWatchResponse"
_READ: Final = "DiscoverConfigFile"
"""What policies call reading, when it is only asked who reads."""
_APP_LABEL: Final = "app_"
"""How labels of a connection begin that gray releases may name, without this."""
_SAID_AS_400: Final = ("invalid dataId", "invalid group", "content is blank", "invalid content")
"""Objections to names and contents; the others that a publication may meet have 500."""


# ---------------------------------------------------------------------- one file


def query(service: NacosService, asked: Asked) -> Reply:
    """``ConfigQueryRequest``."""
    request = config_payloads.query_request(asked.body)
    key, _ = _enter(service, asked, "r", request.data_id, request.group, request.tenant)
    found = service.configs.query(key, _asker(asked, request.tag), request.tag)
    if found is None:
        there = bool(request.tag) and service.registry.config.reading.snapshot(key).file is not None
        return config_payloads.not_there(request.tag if there else "")
    return config_payloads.found(
        found.content.decode(errors="replace"),
        found.md5,
        found.type,
        found.encrypted_data_key or (None if found.gray else ""),
        found.modified_ms,
        beta=found.beta,
        tag=found.tag,
    )


def publish(service: NacosService, asked: Asked) -> Reply:
    """``ConfigPublishRequest``."""
    request = config_payloads.publish_request(asked.body)
    key, caller = _enter(service, asked, "w", request.data_id, request.group, request.tenant)
    try:
        service.configs.check(request.data_id, request.group, request.tenant)
        done = service.configs.publish(key, _publication(request), caller)
    except Refused as fault:
        return failure(500, 400 if fault.text.startswith(_SAID_AS_400) else 500, fault.text)
    return Written(DONE, done.commit)


def _publication(request: PublishRequest) -> Publication:
    if request.content is None:
        raise invalid("content is blank : null")
    said = request.additions.get
    return Publication(
        content=request.content.encode(),
        type=said("type"),
        desc=said("desc"),
        tags=tags_of(said("config_tags")),
        app=said("appName"),
        use=said("use"),
        effect=said("effect"),
        schema=said("schema"),
        encrypted_data_key=said("encryptedDataKey", ""),
        src_user=said("src_user", ""),
        beta_ips=said("betaIps", ""),
        tag=said("tag", ""),
        cas_md5=request.cas_md5,
    )


def remove(service: NacosService, asked: Asked) -> Reply:
    """``ConfigRemoveRequest``: success also when nothing is there."""
    request = config_payloads.query_request(asked.body)
    key, caller = _enter(service, asked, "w", request.data_id, request.group, request.tenant)
    try:
        service.configs.check(request.data_id, request.group, request.tenant)
        check_tag(request.tag)
        commit = service.configs.remove(key, request.tag, caller)
    except Refused as fault:
        return failure(500, 0, fault.text)
    return Written(DONE, commit)


def _enter(
    service: NacosService, asked: Asked, action: str, data_id: str, group: str, tenant: str
) -> tuple[FileKey, Caller]:
    """Which file a request is about and who asks: let in, and the names looked at. Raises ``Refused``."""
    key = service.configs.key(data_id, group, tenant)
    caller = asked.shown("w" if action == "w" else "r", key.namespace, file_name(group, data_id))
    check(objection(data_id, group, tenant))
    return key, caller


# ---------------------------------------------------------------------- listening


def batch_listen(service: NacosService, asked: Asked) -> Reply:
    """``ConfigBatchListenRequest``: which files are not as the client has them; from now on it is told of changes.

    Of files that it may not read it is told nothing; it is refused when it may read none of those that it names.
    """
    request = config_payloads.batch_listen_request(asked.body)
    caller = _listener(service, asked)
    asked.connection.asker = _asker(asked, "")
    work = _listened(service, asked, request, caller)
    if len(request.contexts) <= STRIDE:
        return _at_once(work)
    pending = Pending()
    unsaid = error(500, 500, "internal error")
    service.slices.run(("batch listen", pending), lambda: _whole(work), lambda answer: pending.settle(answer or unsaid))
    return pending


def _listener(service: NacosService, asked: Asked) -> Caller:
    """Who listens, whatever it may read. Raises ``Forbidden``, ``Undecided``."""
    if not service.settings.auth:
        return asked.caller
    shown = service.admission.shown_in_payload(asked.headers.get, asked.caller.address)
    return service.admission.identify(shown, _READ, asked.caller)


def _listened(service: NacosService, asked: Asked, request: BatchListenRequest, caller: Caller) -> Work:
    """The body of the answer. Raises ``Refused``."""
    for count, context in enumerate(request.contexts, 1):
        check(objection(context.data_id, context.group, context.tenant))
        if count % STRIDE == 0 and count < len(request.contexts):
            yield
    may = service.admission.may
    connection = asked.connection
    changed: list[Context] = []
    refused: list[FileKey] = []
    for at in range(0, len(request.contexts), STRIDE):
        if at:
            yield
        if connection.stream is None:  # it is gone, and what it listened to has ended
            break
        named = [(_key(service, context), context) for context in request.contexts[at : at + STRIDE]]
        if caller.principal:
            rights = [may(caller.principal, "r", "config", *_file(key)) for key, _ in named]
            refused += [key for (key, _), right in zip(named, rights, strict=True) if not right]
            named = [one for one, right in zip(named, rights, strict=True) if right]
        if request.listen:
            changed += _listen(service, asked, named, caller)
        else:
            _unlisten(service, asked, named)
    if refused:
        try:
            asked.shown("r", *_file(refused[0]))  # refuses, and records it
        except Forbidden:
            if len(refused) == len(request.contexts):
                raise
    return config_payloads.changed(changed)


def _listen(service: NacosService, asked: Asked, named: list[tuple[FileKey, Context]], caller: Caller) -> list[Context]:
    connection = asked.connection
    if len(connection.configs or ()) + len(named) > MOST_LISTENED:
        raise Refused(400, codes.CONFIG_LISTENER, f"a connection may listen to {MOST_LISTENED} files")
    listen, hold = service.config_listeners.listen, service.config_endings.hold
    changed = []
    for key, context in named:
        tenant = context.tenant or ""
        if listen(connection, key, tenant, context.md5 or ""):
            changed.append(context)
        hold(connection, (key, tenant), caller.principal)
    holders = service.registry.config.holders
    has = ((key, context.md5 or "") for key, context in named)
    holders.report(connection.id, has, via=SOURCE, asker=connection.asker or ANYBODY, lasting=True)
    return changed


def _unlisten(service: NacosService, asked: Asked, named: list[tuple[FileKey, Context]]) -> None:
    connection = asked.connection
    for key, context in named:
        service.config_listeners.unlisten(connection, key)
        service.config_endings.let_go(connection, (key, context.tenant or ""))
    service.registry.config.holders.dropped(connection.id, [key for key, _ in named])


def _key(service: NacosService, context: Context) -> FileKey:
    return service.configs.key(context.data_id or "", context.group or "", context.tenant or "")


def _file(key: FileKey) -> tuple[str, str]:
    """What rights are asked for."""
    return key.namespace, file_name(key.group, key.name)


def _at_once(work: Work) -> bytes:
    while True:
        try:
            next(work)
        except StopIteration as stop:
            body: bytes = stop.value
            return body


def _whole(work: Work) -> Work:
    """The whole payload of an answer that took some time."""
    try:
        body: bytes = yield from work
    except (Refused, CoreError) as fault:
        return refusal(fault, _LISTENED, _NONE_CHANGED)
    return encode(_LISTENED, body)


def _asker(asked: Asked, tag: str) -> Asker:
    """Who asks, as gray releases see it. ``tag``: it asks for what was published for one; else a header may say so."""
    connection = asked.connection
    tag = tag or asked.headers.get(VIPSERVER_TAG, "")
    labels = _labels(tuple(sorted(connection.labels.items())), connection.version)
    if not tag and connection.asker is not None and connection.asker.labels == labels:
        return connection.asker
    return asker_of(connection.client_ip or connection.host, tag, labels)


@lru_cache(maxsize=1024)
def _labels(said: tuple[tuple[str, str], ...], version: str) -> Mapping[str, str]:
    """The labels of a connection, and those of its application under their own names."""
    own = {key[len(_APP_LABEL) :]: value for key, value in said if key.startswith(_APP_LABEL) and value.strip()}
    own.pop("", None)
    return {**dict(said), "ClientVersion": version, **own}


# ---------------------------------------------------------------------- 3.x


def fuzzy_watch(service: NacosService, asked: Asked) -> Reply:
    """``ConfigFuzzyWatchRequest``."""
    request = json_in.fuzzy_watch_request(asked.body)
    namespace = service.configs.namespace(request.group_key_pattern.partition(">>")[0])
    caller = asked.shown("r", namespace, "")
    service.admission.check_whole(caller, namespace, "config")
    patterns = service.fuzzy_configs
    watching = patterns.request(asked.connection, request)
    if watching is None:
        return DONE
    service.config_endings.watched(asked.connection, namespace, caller.principal)
    if watching.filled:
        patterns.check_matches(watching)
        return DONE
    pending, found = Pending(), watching

    def filled() -> None:
        try:
            patterns.check_matches(found)
        except Refused as fault:
            pending.settle(refusal(fault, _WATCHED))
        else:
            pending.settle(encode(_WATCHED, DONE))

    watching.waiting.append(filled)
    return pending


CONFIG_KINDS: Final[Kinds] = {
    "ConfigQueryRequest": Kind("ConfigQueryResponse", query, b',"lastModified":0,"beta":false', kind="config"),
    "ConfigPublishRequest": Kind("ConfigPublishResponse", publish, kind="config"),
    "ConfigRemoveRequest": Kind("ConfigRemoveResponse", remove, kind="config"),
    "ConfigBatchListenRequest": Kind(_LISTENED, batch_listen, _NONE_CHANGED, kind="config"),
    "ConfigFuzzyWatchRequest": Kind(_WATCHED, fuzzy_watch, kind="config"),
}
"""What is answered when the configuration centre is open."""
