"""The command line against a running server: what it prints, and the codes that scripts live by."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import Result
from test_connectors import address
from test_migration_http import listed, register
from typer.testing import CliRunner

from polaris_bridge import testing
from polaris_bridge.cli import app
from polaris_bridge.migration.model import EUREKA, NACOS
from polaris_bridge.testing import Running


async def run(running: Running | None, line: str, *more: str, given: str = "") -> Result:
    """One command, as in a shell of its own."""
    words = [*line.split(), *more]
    if running is not None:
        words += ["--server", running.front]
    return await asyncio.to_thread(CliRunner().invoke, app, words, input=given)


async def ok(running: Running, line: str, *more: str, given: str = "") -> str:
    result = await run(running, line, *more, given=given)
    assert result.exit_code == 0, result.output
    return result.output


async def test_a_migration_from_the_first_look_to_the_way_back(elsewhere: Running, tmp_path: Path) -> None:
    await register(elsewhere, 1)
    await register(elsewhere, 2)
    async with testing.server() as here:
        url = address(NACOS, elsewhere)
        said = await ok(
            here, f"registry add old --kind nacos --address {url} --secret-file - --poll 0.05", given="geheim\n"
        )
        assert "yes" in said
        assert "geheim" not in await ok(here, "registry list -o json")
        assert "old" in await ok(here, "registry test old")
        assert "default/orders" in await ok(here, "migrate inventory old")
        planned = await ok(here, "migrate plan t --from old --to here --service ord*")
        assert "2 to create" in planned
        digest = planned.split("digest ")[1].strip()
        wrong = await run(here, "migrate apply t --digest 0")
        assert wrong.exit_code == 3
        await ok(here, f"migrate apply t --digest {digest}")
        assert await listed(here) == [1, 2]
        assert "1 of 1 services are equal" in await ok(here, "migrate verify t")
        assert "mirrored" in await ok(here, "migrate status")
        (status,) = json.loads(await ok(here, "migrate status t -o json"))
        assert status["copies"] == 2
        await ok(here, "sync pause t")
        await register(elsewhere, 3)
        assert (await run(here, "migrate verify t")).exit_code == 3
        await ok(here, "sync resume t")
        assert "old" in await ok(here, "migrate runbook t")
        refused = await run(here, "migrate promote t")
        assert (refused.exit_code, "equal" in refused.output or "differ" in refused.output) == (3, True)
        assert (await run(here, "migrate retire t")).exit_code == 3
        assert "dual" in await ok(here, "migrate promote t --force")
        assert "mirrored" in await ok(here, "migrate rollback t")
        await ok(here, "migrate allow t")
        await ok(here, "migrate remove t --copies withdraw")
        assert await listed(here) == []
        await ok(here, "registry remove old")


async def test_a_file_declares_registries_and_tasks(elsewhere: Running, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t0ken\n")
    file = tmp_path / "migration.yaml"
    file.write_text(
        f"registries:\n- {{id: old, kind: eureka, addresses: ['{address(EUREKA, elsewhere)}'], secret_file: {tmp_path}/token}}\n"
        "tasks:\n- {id: t, source: old, target: here, selector: {services: ['a*']}}\n"
    )
    async with testing.server() as here:
        for _ in range(2):
            assert await ok(here, f"migrate declare {file}") == "registry old\ntask t\n"
        file.write_text("registries:\n- {id: old, secret: open}\n")
        assert (await run(here, f"migrate declare {file}")).exit_code == 1
        file.write_text("nonsense: 1\n")
        assert (await run(here, f"migrate declare {file}")).exit_code == 1


@pytest.mark.parametrize(
    "line", ["registry add x --kind nacos --address a --namespace b", "migrate plan t --from a", "migrate"]
)
async def test_wrong_usage(line: str) -> None:
    assert (await run(None, line)).exit_code == 2


async def test_nobody_answers(unused_tcp_port: int) -> None:
    result = await run(None, f"registry list --server http://127.0.0.1:{unused_tcp_port}")
    assert result.exit_code == 1
    assert "does not answer" in result.output
