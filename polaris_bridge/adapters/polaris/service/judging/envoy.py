"""Envoy asks whether a request may go ahead: the same rules, on the same counters, as for every other caller."""

from __future__ import annotations

from typing import Final

from polaris_bridge.adapters._shared.catalog import Catalog
from polaris_bridge.adapters.polaris.translate.envoy import answer_of, asked_of, service_of
from polaris_bridge.adapters.polaris.wire import rls
from polaris_bridge.core.limiting.judging import Judge
from polaris_bridge.core.model import Caller, ServiceKey
from polaris_bridge.core.registry import Registry

MOST_ENTRIES: Final = 1000
"""Entries of all descriptors of a request; real ones have a dozen."""


class Refused(Exception):
    """A request that cannot be decided about; the text says why."""


class EnvoyLimits:
    """Decisions for Envoy."""

    def __init__(self, judge: Judge, catalog: Catalog, registry: Registry) -> None:
        self._judge = judge
        self._catalog = catalog
        self._registry = registry

    def service(self, request: rls.RateLimitRequest) -> ServiceKey:
        """What the request is about. Raises ``Refused``, in the words of envoyproxy/ratelimit where it has some."""
        if not request.domain:
            raise Refused("rate limit domain must not be empty")
        if not request.descriptors:
            raise Refused("rate limit descriptor list must not be empty")
        if sum(1 + len(descriptor.entries) for descriptor in request.descriptors) > MOST_ENTRIES:
            raise Refused(f"rate limit descriptors must not have more than {MOST_ENTRIES} entries")
        return service_of(request.domain, self._registry.ledger.namespaces.__contains__)

    def decide(self, request: rls.RateLimitRequest, service: ServiceKey, caller: Caller) -> rls.RateLimitResponse:
        """Take the tokens of all descriptors, or none. Local rules count each Envoy for itself."""
        asked = asked_of(request, self._catalog.target(service), caller.address)
        return answer_of(self._judge.decide_all(asked, self._registry.clock.wall_ms()))
