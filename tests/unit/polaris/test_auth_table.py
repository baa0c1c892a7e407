"""Every call of every native listener × who calls it. A call without a row here fails: somebody has to say who may make it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Final

import pytest
from guarded import ALL, MAIN, Guarded
from msgspec import structs

from polaris_bridge.adapters.polaris.answers import respond
from polaris_bridge.adapters.polaris.server import grpc_config
from polaris_bridge.adapters.polaris.server.grpc import methods
from polaris_bridge.adapters.polaris.server.http import NativeHttp
from polaris_bridge.adapters.polaris.service.routes import Route, Text
from polaris_bridge.adapters.polaris.settings import GroupSettings
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.auth.values import User
from polaris_bridge.runtime.auth.tokens import Tokens
from polaris_bridge.transport.rpc import RpcError

EVERYBODY, ANYBODY, READ, WRITE = "everybody", "anybody", "read", "write"
"""Whoever it is; whoever shows nothing wrong; who may read; who may write."""

ROWS: Final[dict[str, str]] = {
    **dict.fromkeys(("Login", "DescribeAuthStatus", "DescribeReportClients", "DescribeConfigEncryptAlgorithms"), EVERYBODY),
    **dict.fromkeys(("ReportClient", "DescribeServerFunctions"), ANYBODY),
    **dict.fromkeys(
        (
            "BatchCleanInstances", "CleanInstance", "CloseConnections", "FreeOSMemory", "ReleaseLeaderElection",
            "UpdateLogOutputLevel", "EnablePprof",
            "RegisterInstance", "DeregisterInstance", "Heartbeat", "ReportServiceContract",
            "CreateConfigFile", "UpdateConfigFile", "PublishConfigFile", "UpsertAndReleaseConfigFile",
            "CreateNamespaces", "DeleteNamespaces", "UpdateNamespaces", "UpdateNamespaceToken",
            "CreateServices", "DeleteServices", "UpdateServices", "UpdateServiceToken",
            "CreateServiceAlias", "UpdateServiceAlias", "DeleteServiceAliases",
            "CreateInstances", "DeleteInstances", "DeleteInstancesByHost", "UpdateInstances", "UpdateInstancesIsolate",
            "CreateServiceContracts", "DeleteServiceContracts", "CreateServiceContractInterfaces",
            "AppendServiceContractInterfaces", "DeleteServiceContractInterfaces",
            "CreateRoutings", "DeleteRoutings", "UpdateRoutings",
            "CreateCircuitBreakers", "CreateCircuitBreakerVersions", "DeleteCircuitBreakers", "UpdateCircuitBreakers",
            "ReleaseCircuitBreakers", "UnBindCircuitBreakers",
            "CreateUsers", "DeleteUsers", "UpdateUser", "UpdateUserPassword", "EnableUserToken", "ResetUserToken",
            "CreateUserGroup", "UpdateUserGroups", "DeleteUserGroups", "EnableUserGroupToken", "ResetUserGroupToken",
            "CreateAuthPolicy", "UpdateAuthPolicies", "DeleteAuthPolicies",
            "CreateAuthRoles", "UpdateAuthRoles", "DeleteAuthRoles",
            "CreateConfigFileGroup", "UpdateConfigFileGroup", "DeleteConfigFileGroup", "DeleteConfigFile",
            "BatchDeleteConfigFiles", "ImportConfigFiles", "ExportConfigFiles", "RollbackConfigFileReleases",
            "DeleteConfigFileReleases", "StopGrayConfigFileReleases", "CreateConfigFileTemplate",
            *(
                verb + noun
                for verb in ("Create", "Delete", "Update", "Enable")
                for noun in (
                    "RouteRules", "RateLimitRules", "CircuitBreakerRules", "FaultDetectRules", "LaneGroups", "LosslessRules",
                    "BlockAllowRules", "TrafficMirroringRules", "FaultInjectionRules",
                )
            ),
        ),
        WRITE,
    ),
    **dict.fromkeys(
        (
            "DiscoverConfigFile", "DiscoverConfigFileNames", "WatchConfigFile",
            "Discover", "DiscoverInstances", "DiscoverServices", "DiscoverRouterRule", "DiscoverRateLimitRule",
            "DiscoverCircuitBreakerRule", "DiscoverFaultDetectRule", "DiscoverLaneRule", "DiscoverServiceContract",
            "DescribeNamespaces", "DescribeNamespaceToken", "DescribeServices", "DescribeAllServices",
            "DescribeServicesCount", "DescribeServiceToken", "DescribeServiceOwner", "DescribeServiceAliases",
            "DescribeInstances", "DescribeInstancesCount", "DescribeInstanceLabels", "DescribeInstanceLastHeartbeat",
            "DescribeServiceContracts", "DescribeServiceContractVersions",
            "DescribeRouteRules", "DescribeRateLimitRules", "DescribeCircuitBreakerRules", "DescribeFaultDetectRules",
            "DescribeLaneGroups", "DescribeLosslessRules", "DescribeTrafficMirroringRules",
            "DescribeFaultInjectionRules", "DescribeBlockAllowRules",
            "DescribeRoutings", "DescribeServiceCircuitBreaker", "DescribeCircuitBreaker", "DescribeCircuitBreakerVersions",
            "DescribeMasterCircuitBreakers", "DescribeReleaseCircuitBreakers", "DescribeCircuitBreakerToken",
            "DescribeUsers", "DescribeUserToken", "DescribeUserGroups", "DescribeUserGroupDetail", "DescribeUserGroupToken",
            "DescribeAuthPolicies", "DescribeAuthPolicyDetail", "DescribePrincipalResources", "DescribeAuthRoles",
            "DescribeServerConnections", "DescribeServerConnStats", "DescribeLeaderElections", "DescribeGetLogOutputLevel",
            "DescribeCMDBInfo", "DescribeProfile", "DescribeClients",
            "DescribeConfigFileGroups", "DescribeConfigFileRichInfo", "DescribeConfigFiles",
            "DescribeConfigFileRelease", "DescribeConfigFileReleases", "DescribeConfigFileReleaseVersions",
            "DescribeConfigFileReleaseHistories", "DescribeAllConfigFileTemplates",
        ),
        READ,
    ),
}  # fmt: skip
"""By what the auth seam is asked about."""

READER: Final = ["Describe*", "Discover*", "Get*", "List*", "Watch*"]
REFUSED: Final = frozenset({401001, 401003, 401004})

# Who calls: what is answered to reads, to writes; 0 = the call is made.
CALLERS: Final[dict[str, tuple[int, int]]] = {
    "nobody": (401001, 401001),
    "garbage": (401001, 401001),
    "another salt": (401001, 401001),
    "deleted": (401001, 401001),
    "disabled": (401003, 401003),
    "replaced": (401004, 401004),
    "without policies": (401001, 401001),
    "reader": (0, 401001),
    "group member": (0, 401001),
    "group": (0, 401001),
    "role": (0, 401001),
    "writer": (0, 0),
    "denied": (401001, 401001),
    "main": (0, 0),
    "administrator": (0, 0),
}
"""What users may do about themselves alone is allowed to those without policies too: ``OWN``."""
OWN: Final = frozenset({
    "DescribeUsers", "DescribeUserToken", "UpdateUser", "UpdateUserPassword", "EnableUserToken", "ResetUserToken",
    "DescribeAuthPolicies", "DescribeAuthPolicyDetail", "DescribeAuthRoles",
})  # fmt: skip
SOMEBODY: Final = frozenset({"without policies", "reader", "group member", "role", "group"})


class Table:
    """A guarded server on which calls are judged and not made, and a token for everybody."""

    def __init__(self) -> None:
        self.world = world = Guarded()
        self.tokens = self._people()
        routes = [structs.replace(route, handle=lambda *_: respond(v1.ExecuteSuccess)) for route in self.routes]
        world.http = NativeHttp(routes, world.service.admission)
        self.grpc = methods(_Stub(world), GroupSettings(), _Nobody())
        self.grpc.include(grpc_config.methods(_Stub(world), GroupSettings(), _Nobody()))  # type: ignore[arg-type]

    @property
    def routes(self) -> tuple[Route, ...]:
        return self.world.service.routes(pprof=True)

    def _people(self) -> dict[str, str]:
        world = self.world
        people = {
            name: world.user(name.replace(" ", "-"))
            for name in SOMEBODY | {"deleted", "disabled", "replaced", "denied"}
        }
        people["writer"] = world.user("writer")
        group = world.ask(
            "POST", "/core/v1/usergroup", {"name": "g", "relation": {"users": [{"id": people["group member"].id}]}}
        )
        group_id = group["userGroup"]["id"]
        role = world.ask("POST", "/core/v1/roles", [{"name": "r", "users": [{"id": people["role"].id}]}])
        role_id = role["responses"][0]["data"]["id"]
        reading = {"resources": ALL, "functions": READER}
        world.policy(
            "reading", principals={"users": [{"id": people["reader"].id}], "groups": [{"id": group_id}]}, **reading
        )
        world.policy("as-role", principals={"roles": [{"id": role_id}]}, **reading)
        both = [{"id": people[name].id} for name in ("writer", "denied")]
        world.policy("writing", principals={"users": both}, resources=ALL, functions=["*"])
        world.policy("denial", principals={"users": both[1:]}, functions=["*"], action="DENY")
        assert (
            world.code_of("PUT", "/core/v1/user/token/status", {"id": people["disabled"].id, "token_enable": False})
            == 200000
        )
        assert world.code_of("PUT", "/core/v1/user/token/refresh", {"id": people["replaced"].id}) == 200000
        assert world.code_of("POST", "/core/v1/users/delete", [{"id": people["deleted"].id}]) == 200000
        return {
            **{name: user.token for name, user in people.items()},
            "nobody": "",
            "garbage": "garbage",
            "another salt": Tokens("another-salt-123").make(User, MAIN.id),
            "group": world.directory.snapshot.groups[group_id].token,
            "main": MAIN.token,
            "administrator": world.admin.token,
        }

    def over_http(self, route: Route, who: str) -> int:
        body = None if route.takes == "query" else [{}] if route.takes == "list" else {}
        code: int = self.world.ask(route.method, route.path, body, self.tokens[who])["code"]
        return code if code in REFUSED else 0

    def over_grpc(self, path: str, message: Any, who: str) -> int:
        data, call = message.SerializeToString(), _Call(self.tokens[who])
        unary = dict(self.grpc.unaries()).get(path)
        if unary is None:
            answer = dict(self.grpc.streams())[path](call).on_message(data)  # type: ignore[arg-type]
        else:
            answer = unary(data, call)  # type: ignore[arg-type]
        if not isinstance(answer, bytes):
            found: list[bytes | RpcError] = []
            answer.then(found.append)  # type: ignore[union-attr]
            self.world.queue.settle()
            [answer] = found
        assert isinstance(answer, bytes)
        code: int = v1.Response.FromString(answer).code.value
        return code if code in REFUSED else 0


class _Call:
    """One gRPC call."""

    peer = "10.9.9.9"

    def __init__(self, token: str) -> None:
        self._token = token

    def metadata(self, name: str) -> str | None:
        return self._token if name == "x-polaris-token" else None


class _Nobody:
    """Counts nothing."""

    def observe(self, *_: object) -> None: ...

    def discovered(self, *_: object) -> None: ...


class _Stub:
    """The parts that calls over gRPC reach: those of the world, asked and answered with success."""

    def __init__(self, world: Guarded) -> None:
        self.admission = world.service.admission
        self.heartbeats = world.service.heartbeats
        self.registering = self.discovering = self.clients = self.contracts = self
        self.config = self.reading = self.watching = self.lists = self
        self.open = True

    def register(self, *_: object, wait: bool = True) -> v1.Response:
        return respond(v1.ExecuteSuccess)

    deregister = report = create = update = publish = upsert_and_publish = register

    def beat(self, *_: object) -> int:
        return int(v1.ExecuteSuccess)

    def get(self, message: Any, *_: object) -> Any:
        answer = respond(v1.ExecuteSuccess)
        return answer if isinstance(message, v1.ServiceContract) else answer.SerializeToString()

    def discover(self, *_: object) -> bytes:
        return respond(v1.ExecuteSuccess).SerializeToString()

    watch = files = discover


@cache
def table() -> Table:
    return Table()


def expected(operation: str, who: str) -> int:
    """What the table says; 0 = the call is made."""
    row = ROWS[operation]
    if row == EVERYBODY:
        return 0
    reads, writes = CALLERS[who]
    if row == ANYBODY:
        return 0 if who == "nobody" or reads == 0 or who in ("without policies", "denied") else reads
    if operation in OWN and who in SOMEBODY:
        return 0
    return reads if row == READ else writes


def operation_of(route: Route) -> str:
    return "Discover" if route.named is not None else route.operation


def test_every_call_has_a_row() -> None:
    missing = {operation_of(route) for route in table().routes} - ROWS.keys()
    assert not missing, f"say in ROWS who may call {sorted(missing)}"


@pytest.mark.parametrize("who", CALLERS)
def test_http(who: str) -> None:
    wrong = [
        (route.method, route.path, found)
        for route in table().routes
        if not isinstance(_answer_of(route), Text)
        and (found := table().over_http(route, who)) != expected(operation_of(route), who)
    ]
    assert not wrong


def _answer_of(route: Route) -> object:
    """Calls without a native answer are refused by status alone; they are looked at in ``test_plain``."""
    return Text(b"") if not route.response else route


METHODS: Final[dict[str, tuple[str, Callable[[], Any]]]] = {
    "/v1.PolarisGRPC/RegisterInstance": ("RegisterInstance", v1.Instance),
    "/v1.PolarisGRPC/DeregisterInstance": ("DeregisterInstance", v1.Instance),
    "/v1.PolarisGRPC/ReportClient": ("ReportClient", v1.Client),
    "/v1.PolarisGRPC/Heartbeat": ("Heartbeat", v1.Instance),
    "/v1.PolarisGRPC/Discover": ("Discover", v1.DiscoverRequest),
    "/v1.PolarisConfigGRPC/CreateConfigFile": ("CreateConfigFile", v1.ConfigFile),
    "/v1.PolarisConfigGRPC/UpdateConfigFile": ("UpdateConfigFile", v1.ConfigFile),
    "/v1.PolarisConfigGRPC/PublishConfigFile": ("PublishConfigFile", v1.ConfigFileRelease),
    "/v1.PolarisConfigGRPC/UpsertAndPublishConfigFile": ("UpsertAndReleaseConfigFile", v1.ConfigFilePublishInfo),
    "/v1.PolarisConfigGRPC/GetConfigFile": ("DiscoverConfigFile", v1.ClientConfigFileInfo),
    "/v1.PolarisConfigGRPC/WatchConfigFiles": ("WatchConfigFile", v1.ClientWatchConfigFileRequest),
    "/v1.PolarisConfigGRPC/GetConfigFileMetadataList": ("DiscoverConfigFileNames", v1.ConfigFileGroupRequest),
    "/v1.PolarisServiceContractGRPC/ReportServiceContract": ("ReportServiceContract", v1.ServiceContract),
    "/v1.PolarisServiceContractGRPC/GetServiceContract": ("DiscoverServiceContract", v1.ServiceContract),
}
UNCODED: Final = {
    "/v1.PolarisConfigGRPC/Discover",
    "/v1.PolarisHeartbeatGRPC/BatchHeartbeat",
    "/v1.PolarisHeartbeatGRPC/BatchGetHeartbeat",
    "/v1.PolarisHeartbeatGRPC/BatchDelHeartbeat",
}
"""Answers without a code, refused means empty (``test_grpc_methods``), or with another code (``test_config_methods``)."""


def test_every_method_has_a_row() -> None:
    there = {path for path, _ in (*table().grpc.unaries(), *table().grpc.streams())}
    assert there - METHODS.keys() - UNCODED == set(), "say in METHODS who may call it"


@pytest.mark.parametrize("path", METHODS)
@pytest.mark.parametrize("who", CALLERS)
def test_grpc(path: str, who: str) -> None:
    operation, message = METHODS[path]
    assert table().over_grpc(path, message(), who) == expected(operation, who)


@pytest.mark.parametrize("who", [who for who, (_, writes) in CALLERS.items() if writes])
def test_plain(who: str) -> None:
    """Maintain calls answer in words of their own; who may not is told by the status."""
    for route in table().routes:
        if route.response or expected(operation_of(route), who) == 0:
            continue
        body = None if route.takes == "query" else [{}] if route.takes == "list" else {}
        table().world.ask(route.method, route.path, body, table().tokens[who])
        assert table().world.status == 401, route.path
