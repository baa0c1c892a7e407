"""What calls of operators about configurations say, and the objections to it, in the words of each generation.

v1 says a missing parameter with status 500, as the real server's framework does where nobody expects it; v2 and v3 with 400 and
code 10000.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from polaris_bridge.adapters.nacos.service.admission import NO_RIGHT, Forbidden
from polaris_bridge.adapters.nacos.service.config.search import Wanted
from polaris_bridge.adapters.nacos.service.scope import Scope
from polaris_bridge.adapters.nacos.wire import codes
from polaris_bridge.adapters.nacos.wire.config import Publication, objection, tags_of
from polaris_bridge.adapters.nacos.wire.messages import Refused
from polaris_bridge.adapters.nacos.wire.params import check
from polaris_bridge.core.batches import SETTLED, Commit
from polaris_bridge.core.config.model import FileKey

from .answers import JSON_UTF8, Answer, encode
from .call import HttpCall

if TYPE_CHECKING:
    from polaris_bridge.adapters.nacos.service.nacos import NacosService

LONG: Final = "Long"
PAGE_SIZE: Final = 100
MAX_HISTORY: Final = 500
"""Rows of one page of a history."""
MAX_IDS: Final = 10_000

_MOST_SAID: Final = 100
"""Characters of a value that an objection repeats."""


# ---------------------------------------------------------------------- what a call is about


def names(tenant: str, group: str) -> Callable[[HttpCall], Scope]:
    """The configuration that parameters of these names, and ``dataId``, name; held to the check that stands before every
    handler. None of them need be there."""

    def found(call: HttpCall) -> Scope:
        scope = call.filed(tenant, group)
        check(objection(scope.name, scope.group, scope.namespace_id, call.params.raw("ip")))
        return scope

    return found


def space(tenant: str) -> Callable[[HttpCall], Scope]:
    """The namespace of a call about several configurations."""

    def found(call: HttpCall) -> Scope:
        scope = call.filed(tenant, "", "")
        check(objection("", "", scope.namespace_id, call.params.raw("ip")))
        return scope

    return found


def searched(tenant: str, group: str) -> Callable[[HttpCall], Scope]:
    """The namespace of a search: names may be patterns when it says so, and are checked when it does not."""

    def found(call: HttpCall) -> Scope:
        raw = call.params.raw
        scope = call.filed(tenant, "", "")
        exact = raw("search") != "blur"
        check(objection(raw("dataId") if exact else "", raw(group) if exact else "", scope.namespace_id))
        return scope

    return found


by_name_v2: Final = names("namespaceId", "group")
by_name_v3: Final = names("namespaceId", "groupName")
by_space_v1: Final = space("tenant")
by_space: Final = space("namespaceId")


def spelled(service: NacosService, call: HttpCall) -> str:
    """The namespace of a call as its answer names it: in v1 and v2 as it was sent, in v3 ``public`` has its name."""
    if call.generation == 3:
        return service.spaces.id(call.scope.namespace)
    return call.scope.namespace_id


# ---------------------------------------------------------------------- parameters


def needed(call: HttpCall, name: str, kind: str = "String") -> str:
    """A parameter that must be there, and may be empty. ``kind``: the Java type that the objection names."""
    value = call.params.raw(name)
    if value is None:
        quote, status = ("&#39;", 500) if call.generation == 1 else ("'", 400)
        text = f"Required request parameter {quote}{name}{quote} for method parameter type {kind} is not present"
        raise Refused(status, codes.PARAMETER_MISSING, text)
    return value


def member(call: HttpCall, name: str) -> str:
    """A member of a form of v2 and v3 that must have a value."""
    value = call.params.raw(name)
    if value is None or not value.strip():
        raise Refused(400, codes.PARAMETER_MISSING, f"Required parameter '{name}' type String is not present")
    return value


def number(call: HttpCall, name: str, default: int | None = None, kind: str = "int") -> int:
    """A whole number; without a default it must be there."""
    value = call.params.raw(name) if default is not None else needed(call, name, kind)
    if not value and default is not None:
        return default
    return _whole(call, (value or "").strip(), f"java.lang.{kind}" if kind[0].isupper() else kind)


def ids(call: HttpCall, *, must: bool) -> list[int]:
    """``ids``: whole numbers between commas."""
    value = needed(call, "ids", "List") if must else call.params.raw("ids")
    parts = [part.strip() for part in (value or "").split(",")]
    found = [_whole(call, part, "java.util.List") for part in parts if part]
    if len(found) > MAX_IDS:
        raise Refused(400, codes.PARAMETER_VALIDATE, f"more than {MAX_IDS} ids")
    return found


def _whole(call: HttpCall, value: str, kind: str) -> int:
    digits = value[1:] if value[:1] in ("-", "+") else value
    if digits.isdecimal() and digits.isascii() and len(digits) < 20:
        found, most = int(value), 31 if kind in ("int", "java.lang.Integer") else 63
        if -(2**most) <= found < 2**most:
            return found
    said = f'For input string: "{value[:_MOST_SAID]}"'
    if call.generation == 1:
        text = f"Failed to convert value of type 'java.lang.String' to required type '{kind}'"
        said = f"{text}; nested exception is java.lang.NumberFormatException: {said};caused: {said}"
    raise Refused(400, codes.PARAMETER_VALIDATE, said)


def file_key(call: HttpCall) -> FileKey:
    """The configuration that a call of v1 or v2 names by parameters that must be there, and may be empty."""
    scope = call.scope
    data_id, group = needed(call, "dataId"), needed(call, "group")
    return FileKey(scope.namespace, group, data_id)


def form_key(call: HttpCall) -> FileKey:
    """The configuration that a form of v3 names."""
    group, data_id = member(call, "groupName"), member(call, "dataId")
    return FileKey(call.scope.namespace, group, data_id)


def wanted(call: HttpCall, *, group: str, tags: str, types: str, content: str, blur: bool) -> Wanted:
    """What a search looks for; the arguments name its parameters ("": there is none)."""
    raw = call.params.raw

    def several(name: str) -> tuple[str, ...]:
        return tuple(part for part in (raw(name) or "").split(",") if part) if name else ()

    app = raw("appName") or ""
    return Wanted(
        data_id=raw("dataId") or "",
        group=raw(group) or "",
        app="" if app.isspace() else app,
        tags=several(tags),
        types=several(types),
        content=(raw(content) or "") if content else "",
        blur=blur,
        tags_too=blur and call.generation == 3,
    )


def publication(call: HttpCall) -> Publication:
    """What a form of v2 or v3 publishes; headers say for whom, and what is expected to be there."""
    raw, header = call.params.raw, call.request.header
    return Publication(
        content=member(call, "content").encode("utf-8", "replace"),
        type=raw("type"),
        desc=raw("desc"),
        tags=tags_of(raw("configTags")),
        app=raw("appName"),
        use=raw("use"),
        effect=raw("effect"),
        schema=raw("schema"),
        encrypted_data_key=raw("encryptedDataKey") or "",
        src_user=raw("srcUser") or raw("username") or "",
        beta_ips=header(b"betaips") or "",
        tag=raw("tag") or "",
        cas_md5=header(b"casmd5") or "",
    )


# ---------------------------------------------------------------------- pages


class Part(Struct, frozen=True, gc=False):
    """Which page of a list a call asks for."""

    number: int
    size: int

    def of(self, total: int, items: Sequence[bytes]) -> bytes:
        """The page as JSON; its items are JSON already."""
        pages = -(-total // self.size)
        head = b'{"totalCount":%d,"pageNumber":%d,"pagesAvailable":%d,"pageItems":[' % (total, self.number, pages)
        return b"%b%b]}" % (head, b",".join(items))

    @property
    def span(self) -> slice:
        """Of the list."""
        start = (self.number - 1) * self.size
        return slice(start, start + self.size)


def part(call: HttpCall, *, must: bool = False, most: int = 2**31, kind: str = "int", head: str = "") -> Part:
    """``pageNo`` and ``pageSize``, 1 and 100 unless they ``must`` be there. ``head``: how an objection of v1 begins."""
    page = number(call, "pageNo", None if must else 1, kind)
    size = number(call, "pageSize", None if must else PAGE_SIZE, kind)
    for name, value in (("pageNo", page), ("pageSize", size)):
        if value > 0:
            continue
        if call.generation == 3:
            text = f"Required parameter '{name}' should be positive integer, current is {value}"
            raise Refused(400, codes.PARAMETER_VALIDATE, text)
        raise Refused(400, codes.PARAMETER_VALIDATE, f"{head}pageNo and pageSize must be greater than zero")
    return Part(page, min(size, most))


# ---------------------------------------------------------------------- answers


def bare(value: object, status: int = 200) -> Answer:
    """An object of v1; bytes are taken for JSON already."""
    return Answer(value if isinstance(value, bytes) else encode(value), JSON_UTF8, status)


def empty() -> Answer:
    """What v1 says where there is nothing."""
    return Answer(b"", JSON_UTF8)


def check_may(service: NacosService, call: HttpCall, keys: Sequence[FileKey], action: str) -> None:
    """Raise ``Forbidden`` unless the caller may read (``r``) or write (``w``) every one of these."""
    if not service.settings.auth:
        return
    for key in keys:
        if not service.config_admin.may(call.caller, "w" if action == "w" else "r", key):
            raise Forbidden(NO_RIGHT)


def together(commits: Sequence[Commit]) -> Commit:
    """The fate of several writes: done when all are, failed when one has."""
    left = [commit for commit in commits if not (commit.done and commit.error is None)]
    if len(left) < 2:
        return left[0] if left else SETTLED
    whole = Commit()
    count = len(left)
    failed: list[Exception] = []

    def settled(error: Exception | None) -> None:
        nonlocal count
        count -= 1
        if error is not None:
            failed.append(error)
        if not count:
            whole.settle(failed[0] if failed else None)

    for commit in left:
        commit.then(settled)
    return whole


Work = Generator[None, None, Answer]
"""An answer that is made a little at a time."""
Writing = Generator[Commit | None, None, Answer]
"""The same, waiting for the store now and then."""
