"""The section ``routing``: what rules do not say of where calls go; SDKs have the same in their own configuration."""

from .fields import Section, key


class RoutingSection(Section):
    """Where calls go, for clients that have it decided by the server: what is no matter of rules."""

    recover_all: bool = key(
        True, "Whether all instances of a group are used when none of them is healthy; else calls have nowhere to go."
    )
    unhealthy_percent_to_degrade: int = key(
        100,
        "Nearness: a place is left for the next wider one when so many percent of its instances are unhealthy. "
        "100: when all are.",
        ge=1,
        le=100,
    )
