"""All routes of the Nacos HTTP port, of every generation."""

from __future__ import annotations

from typing import Final

from . import routes_auth, routes_console, routes_namespaces, routes_v1, routes_v1_services
from .call import Routes

ROUTES: Final[Routes] = {
    **routes_v1.ROUTES,
    **routes_v1_services.ROUTES,
    **routes_console.ROUTES,
    **routes_namespaces.ROUTES,
    **routes_auth.routes(),
}
