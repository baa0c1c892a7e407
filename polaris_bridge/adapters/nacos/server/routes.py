"""All routes of the Nacos HTTP port, of every generation."""

from __future__ import annotations

from typing import Final

from msgspec import structs

from . import (
    routes_auth,
    routes_console,
    routes_core,
    routes_cs_admin,
    routes_cs_v1,
    routes_cs_v2,
    routes_cs_v3,
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


def _with_variants(routes: Routes) -> Routes:
    """Calls of operators that share a path with those of clients."""
    found = dict(routes)
    for method, variants in routes_cs_admin.VARIANTS.items():
        at = (method, routes_cs_admin.SHARED)
        found[at] = structs.replace(found[at], variants=(*found[at].variants, *variants))
    return found


ROUTES: Final[Routes] = {
    **routes_v1.ROUTES,
    **routes_v1_services.ROUTES,
    **_with_variants(routes_cs_v1.ROUTES),
    **routes_cs_admin.ROUTES,
    **routes_cs_v2.ROUTES,
    **routes_cs_v3.ROUTES,
    **routes_v2.ROUTES,
    **routes_v3.ROUTES,
    **routes_console.ROUTES,
    **routes_core.ROUTES,
    **routes_namespaces.ROUTES,
    **routes_auth.routes(),
}
