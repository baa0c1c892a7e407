"""The section ``limiter``: counters of clients that keep a rate limit together."""

from .fields import Section, key


class LimiterSection(Section):
    """Limits that clients keep together: they report what they let through, and learn what is left."""

    open: bool = key(True, "Whether clients can count here, on the ports of `service-grpc` and `service-limiter`.")
    node_id: int = key(
        1, "Number of this node among those that clients choose from; it is part of a counter's key.", ge=1, le=255
    )
    slide_count: int = key(
        10,
        "Parts of a window for clients that do not ask for a number: use leaves the window part by part. "
        "1 = windows that begin anew all at once, as polaris-limiter has them.",
        ge=1,
        le=10,
    )
    max_clients: int = key(20_000, "Clients at most.", ge=1)
    max_counters: int = key(1_000_000, "Counters at most.", ge=1, le=16_777_215)
