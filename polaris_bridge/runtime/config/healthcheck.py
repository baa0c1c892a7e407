"""The section ``healthcheck``: heartbeats of native instances and reports of native SDKs."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from .fields import ByName, Empty, Section, key, unused
from .naming import Batch
from .values import Duration


class LeaderOption(Section):
    """Options of heartbeats that nodes forward to one leader."""

    listen_ip: str = unused("0.0.0.0", "Address for heartbeats of other nodes.", alias="listenIP")
    listen_port: int = unused(8100, "Port for heartbeats of other nodes.", ge=0, le=65535)
    solt_num: int = unused(128, "Shards of the table (the original's spelling).", ge=1)
    slot_num: int = unused(128, "Shards of the table.", ge=1)
    stream_num: int = unused(128, "Streams to the leader.", ge=1)


class RedisOption(Section):
    """Options of heartbeats kept in Redis, for several nodes."""

    deploy_mode: str = key("standalone", "`standalone`, `sentinel` or `cluster`.")
    kv_addr: str = key("", "host:port.")
    kv_user: str = key("", "User.")
    kv_passwd: SecretStr = key(SecretStr(""), "Password.")
    db: int = key(0, "Number of the database.", alias="DB", ge=0)
    with_tls: bool = key(False, "Whether the connection uses TLS.", alias="withTLS")
    pool_size: int = key(200, "Connections.", ge=1)
    min_idle_conns: int = key(30, "Connections kept open.", ge=0)
    idle_timeout: Duration = key(timedelta(seconds=120), "Idle time after which a connection is closed.")
    connect_timeout: Duration = key(timedelta(milliseconds=200), "Longest that connecting may take.")
    msg_timeout: Duration = key(timedelta(milliseconds=200), "Longest that an answer may take.")
    read_timeout: Duration = key(timedelta(0), "Longest that a read may take; 0 = `msgTimeout`.")
    write_timeout: Duration = key(timedelta(0), "Longest that a write may take; 0 = `msgTimeout`.")
    pool_timeout: Duration = key(timedelta(seconds=3), "Longest wait for a free connection.")
    max_conn_age: Duration = key(timedelta(minutes=30), "Age at which a connection is closed.")
    concurrency: int = key(200, "Workers.", ge=1)
    compatible: bool = key(False, "Read the values of older versions.")
    max_retry: int = key(2, "Retries of a batch.", ge=0)
    max_retries: int = unused(0, "Retries of a command.")
    min_batch_count: int = key(10, "Commands of a batch.", ge=1)
    wait_time: Duration = key(timedelta(milliseconds=50), "Longest that a command waits for others.")
    master_name: str = key("", "Name of the primary (sentinel).")
    addrs: list[str] = key([], "host:port of every sentinel or node.")
    sentinel_username: str = key("", "User of the sentinels.")
    sentinel_password: SecretStr = key(SecretStr(""), "Password of the sentinels.")
    slave_only: bool = key(False, "Read from replicas only (sentinel).")
    use_disconnected_slaves: bool = unused(False, "Use replicas that lost their primary (sentinel).")
    read_only: bool = key(False, "Read from replicas (cluster).")
    route_by_latency: bool = unused(False, "Read from the nearest node (cluster).")
    route_randomly: bool = unused(False, "Read from any node (cluster).")


class MemoryChecker(ByName):
    """Heartbeats in this process."""

    name: Literal["heartbeatMemory"] = key("heartbeatMemory", "Heartbeats in this process.")
    option: Empty = key(Empty.model_construct(), "It has no options.")


class RedisChecker(ByName):
    """Heartbeats in Redis."""

    name: Literal["heartbeatRedis"] = key("heartbeatRedis", "Heartbeats in Redis.")
    option: RedisOption = key(RedisOption.model_construct(), "Its options.")


class LeaderChecker(ByName):
    """Heartbeats at a leader."""

    name: Literal["heartbeatLeader"] = key(
        "heartbeatLeader", "Heartbeats at a leader. One node is its own leader: the same as memory."
    )
    option: LeaderOption = unused(LeaderOption.model_construct(), "Its options.")


class PeerChecker(ByName):
    """Heartbeats spread over the nodes."""

    name: Literal["heartbeatP2P"] = unused("heartbeatP2P", "Heartbeats spread over the nodes.")
    option: LeaderOption = unused(LeaderOption.model_construct(), "Its options.")


Checker = Annotated[MemoryChecker | RedisChecker | LeaderChecker | PeerChecker, Field(discriminator="name")]


class HealthCheckBatch(Section):
    """Batching of heartbeats."""

    heartbeat: Batch = unused(Batch.model_construct(), "Heartbeats written to the checker.")


class HealthCheck(Section):
    """Checks of instances by heartbeat."""

    open: bool = key(
        True, "Whether instances are checked; off: heartbeats are answered 400140 and no instance is lost for silence."
    )
    service: str = unused("polaris.checker", "Service whose instances share the checks.")
    local_host: str = unused("", "Own address among them.")
    slot_num: int = unused(30, "Slots of the time wheel; the core's has its own.", ge=1)
    min_check_interval: Duration = unused(
        timedelta(seconds=1),
        "Shortest interval of checks of one instance; here silence is noticed in the second in which it lasts too long.",
    )
    max_check_interval: Duration = unused(
        timedelta(seconds=30), "Longest interval of checks of one instance; see `minCheckInterval`."
    )
    client_report_interval: Duration = key(
        timedelta(seconds=120), "Interval of SDK reports; one that is silent for three of them is forgotten."
    )
    client_check_interval: Duration = unused(timedelta(seconds=120), "Interval of checks of one SDK.")
    client_check_ttl: Duration = unused(timedelta(seconds=120), "Silence after which an SDK is gone.")
    batch: HealthCheckBatch = unused(HealthCheckBatch.model_construct(), "Batching.")
    checkers: list[Checker] = key([], "Where heartbeats are kept; the first counts. Without the list: in this process.")
