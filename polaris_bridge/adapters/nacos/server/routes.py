"""All routes of the Nacos HTTP port, of every generation."""

from __future__ import annotations

from typing import Final

from . import (
    routes_auth,
    routes_console,
    routes_core,
    routes_cs_v1,
    routes_namespaces,
    routes_v1,
    routes_v1_services,
    routes_v2,
    routes_v3,
)
from .call import Routes

CONFIG: Final = "/cs/"
"""What is in the path of every call about configurations."""


def without_config(routes: Routes) -> Routes:
    """The routes of a server that serves no configurations: as of a Nacos that was started for naming alone."""
    return {at: route for at, route in routes.items() if CONFIG not in at[1]}


ROUTES: Final[Routes] = {
    **routes_v1.ROUTES,
    **routes_v1_services.ROUTES,
    **routes_cs_v1.ROUTES,
    **routes_v2.ROUTES,
    **routes_v3.ROUTES,
    **routes_console.ROUTES,
    **routes_core.ROUTES,
    **routes_namespaces.ROUTES,
    **routes_auth.routes(),
}
