"""Every key of PolarisMesh's file is accepted, and either works or is named."""

from datetime import timedelta
from typing import Any

import pytest

from polaris_bridge.runtime.config import Config, shipped_file
from polaris_bridge.runtime.config.shape import all_keys

HONOURED, NAMED = True, False

BATCH = (
    "open: true",
    "queueSize: 10",
    "waitTime: 32ms",
    "maxBatchCount: 5",
    "dropExpireTask: true",
    "taskLife: 30s",
)
CONN_LIMIT = (
    "openConnLimit: true", "maxConnPerHost: 5", "maxConnLimit: 5", "whiteList: '127.0.0.1,10.0.0.1'",
    "purgeCounterInterval: 10s", "purgeCounterExpire: 5s", "purgeCounterExpired: 5s",
)  # fmt: skip
SCOPES = (
    "config", "auth", "store", "cache", "naming", "healthcheck", "xdsv3", "eureka", "nacos-apiserver", "apiserver", "default",
    "token-bucket", "discoverstat", "local", "HistoryLogger", "discoverEventLocal", "cmdb",
)  # fmt: skip
SCOPE_KEYS = (
    "rotateOutputPath: a.log", "errorRotateOutputPath: b.log", "rotationMaxSize: 1", "rotationMaxBackups: 1", "rotationMaxAge: 1",
    "outputLevel: debug", "compress: true", "onlyContent: true", "rotationMaxDurationForHour: 24",
)  # fmt: skip

KEYS: dict[tuple[str, bool], tuple[str, ...]] = {
    **{(f"bootstrap.logger.{scope}", HONOURED): SCOPE_KEYS for scope in SCOPES},
    ("bootstrap.startInOrder", HONOURED): ("open: true", "key: sz"),
    ("bootstrap.polaris_service", HONOURED): (
        "self_address: 10.0.0.1", "network_inter: eth0", "probe_address: 'a:1'", "enable_register: true", "isolated: false",
        "disable_heartbeat: true", "heartbeat_interval: 5",
        "services: [{name: polaris.checker, namespace: Polaris, protocols: [service-grpc], metadata: {a: b}}]",
    ),
    ("auth.user", HONOURED): (
        "name: defaultUser", "option: {salt: polarismesh@2021}", "option: {seedDefaultAdmin: true}",
        "option: {initialPassword: x}",
    ),
    ("auth.strategy", HONOURED): (
        "name: defaultStrategy", "option: {consoleOpen: true}", "option: {consoleStrict: true}", "option: {clientOpen: false}",
        "option: {clientStrict: false}",
    ),
    ("auth.strategy.option", NAMED): ("compatible: true", "credibleHeaders: {a: b}"),
    ("namespace", HONOURED): ("autoCreate: true",),
    ("limiter.redis", HONOURED): (
        "deployMode: cluster", "kvAddr: 'a:1'", "kvUser: a", "kvPasswd: a", "DB: 1", "withTLS: true", "poolSize: 3",
        "connectTimeout: 1s", "msgTimeout: 1s", "masterName: a", "addrs: ['a:1']", "sentinelUsername: a",
        "sentinelPassword: a", "flushInterval: 20ms",
    ),
    ("migration", HONOURED): ("id: s0",),
    ("limiter", HONOURED): ("open: false", "nodeId: 255", "slideCount: 1", "maxClients: 5", "maxCounters: 16777215"),
    ("naming", HONOURED): ("autoCreate: true", "maxMetadata: 200"),
    ("naming", NAMED): ("l5Open: true",),
    ("naming.batch.register", HONOURED): BATCH,
    ("naming.batch.deregister", HONOURED): BATCH,
    ("naming.batch.register", NAMED): ("concurrency: 5",),
    ("naming.batch.deregister", NAMED): ("concurrency: 5",),
    ("naming.batch.clientRegister", NAMED): (*BATCH, "concurrency: 5"),
    ("naming.batch.clientDeregister", NAMED): (*BATCH, "concurrency: 5"),
    ("naming.selfProtection", HONOURED): ("open: false", "percent: 20", "minimum: 3", "maxHold: 1m"),
    ("healthcheck", HONOURED): (
        "open: true", "clientReportInterval: 120s", "checkers: [{name: heartbeatMemory}]",
        "checkers: [{name: heartbeatRedis, option: {kvAddr: 'a:1', kvUser: u, kvPasswd: p, poolSize: 200, minIdleConns: 30, "
        "idleTimeout: 120s, connectTimeout: 200ms, msgTimeout: 200ms, concurrency: 200, withTLS: true, deployMode: sentinel, "
        "masterName: m, addrs: ['a:1'], sentinelUsername: u, sentinelPassword: p, DB: 1, readTimeout: 1s, writeTimeout: 1s, "
        "poolTimeout: 3s, maxConnAge: 30m, maxRetry: 1, minBatchCount: 1, waitTime: 1ms, compatible: true, readOnly: true, "
        "slaveOnly: true}}]",
        "checkers: [{name: heartbeatLeader}]",
    ),
    ("healthcheck", NAMED): (
        "service: polaris.checker", "slotNum: 30", "localHost: 10.0.0.1", "minCheckInterval: 1s", "maxCheckInterval: 30s",
        "clientCheckInterval: 120s", "clientCheckTtl: 120s",
        "checkers: [{name: heartbeatRedis, option: {maxRetries: 1}}]",
        "checkers: [{name: heartbeatRedis, option: {routeByLatency: true}}]",
        "checkers: [{name: heartbeatRedis, option: {routeRandomly: true}}]",
        "checkers: [{name: heartbeatRedis, option: {useDisconnectedSlaves: true}}]",
        "checkers: [{name: heartbeatLeader, option: {listenIP: 0.0.0.0, listenPort: 8100, soltNum: 128, streamNum: 128}}]",
        "checkers: [{name: heartbeatP2P, option: {listenPort: 8100}}]",
    ),
    ("healthcheck.batch.heartbeat", NAMED): BATCH,
    ("config", HONOURED): ("open: true", "contentMaxLength: 20000", "validateFormat: true"),
    ("config", NAMED): ("cache: {expireTimeAfterWrite: 3600}",),
    ("cache", NAMED): ("diffTime: 5s", "reportInterval: 1s"),
    ("store", HONOURED): (
        "{name: boltdbStore, option: {path: ./polaris.bolt}}", "{name: sqliteStore, option: {path: a.db, synchronous: full}}",
        "{name: memoryStore}",
    ),
    ("plugin.history", HONOURED): ("entries: [{name: HistoryLogger}]",),
    ("plugin.discoverEvent", HONOURED): ("entries: [{name: discoverEventLocal}]",),
    ("plugin.statis", HONOURED): ("entries: [{name: local, option: {interval: 60}}, {name: prometheus}]",),
    ("plugin.whitelist", HONOURED): ("{name: whitelist, option: {ip: [127.0.0.1]}}",),
    ("plugin.crypto", HONOURED): ("entries: [{name: AES}]", "entries: [{name: AES, option: {serverKeyFile: a}}]"),
    ("plugin.cmdb", HONOURED): ("name: memory", "option: {url: 'http://a', token: t, interval: 60s}"),
    ("plugin.ratelimit", HONOURED): (
        "name: token-bucket", "option: {enable: false, rule-file: a.yaml}",
        "option: {ip-limit: {open: true, global: {bucket: 3, rate: 2}, resource-cache-amount: 9, white-list: [127.0.0.1]}}",
        "option: {instance-limit: {open: true, global: {bucket: 3, rate: 2}, resource-cache-amount: 9}}",
        "option: {api-limit: {open: true, rules: [{name: r, limit: {open: true, bucket: 3, rate: 2}}], "
        "apis: [{name: 'GET:/a', rule: r}]}}",
    ),
    ("plugin.ratelimit", NAMED): (
        "option: {remote-conf: false}", "option: {ip-limit: {global: {open: true}}}",
    ),
    ("plugin.parsePassword", NAMED): ("name: localParse",),
}  # fmt: skip

LISTENERS: dict[tuple[str, bool], tuple[str, ...]] = {
    ("service-eureka", HONOURED): (
        "listenIP: 0.0.0.0", "listenPort: 8761", "namespace: prod", "deltaExpireInterval: 60", "unhealthyExpireInterval: 180",
        "enableSelfPreservation: false",
        "customValues: {dataCenterInfoClass: a, dataCenterInfoName: b}",
        "peersToReplicate: ['10.0.0.1:8761', {prod: ['10.0.0.2:8761']}]", "replicatePeers: ['10.0.0.1:8761']",
        "leaseFactor: 2", "tls: {certFile: a, keyFile: b, trustedCAFile: c}", "trustedProxies: 10.0.0.0/8", "maxBodySize: 1024",
        "headerTimeout: 5s", "keepAlive: 1m", "auth: true", *(f"connLimit: {{{pair}}}" for pair in CONN_LIMIT),
    ),
    ("service-eureka", NAMED): (
        "generateUniqueInstId: true", "refreshInterval: 10", "connLimit: {readTimeout: 5s}",
    ),
    ("api-http", HONOURED): (
        "listenIP: '::'", "listenPort: 8090", *(f"connLimit: {{{pair}}}" for pair in CONN_LIMIT), "enablePprof: true",
        "enableSwagger: true",
    ),
    ("api-http", NAMED): ("enableCacheProto: false", "sizeCacheProto: 128"),
    ("service-grpc", HONOURED): (
        "listenPort: 8091", "tls: {certFile: ''}", "maxBodySize: 1000", "headerTimeout: 5s", "keepAlive: 60s",
        "enableCacheProto: true", "sizeCacheProto: 128", "transport: grpcio",
        *(f"connLimit: {{{pair}}}" for pair in CONN_LIMIT),
    ),
    ("service-grpc", NAMED): (
        "trustedProxies: 10.0.0.0/8",
    ),
    ("config-grpc", HONOURED): (
        "listenPort: 8093", "tls: {certFile: ''}", "maxBodySize: 1000", "headerTimeout: 5s", "keepAlive: 60s",
        "transport: grpcio", *(f"connLimit: {{{pair}}}" for pair in CONN_LIMIT),
    ),
    ("config-grpc", NAMED): ("trustedProxies: 10.0.0.0/8", "enableCacheProto: true", "sizeCacheProto: 128"),
    ("xds-v3", HONOURED): (
        "listenPort: 15010", "tls: {certFile: ''}", "maxBodySize: 1000", "headerTimeout: 5s", "keepAlive: 60s",
        "transport: grpcio", "auth: true", "pushInterval: 20ms", *(f"connLimit: {{{pair}}}" for pair in CONN_LIMIT),
    ),
    ("xds-v3", NAMED): ("trustedProxies: 10.0.0.0/8", "enableCacheProto: true", "sizeCacheProto: 128"),
    ("service-nacos", HONOURED): (
        "listenPort: 8848", "defaultNamespace: default", "namespaces: {dev: development}", "defaultIsPublic: true",
        "splitGroup: false", "transport: grpcio", "tokenSecretKey: a", "tokenExpire: 1h", "serverIdentityKey: a",
        "serverIdentityValue: b", "auth: true", *(f"connLimit: {{{pair}}}" for pair in CONN_LIMIT),
    ),
    ("service-nacos", NAMED): ("serverService: a", "serverNamespace: b"),
    ("service-consul", HONOURED): (
        "listenPort: 8500", "datacenter: east", "namespace: prod", "datacenters: {west: other}", "nodeName: a",
        "foreignNode: b", "singleNode: true", "auth: true", "dnsPort: 8600", "metadataAsTags: [a]",
        "dns: {domain: a, altDomain: b, nodeTTL: 5s, serviceTTL: {web: 5s}, onlyPassing: true, udpAnswerLimit: 5}",
        "dns: {aRecordLimit: 2, enableTruncate: true, enableAdditionalNodeMetaTXT: false, recursors: [10.0.0.1]}",
        "dns: {recursorTimeout: 1s}",
    ),
    ("service-limiter", HONOURED): ("listenPort: 8101", "transport: grpcio"),
    ("service-l5", NAMED): ("listenPort: 7779", "clusterName: cl5.discover"),
}  # fmt: skip

JOBS: dict[tuple[str, bool], str] = {
    ("DeleteUnHealthyInstance", HONOURED): "instanceDeleteTimeout: 60m",
    ("DeleteEmptyAutoCreatedService", HONOURED): "serviceDeleteTimeout: 30m",
    ("CleanDeletedInstances", HONOURED): "instanceCleanTimeout: 10m",
    ("CleanDeletedClients", HONOURED): "clientCleanTimeout: 10m",
    ("CleanConfigReleaseHistory", HONOURED): "retentionDays: 168h, batchSize: 100",
    ("CleanDeletedResources", NAMED): "timeout: 20m, resources: [{resource: lane_rule, timeout: 5m, enable: true}]",
}


def nested(path: str, inner: str) -> str:
    for part in reversed(path.split(".")):
        inner = f"{{{part}: {inner}}}"
    return inner


CASES = [
    pytest.param(
        nested(path, pair if pair.startswith("{") else f"{{{pair}}}"),
        works,
        id=f"{path}.{pair.partition(':')[0].strip('{')}",
    )
    for (path, works), pairs in KEYS.items()
    for pair in pairs
]
CASES += [
    pytest.param(f"apiservers: [{{name: {name}, option: {{{pair}}}}}]", works, id=f"{name}.{pair}")
    for (name, works), pairs in LISTENERS.items()
    for pair in pairs
]
CASES += [
    pytest.param(f"maintain: {{jobs: [{{name: {name}, enable: true, option: {{{option}}}}}]}}", works, id=name)
    for (name, works), option in JOBS.items()
]


@pytest.mark.parametrize(("text", "works"), CASES)
def test_every_key_is_accepted_and_works_or_is_named(read, text, works):
    loaded = read(text)
    assert bool(loaded.without_effect) != works, loaded.without_effect
    assert loaded.warnings == ()


@pytest.mark.parametrize("group", ["admin", "console", "client"])
def test_groups_of_routes_work_where_there_are_routes(read, group):
    text = f"apiservers: [{{name: NAME, api: {{{group}: {{enable: true, include: [default]}}}}}}]"
    assert read(text.replace("NAME", "api-http")).without_effect == ()
    assert read(text.replace("NAME", "service-eureka")).without_effect == ("apiservers.service-eureka.api",)


DEFAULTS: list[tuple[str, Any]] = [
    ("bootstrap.start_in_order.open", True),
    ("bootstrap.start_in_order.key", "sz"),
    ("namespace.auto_create", True),
    ("naming.auto_create", True),
    ("naming.batch.register_.open", True),
    ("naming.batch.register_.queue_size", 10240),
    ("naming.batch.register_.wait_time", timedelta(milliseconds=32)),
    ("naming.batch.register_.max_batch_count", 128),
    ("naming.batch.register_.concurrency", 128),
    ("naming.batch.register_.drop_expire_task", True),
    ("naming.batch.register_.task_life", timedelta(seconds=30)),
    ("naming.batch.client_register.max_batch_count", 32),
    ("naming.self_protection.open", True),
    ("naming.self_protection.percent", 15),
    ("naming.self_protection.minimum", 5),
    ("naming.self_protection.max_hold", timedelta(minutes=15)),
    ("config.content_max_length", 20000),
    ("cache.diff_time", timedelta(seconds=5)),
    ("auth.strategy.option.console_open", True),
    ("auth.strategy.option.client_open", False),
    ("auth.user.option.seed_default_admin", False),
    ("plugin.whitelist.name", ""),
    ("store.option.synchronous", "normal"),
]


@pytest.mark.parametrize(("path", "value"), DEFAULTS)
def test_defaults(read, path, value):
    found: Any = read("").config
    for part in path.split("."):
        found = getattr(found, part)
    assert found == value


def test_listener_defaults(read):
    eureka, front, grpc = read("").config.apiservers
    assert (grpc.option.listen_port, grpc.option.max_body_size) == (8091, 4 * 1024 * 1024)
    assert (eureka.option.listen_ip, eureka.option.listen_port, eureka.option.lease_factor) == ("0.0.0.0", 8761, 1)
    assert (eureka.option.conn_limit.max_conn_per_host, eureka.option.conn_limit.max_conn_limit) == (1024, 10240)
    assert (front.option.listen_port, front.option.max_body_size) == (8090, 10 * 1024 * 1024)
    assert (front.option.conn_limit.max_conn_per_host, front.option.conn_limit.max_conn_limit) == (128, 5120)
    assert front.option.conn_limit.open_conn_limit is False
    assert (front.option.header_timeout, front.option.keep_alive) == (timedelta(seconds=20), timedelta(seconds=120))


def test_the_jobs_that_run_without_the_section_are_those_of_the_original(read):
    jobs = read("").config.maintain.jobs
    assert [(job.name, job.enable) for job in jobs] == [
        ("CleanDeletedInstances", True),
        ("CleanDeletedClients", True),
        ("CleanConfigReleaseHistory", True),
    ]


def test_a_part_of_a_section_keeps_the_other_defaults(read):
    option = (
        read("apiservers: [{name: service-eureka, option: {connLimit: {openConnLimit: true}}}]")
        .config.apiservers[0]
        .option
    )
    assert option.conn_limit.open_conn_limit is True
    assert option.conn_limit.max_conn_per_host == 1024


def test_keys_without_a_value_mean_their_default_and_are_not_named(read):
    loaded = read(
        "cache:\nnaming: {autoCreate: }\nmaintain: {jobs: [{name: CleanDeletedInstances, enable: true, option: }]}\n"
    )
    assert loaded.config.naming.auto_create is True
    assert loaded.without_effect == ()


def test_an_unknown_key_without_a_value_is_an_error_too(read):
    assert "unknown key" in read.problems("naming: {autocreat: }")[0]


def test_what_has_no_effect_is_named_by_section_key_or_listener(read):
    loaded = read("""\
    cache: {diffTime: 5s}
    healthcheck: {open: true, slotNum: 30}
    apiservers:
      - {name: service-eureka, option: {refreshInterval: 10, namespace: prod}}
      - {name: service-eureka, option: {refreshInterval: 10, listenPort: 8762}}
      - {name: service-l5, option: {clusterName: a}}
    """)
    assert loaded.without_effect == (
        "cache",
        "healthcheck.slotNum",
        "apiservers.0.option.refreshInterval",
        "apiservers.1.option.refreshInterval",
        "apiservers.service-l5",
    )


def test_the_shipped_file_sets_every_listener_of_the_table_and_has_no_warning(read):
    loaded = read(shipped_file().read_text())
    assert [(listener.name, listener.option.listen_port) for listener in loaded.config.apiservers] == [
        ("service-eureka", 8761),
        ("api-http", 8090),
        ("service-grpc", 8091),
        ("config-grpc", 8093),
        ("service-limiter", 8101),
        ("xds-v3", 15010),
        ("service-nacos", 8848),
        ("service-consul", 8500),
    ]
    assert loaded.warnings == ()
    assert {"healthcheck.slotNum"} <= set(loaded.without_effect)
    assert not {f"apiservers.service-{each}" for each in ("eureka", "nacos", "consul")} & set(loaded.without_effect)
    assert str(loaded.config.store.option.path) == "/srv/data/polaris-bridge.db"


def test_the_shipped_file_changes_no_default_of_what_works(read):
    shipped, empty = read(shipped_file().read_text()).config, read("").config
    assert shipped.naming == empty.naming
    assert shipped.store == empty.store
    assert shipped.namespace == empty.namespace
    for name in ("tls", "max_body_size", "header_timeout", "keep_alive", "auth", "listen_ip", "listen_port"):
        for mine, theirs in zip(shipped.apiservers, empty.apiservers, strict=False):
            assert getattr(mine.option, name) == getattr(theirs.option, name)


def test_every_key_is_listed_once():
    listed = all_keys(Config)
    assert len(listed) == len(set(listed)) > 300


def test_a_salt_has_to_be_a_key(read):
    problems = read.problems("auth: {user: {option: {salt: short}}}")
    assert problems == ["f.yaml:1:30: auth.user.option.salt: expected 16, 24 or 32 bytes, found 5"]
