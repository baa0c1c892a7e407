"""The calls about accounts of one server."""

from __future__ import annotations

from polaris_bridge.adapters.nacos.service.admission import Admission
from polaris_bridge.adapters.nacos.translate.names import Spaces
from polaris_bridge.adapters.nacos.wire.messages import Refused
from polaris_bridge.core.auth.ports import Accounts
from polaris_bridge.core.ports import Authority
from polaris_bridge.core.registry import Registry

from .desk import Desk
from .login import Login
from .roles import Roles
from .users import Users


class AccountCalls:
    """Logins, and what the directory can be told and asked."""

    def __init__(
        self,
        registry: Registry,
        admission: Admission,
        authority: Authority,
        accounts: Accounts | None,
        spaces: Spaces,
    ) -> None:
        """``accounts`` None: there is no directory, only logins are answered."""
        self.login = Login(registry, admission, authority, accounts)
        desk = None if accounts is None else Desk(admission, accounts)
        self._users = None if desk is None else Users(desk)
        self._roles = None if desk is None else Roles(desk, spaces)

    @property
    def users(self) -> Users:
        """Raises ``Refused`` (501) when there is no directory."""
        if self._users is None:
            raise _NOWHERE
        return self._users

    @property
    def roles(self) -> Roles:
        """Raises ``Refused`` (501) when there is no directory."""
        if self._roles is None:
            raise _NOWHERE
        return self._roles


_NOWHERE = Refused(501, 30000, "not support")
