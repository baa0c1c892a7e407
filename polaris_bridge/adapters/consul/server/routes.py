"""Every route of the listener, from the tables of its parts."""

from __future__ import annotations

from typing import Final

from .call import Routes
from .routes_agent import ROUTES as AGENT
from .routes_catalog import ROUTES as CATALOG
from .routes_health import ROUTES as HEALTH
from .routes_status import ROUTES as STATUS

ROUTES: Final[Routes] = {**AGENT, **CATALOG, **HEALTH, **STATUS}
