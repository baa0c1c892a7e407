"""HTTP v1, configurations as clients use them: read, publish, remove, and the long poll. As measured on Nacos 2.5.1.

A missing parameter is said with status 500, what the check before the handlers cannot read in a long poll as an error page, and
everything else as ``caused: ...;``.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from email.utils import formatdate
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import quote_plus

from msgspec import structs

from polaris_bridge.adapters._shared.exchange import Headers, Response
from polaris_bridge.adapters.nacos.service.admission import NO_RIGHT, Forbidden, file_name
from polaris_bridge.adapters.nacos.service.config.polling import STRIDE, Looked, hold_s
from polaris_bridge.adapters.nacos.service.scope import Scope
from polaris_bridge.adapters.nacos.translate.config import addresses_shown, asker_of, attributes_of
from polaris_bridge.adapters.nacos.wire import codes
from polaris_bridge.adapters.nacos.wire.config import (
    NOT_FOUND,
    VIPSERVER_TAG,
    Content,
    Publication,
    check_names,
    check_tag,
    invalid,
    objection,
    old_header,
    probe,
    probe_text,
    tags_of,
)
from polaris_bridge.adapters.nacos.wire.messages import PUBLIC, Refused
from polaris_bridge.adapters.nacos.wire.params import check
from polaris_bridge.core.batches import Commit
from polaris_bridge.core.config.model import Asker, FileKey, Seen
from polaris_bridge.core.errors import CoreError
from polaris_bridge.core.model import Caller

from .answers import JSON_UTF8, NO_CACHE, PLAIN, Answer, Held, Reply, encode
from .call import HttpCall, Route, Routes

if TYPE_CHECKING:
    from polaris_bridge.adapters.nacos.service.nacos import NacosService

_TRUE: Final = b"true"
_ABSENT: Final = Response(404, NOT_FOUND.encode() + b"\n", JSON_UTF8)
_TAG: Final = VIPSERVER_TAG.lower().encode()


# ---------------------------------------------------------------------- parameters


def needed(call: HttpCall, name: str) -> str:
    """A parameter that must be there. The real server's text has its quotes escaped."""
    value = call.params.raw(name)
    if value is None:
        text = f"Required request parameter &#39;{name}&#39; for method parameter type String is not present"
        raise Refused(500, codes.PARAMETER_MISSING, text)
    return value


def by_file(call: HttpCall) -> Scope:
    """``dataId``, ``group`` and ``tenant`` (``namespaceId`` and ``namespace`` mean the same), held to the check that stands
    before every handler."""
    raw = call.params.raw
    scope = call.filed(next((name for name in ("namespaceId", "tenant") if raw(name)), "namespace"))
    check(objection(scope.name, scope.group, scope.namespace_id, raw("ip")))
    return scope


def the_key(call: HttpCall) -> FileKey:
    """The configuration of a call that must name one."""
    data_id, group = needed(call, "dataId"), needed(call, "group")
    check_names(data_id, group)
    return FileKey(call.scope.namespace, group, data_id)


def the_asker(call: HttpCall, tag: str = "") -> Asker:
    """Who asks, as gray releases see it. What the call says counts before what its client says of itself."""
    request = call.request
    return asker_of(request.peer, tag or request.header(_TAG) or "")


# ---------------------------------------------------------------------- reading


def read(service: NacosService, call: HttpCall) -> Reply:
    """GET configs: the content as it is, what is said of it in headers."""
    key, tag = the_key(call), call.params.raw("tag") or ""
    check_tag(tag)
    found = service.configs.query(key, the_asker(call, tag), tag)
    return _ABSENT if found is None else Response(200, found.content, content_headers(found))


def content_headers(found: Content, kind: Headers = PLAIN) -> Headers:
    """What is said of a content that is read. ``kind``: the content type of the answer."""
    headers = [
        (b"Config-Type", found.type.encode()),
        (b"Content-MD5", found.md5.encode()),
        *NO_CACHE,
        (b"Last-Modified", _date(found.modified_ms // 1000)),
    ]
    if found.encrypted_data_key or not found.gray:
        headers.append((b"Encrypted-Data-Key", found.encrypted_data_key.encode("latin-1", "replace")))
    if found.beta:
        headers.append((b"isBeta", b"true"))
    if found.tag:
        headers.append((b"tag", quote_plus(found.tag).encode()))
    return (*headers, *kind)


@lru_cache(maxsize=1024)
def _date(seconds: int) -> bytes:
    return formatdate(seconds, usegmt=True).encode()


def read_beta(service: NacosService, call: HttpCall) -> Reply:
    """GET configs?beta=true: what is published for addresses."""
    key = the_key(call)
    seen = service.configs.beta(key)
    data = None if seen is None else _beta(service, key, seen)
    return Answer(encode({"code": 200, "message": "query beta ok", "data": data}), JSON_UTF8)


def _beta(service: NacosService, key: FileKey, seen: Seen) -> dict[str, str | None]:
    file, space = service.registry.config.reading.snapshot(key).file, service.spaces.id(key.namespace)
    return {
        "id": str(file.id) if file is not None else "",
        "dataId": key.name,
        "group": key.group,
        "content": seen.content.decode("utf-8", "replace"),
        "md5": seen.md5,
        "encryptedDataKey": seen.release.text.client_key or None,
        "tenant": "" if space == PUBLIC else space,
        "appName": attributes_of(seen.release.text).app,
        "type": None,
        "betaIps": addresses_shown(seen.active),
    }


# ---------------------------------------------------------------------- writing


def publish(service: NacosService, call: HttpCall) -> Reply:
    """POST configs: for everybody, or (header ``betaIps``, parameter ``tag``) for some."""
    data_id, group = needed(call, "dataId"), needed(call, "group")
    content = needed(call, "content").encode("utf-8", "replace")
    check_names(data_id, group)
    raw, header = call.params.raw, call.request.header
    said = Publication(
        content=content,
        type=raw("type"),
        desc=raw("desc"),
        tags=tags_of(raw("config_tags")),
        app=raw("appName"),
        use=raw("use"),
        effect=raw("effect"),
        schema=raw("schema"),
        encrypted_data_key=raw("encryptedDataKey") or "",
        src_user=raw("src_user") or raw("username") or "",
        beta_ips=header(b"betaips") or "",
        tag=raw("tag") or "",
        cas_md5=header(b"casmd5") or "",
    )
    caller = named(call.caller, said.src_user)
    done = service.configs.publish(FileKey(call.scope.namespace, group, data_id), said, caller)
    return _true(done.commit)


def named(caller: Caller, user: str) -> Caller:
    """The caller under the name that it says, where nobody had to prove one."""
    return caller if caller.principal or not user else structs.replace(caller, principal=user)


def remove(service: NacosService, call: HttpCall) -> Reply:
    """DELETE configs: all of it, or what was published for a ``tag``."""
    key, tag = the_key(call), call.params.raw("tag") or ""
    check_tag(tag)
    caller = named(call.caller, call.params.raw("username") or "")
    return _true(service.configs.remove(key, tag, caller))


def stop_beta(service: NacosService, call: HttpCall) -> Reply:
    """DELETE configs?beta=true: nobody gets what was published for addresses any more."""
    caller = named(call.caller, call.params.raw("srcUser") or "")
    commit = service.configs.stop_beta(the_key(call), caller)
    if commit is None:
        return Answer(encode({"code": 500, "message": "remove beta data error", "data": False}), JSON_UTF8)
    return Answer(encode({"code": 200, "message": "stop beta ok", "data": True}), JSON_UTF8, 200, commit)


def _true(commit: Commit) -> Answer:
    return Answer(_TRUE, JSON_UTF8, 200, commit)


# ---------------------------------------------------------------------- the long poll

_NOTHING_NEW: Final = Response(200, b"", JSON_UTF8)
_NEWS: Final[Headers] = (*NO_CACHE, *JSON_UTF8)


def by_listened(call: HttpCall) -> Scope:
    """What a long poll is about: the first configuration that it asks for. The others are looked at one by one."""
    text = call.params.raw("Listening-Configs")
    if not text or text.isspace():  # refused when the caller is known
        return call.filed()
    line = probe_text(text).partition("\x01")[0]
    data_id, group, _, tenant, *_ = [*line.split("\x02"), "", "", "", ""][:5]
    configs = call.service.configs
    return Scope(tenant, configs.namespace(tenant), group, data_id)


def listen(service: NacosService, call: HttpCall) -> Reply:
    """POST configs/listener: what is not what the client has, at once or as soon as there is something."""
    text = probe_text(call.params.raw("Listening-Configs"))
    work = _looking(service, call, text)
    wait = _wait(call)
    if text.count("\x01") > STRIDE:
        held = Held(working=True)

        def done(found: Looked | Exception | None) -> None:
            if isinstance(found, Looked):
                try:
                    _answered(service, asker, found, wait, held)
                    return
                except Refused as error:
                    found = error
            if held.refuse is not None:
                held.answer(held.refuse(found or RuntimeError("it failed")))

        asker = the_asker(call)
        service.slices.run(held, lambda: _refusable(work), done)
        return held
    held = Held()
    found = _at_once(work)
    return _answered(service, the_asker(call), found, wait, held) or held


def _looking(service: NacosService, call: HttpCall, text: str) -> Generator[None, None, Looked]:
    asked = yield from probe(text)
    allowed = _allowed(service, call.caller) if service.settings.auth else None
    return (yield from service.polling.look(asked, the_asker(call), allowed))


def _allowed(service: NacosService, caller: Caller) -> Callable[[FileKey], None]:
    """Refuses what a caller may not read."""
    may, principal = service.admission.may, caller.principal

    def allowed(key: FileKey) -> None:
        if not may(principal, "r", "config", key.namespace, file_name(key.group, key.name)):
            raise Forbidden(NO_RIGHT)

    return allowed


def _wait(call: HttpCall) -> tuple[str | None, bool]:
    """The header ``Long-Pulling-Timeout`` (None: a client of old, that does not wait), and whether it waits this time."""
    header = call.request.header
    no_hangup = (header(b"long-pulling-timeout-no-hangup") or "").lower() == "true"
    return header(b"long-pulling-timeout"), not no_hangup


def _answered(
    service: NacosService, asker: Asker, found: Looked, wait: tuple[str | None, bool], held: Held
) -> Response | None:
    """The answer if there is one now (also given to ``held``), else ``held`` waits. Raises ``Refused``."""
    timeout, waits = wait
    if timeout is None:
        return _give(held, _old(found))
    if found.changed:
        return _give(held, _news(found.lines(found.changed)))
    if not waits:
        return _give(held, _NOTHING_NEW)
    seconds = hold_s(_long(timeout))
    poll = service.polling.hold(found, asker, seconds, lambda lines: _tell(held, lines))
    held.wait(poll.cancel)
    return None


def _give(held: Held, response: Response) -> Response:
    if held.working:
        held.answer(response)
    return response


def _tell(held: Held, lines: Sequence[bytes]) -> None:
    held.answer(_news(lines) if lines else _NOTHING_NEW)


def _news(lines: Sequence[bytes]) -> Response:
    return Response(200, b"%b\n" % b"".join(lines), _NEWS)


def _old(found: Looked) -> Response:
    """What changed, in headers."""
    keys = [found.keys[at] for at in found.changed]
    said = (
        (b"Probe-Modify-Response", old_header((key.name, key.group) for key in keys)),
        (b"Probe-Modify-Response-New", b"".join(found.lines(found.changed))),
    )
    return Response(200, b"", (*said, *_NEWS))


def _long(text: str) -> int:
    """A whole number of 64 bits, as Java reads it."""
    digits = text[1:] if text[:1] in ("-", "+") else text
    if digits.isdecimal() and digits.isascii() and len(digits) < 20 and -(2**63) <= int(text) < 2**63:
        return int(text)
    raise invalid(f'For input string: "{text}"')


def _refusable(work: Generator[None, None, Looked]) -> Generator[None, None, Looked | Exception]:
    """Work whose refusal is an answer."""
    try:
        return (yield from work)
    except (Refused, CoreError) as error:
        return error


def _at_once(work: Generator[None, None, Looked]) -> Looked:
    """A small piece of work, without a pause."""
    while True:
        try:
            next(work)
        except StopIteration as stop:
            found: Looked = stop.value
            return found


def _beta_of(run: Callable[[NacosService, HttpCall], Reply], rights: Literal["r", "w"]) -> tuple[str, str, Route]:
    """What ``beta=true`` makes of a call."""
    return "beta", "true", Route(run, rights, by_file, kind="config")


ROUTES: Final[Routes] = {
    ("GET", "/v1/cs/configs"): Route(read, "r", by_file, kind="config", variants=(_beta_of(read_beta, "r"),)),
    ("POST", "/v1/cs/configs"): Route(publish, "w", by_file, kind="config"),
    ("DELETE", "/v1/cs/configs"): Route(remove, "w", by_file, kind="config", variants=(_beta_of(stop_beta, "w"),)),
    ("POST", "/v1/cs/configs/listener"): Route(listen, "r", by_listened, kind="config"),
}
