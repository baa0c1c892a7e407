"""What the main HTTP port answers: operators who ask how clients fare, and Envoys that poll."""

from __future__ import annotations

from typing import Any

import httpx
from test_xds_port import STATE, asks, layers, stream

from polaris_bridge.adapters.xds.wire import messages, types
from polaris_bridge.testing import server


async def get(front: str, path: str) -> Any:
    async with httpx.AsyncClient(base_url=front, timeout=20) as client:
        answer = await client.get(path)
        return answer.json() if answer.status_code == 200 else answer.status_code


async def test_operators_see_what_a_client_has_against_what_it_was_sent() -> None:
    async with server() as running:
        assert await get(running.front, "/xds/v1/clients") == {"amount": 0, "clients": []}
        async with stream(running.xds, STATE) as call:
            await layers(call, asks(types.RUNTIME, "base"))
            await call.write(asks(types.LISTENER))
            answer = messages.discovery.DiscoveryResponse.FromString(await call.read())
            refusal = messages.discovery.DiscoveryRequest(type_url=types.LISTENER, response_nonce=answer.nonce)
            refusal.error_detail.message = "no such filter"
            await call.write(refusal.SerializeToString())
            await layers(call, asks(types.RUNTIME, "more"))
            shown = await get(running.front, "/xds/v1/clients?node=pod-1&refusing=true")
            assert shown["amount"] == 1
            [client] = shown["clients"]
            assert (client["node"], client["kind"], client["delta"]) == (
                "sidecar~default/pod-1~127.0.0.1", "envoy", False,
            )  # fmt: skip
            assert set(client["types"]) == {"lds", "rtds"}
            lds = client["types"]["lds"]
            assert (lds["wildcard"], lds["waiting"], lds["accepted"]) == (True, False, "")
            assert (lds["refused"]["version"], lds["refused"]["text"]) == (answer.version_info, "no such filter")
            assert client["types"]["rtds"]["resources"] == 1
            assert (await get(running.front, "/xds/v1/clients?node=other"))["amount"] == 0
            assert (await get(running.front, "/xds/v1/clients?limit=0"))["clients"] == []
        [kept] = (await get(running.front, "/xds/v1/refusals"))["refusals"]
        assert (kept["type"], kept["text"]) == ("lds", "no such filter")
        assert (await get(running.front, "/xds/v1/problems"))["problems"] == []
        text = await text_of(running.front, "/metrics")
        assert 'polaris_bridge_xds_refused_total{type="lds"} 1.0' in text


async def text_of(front: str, path: str) -> str:
    async with httpx.AsyncClient(base_url=front, timeout=20) as client:
        return (await client.get(path)).text


async def test_paths_and_methods_that_are_not_there() -> None:
    async with server() as running, httpx.AsyncClient(base_url=running.front, timeout=20) as client:
        assert (await client.get("/xds/v1/nothing")).status_code == 404
        assert (await client.post("/xds/v1/clients")).status_code == 405
        assert (await client.get("/v3/discovery:clusters")).status_code == 405
        assert (await client.post("/v3/discovery:nothing")).status_code == 404
        assert (await client.get("/xds/v1/clients?limit=many")).status_code == 400


async def test_operators_show_a_token_where_consoles_are_judged() -> None:
    sets = ["auth.strategy.option.consoleOpen=true", "auth.user.option.initialPassword=secret-1"]
    async with server(sets=sets) as running, httpx.AsyncClient(base_url=running.front, timeout=20) as client:
        assert (await client.get("/xds/v1/clients")).status_code == 401
        login = await client.post("/core/v1/user/login", json={"name": "polaris", "password": "secret-1"})
        token = login.json()["loginResponse"]["token"]
        for header, status in ((token, 200), ("nonsense", 401)):
            answer = await client.get("/xds/v1/clients", headers={"x-polaris-token": header})
            assert answer.status_code == status


async def test_envoys_may_poll() -> None:
    async with server() as running, httpx.AsyncClient(base_url=running.front, timeout=20) as client:
        body = {"node": {"id": "sidecar~default/pod~10.0.0.1", "user_agent_name": "envoy"}, "unheard_of": 1}
        answer = await client.post("/v3/discovery:clusters", json=body)
        assert answer.status_code == 200
        found = answer.json()
        assert found["typeUrl"] == types.CLUSTER
        assert all(each["@type"] == types.CLUSTER for each in found.get("resources", ()))
        again = await client.post("/v3/discovery:clusters", json=body | {"version_info": found["versionInfo"]})
        assert again.status_code == 304
        layer = await client.post("/v3/discovery%3Aruntime", json=body | {"resource_names": ["base"]})
        assert layer.json()["resources"][0]["name"] == "base"
        assert (await client.post("/v3/discovery:clusters", content=b"{")).status_code == 400
        assert (await get(running.front, "/xds/v1/clients"))["amount"] == 0


async def test_polling_is_judged_where_streams_are() -> None:
    sets = ["apiservers.xds-v3.option.auth=true"]
    async with server(sets=sets) as running, httpx.AsyncClient(base_url=running.front, timeout=20) as client:
        assert (await client.post("/v3/discovery:clusters", json={})).status_code == 401
