"""The section ``circuitBreaker``: instances that fail are found out, and left alone for a while."""

from .fields import Section, key


class CircuitBreakerSection(Section):
    """Circuit breaking for clients that have no breaker of their own: the server goes by the rules that SDKs are given."""

    open: bool = key(
        True,
        "Whether the server hears of calls, probes instances by rules for fault detection, and ejects instances. "
        "Off, rules are only delivered.",
    )
    reporters: int = key(
        2,
        "How many callers (accounts, without access control addresses) must have found, each by itself, that calls should stop. "
        "A probe of the server's own is believed alone, and one that failed counts as one of them. "
        "1 lets a single caller eject instances for everybody.",
        ge=1,
        le=16,
    )
    max_ejection_percent: int = key(
        50,
        "Ceiling of ejected instances of a service, in percent, where a rule states none. One of two or more may be ejected "
        "in any case, the last one that works never.",
        ge=1,
        le=100,
    )
    max_resources: int = key(10_000, "Breakers kept of services, of interfaces, and of instances, each.", ge=1)
    results_per_second: int = key(1000, "Results that one caller may tell a second, over all its reports.", ge=1)
    probes_per_second: int = key(
        100,
        "Probes for fault detection that are begun a second at most; when more are due, they come later.",
        ge=1,
        le=10_000,
    )
