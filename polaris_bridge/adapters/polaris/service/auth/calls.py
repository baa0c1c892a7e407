"""The calls about accounts, as a table."""

from __future__ import annotations

from polaris_bridge.adapters.polaris.service.routes import Route
from polaris_bridge.core.auth.ports import Accounts
from polaris_bridge.core.registry import Registry


class AccountCalls:
    """What the directory can be told and asked."""

    def __init__(self, registry: Registry, accounts: Accounts) -> None:
        self._accounts = accounts

    def routes(self) -> tuple[Route, ...]:
        """Its calls over HTTP."""
        return ()
