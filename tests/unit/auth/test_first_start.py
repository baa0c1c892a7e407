"""The first account of an installation, over a real server."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import httpx
import pytest

from polaris_bridge.runtime.auth.first_start import PASSWORD_FILE, SEEDED
from polaris_bridge.runtime.config import load
from polaris_bridge.runtime.server import Server

SEED = "auth.user.option.seedDefaultAdmin=true"


class Started:
    """A server on a store under a folder."""

    def __init__(self, folder: Path, *sets: str) -> None:
        given = ["apiservers.*.option.listenPort=0", "apiservers.service-consul.option.dnsPort=0", *sets]
        self.server = Server(load(None, sets=given, data_dir=folder, listen="127.0.0.1").config, data=folder)

    async def __aenter__(self) -> Started:
        await self.server.start()
        self.client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.server.front_port}")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()
        await self.server.stop()

    async def login(self, password: str) -> tuple[int, str]:
        answer = await self.client.post("/core/v1/user/login", json={"name": "polaris", "password": password})
        document = answer.json()
        return document["code"], (document["loginResponse"] or {}).get("token", "")

    async def services(self, token: str) -> int:
        answer = await self.client.get("/naming/v1/services", headers={"X-Polaris-Token": token})
        return answer.status_code


async def test_the_administrator_has_a_password_of_its_own_that_is_said_once(tmp_path: Path) -> None:
    async with Started(tmp_path) as first:
        [said] = first.server.notices
        found = re.search(r"administrator is polaris, password (\w{16}) ", said)
        assert found
        file = tmp_path / PASSWORD_FILE
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert file.read_text() == f"polaris {found[1]}\n"
        code, token = await first.login(found[1])
        assert code == 200000
        assert token != SEEDED.token
        assert await first.services(token) == 200
        assert await first.services("") == await first.services(SEEDED.token) == 401
        assert (await first.login("polaris"))[0] == 401001
    async with Started(tmp_path) as second:
        assert second.server.notices == []
        assert await second.login(found[1]) == (200000, token)


async def test_the_first_password_can_be_given(tmp_path: Path) -> None:
    async with Started(tmp_path, "auth.user.option.initialPassword=chosen-by-me") as first:
        assert first.server.notices == []
        assert not (tmp_path / PASSWORD_FILE).exists()
        assert (await first.login("chosen-by-me"))[0] == 200000
    async with Started(tmp_path, "auth.user.option.initialPassword=another") as second:
        assert (await second.login("another"))[0] == 401001


async def test_the_known_account_is_there_when_asked_for_and_warned_of_every_time(tmp_path: Path) -> None:
    for sets in ((SEED,), (SEED,), ()):
        async with Started(tmp_path, *sets) as started:
            [warning] = started.server.notices
            assert warning.startswith("WARNING: ")
            assert await started.login("polaris") == (200000, SEEDED.token)
            assert await started.services(SEEDED.token) == 200


@pytest.mark.parametrize("sets", [(), (SEED,)])
async def test_no_secret_is_in_any_log_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, sets: tuple[str, ...]
) -> None:
    caplog.set_level("DEBUG")
    async with Started(tmp_path, *sets) as started:
        snapshot = started.server.access.directory.snapshot  # type: ignore[union-attr]
        secrets = [text for user in snapshot.users.values() for text in (user.token, user.password)]
        file = tmp_path / PASSWORD_FILE
        if file.exists():
            secrets.append(file.read_text().split()[1])
        await started.login("wrong-guess")
        assert await started.services(secrets[0]) == 200
    for secret in (*secrets, "wrong-guess"):
        assert secret not in caplog.text
