"""``/v1/auth`` and ``/v3/auth``: logins, users, roles and permissions.

Both generations refuse in the same words (texts that begin ``caused: ``), as on Nacos 2.5.1 and 3.0.3. Who may call is decided
by the service: these calls need a right whether or not the listener asks for credentials.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from polaris_bridge.adapters.nacos.service.admission import Shown
from polaris_bridge.adapters.nacos.service.auth.desk import Illegal, Page, absent
from polaris_bridge.adapters.nacos.service.auth.users import FIRST, Tell
from polaris_bridge.adapters.nacos.translate.auth import Permission
from polaris_bridge.adapters.nacos.wire.messages import Refused
from polaris_bridge.core.batches import Commit
from polaris_bridge.core.errors import CoreError, Unavailable
from polaris_bridge.core.ports import Undecided

from .answers import JSON, Answer, Later, Reply, encode, rest_result, result
from .call import NOTHING, HttpCall, Route, Routes

if TYPE_CHECKING:
    from polaris_bridge.adapters.nacos.service.nacos import NacosService

_BLUR: Final = "blur"


Run = Callable[["NacosService", HttpCall], Reply]


# ---------------------------------------------------------------------- logging in


def _login(service: NacosService, call: HttpCall) -> Reply:
    """The signing key is in the store but for the first moments of an installation; then the login waits for it."""
    ready = service.auth.login.ready()
    if ready.done and ready.error is None:
        return _granted(service, call)

    def begin(done: Callable[[Answer | Exception], None]) -> None:
        def go() -> None:
            try:
                answer = _granted(service, call)
            except Undecided as undecided:
                answered(undecided)
            except (Refused, CoreError) as refusal:
                done(refusal)
            else:
                done(answer)

        def answered(undecided: Undecided) -> None:
            try:
                undecided.then(go)
            except CoreError as refusal:
                done(refusal)

        ready.then(lambda error: go() if error is None else done(Unavailable(str(error))))

    return Later(begin)


def _granted(service: NacosService, call: HttpCall) -> Answer:
    granted = service.auth.login.login(_shown(service, call), call.caller)
    bearer = (b"Authorization", b"Bearer " + granted.access_token.encode("latin-1", "replace"))
    return Answer(encode(granted), (bearer, *JSON))


# ---------------------------------------------------------------------- users


def _create_user(service: NacosService, call: HttpCall) -> Reply:
    name, password = _required(call, "username"), _required(call, "password", strip=False)
    begin = service.auth.users.create(_shown(service, call), name, password, call.caller)
    return _later(begin, partial(_said, call, "create user ok!"))


def _create_admin(service: NacosService, call: HttpCall) -> Reply:
    begun = service.auth.users.begin(call.params.raw("password") or "", call.caller)
    if begun is None:
        if call.request.path.startswith(_V3):
            refusal = {"code": 409, "message": "have admin user cannot use it.", "data": None}
            return Answer(encode(refusal), JSON)
        return rest_result("have admin user cannot use it", code=409)
    password, begin = begun
    made = {"username": FIRST, "password": password}
    return _later(begin, lambda commit: _data(call, made, commit))


def _update_user(service: NacosService, call: HttpCall) -> Reply:
    name, password = _required(call, "username"), _required(call, "newPassword", strip=False)
    begin = service.auth.users.set_password(_shown(service, call), name, password, call.caller)
    return _later(begin, partial(_said, call, "update user ok!"))


def _delete_user(service: NacosService, call: HttpCall) -> Reply:
    commit = service.auth.users.delete(_shown(service, call), _required(call, "username"), call.caller)
    return _said(call, "delete user ok!", commit)


def _users(service: NacosService, call: HttpCall) -> Reply:
    page = _page(call)
    return _data(call, service.auth.users.find(_shown(service, call), page, call.params.text("username"), call.caller))


def _search_users(service: NacosService, call: HttpCall) -> Reply:
    part = _required(call, "username", blank=True)
    return _data(call, service.auth.users.search(_shown(service, call), part, call.caller))


# ---------------------------------------------------------------------- roles and permissions


def _add_role(service: NacosService, call: HttpCall) -> Reply:
    name, user = _required(call, "role"), _required(call, "username")
    return _said(call, "add role ok!", service.auth.roles.add(_shown(service, call), name, user, call.caller))


def _delete_role(service: NacosService, call: HttpCall) -> Reply:
    name, user = _required(call, "role"), call.params.text("username")
    commit = service.auth.roles.take(_shown(service, call), name, user, call.caller)
    return _said(call, f"delete role of user {user} ok!", commit)


def _roles(service: NacosService, call: HttpCall) -> Reply:
    page, params = _page(call), call.params
    found = service.auth.roles.find(
        _shown(service, call), page, params.text("role"), params.text("username"), call.caller
    )
    return _data(call, found)


def _search_roles(service: NacosService, call: HttpCall) -> Reply:
    part = _required(call, "role", blank=True)
    return _data(call, service.auth.roles.search(_shown(service, call), part, call.caller))


def _add_permission(service: NacosService, call: HttpCall) -> Reply:
    commit = service.auth.roles.allow(_shown(service, call), _permission(call), call.caller)
    return _said(call, "add permission ok!", commit)


def _delete_permission(service: NacosService, call: HttpCall) -> Reply:
    commit = service.auth.roles.revoke(_shown(service, call), _permission(call), call.caller)
    return _said(call, "delete permission ok!", commit)


def _permissions(service: NacosService, call: HttpCall) -> Reply:
    found = service.auth.roles.permissions(_shown(service, call), _page(call), call.params.text("role"), call.caller)
    return _data(call, found)


def _has_permission(service: NacosService, call: HttpCall) -> Reply:
    return result(service.auth.roles.has(_shown(service, call), _permission(call), call.caller))


def _permissions_v1(service: NacosService, call: HttpCall) -> Reply:
    """The list with ``search``, the question whether there is one without."""
    return (_permissions if "search" in call.params else _has_permission)(service, call)


# ---------------------------------------------------------------------- pieces


def _shown(service: NacosService, call: HttpCall) -> Shown | None:
    request = call.request
    return service.admission.shown(call.params.raw, lambda name: request.header(name.encode()), request.peer)


def _identified(run: Run) -> Run:
    """A call that nobody hears anything of who does not prove to be somebody."""

    def asked(service: NacosService, call: HttpCall) -> Reply:
        service.admission.identify(_shown(service, call), "DescribeUsers", call.caller)
        return run(service, call)

    return asked


def _required(call: HttpCall, name: str, *, strip: bool = True, blank: bool = False) -> str:
    value = call.params.raw(name)
    if value is None:
        raise absent(name)
    value = value.strip() if strip else value
    if not value and not blank:
        raise Illegal(f"{name} is blank")
    return value


def _permission(call: HttpCall) -> Permission:
    return Permission(_required(call, "role"), _required(call, "resource"), _required(call, "action"))


def _page(call: HttpCall) -> Page:
    for name in ("pageNo", "pageSize"):
        if call.params.raw(name) is None:
            raise absent(name, "int")
    number, size = call.params.integer("pageNo", 0), call.params.integer("pageSize", 0)
    return Page(number, size, call.params.text("search").lower() == _BLUR)


def _later(begin: Callable[[Tell], None], answer: Callable[[Commit], Answer]) -> Later:
    """The answer to a change that waits for a hash."""

    def start(done: Callable[[Answer | Exception], None]) -> None:
        def tell(found: Commit | Refused | CoreError) -> None:
            done(answer(found) if isinstance(found, Commit) else found)

        begin(tell)

    return Later(start)


def _said(call: HttpCall, text: str, commit: Commit) -> Answer:
    """A change that was made, in the envelope of its generation."""
    return result(text, commit) if call.request.path.startswith(_V3) else rest_result(text, commit=commit)


def _data(call: HttpCall, data: object, commit: Commit | None = None) -> Answer:
    """What was asked for: bare in the first generation."""
    body = encode(data)
    if call.request.path.startswith(_V3):
        return result(body) if commit is None else result(body, commit)
    return Answer(body, JSON) if commit is None else Answer(body, JSON, 200, commit)


_V3: Final = "/nacos/v3/"


def routes() -> Routes:
    """All of them, by method and path."""
    entrance: dict[tuple[str, str], Run] = {
        **{("POST", path): _login for path in ("/v1/auth/login", "/v1/auth/users/login", "/v3/auth/user/login")},
        **{("POST", path): _create_admin for path in ("/v1/auth/admin", "/v1/auth/users/admin", "/v3/auth/user/admin")},
    }
    table: dict[tuple[str, str], Run] = {
        ("GET", "/v1/auth/users"): _users,
        ("GET", "/v3/auth/user/list"): _users,
        ("GET", "/v1/auth/roles"): _roles,
        ("GET", "/v3/auth/role/list"): _roles,
        ("GET", "/v1/auth/permissions"): _permissions_v1,
        ("GET", "/v3/auth/permission/list"): _permissions,
        ("GET", "/v3/auth/permission"): _has_permission,
    }
    for users in ("/v1/auth/users", "/v3/auth/user"):
        table["POST", users] = _create_user
        table["PUT", users] = _update_user
        table["DELETE", users] = _delete_user
        table["GET", f"{users}/search"] = _search_users
    for roles in ("/v1/auth/roles", "/v3/auth/role"):
        table["POST", roles] = _add_role
        table["DELETE", roles] = _delete_role
        table["GET", f"{roles}/search"] = _search_roles
    for permissions in ("/v1/auth/permissions", "/v3/auth/permission"):
        table["POST", permissions] = _add_permission
        table["DELETE", permissions] = _delete_permission
    known = {place: _identified(run) for place, run in table.items()}
    return {place: Route(run, "", lambda _call: NOTHING) for place, run in (entrance | known).items()}
