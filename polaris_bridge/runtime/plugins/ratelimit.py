"""Plugin ``ratelimit``, implementation ``token-bucket``: how often an address, an API or an instance may be heard.

Buckets as in polaris-server 1.19: full at first, one token a call, so many tokens back each second. Of addresses and instances
those not heard for longest are forgotten when there are too many, and begin with a full bucket when they come back.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from polaris_bridge.adapters._shared.throttle import Excess

from ..logs import scope

INSTANCE: Final = "instance"
"""The limit of registrations and deregistrations, beside those of ``Excess``."""
SAY_AGAIN_S: Final = 60.0
"""A limit that is met over and over is logged so often."""
_SLACK_S: Final = 1e-6
"""Clocks count in floating point: a token that is due to the microsecond is there."""


class Rate(Struct, frozen=True):
    """One bucket: how many tokens it holds, how many it gets each second. Both above 0."""

    bucket: int
    rate: int


class ResourceRates(Struct, frozen=True):
    """A bucket for each of many."""

    each: Rate
    most: int
    """Buckets that are kept."""
    exempt: frozenset[str] = frozenset()


class RateLimitSettings(Struct, frozen=True):
    """All limits of a server. None and an empty mapping: there is no such limit."""

    addresses: ResourceRates | None = None
    apis: dict[str, Rate] = {}
    """By ``METHOD:/path``, or the path of a gRPC method."""
    instances: ResourceRates | None = None


class Bucket:
    """One bucket, kept as the time at which it is full again."""

    __slots__ = ("_full_s", "_token_s", "_whole_s")

    def __init__(self, rate: Rate) -> None:
        self._token_s = 1 / rate.rate
        self._whole_s = rate.bucket / rate.rate + _SLACK_S
        self._full_s = 0.0

    def take(self, now_s: float) -> bool:
        """Take a token; False when there is none."""
        full_s = max(self._full_s, now_s) + self._token_s
        if full_s - now_s > self._whole_s:
            return False
        self._full_s = full_s
        return True


class Buckets:
    """A bucket for each of many, of which a number is kept: about 150 bytes and the key for one."""

    __slots__ = ("_exempt", "_full_s", "_most", "_token_s", "_whole_s")

    def __init__(self, rates: ResourceRates) -> None:
        self._token_s = 1 / rates.each.rate
        self._whole_s = rates.each.bucket / rates.each.rate + _SLACK_S
        self._most = rates.most
        self._exempt = rates.exempt
        self._full_s: OrderedDict[str, float] = OrderedDict()  # the one heard last stands last

    def __len__(self) -> int:
        return len(self._full_s)

    def take(self, key: str, now_s: float) -> bool:
        """Take a token from the bucket of a key; False when there is none."""
        if key in self._exempt:
            return True
        kept = self._full_s
        full_s = kept.get(key)
        if full_s is None:
            if len(kept) >= self._most:
                kept.popitem(last=False)
            kept[key] = now_s + self._token_s
            return True
        kept.move_to_end(key)
        full_s = max(full_s, now_s) + self._token_s
        if full_s - now_s > self._whole_s:
            return False
        kept[key] = full_s
        return True


class RateLimits:
    """``CallLimits`` of a server. Belongs to the event loop's thread."""

    def __init__(
        self,
        settings: RateLimitSettings,
        monotonic: Callable[[], float],
        refused: Callable[[str, str], None],
        logger: logging.Logger | None = None,
    ) -> None:
        """``refused`` is told of every call that was one too many: protocol, limit (``ip``, ``api``, ``instance``)."""
        self._addresses = None if settings.addresses is None else Buckets(settings.addresses)
        self._apis = {name: Bucket(rate) for name, rate in settings.apis.items()}
        self._instances = None if settings.instances is None else Buckets(settings.instances)
        self._monotonic = monotonic
        self._refused = refused
        self._logger = logger or scope("token-bucket")
        self._said: dict[tuple[str, str], float] = {}

    def excess(self, protocol: str, address: str, api: str, /) -> Excess | None:
        """See ``CallLimits``. Addresses are asked first: who calls too often does not use up what others may ask."""
        now_s = self._monotonic()
        if self._addresses is not None and not self._addresses.take(address, now_s):
            self._turned_away(protocol, Excess.ADDRESS.value, address, now_s)
            return Excess.ADDRESS
        bucket = self._apis.get(api)
        if bucket is not None and not bucket.take(now_s):
            self._turned_away(protocol, Excess.API.value, api, now_s)
            return Excess.API
        return None

    def too_often(self, protocol: str, instance: str, /) -> bool:
        """See ``CallLimits``."""
        if self._instances is None:
            return False
        now_s = self._monotonic()
        if self._instances.take(instance, now_s):
            return False
        self._turned_away(protocol, INSTANCE, instance, now_s)
        return True

    def _turned_away(self, protocol: str, limit: str, who: str, now_s: float) -> None:
        self._refused(protocol, limit)
        said_s = self._said.get((protocol, limit))
        if said_s is None or now_s - said_s >= SAY_AGAIN_S:
            self._said[(protocol, limit)] = now_s
            self._logger.warning(
                "%s: %s-limit met by %s; others that meet it are not named for a minute", protocol, limit, who
            )
