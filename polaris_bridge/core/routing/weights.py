"""Weights for clients that know nothing of groups: each group's share, spread over its instances, keeps a rule's proportions."""

from __future__ import annotations

from typing import Final

from ..model import NORMAL_WEIGHT, AddressKey
from .model import Share, Target, Tier

HEAVIEST: Final = 65_535
"""What every protocol with weights can say."""


def best(tiers: tuple[Tier, ...]) -> Tier | None:
    """The groups that calls go to first: the best ones of which somebody is healthy; the best ones when nobody is."""
    if not tiers:
        return None
    return next((tier for tier in tiers if any(_well(t) for share in tier.shares for t in share.targets)), tiers[0])


def spread(tier: Tier) -> dict[AddressKey, int]:
    """The weight of every address of some groups: 0 where an instance has none, else from 1 to ``HEAVIEST``.

    Of one group they are the instances' own. Of several, each group weighs what its rule says: the healthy instances of a group
    (all of them when none is) have its weight between them, by their own weights; the lightest one is normal.
    """
    if len(tier.shares) == 1:
        return {target.place: target.weight for target in tier.shares[0].targets}
    parts: dict[AddressKey, float] = {}
    for share in tier.shares:
        for target, part in _parts(share):
            parts[target.place] = parts.get(target.place, 0.0) + part
    least, most = min(filter(None, parts.values())), max(parts.values())
    scale = min(NORMAL_WEIGHT / least, HEAVIEST / most)
    return {place: max(1, round(part * scale)) if part else 0 for place, part in parts.items()}


def place_of(target: Target) -> AddressKey:
    """Where an instance is reached."""
    return target.place


def _parts(share: Share) -> list[tuple[Target, float]]:
    usable = [target for target in share.targets if target.usable]
    well = [target for target in usable if target.healthy] or usable
    total = sum(target.weight for target in well)
    return [(target, share.weight * target.weight / total) for target in share.targets]


def _well(target: Target) -> bool:
    return target.usable and target.healthy
