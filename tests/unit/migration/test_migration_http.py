"""The whole of it between two servers: over HTTP as an operator does it, with real listeners and two stores."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from registries import until
from test_connectors import address

from polaris_bridge import testing
from polaris_bridge.core.model import ServiceKey
from polaris_bridge.migration.model import CONSUL, EUREKA, NACOS, POLARIS
from polaris_bridge.testing import Running

ROOT = "/migration/v1"
ORDERS = ServiceKey("default", "orders")


class Operator:
    """Somebody with the API."""

    def __init__(self, running: Running) -> None:
        self.client = httpx.AsyncClient(base_url=running.front + ROOT, timeout=30)

    async def ask(self, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        answer = await self.client.request(method, path, json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def registry(self, kind: str, running: Running, id: str = "old", **more: Any) -> Any:
        spec = {"id": id, "kind": kind, "addresses": [address(kind, running)], "poll_s": 0.05, **more}
        return await self.ask("POST", "/registries", spec)

    async def status(self, task: str = "t") -> Any:
        return await self.ask("GET", f"/tasks/{task}")


@pytest.fixture
async def here() -> AsyncIterator[Running]:
    async with testing.server() as running:
        yield running


@pytest.fixture
async def operator(here: Running) -> AsyncIterator[Operator]:
    made = Operator(here)
    yield made
    await made.client.aclose()


async def register(running: Running, port: int, service: str = "orders", *, ephemeral: bool = False) -> None:
    """What a Nacos client does; one that is not ephemeral needs no heartbeats."""
    async with httpx.AsyncClient() as client:
        params = {"serviceName": service, "ip": "10.0.0.1", "port": port, "ephemeral": str(ephemeral).lower()}
        answer = await client.post(f"http://{running.nacos}/nacos/v1/ns/instance", params=params)
        assert answer.text == "ok"


async def deregister(running: Running, port: int, service: str = "orders") -> None:
    async with httpx.AsyncClient() as client:
        params = {"serviceName": service, "ip": "10.0.0.1", "port": port, "ephemeral": "false"}
        await client.delete(f"http://{running.nacos}/nacos/v1/ns/instance", params=params)


async def listed(running: Running, service: str = "orders") -> list[int]:
    """The ports that a Nacos client sees."""
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://{running.nacos}/nacos/v1/ns/instance/list", params={"serviceName": service})
        return sorted(host["port"] for host in answer.json()["hosts"])


async def sees(running: Running, ports: list[int]) -> None:
    """Wait until its clients see these."""
    async with asyncio.timeout(20):
        seen = await listed(running)
        while seen != ports:
            await asyncio.sleep(0.02)
            seen = await listed(running)


async def mirror(operator: Operator, **task: Any) -> None:
    """A task from ``old``, planned and applied."""
    await operator.ask("POST", "/tasks", {"id": "t", "source": "old", "target": "here", **task})
    plan = await operator.ask("POST", "/tasks/t/plan")
    await operator.ask("POST", "/tasks/t/apply", {"digest": plan["digest"]})


@pytest.mark.parametrize("kind", [EUREKA, NACOS, CONSUL, POLARIS])
async def test_another_server_is_mirrored_and_followed(
    kind: str, operator: Operator, here: Running, elsewhere: Running
) -> None:
    for port in (1, 2, 3):
        await register(elsewhere, port)
    await operator.registry(kind, elsewhere)
    assert (await operator.ask("POST", "/registries/old/test"))["address"]
    found = await operator.ask("GET", "/registries/old/inventory")
    assert {s["service"]: s["instances"] for s in found["services"]}["default/orders"] == 3
    await mirror(operator)
    assert await listed(here) == [1, 2, 3]
    await register(elsewhere, 4)
    await sees(here, [1, 2, 3, 4])
    await deregister(elsewhere, 1)
    await sees(here, [2, 3, 4])
    await operator.ask("POST", "/tasks/t/verify")
    status = await operator.status()
    assert (status["task"]["stage"], status["running"], status["differences"]) == ("mirrored", True, 0)
    assert status["services"] == status["services_equal"] > 0


async def test_natives_hide_copies_and_copies_come_back(operator: Operator, here: Running, elsewhere: Running) -> None:
    await register(elsewhere, 1)
    await operator.registry(NACOS, elsewhere)
    await mirror(operator)
    await register(here, 1)
    registry = here.server.registry
    (place,) = registry.snapshot(ORDERS).addresses.values()
    assert sorted(bool(r.copied_from) for r in place.registrations) == [False, True]
    assert await listed(here) == [1]
    await deregister(here, 1)
    assert await listed(here) == [1]
    (place,) = registry.snapshot(ORDERS).addresses.values()
    assert [r.copied_from for r in place.registrations] == ["old"]


async def test_both_ways_at_once_without_an_echo(operator: Operator, here: Running, elsewhere: Running) -> None:
    await register(elsewhere, 1, ephemeral=True)
    await register(here, 2, ephemeral=True)
    await operator.registry(NACOS, elsewhere)
    await mirror(operator)
    await operator.ask("POST", "/tasks", {"id": "back", "source": "here", "target": "old"})
    await operator.ask("POST", "/tasks/back/plan")
    await operator.ask("POST", "/tasks/back/apply")
    for _ in range(3):
        for task in ("t", "back"):
            audit = await operator.ask("POST", f"/tasks/{task}/verify")
            assert audit["differences"] == []
    assert await listed(elsewhere) == await listed(here) == [1, 2]
    await register(elsewhere, 3, ephemeral=True)
    await sees(here, [1, 2, 3])
    await register(here, 4, ephemeral=True)
    await sees(elsewhere, [1, 2, 3, 4])
    writes = [(await operator.status(task))["writes"] for task in ("t", "back")]
    assert writes == [{"create": 2}, {"create": 2}]


async def test_stages_have_gates_and_a_way_back(operator: Operator, here: Running, elsewhere: Running) -> None:
    await register(elsewhere, 1)
    await operator.registry(NACOS, elsewhere)
    await operator.ask("POST", "/tasks", {"id": "t", "source": "old", "target": "here"})
    refusal = await operator.ask("POST", "/tasks/t/promote", {}, status=409)
    assert "plan" in refusal["error"]
    await mirror(operator)
    refusal = await operator.ask("POST", "/tasks/t/promote", {}, status=409)
    assert "900 s" in refusal["error"] or "differ" in refusal["error"]
    assert (await operator.ask("POST", "/tasks/t/promote", {"force": True}))["stage"] == "dual"
    assert (await operator.ask("POST", "/tasks/t/rollback"))["stage"] == "mirrored"
    assert await listed(here) == [1]
    assert (await operator.ask("POST", "/tasks/t/rollback"))["stage"] == "planned"
    assert await listed(here) == []
    assert await listed(elsewhere) == [1]


async def test_what_becomes_of_copies_when_their_task_goes(
    operator: Operator, here: Running, elsewhere: Running
) -> None:
    await register(elsewhere, 1)
    await operator.registry(NACOS, elsewhere)
    refusal = await operator.ask("DELETE", "/registries/new", status=404)
    assert "new" in refusal["error"]
    await mirror(operator)
    assert "delete these" in (await operator.ask("DELETE", "/registries/old", status=409))["error"]
    assert (await operator.ask("DELETE", "/tasks/t?copies=adopt"))["copies"] == 1
    assert await listed(here) == [1]
    assert not [
        r for a in here.server.registry.snapshot(ORDERS).addresses.values() for r in a.registrations if r.copied_from
    ]
    await operator.ask("DELETE", "/registries/old")


async def test_a_task_that_goes_takes_its_copies_and_nothing_else(
    operator: Operator, here: Running, elsewhere: Running
) -> None:
    await register(elsewhere, 1)
    await register(here, 2)
    await operator.registry(EUREKA, elsewhere)
    await mirror(operator)
    assert await listed(here) == [1, 2]
    assert (await operator.ask("DELETE", "/tasks/t"))["copies"] == 1
    assert await listed(here) == [2]


async def test_a_task_whose_copies_cannot_be_removed_stays_and_goes_on(operator: Operator, here: Running) -> None:
    await register(here, 1)
    async with testing.server() as gone:
        await operator.registry(CONSUL, gone, timeout_s=1)
        await operator.ask("POST", "/tasks", {"id": "t", "source": "here", "target": "old"})
        await operator.ask("POST", "/tasks/t/plan")
        await operator.ask("POST", "/tasks/t/apply")
        assert await listed(gone) == [1]
    await operator.ask("DELETE", "/tasks/t", status=502)
    await operator.ask("POST", "/tasks/t/rollback", status=502)
    status = await operator.status()
    assert (status["task"]["stage"], status["running"]) == ("mirrored", True)
    await operator.ask("DELETE", "/tasks/t?copies=adopt", status=400)
    assert (await operator.ask("DELETE", "/tasks/t?copies=leave"))["copies"] == 0


async def test_three_servers_in_a_ring_and_back_list_each_instance_once() -> None:
    async with AsyncExitStack() as stack:
        ring = [await stack.enter_async_context(testing.server(sets=[f"migration.id=s{n}"])) for n in range(3)]
        here, second, _ = ring
        operators = [Operator(running) for running in ring]
        for n, (running, operator) in enumerate(zip(ring, operators, strict=True)):
            await register(running, n + 1, ephemeral=False)
            for step, way in ((1, "next"), (2, "past")):
                other = (n + step) % 3
                await operator.registry(POLARIS, ring[other], id=f"s{other}")
                await operator.ask("POST", "/tasks", {"id": way, "source": f"s{other}", "target": "here", "audit_s": 1})
                applied = 409
                while applied == 409:  # the other tasks write meanwhile
                    await operator.ask("POST", f"/tasks/{way}/plan")
                    applied = (await operator.client.post(f"/tasks/{way}/apply")).status_code
                assert applied == 200
        for running in ring:
            await sees(running, [1, 2, 3])
        await deregister(here, 1)
        await register(second, 4, ephemeral=False)
        for running in ring:
            await sees(running, [2, 3, 4])

        async def writes() -> list[Any]:
            return [(await operator.status(way))["writes"] for operator in operators for way in ("next", "past")]

        quiet, seen = 0, await writes()
        async with asyncio.timeout(30):
            while quiet < 30:  # a while in which every task reads everything more than once
                await asyncio.sleep(0.1)
                quiet, seen = (quiet + 1, seen) if await writes() == seen else (0, await writes())
        for running in ring:
            assert await listed(running) == [2, 3, 4]
        for operator in operators:
            await operator.client.aclose()


async def test_this_server_itself_is_no_registry_elsewhere(operator: Operator, here: Running) -> None:
    for kind in (EUREKA, NACOS, CONSUL, POLARIS):
        spec = {"id": "me", "kind": kind, "addresses": [address(kind, here).replace("127.0.0.1", "localhost")]}
        assert "itself" in (await operator.ask("POST", "/registries", spec, status=400))["error"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"id": "X", "kind": "nacos", "addresses": ["http://a"]}, 400),
        ({"id": "here", "kind": "nacos", "addresses": ["http://a"]}, 400),
        ({"id": "x", "kind": "zookeeper", "addresses": ["http://a"]}, 400),
        ({"id": "x", "kind": "nacos", "addresses": []}, 400),
        ({"id": "x", "kind": "nacos", "addresses": ["a:1"]}, 400),
        ({"id": "x", "kind": "nacos", "addresses": ["http://u:p@a"]}, 400),
        ({"id": "x", "kind": "nacos", "addresses": ["http://a:99999"]}, 400),
        ({"id": "x", "kind": "nacos", "addresses": ["http://a"], "adress": 1}, 400),
        ({"id": "x", "kind": "nacos", "addresses": ["http://a"], "timeout_s": 0}, 400),
        ([], 400),
    ],
)
async def test_what_cannot_be_a_registry_is_refused(operator: Operator, body: Any, status: int) -> None:
    assert (await operator.ask("POST", "/registries", body, status=status))["error"]
    assert (await operator.ask("GET", "/registries"))["registries"] == []


async def test_unknown_paths_methods_and_things(operator: Operator) -> None:
    await operator.ask("GET", "/nothing", status=404)
    await operator.ask("PUT", "/tasks", status=405)
    await operator.ask("GET", "/tasks/none", status=404)
    await operator.ask("POST", "/tasks", {"id": "t", "source": "none", "target": "here"}, status=404)
    await operator.ask("POST", "/tasks", {"id": "t", "source": "here", "target": "here"}, status=400)
    await operator.ask("POST", "/tasks", {"id": "t", "source": "here", "target": "x", "selektor": 1}, status=400)


async def test_a_registry_that_is_away_is_told(operator: Operator, unused_tcp_port: int) -> None:
    spec = {"id": "old", "kind": "consul", "addresses": [f"http://127.0.0.1:{unused_tcp_port}"], "timeout_s": 1}
    await operator.ask("POST", "/registries", spec)
    assert str(unused_tcp_port) in (await operator.ask("POST", "/registries/old/test", status=502))["error"]
    await operator.ask("POST", "/tasks", {"id": "t", "source": "old", "target": "here"})
    await operator.ask("POST", "/tasks/t/plan", status=502)


async def test_secrets_are_sealed_and_never_shown(operator: Operator, here: Running, elsewhere: Running) -> None:
    shown = await operator.registry(POLARIS, elsewhere, secret="s3cret-token")
    assert shown["secret"] is True
    assert "s3cret" not in str(await operator.ask("GET", "/registries"))
    (document,) = here.server.registry.documents.all("migration-registry")
    assert b"s3cret" not in document.body
    again = await operator.registry(POLARIS, elsewhere)
    assert again["secret"] is True
    assert (await operator.registry(POLARIS, elsewhere, secret=""))["secret"] is False


async def test_a_restart_goes_on_where_it_was(elsewhere: Running, tmp_path: Path) -> None:
    for port in range(1, 11):
        await register(elsewhere, port)
    async with testing.server(data=tmp_path) as running:
        operator = Operator(running)
        await operator.registry(NACOS, elsewhere, secret="x", user="u")
        await mirror(operator)
        await operator.client.aclose()
    await deregister(elsewhere, 1)
    await register(elsewhere, 11)
    async with testing.server(data=tmp_path) as running:
        assert len(await listed(running)) == 10
        await sees(running, list(range(2, 12)))
        operator = Operator(running)
        status = await operator.status()
        assert status["task"]["stage"] == "mirrored"
        worker = running.server.migration.progress("t")
        await until(lambda: worker.complete)
        await operator.client.aclose()


async def test_only_who_may_comes_in(elsewhere: Running) -> None:
    async with testing.server(sets=["auth.strategy.option.consoleOpen=true"]) as running:
        operator = Operator(running)
        await operator.ask("GET", "/registries", status=401)
        operator.client.headers["x-polaris-token"] = "nonsense"
        await operator.ask("GET", "/tasks", status=401)
        await operator.client.aclose()
