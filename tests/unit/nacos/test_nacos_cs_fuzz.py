"""Whatever operators send about configurations, it is answered in the words of its generation, and nothing breaks."""

from __future__ import annotations

import json

import pytest
from cs_bottle import BOUNDARY, GROUP, V1, ConfigBottle, form_of, zipped
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polaris_bridge.adapters.nacos.server import routes_cs_admin, routes_cs_v2, routes_cs_v3

PLACES = sorted({*routes_cs_admin.ROUTES, *routes_cs_v2.ROUTES, *routes_cs_v3.ROUTES})
SELECTED = [
    (method, {name: value}) for method, found in sorted(routes_cs_admin.VARIANTS.items()) for name, value, _ in found
]
NAMES = [
    "dataId", "group", "groupName", "tenant", "namespaceId", "namespace", "targetNamespaceId", "content", "type", "types",
    "tag", "appName", "configTags", "config_tags", "desc", "use", "effect", "schema", "encryptedDataKey", "srcUser",
    "src_user", "search", "pageNo", "pageSize", "config_detail", "configDetail", "nid", "id", "ids", "policy", "ip", "all",
    "quota", "maxSize", "aggregation", "sql", "username",
]  # fmt: skip
VALUES = st.one_of(
    st.sampled_from(
        [
            "", " ", "a", "a.json", GROUP, "G2", "public", "dev", "0", "-1", "1", "2", "99999999999999999999", "x", "true",
            "False", "*", "%", "a*", "*_*", "accurate", "blur", "ABORT", "SKIP", "OVERWRITE", "json", "t1,t2", "1,2,x",
            "10.9.9.9", "中文", "\x00", "x" * 600, "*" * 3000, "_" * 300,
        ]
    ),
    st.text(max_size=20),
)  # fmt: skip
PARAMS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=12)
BODIES = st.one_of(
    st.binary(max_size=60),
    st.sampled_from([b"[]", b"[null]", b"{}", b"[[]]", b'[{"cfgId":"1","group":7}]', b"[" * 500]),
    st.lists(
        st.tuples(st.sampled_from(["G/x", "x", "../x", ".meta.yml", ".metadata.yml"]), st.text(max_size=40)),
        max_size=3,
        unique_by=lambda file: file[0],
    ).map(lambda files: form_of({"file": zipped(*files), "policy": "SKIP"})),
    st.binary(max_size=60).map(lambda data: form_of({"file": data})),
)
ANYWAY = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def port() -> ConfigBottle:
    found = ConfigBottle()
    found.space("dev")
    found.publish_config("a.json", '{"a":1}', type="json", config_tags="t1")
    found.publish_config("a.json", '{"a":2}')
    found.publish_config("a.json", "beta", betaIps="1.2.3.4")
    found.natively("native", "x")
    return found


def check(answer: object, generation: int) -> None:
    status, headers, body = answer.status, answer.headers, answer.body  # type: ignore[attr-defined]
    assert status in (200, 400, 403, 404, 500), answer
    kind = headers.get("content-type", "")
    if status == 500:
        assert generation == 1 or json.loads(body)["code"] == 20005, answer
        assert b"Required request parameter" in body or generation != 1, answer
    if kind == "application/json" and status != 200 and generation > 1:
        found = json.loads(body)
        assert list(found) == ["code", "message", "data"], answer
        assert found["code"] in range(10000, 40002), answer
    elif status == 400 and kind.startswith("text/plain"):
        assert body.startswith(b"caused: "), answer


@given(place=st.sampled_from(PLACES), params=PARAMS)
@ANYWAY
def test_every_call_is_answered(port: ConfigBottle, place: tuple[str, str], params: dict[str, str]) -> None:
    method, path = place
    check(port.ask(method, f"/nacos{path}", params), int(path[2]))


@given(place=st.sampled_from(SELECTED), params=PARAMS)
@ANYWAY
def test_every_call_that_shares_a_path_is_answered(
    port: ConfigBottle, place: tuple[str, dict[str, str]], params: dict[str, str]
) -> None:
    method, selected = place
    check(port.ask(method, f"/nacos{V1}", params | selected), 1)


@given(
    path=st.sampled_from([V1, "/v3/admin/cs/config/clone", "/v3/console/cs/config/import"]),
    params=PARAMS,
    kind=st.sampled_from(["application/json", f"multipart/form-data; boundary={BOUNDARY}", "multipart/form-data", ""]),
    what=st.sampled_from(["clone", "import"]),
    body=BODIES,
)
@ANYWAY
def test_every_body_is_answered(
    port: ConfigBottle, path: str, params: dict[str, str], kind: str, what: str, body: bytes
) -> None:
    generation = int(path[2])
    check(port.send(path, kind, body, **(params | ({what: "true"} if generation == 1 else {}))), generation)
