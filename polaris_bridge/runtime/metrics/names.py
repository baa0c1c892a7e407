"""Every metric there is: name, kind, labels and meaning. ``collect`` fills them, docs/operations.md lists them.

Ours carry the prefix ``polaris_bridge_``. The others are those of polaris-server, for dashboards that exist; all of them have
the label ``polaris_server_instance`` besides their own.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

PREFIX: Final = "polaris_bridge_"
SERVER: Final = "polaris_server_instance"

Kind = Literal["counter", "gauge", "histogram"]


class Name(NamedTuple):
    """One metric as Prometheus sees it."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    meaning: str


def _own(name: str, kind: Kind, labels: str, meaning: str) -> Name:
    return Name(PREFIX + name, kind, tuple(labels.split()), meaning)


def _polaris(name: str, kind: Kind, labels: str, meaning: str) -> Name:
    return Name(name, kind, (*labels.split(), SERVER), meaning)


BUILD = _own("build_info", "gauge", "version", "always 1; the label says which version runs")
REQUESTS = _own("requests_total", "counter", "protocol operation code", "finished calls")
DURATION = _own("request_duration_seconds", "histogram", "protocol operation", "time from request read to answer given")
SERVICES = _own("services", "gauge", "namespace source", "services that hold a registration of a protocol")
INSTANCES = _own("instances", "gauge", "namespace state source", "registrations: healthy, unhealthy or isolated")
EXPIRED = _own("leases_expired_total", "counter", "protocol", "registrations removed because their lease ran out")
HEARTBEATS = _own("heartbeats_total", "counter", "protocol result", "renewals: ok, unknown or stale")
PROBES = _own(
    "health_probes_total", "counter", "kind result", "finished probes of instances that are asked how they are"
)
HEALTH = _own("health_checks", "gauge", "state", "checks of instances: all, running or waiting for their turn")
WATCHERS = _own(
    "watchers",
    "gauge",
    "protocol kind",
    "armed watchers of a service, a namespace or all; `config`: of a file, a group, …; `kv`: of a key, a tree, sessions",
)
CONFIG_FILES = _own(
    "config_files", "gauge", "namespace state", "configuration files: released or draft (never released)"
)
CONFIG_GRAY = _own("config_gray_releases", "gauge", "namespace", "active gray releases of configuration files")
CONFIG_HOLDERS = _own(
    "config_holders", "gauge", "", "clients that said which versions of configuration files they have"
)
PUSH = _own("push_duration_seconds", "histogram", "protocol", "time to tell all watchers of one change")
PROPAGATION = _own("propagation_seconds", "histogram", "from to", "change published to last watcher told")
STORE = _own("store_duration_seconds", "histogram", "op", "transactions of the store")
WAITING = _own("store_writes_waiting", "gauge", "", "writes that are queued and not durable yet")
REVISION = _own("cache_revision", "gauge", "", "newest published revision")
PROTECTION = _own("self_protection", "gauge", "namespace", "1 while deletions are held back")
PROTECTED = _own("self_protection_held", "gauge", "namespace", "registrations that ran out and are kept all the same")
LAG = _own("event_loop_lag_seconds", "gauge", "", "newest sample of how late the event loop ran a timer")
STALL = _own("event_loop_stall_seconds", "gauge", "since", "longest stall since the start, or since the last scrape")
CONNECTIONS = _own("connections", "gauge", "listener", "open connections")
REFUSED = _own("connections_refused_total", "counter", "listener reason", "connections closed unserved")
LIMITED = _own(
    "calls_limited_total", "counter", "protocol limit", "calls refused by `plugin.ratelimit`: ip, api, instance"
)
LIMITER = _own("limiter", "gauge", "kind", "clients that count at the limiter, and their counters")
LIMITER_REQUESTS = _own(
    "limiter_requests_total", "counter", "result", "requests that clients of the limiter say they passed or limited"
)
LIMITER_SHARED = _own(
    "limiter_redis_up", "gauge", "", "1 while the Redis in which nodes share the limiter's counters answers"
)
LIMITER_FAILURES = _own(
    "limiter_redis_failures_total", "counter", "", "exchanges of the limiter's counters that Redis did not take"
)
EJECTED = _own("instances_ejected", "gauge", "namespace", "instances left alone because calls to them fail")
BREAKERS = _own("circuit_breakers", "gauge", "level state", "breakers that are open or half-open")
BREAKER_TURNS = _own("circuit_breaker_turns_total", "counter", "level state", "changes of a breaker, by its new state")
BREAKER_REPORTS = _own(
    "circuit_breaker_reports_total", "counter", "result", "results that callers told; reports malformed or too_many"
)
BREAKER_HELD = _own("circuit_breaker_held_back_total", "counter", "", "ejections that the ceiling did not allow")
DETECTIONS = _own("fault_detection_probes_total", "counter", "kind result", "finished probes for fault detection")
DETECTION_CHECKS = _own(
    "fault_detection_checks", "gauge", "state", "probes to be made: all, running, waiting, left_out"
)
XDS_STREAMS = _own("xds_streams", "gauge", "kind variant", "streams: of grpc or envoy, state or delta")
XDS_RESPONSES = _own("xds_responses_total", "counter", "type", "responses sent, by type of resource: lds, cds, …")
XDS_REFUSED = _own("xds_refused_total", "counter", "type", "responses that a client refused")
XDS_DROPPED = _own("xds_streams_dropped_total", "counter", "reason", "streams ended because of what their client did")
XDS_OVERSIZED = _own(
    "xds_oversized_total", "counter", "", "responses above 4 MiB that could not be split; gRPC clients do not take them"
)
XDS_PROBLEMS = _own("xds_problems_total", "counter", "type", "rules and resources that could not be sent as meant")
SYNC_LAG = _own("sync_lag_seconds", "gauge", "task", "from hearing of the last change to having copied it")
SYNC_QUEUE = _own("sync_queue", "gauge", "task", "services that wait to be copied")
SYNC_WRITES = _own("sync_writes_total", "counter", "task action", "copies created, changed and removed")
SYNC_ERRORS = _own("sync_errors_total", "counter", "task", "readings and writes of a task that failed")
SYNC_DIFFERENCES = _own(
    "sync_differences", "gauge", "task", "instances on which both sides disagree, new ones left out"
)
SYNC_STALE = _own("sync_stale", "gauge", "task", "1 while the source does not answer")
SYNC_HELD = _own("sync_held", "gauge", "task", "removals that wait")
SYNC_COPIES = _own("sync_copies", "gauge", "task", "copies in the target")
SYNC_STAGE = _own("sync_stage_services", "gauge", "task stage", "services of a task, at its stage")
AUDIT_CLEAN = _own("audit_clean", "gauge", "task", "1 while both sides are equal")
ROUTING_KINDS = _own("routing_kinds", "gauge", "", "kinds of callers that look-ups are routed for")
ROUTING_DECISIONS = _own(
    "routing_decisions_total", "counter", "", "decisions made for look-ups; answers from what is kept are not counted"
)
LOG_DROPPED = _own("log_lines_dropped_total", "counter", "", "log lines lost because the disk was too slow")

CLIENTS = _polaris("client_total", "gauge", "", "clients known through any protocol")
SDK_CLIENTS = _polaris("sdk_client_total", "gauge", "", "clients that report themselves")
DISCOVERY_CONNS = _polaris("discovery_conn_total", "gauge", "", "open connections for discovery")
CONFIG_CONNS = _polaris("config_conn_total", "gauge", "", "open connections for configuration")
CONFIG_GROUPS = _polaris("config_group_count", "gauge", "namespace", "groups of configuration files")
CONFIG_FILE_COUNT = _polaris("config_file_count", "gauge", "namespace group", "configuration files")
CONFIG_RELEASED = _polaris("config_release_file_count", "gauge", "namespace group", "released configuration files")
SERVICE_COUNT = _polaris("service_count", "gauge", "namespace", "services")
SERVICE_ONLINE = _polaris("service_online_count", "gauge", "namespace", "services with an online instance")
SERVICE_ABNORMAL = _polaris("service_abnormal_count", "gauge", "namespace", "services with instances, none online")
SERVICE_OFFLINE = _polaris("service_offline_count", "gauge", "namespace", "services without instances")
INSTANCE_COUNT = _polaris("instance_count", "gauge", "namespace service", "instances")
INSTANCE_ONLINE = _polaris("instance_online_count", "gauge", "namespace service", "instances that take traffic")
INSTANCE_ABNORMAL = _polaris("instance_abnormal_count", "gauge", "namespace service", "instances that are unhealthy")
INSTANCE_ISOLATE = _polaris("instance_isolate_count", "gauge", "namespace service", "instances that are withdrawn")
RQ_COUNT = _polaris("client_rq_interval_count", "gauge", "api protocol err_code", "calls in the last interval")
RQ_TIME = _polaris("client_rq_timeout", "gauge", "api protocol err_code", "total milliseconds in the last interval")
RQ_MIN = _polaris("client_rq_timeout_min", "gauge", "api protocol err_code", "least milliseconds in the last interval")
RQ_MAX = _polaris("client_rq_timeout_max", "gauge", "api protocol err_code", "most milliseconds in the last interval")
RQ_AVG = _polaris("client_rq_timeout_avg", "gauge", "api protocol err_code", "average milliseconds, last interval")
BATCH_UNFINISHED = _polaris("batch_job_unfinish", "gauge", "", "writes that are queued and not durable yet")
REGIS_COST = _polaris("instance_regis_cost_time", "histogram", "", "milliseconds from a registration to its durability")
REGIS_EXPIRED = _polaris("instance_regis_task_expire", "gauge", "", "registrations dropped after waiting too long")
"""Counts up, yet is shown as a gauge: the client library would add ``_total`` to a counter, and the name is given."""
REDIS_ALIVE = _polaris("redis_alive_status", "gauge", "", "1 while the Redis that keeps heartbeats answers")
REDIS_READ = _polaris("redis_read_failure", "gauge", "", "questions that Redis did not answer")
REDIS_WRITE = _polaris("redis_write_failure", "gauge", "", "rounds of heartbeats that Redis did not take")
CACHE_COST = _polaris("cache_update_cost", "histogram", "", "milliseconds of a publication")

OWN: Final = (
    BUILD, REQUESTS, DURATION, SERVICES, INSTANCES, EXPIRED, HEARTBEATS, PROBES, HEALTH, WATCHERS, CONFIG_FILES, CONFIG_GRAY,
    CONFIG_HOLDERS, PUSH, PROPAGATION, STORE,
    WAITING, REVISION, PROTECTION, PROTECTED, LAG, STALL, CONNECTIONS, REFUSED, LIMITED, LIMITER, LIMITER_REQUESTS,
    LIMITER_SHARED, LIMITER_FAILURES, EJECTED, BREAKERS, BREAKER_TURNS, BREAKER_REPORTS, BREAKER_HELD, DETECTIONS,
    DETECTION_CHECKS, XDS_STREAMS, XDS_RESPONSES, XDS_REFUSED, XDS_DROPPED, XDS_OVERSIZED, XDS_PROBLEMS,
    SYNC_LAG, SYNC_QUEUE, SYNC_WRITES, SYNC_ERRORS, SYNC_DIFFERENCES, SYNC_STALE, SYNC_HELD, SYNC_COPIES, SYNC_STAGE,
    AUDIT_CLEAN, ROUTING_KINDS, ROUTING_DECISIONS, LOG_DROPPED,
)  # fmt: skip
POLARIS: Final = (
    CLIENTS, SDK_CLIENTS, DISCOVERY_CONNS, CONFIG_CONNS, CONFIG_GROUPS, CONFIG_FILE_COUNT, CONFIG_RELEASED,
    SERVICE_COUNT, SERVICE_ONLINE, SERVICE_ABNORMAL, SERVICE_OFFLINE,
    INSTANCE_COUNT, INSTANCE_ONLINE, INSTANCE_ABNORMAL, INSTANCE_ISOLATE, RQ_COUNT, RQ_TIME, RQ_MIN, RQ_MAX, RQ_AVG,
    BATCH_UNFINISHED, REGIS_COST, REGIS_EXPIRED, REDIS_ALIVE, REDIS_READ,
    REDIS_WRITE, CACHE_COST,
)  # fmt: skip
