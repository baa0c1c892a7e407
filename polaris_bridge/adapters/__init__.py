"""The protocols. Each package holds the same rooms: ``wire`` (bytes and messages), ``translate`` (messages and core values),
``service`` (one function an operation), ``server`` (routes), ``settings``, ``build``; what they share is in ``_shared``.

They do not know each other. A new one is a copied skeleton and an entry in ``ADAPTERS``.
"""

from __future__ import annotations

from typing import Final

from ._shared.adapter import Adapter
from .consul.build import ADAPTER as CONSUL
from .eureka.build import ADAPTER as EUREKA
from .nacos.build import ADAPTER as NACOS
from .polaris.build import ADAPTER as POLARIS
from .xds.build import ADAPTER as XDS

ADAPTERS: Final[tuple[Adapter, ...]] = (EUREKA, NACOS, CONSUL, POLARIS, XDS)
"""Every protocol that can be switched on, in the order in which they are shown."""
