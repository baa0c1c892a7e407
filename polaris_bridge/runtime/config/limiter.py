"""The section ``limiter``: counters of clients that keep a rate limit together."""

from datetime import timedelta

from pydantic import SecretStr

from .fields import Section, key
from .values import Duration


class SharedCounters(Section):
    """Redis, for counters that several nodes share. Without an address each node has its own."""

    deploy_mode: str = key("standalone", "`standalone`, `sentinel` or `cluster`.")
    kv_addr: str = key("", "host:port.")
    kv_user: str = key("", "User.")
    kv_passwd: SecretStr = key(SecretStr(""), "Password.")
    db: int = key(0, "Number of the database.", alias="DB", ge=0)
    with_tls: bool = key(False, "Whether the connection uses TLS.", alias="withTLS")
    pool_size: int = key(8, "Connections.", ge=1)
    connect_timeout: Duration = key(timedelta(milliseconds=200), "Longest that connecting may take.")
    msg_timeout: Duration = key(timedelta(milliseconds=200), "Longest that an answer may take.")
    master_name: str = key("", "Name of the primary (sentinel).")
    addrs: list[str] = key([], "host:port of every sentinel or node.")
    sentinel_username: str = key("", "User of the sentinels.")
    sentinel_password: SecretStr = key(SecretStr(""), "Password of the sentinels.")
    flush_interval: Duration = key(
        timedelta(milliseconds=50),
        "How old what nodes know of each other may be: use is exchanged twice as often. What a node that dies did not tell is "
        "forgotten. Not below 5 ms.",
    )


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
    redis: SharedCounters = key(SharedCounters.model_construct(), "Where nodes share their counters.")
