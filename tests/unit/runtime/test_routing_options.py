"""The section ``routing`` of the configuration reaches what decides."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from polaris_bridge import testing

PICK, EXPLAIN = "/naming/v1/instances/pick", "/naming/v1/routing/explain"
SHOP = {"namespace": "default", "service": "shop"}
NEARBY = {"name": "shop", "namespace": "default", "metadata": {"internal-enable-nearby": "true"}}
OK, NOBODY = 200000, 400303


async def asked(front: str, path: str, body: Any) -> Any:
    async with httpx.AsyncClient() as http:
        return (await http.post(f"{front}{path}", json=body)).json()


def instance(port: int, zone: str, *, healthy: bool = True) -> dict[str, Any]:
    place = {"region": "r", "zone": zone, "campus": "c"}
    return SHOP | {"host": "10.0.0.1", "port": port, "healthy": healthy, "location": place}


@pytest.mark.parametrize(("said", "code"), [("true", OK), ("false", NOBODY)])
async def test_whether_the_sick_are_called_when_nobody_is_well(said: str, code: int) -> None:
    async with testing.server(sets=[f"routing.recoverAll={said}"]) as running:
        made = await asked(running.front, "/naming/v1/instances", [instance(1, "z", healthy=False)])
        assert made["code"] == OK
        assert (await asked(running.front, PICK, SHOP))["code"] == code


@pytest.mark.parametrize(("percent", "ports"), [(100, [2]), (50, [2, 3])])
async def test_how_sick_a_place_may_be(percent: int, ports: list[int]) -> None:
    async with testing.server(sets=[f"routing.unhealthyPercentToDegrade={percent}"]) as running:
        assert (await asked(running.front, "/naming/v1/services", [NEARBY]))["code"] == OK
        shop = [instance(1, "z1", healthy=False), instance(2, "z1"), instance(3, "z2")]
        assert (await asked(running.front, "/naming/v1/instances", shop))["code"] == OK
        caller = {"location": {"region": "r", "zone": "z1", "campus": "c"}}
        found = await asked(running.front, EXPLAIN, SHOP | {"caller": caller})
        assert sorted(one["port"] for group in found["groups"] for one in group["instances"]) == ports
