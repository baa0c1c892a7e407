"""This server as a member of a Nacos cluster of one, and its state, as clients, consoles and tools ask for them.

Claimed: Nacos 2.5.1, which also has the abilities of 3.x.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct

VERSION: Final = "2.5.1"
UP: Final = "UP"
RAFT_OFFSET: Final = -1000
"""The port of Nacos' own consensus protocol, from the HTTP port. Shown because tools read it; nobody listens there."""


class Place(Struct, frozen=True, gc=False):
    """Where this server's HTTP port is reached."""

    host: str
    port: int

    @property
    def address(self) -> str:
        """``host:port``."""
        return f"{self.host}:{self.port}"


class Remote(Struct, frozen=True, rename="camel", gc=False):
    """What a member can do over long connections."""

    support_remote_connection: bool = True
    grpc_report_enabled: bool = True


class ConfigAbility(Struct, frozen=True, rename="camel", gc=False):
    """What a member's configuration centre can do between members."""

    support_remote_metrics: bool = False


class NamingAbility(Struct, frozen=True, rename="camel", gc=False):
    """What a member's registry can do between members."""

    support_jraft: bool = True


class Abilities(Struct, frozen=True, rename="camel", gc=False):
    """``abilities`` of a member."""

    remote_ability: Remote = Remote()
    config_ability: ConfigAbility = ConfigAbility()
    naming_ability: NamingAbility = NamingAbility()


class Member(Struct, frozen=True, rename="camel", gc=False):
    """One member, as ``/core/cluster/node*`` answers."""

    ip: str
    port: int
    state: str
    extend_info: dict[str, object]
    address: str
    abilities: Abilities = Abilities()
    grpc_report_enabled: bool = True
    fail_access_cnt: int = 0


class ClusterNodes:
    """The members: this server. ``place`` is asked at every call, since a port may be chosen when the listener starts."""

    def __init__(
        self, place: Callable[[], Place], wall_ms: Callable[[], int], *, auth: Callable[[], bool] = lambda: False
    ) -> None:
        self._place = place
        self._wall_ms = wall_ms
        self._auth = auth

    @property
    def place(self) -> Place:
        """Where this server is."""
        return self._place()

    def self(self) -> Member:
        """This server."""
        at = self._place()
        extend: dict[str, object] = {
            "adWeight": "0",
            "lastRefreshTime": self._wall_ms(),
            "raftMetaData": {"metaDataMap": {}},
            "raftPort": str(at.port + RAFT_OFFSET),
            "readyToUpgrade": True,
            "site": "unknow",
            "version": VERSION,
            "weight": "1",
        }
        return Member(at.host, at.port, UP, extend, at.address)

    def all(self, address: str = "", state: str = "") -> list[Member]:
        """Members whose address begins so, and that are in a state (upper case); empty: all."""
        member = self.self()
        fits = member.address.startswith(address) and state in ("", member.state)
        return [member] if fits else []

    def state(self, *, admin_needed: bool = False) -> dict[str, str | None]:
        """``server/state``: texts, and nulls; a null ``function_mode`` is a server that does everything.

        ``admin_needed``: nobody has set the first administrator's password yet.
        """
        auth = self._auth()
        return {
            "version": VERSION,
            "startup_mode": "standalone",
            "function_mode": None,
            "server_port": str(self._place().port),
            "auth_enabled": _text(auth),
            "login_page_enabled": _text(auth),
            "auth_system_type": "nacos",
            "auth_admin_request": _text(admin_needed),
            "console_ui_enabled": "false",
            "datasource_platform": "",
            "config_retention_days": "30",
        }


def _text(value: bool) -> str:
    return "true" if value else "false"
