"""Whatever is sent to a route of v2 or v3, it is answered in the words of its generation, and nothing breaks."""

from __future__ import annotations

import json

import pytest
from every_generation import Everything
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from naming_bottle import instance

from polaris_bridge.adapters.nacos.server import routes_core, routes_namespaces, routes_v2, routes_v3

PLACES = sorted({*routes_v2.ROUTES, *routes_v3.ROUTES, *routes_core.ROUTES, *routes_namespaces.ROUTES})
NAMES = [
    "serviceName", "groupName", "namespaceId", "customNamespaceId", "namespaceName", "namespaceDesc", "namespace", "ip",
    "port", "clusterName", "cluster", "weight", "enabled", "healthy", "ephemeral", "metadata", "healthyOnly", "beat",
    "heartBeat", "instances", "consistencyType", "selector", "protectThreshold", "pageNo", "pageSize", "clientId", "show",
    "checkNamespaceIdExist", "namespaceShowName", "entry", "value", "debug", "onlyStatus", "withInstances", "count",
    "connectionId", "redirectAddress", "state", "address", "checkPort", "useInstancePort4Check", "healthChecker",
    "serviceNameParam", "groupNameParam", "ignoreEmptyService", "enabledOnly", "app", "udpPort",
]  # fmt: skip
VALUES = st.one_of(
    st.sampled_from(
        [
            "", " ", "orders", "DEFAULT_GROUP@@orders", "@@orders", "G@@", "public", "dev", "10.0.0.1", "8080", "0", "-1", "1",
            "65536", "99999999999", "1e309", "nan", "inf", "true", "False", "{}", "[]", "null", '{"a":"1"}', "a=1,b=2", "=",
            '{"type":"none"}', '{"type":"HTTP","expectedResponseCode":"x"}', '[{"ip":"10.0.0.1","port":8080}]', "[{}]",
            '{"ip":null,"port":"8080"}', "{" * 2000, "10.0.0.1:8080#true", "10.0.0.1:99999#true", "1_10.0.0.7_40001",
            "clientBeatInterval", "pushVersion", "httpHealthParams", "UP", "h:x", "中文", "\x00", "\ud7ff", "x" * 600,
        ]
    ),
    st.text(max_size=20),
)  # fmt: skip


@pytest.fixture(scope="module")
def port() -> Everything:
    found = Everything()
    found.register(port=8080)
    found.register(port=8081, service="disks", ephemeral="false")
    found.publish(found.connect(), instance(port=1), service="carts")
    return found


@given(place=st.sampled_from(PLACES), params=st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=12))
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_call_is_answered(port: Everything, place: tuple[str, str], params: dict[str, str]) -> None:
    method, path = place
    answer = port.ask(method, f"/nacos{path}", params)
    assert answer.status in (200, 400, 404, 500)
    kind = answer.headers.get("content-type", "")
    if kind == "application/json":
        found = json.loads(answer.body)
        if answer.status != 200:
            assert list(found) == ["code", "message", "data"], answer
            assert found["code"] in range(10000, 40002)
    elif answer.status == 400 and not kind:
        assert answer.text.startswith("Param '"), answer
    elif path.startswith("/v1/"):
        assert answer.status == 200 or answer.text.startswith("caused: "), answer
    else:
        assert answer.text in ("ok", "success", "Ok"), answer
