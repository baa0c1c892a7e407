"""The calls about accounts, as a table."""

from __future__ import annotations

from typing import Any, Final

from polaris_bridge.adapters.polaris.service.console.filters import single
from polaris_bridge.adapters.polaris.service.routes import EVERYBODY, STRICT, UNREAD, Handle, Query, Route, Takes
from polaris_bridge.core.auth.ports import Accounts
from polaris_bridge.core.auth.values import GROUP, USER
from polaris_bridge.core.ports import Resource
from polaris_bridge.core.registry import Registry

from . import groups, policies, roles, users
from .desk import Desk
from .groups import Groups
from .links import Links
from .login import Login
from .owners import Owners
from .policies import Policies
from .roles import Roles
from .users import Users

_ROOT: Final = "/core/v1"
_READS: Final = frozenset({"default", "default-read"})
_CLOSE: Final = UNREAD.rstrip()


class AccountCalls:
    """What the directory can be told and asked. All calls need a right, whatever the configuration says of others."""

    def __init__(self, registry: Registry, accounts: Accounts) -> None:
        desk = Desk(registry, accounts)
        self.links = Links(desk)
        self.owners = Owners(desk)
        self.login = Login(desk)
        self.users = Users(desk)
        self.groups = Groups(desk)
        self.policies = Policies(desk)
        self.roles = Roles(desk)

    def routes(self) -> tuple[Route, ...]:
        """Its calls over HTTP."""
        return (*self._entrance(), *self._users(), *self._groups(), *self._policies(), *self._roles())

    def _entrance(self) -> tuple[Route, ...]:
        return (
            Route(
                method="GET",
                path=f"{_ROOT}/auth/status",
                operation="DescribeAuthStatus",
                handle=self.login.status,
                response="Response",
                include=_READS,
                door=EVERYBODY,
                about="Which calls are judged.",
            ),
            Route(
                method="POST",
                path=f"{_ROOT}/user/login",
                operation="Login",
                handle=self.login.login,
                takes="one",
                request="LoginRequest",
                response="Response",
                door=EVERYBODY,
                unread_prefix=_CLOSE,
                about="A token for a name and a password.",
            ),
        )

    def _users(self) -> tuple[Route, ...]:
        calls = self.users
        return (
            _new("users", "CreateUsers", calls.create, "list", "User", "Create users."),
            _write("POST", "users/delete", "DeleteUsers", calls.delete, "list", "User", "Delete users."),
            _write("PUT", "user", "UpdateUser", calls.update, "one", "User", "Change what is said of a user."),
            _write(
                "PUT",
                "user/password",
                "UpdateUserPassword",
                calls.set_password,
                "one",
                "ModifyUserPassword",
                "Change a password.",
            ),
            _write(
                "PUT",
                "user/token/status",
                "EnableUserToken",
                calls.enable_token,
                "one",
                "User",
                "Switch a token on or off.",
            ),
            _write(
                "PUT", "user/token/refresh", "ResetUserToken", calls.refresh_token, "one", "User", "Replace a token."
            ),
            _read("users", "DescribeUsers", calls.find, "List users.", users.FILTERS),
            _by_id("user/token", "DescribeUserToken", calls.token, "The token of a user.", USER),
        )

    def _groups(self) -> tuple[Route, ...]:
        calls = self.groups
        return (
            _new("usergroup", "CreateUserGroup", calls.create, "one", "UserGroup", "Create a group."),
            _write(
                "PUT",
                "usergroups",
                "UpdateUserGroups",
                calls.update,
                "list",
                "ModifyUserGroup",
                "Change groups and who is in.",
            ),
            _write(
                "POST", "usergroups/delete", "DeleteUserGroups", calls.delete, "list", "UserGroup", "Delete groups."
            ),
            _write(
                "PUT",
                "usergroup/token/status",
                "EnableUserGroupToken",
                calls.enable_token,
                "one",
                "UserGroup",
                "Switch a group's token on or off.",
            ),
            _write(
                "PUT",
                "usergroup/token/refresh",
                "ResetUserGroupToken",
                calls.refresh_token,
                "one",
                "UserGroup",
                "Replace a group's token.",
            ),
            _read("usergroups", "DescribeUserGroups", calls.find, "List groups.", groups.FILTERS),
            _own("usergroup/detail", "DescribeUserGroupDetail", calls.detail, "A group with its members.", ("id",)),
            _by_id("usergroup/token", "DescribeUserGroupToken", calls.token, "The token of a group.", GROUP),
        )

    def _policies(self) -> tuple[Route, ...]:
        calls = self.policies
        return (
            _new("auth/strategy", "CreateAuthPolicy", calls.create, "one", "AuthStrategy", "Create a policy."),
            _write(
                "PUT",
                "auth/strategies",
                "UpdateAuthPolicies",
                calls.update,
                "list",
                "ModifyAuthStrategy",
                "Change policies.",
            ),
            _write(
                "POST",
                "auth/strategies/delete",
                "DeleteAuthPolicies",
                calls.delete,
                "list",
                "AuthStrategy",
                "Delete policies.",
            ),
            _read("auth/strategies", "DescribeAuthPolicies", calls.find, "List policies.", policies.FILTERS),
            _own("auth/strategy/detail", "DescribeAuthPolicyDetail", calls.detail, "A policy in full.", ("id",)),
            _own(
                "auth/principal/resources",
                "DescribePrincipalResources",
                calls.principal_resources,
                "What policies give somebody.",
                ("principal_id", "principal_type"),
            ),
        )

    def _roles(self) -> tuple[Route, ...]:
        calls = self.roles
        return (
            _new("roles", "CreateAuthRoles", calls.create, "list", "Role", "Create roles."),
            _write("PUT", "roles", "UpdateAuthRoles", calls.update, "list", "Role", "Replace roles."),
            _write("POST", "roles/delete", "DeleteAuthRoles", calls.delete, "list", "Role", "Delete roles."),
            _read("roles", "DescribeAuthRoles", calls.find, "List roles.", roles.FILTERS),
        )


def _write(method: str, path: str, operation: str, handle: Handle, takes: Takes, request: str, about: str) -> Route:
    return Route(
        method=method,
        path=f"{_ROOT}/{path}",
        operation=operation,
        handle=handle,
        takes=takes,
        request=request,
        response="BatchWriteResponse" if takes == "list" else "Response",
        door=STRICT,
        about=about,
    )


def _new(path: str, operation: str, handle: Handle, takes: Takes, request: str, about: str) -> Route:
    """What is created is about nothing that is there, whatever id a request may carry."""
    return Route(
        method="POST",
        path=f"{_ROOT}/{path}",
        operation=operation,
        handle=handle,
        takes=takes,
        request=request,
        response="BatchWriteResponse" if takes == "list" else "Response",
        door=STRICT,
        resources=_nothing,
        unread_prefix=_CLOSE if path == "auth/strategy" else UNREAD,
        about=about,
    )


def _read(path: str, operation: str, handle: Handle, about: str, query: tuple[str, ...]) -> Route:
    return Route(
        method="GET",
        path=f"{_ROOT}/{path}",
        operation=operation,
        handle=handle,
        response="BatchQueryResponse",
        include=_READS,
        door=STRICT,
        about=about,
        query=query,
    )


def _own(path: str, operation: str, handle: Handle, about: str, query: tuple[str, ...]) -> Route:
    """One entry, for those whom it concerns: the call itself looks at that."""
    return Route(
        method="GET",
        path=f"{_ROOT}/{path}",
        operation=operation,
        handle=handle,
        response="Response",
        include=_READS,
        door=STRICT,
        about=about,
        query=query,
    )


def _by_id(path: str, operation: str, handle: Handle, about: str, kind: str) -> Route:
    def resources(query: Query) -> tuple[Resource, ...]:
        id = single(query).get("id", "")
        return (Resource(kind, id=id),) if id else ()

    return Route(
        method="GET",
        path=f"{_ROOT}/{path}",
        operation=operation,
        handle=handle,
        response="Response",
        include=_READS,
        door=STRICT,
        resources=resources,
        about=about,
        query=("id",),
    )


def _nothing(_asked: Any) -> tuple[Resource, ...]:
    return ()
