"""Routes of namespaces, in the words of three generations: the v1 and v2 console, the v3 administration and console.

Answers as on Nacos 2.5.1 (v1, v2) and 3.x (v3): before v3 the default namespace is listed under the empty id.
"""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from polaris_bridge.adapters.nacos.service.namespaces import Namespace
from polaris_bridge.adapters.nacos.service.scope import Scope
from polaris_bridge.adapters.nacos.wire import codes
from polaris_bridge.adapters.nacos.wire.messages import PUBLIC, Refused
from polaris_bridge.adapters.nacos.wire.params import check, namespace_name_objection, namespace_objection
from polaris_bridge.core.batches import SETTLED, Commit

from .answers import Answer, json, rest_result, result
from .call import NOTHING, Generation, HttpCall, Route, Routes
from .forms import asked
from .operators import Run, operated

if TYPE_CHECKING:
    from polaris_bridge.adapters.nacos.service.nacos import NacosService

PUBLIC_DESCRIPTION: Final = "Default Namespace"

_LEGAL_ID: Final = re.compile(r"[\w-]{1,128}\Z", re.ASCII)
_LEGAL_NAME: Final = re.compile(r"[^@#$%^&*]+\Z")


class _Namespace(Struct, frozen=True, rename="camel", gc=False):
    """A namespace on the wire."""

    namespace: str
    namespace_show_name: str
    namespace_desc: str | None
    quota: int
    config_count: int
    type: int


def _shown(n: Namespace, id: str) -> _Namespace:
    description = n.description or (PUBLIC_DESCRIPTION if n.id == PUBLIC else None)
    return _Namespace(id, n.name, description, n.quota, n.config_count, n.type)


def _all(service: NacosService, public: str) -> list[_Namespace]:
    return [_shown(n, public if n.id == PUBLIC else n.id) for n in service.namespaces.all()]


def _checked(call: HttpCall) -> Scope:
    """Nothing in particular, but the names that are given are legal ones."""
    p = call.params
    check(namespace_objection(p.first(("namespaceId", "customNamespaceId"))))
    check(namespace_name_objection(p.text("namespaceName")))
    return NOTHING


def check_id(id: str) -> None:
    """Raises ``Refused`` when no namespace can have it; empty: it gets one."""
    if id and not _LEGAL_ID.match(id):
        raise Refused(400, codes.NAMESPACE, f"namespaceId [{id}] mismatch the pattern")


def check_name(name: str) -> None:
    """Raises ``Refused`` when no namespace can be called so."""
    if not _LEGAL_NAME.match(name):
        raise Refused(400, codes.NAMESPACE, f"namespaceName [{name}] contains illegal char")


# ---------------------------------------------------------------------- v1 console


def _asked(call: HttpCall, name: str) -> str:
    """A parameter of the v1 console that must be there, and may be empty."""
    value = call.params.raw(name)
    if value is None:
        raise _caused(f"Required request parameter '{name}' for method parameter type String is not present")
    return value


def _caused(text: str) -> Refused:
    """An objection as the v1 console says it."""
    return Refused(500, codes.SERVER_ERROR, f"caused: {escape(text).replace('&#x27;', '&#39;')};")


def get_v1(service: NacosService, call: HttpCall) -> Answer:
    """The list; with ``show=all`` one; with ``checkNamespaceIdExist=true`` whether an id is taken."""
    p = call.params
    if p.raw("show") == "all":
        id = _asked(call, "namespaceId")
        try:
            return json(_shown(service.namespaces.get(id), id))
        except Refused as error:
            raise _caused(error.text) from None
    if p.raw("checkNamespaceIdExist") == "true":
        id = _asked(call, "customNamespaceId").strip()
        return json(_taken(service, id))
    return rest_result(_all(service, ""))


def create_v1(service: NacosService, call: HttpCall) -> Answer:
    """``true``, or ``false`` when that is not possible, whatever the reason."""
    id, name = _asked(call, "customNamespaceId").strip(), _asked(call, "namespaceName")
    try:
        check_id(id)
        check_name(name)
        commit = service.namespaces.create(id, name, call.params.text("namespaceDesc"), call.caller)
    except Refused:
        return json(False)
    return json(True, commit=commit)


def edit_v1(service: NacosService, call: HttpCall) -> Answer:
    """``true``, also for one that is not there."""
    id, name = _asked(call, "namespace"), _asked(call, "namespaceShowName")
    if not _LEGAL_NAME.match(name):
        return json(False)
    return json(True, commit=_edited(service, call, id, name))


def delete_v1(service: NacosService, call: HttpCall) -> Answer:
    """``true``, also for one that is not there."""
    return json(True, commit=service.namespaces.delete(_asked(call, "namespaceId"), call.caller))


# ---------------------------------------------------------------------- v2 and v3


def _given(call: HttpCall, name: str) -> str:
    """A member of a form that must be there, and may be empty."""
    value = call.params.raw(name)
    if value is None:
        raise Refused(400, codes.PARAMETER_MISSING, f"required parameter '{name}' is missing")
    return value


def list_v2(service: NacosService, _call: HttpCall) -> Answer:
    """All, the default one under the empty id."""
    return result(_all(service, ""))


def list_v3(service: NacosService, _call: HttpCall) -> Answer:
    """All, the default one as ``public``."""
    return result(_all(service, "public"))


def get(service: NacosService, call: HttpCall) -> Answer:
    """One, under the id that was asked for."""
    id = asked(call, "namespaceId")
    return result(_shown(service.namespaces.get(id), id))


def create_v2(service: NacosService, call: HttpCall) -> Answer:
    """``true``; the objections of Nacos 2.x."""
    given = _given(call, "namespaceId")
    name = _given(call, "namespaceName")
    id = given.strip()
    if _taken(service, id):
        raise Refused(400, codes.NAMESPACE, f"the namespaceId is existed, namespaceId: {given}")
    return _create(service, call, id, name)


def create_v3(service: NacosService, call: HttpCall) -> Answer:
    """``true``; the objections of Nacos 3.x."""
    id = _given(call, "namespaceId").strip()
    return _create(service, call, id, _given(call, "namespaceName"))


def create_in_console(service: NacosService, call: HttpCall) -> Answer:
    """As ``create_v3``, with an id that may be absent."""
    id = call.params.first(("customNamespaceId", "namespaceId"))
    return _create(service, call, id, _given(call, "namespaceName"))


def _create(service: NacosService, call: HttpCall, id: str, name: str) -> Answer:
    check_id(id)
    check_name(name)
    return result(True, service.namespaces.create(id, name, call.params.text("namespaceDesc"), call.caller))


def edit(service: NacosService, call: HttpCall) -> Answer:
    """``true``, also for one that is not there."""
    id, name = _given(call, "namespaceId"), _given(call, "namespaceName")
    check_name(name)
    return result(True, _edited(service, call, id, name))


def _edited(service: NacosService, call: HttpCall, id: str, name: str) -> Commit:
    """The default one keeps its name, as on the real server."""
    found = service.namespaces.find(id)
    if found is None or found.id == PUBLIC:
        return SETTLED
    return service.namespaces.update(id, name, call.params.text("namespaceDesc"), call.caller) or SETTLED


def delete(service: NacosService, call: HttpCall) -> Answer:
    """``true``, also for one that is not there."""
    return result(True, service.namespaces.delete(asked(call, "namespaceId"), call.caller))


def count(service: NacosService, call: HttpCall) -> Answer:
    """How many have the id: 1 or 0."""
    return result(int(_taken(service, asked(call, "namespaceId").strip())))


def exists(service: NacosService, call: HttpCall) -> Answer:
    """Whether an id is taken."""
    return result(_taken(service, asked(call, "customNamespaceId").strip()))


def _taken(service: NacosService, id: str) -> bool:
    return bool(id) and service.namespaces.find(id) is not None


_V1: Final = "/v1/console/namespaces"
_V2: Final = "/v2/console/namespace"
_V3: Final = "/v3/admin/core/namespace"
_CONSOLE: Final = "/v3/console/core/namespace"


def _seen(run: Run, generation: Generation) -> Route:
    return operated("DescribeNamespaces", run, generation, names=_checked)


def _written(operation: str, run: Run, generation: Generation, about: str = "namespaceId") -> Route:
    return operated(operation, run, generation, about=about, names=_checked)


ROUTES: Final[Routes] = {
    ("GET", _V1): Route(get_v1, "", _checked, 1),
    ("POST", _V1): _written("CreateNamespaces", create_v1, 1, "customNamespaceId"),
    ("PUT", _V1): _written("UpdateNamespaces", edit_v1, 1, "namespace"),
    ("DELETE", _V1): _written("DeleteNamespaces", delete_v1, 1),
    ("GET", f"{_V2}/list"): Route(list_v2, "", _checked, 2),
    ("GET", _V2): _seen(get, 2),
    ("POST", _V2): _written("CreateNamespaces", create_v2, 2),
    ("PUT", _V2): _written("UpdateNamespaces", edit, 2),
    ("DELETE", _V2): _written("DeleteNamespaces", delete, 2),
    ("GET", f"{_V3}/list"): _seen(list_v3, 3),
    ("GET", _V3): _seen(get, 3),
    ("POST", _V3): _written("CreateNamespaces", create_v3, 3),
    ("PUT", _V3): _written("UpdateNamespaces", edit, 3),
    ("DELETE", _V3): _written("DeleteNamespaces", delete, 3),
    ("GET", f"{_V3}/check"): _seen(count, 3),
    ("GET", f"{_CONSOLE}/list"): _seen(list_v3, 3),
    ("GET", _CONSOLE): _seen(get, 3),
    ("POST", _CONSOLE): _written("CreateNamespaces", create_in_console, 3, "customNamespaceId"),
    ("PUT", _CONSOLE): _written("UpdateNamespaces", edit, 3),
    ("DELETE", _CONSOLE): _written("DeleteNamespaces", delete, 3),
    ("GET", f"{_CONSOLE}/exist"): _seen(exists, 3),
}
"""Lists of v1 and v2 are open, as on Nacos 2.5.1: its login page needs them."""
