"""Every route of the listener, from the tables of its parts."""

from __future__ import annotations

from typing import Final

from .call import Routes
from .routes_agent import ROUTES as AGENT
from .routes_catalog import ROUTES as CATALOG
from .routes_config import ROUTES as CONFIG
from .routes_event import ROUTES as EVENT
from .routes_health import ROUTES as HEALTH
from .routes_kv import ROUTES as KV
from .routes_misc import ROUTES as MISC
from .routes_query import ROUTES as QUERY
from .routes_self import ROUTES as SELF
from .routes_session import ROUTES as SESSION
from .routes_status import ROUTES as STATUS
from .routes_txn import ROUTES as TXN

ROUTES: Final[Routes] = {
    **AGENT,
    **CATALOG,
    **CONFIG,
    **EVENT,
    **HEALTH,
    **KV,
    **MISC,
    **QUERY,
    **SELF,
    **SESSION,
    **STATUS,
    **TXN,
}
