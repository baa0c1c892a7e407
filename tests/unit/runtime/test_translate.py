"""From the configuration file to the settings of the parts that obey it: no key is lost on the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from polaris_bridge.core import maintain
from polaris_bridge.core.config.tidying import PER_RUN, CleanHistory
from polaris_bridge.runtime import translate
from polaris_bridge.runtime.config import Config, EurekaListener, load
from polaris_bridge.runtime.config.listeners import NacosListener


def config(*sets: str) -> Config:
    return load(None, sets=sets, data_dir=Path("/data")).config


def eureka(*sets: str) -> EurekaListener:
    options = [f"apiservers.service-eureka.option.{value}" for value in sets]
    return next(x for x in config(*options).apiservers if isinstance(x, EurekaListener))


EUREKA = [
    # key=value, field, expected
    ("namespace=prod", "namespace", "prod"),
    ("deltaExpireInterval=400", "delta_expire_s", 400.0),
    ("unhealthyExpireInterval=7", "unhealthy_expire_s", 7.0),
    ("enableSelfPreservation=false", "self_preservation", False),
    ("generateUniqueInstId=true", "generate_unique_inst_id", True),
    ("leaseFactor=2", "lease_factor", 2),
    ("customValues={dataCenterInfoClass: a.B, dataCenterInfoName: Amazon}", "data_center_class", "a.B"),
    ("customValues={dataCenterInfoClass: a.B, dataCenterInfoName: Amazon}", "data_center_name", "Amazon"),
    ("maxBodySize=4096", "max_body_bytes", 4096),
    ("auth=true", "auth", True),
]


@pytest.mark.parametrize(("given", "field", "expected"), EUREKA)
def test_eureka(given: str, field: str, expected: object) -> None:
    default = getattr(translate.eureka(eureka().option), field)
    assert default != expected
    assert getattr(translate.eureka(eureka(given).option), field) == expected


HTTP = [
    ("listenPort=1234", "port", 1234),
    ("listenIP=127.0.0.1", "host", "127.0.0.1"),
    ("maxBodySize=4096", "max_body_size", 4096),
    ("headerTimeout=3s", "header_timeout_s", 3.0),
    ("keepAlive=5s", "keep_alive_s", 5.0),
    ("trustedProxies=[10.0.0.0/8, 127.0.0.1]", "trusted_proxies", ("10.0.0.0/8", "127.0.0.1")),
]


@pytest.mark.parametrize(("given", "field", "expected"), HTTP)
def test_listeners(given: str, field: str, expected: object) -> None:
    default = getattr(translate.http("x", eureka().option), field)
    found = getattr(translate.http("x", eureka(given).option), field)
    assert default != expected
    assert found in (expected, ("10.0.0.0/8", "127.0.0.1/32"))


def test_limits_on_connections() -> None:
    option = eureka(
        "connLimit={openConnLimit: true, maxConnPerHost: 3, maxConnLimit: 9, whiteList: 10.0.0.1, "
        "purgeCounterInterval: 11s, purgeCounterExpired: 12s}"
    ).option
    limit = translate.http("x", option).conn_limit
    assert (limit.open_conn_limit, limit.max_conn_per_host, limit.max_conn_limit) == (True, 3, 9)
    assert limit.white_list.removesuffix("/32") == "10.0.0.1"
    assert (limit.purge_counter_interval_s, limit.purge_counter_expire_s) == (11.0, 12.0)


def test_tls(tmp_path: Path) -> None:
    for name in ("c.pem", "k.pem", "ca.pem"):
        (tmp_path / name).write_text("x")
    files = f"certFile: {tmp_path}/c.pem, keyFile: {tmp_path}/k.pem"
    tls = translate.http("x", eureka(f"tls={{{files}, trustedCAFile: {tmp_path}/ca.pem}}").option).tls
    assert tls is not None
    assert (tls.cert_file, tls.key_file, tls.trusted_ca_file) == tuple(
        str(tmp_path / n) for n in ("c.pem", "k.pem", "ca.pem")
    )
    assert translate.http("x", eureka().option).tls is None


def test_terms() -> None:
    terms = translate.terms(
        config(
            "namespace.autoCreate=false", "naming.autoCreate=false", "naming.batch.register.queueSize=7",
            "naming.batch.register.maxBatchCount=3", "naming.batch.register.dropExpireTask=false",
            "naming.batch.register.taskLife=9s", "naming.selfProtection={open: false, percent: 30, minimum: 2, maxHold: 60s}",
        )
    )  # fmt: skip
    assert (terms.auto_create_namespace, terms.auto_create_service) == (False, False)
    batch, protection = terms.batch, terms.protection
    assert (batch.queue_size, batch.max_batch_count, batch.drop_expired, batch.task_life_s) == (7, 3, False, 9.0)
    assert (protection.enabled, protection.percent, protection.minimum, protection.max_hold_s) == (False, 30, 2, 60.0)
    assert translate.terms(config("naming.batch.register.open=false")).batch.max_batch_count == 1
    assert translate.terms(config()).protection.enabled


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("store={name: memoryStore}", ("memory", None)),
        ("store={name: sqliteStore, option: {path: a/b.db}}", ("sqlite", Path("/data/a/b.db"))),
        ("store={name: sqliteStore, option: {path: /abs/b.db}}", ("sqlite", Path("/abs/b.db"))),
        ("store={name: boltdbStore, option: {path: ./polaris.bolt}}", ("sqlite", Path("/data/polaris.bolt"))),
    ],
)
def test_the_store(given: str, expected: tuple[str, Path | None]) -> None:
    assert translate.store(config(given))[:2] == expected


def test_the_stores_durability() -> None:
    given = "store={name: sqliteStore, option: {path: a.db, synchronous: full}}"
    assert translate.store(config(given))[2].lower() == "full"


JOBS = (
    "maintain.jobs=[{name: DeleteUnHealthyInstance, enable: true, option: {instanceDeleteTimeout: 60m}}, "
    "{name: DeleteEmptyAutoCreatedService, enable: true, option: {serviceDeleteTimeout: 30m}}, "
    "{name: CleanDeletedInstances, enable: %s, option: {instanceCleanTimeout: 10m}}]"
)


def test_maintain_jobs() -> None:
    found = list(translate.jobs(config(JOBS % "true")))
    assert [type(job) for job in found] == [
        maintain.DeleteUnHealthyInstance, maintain.DeleteEmptyAutoCreatedService, maintain.CleanDeletedInstances,
    ]  # fmt: skip
    assert len(list(translate.jobs(config(JOBS % "false")))) == 2


def test_a_log_scope() -> None:
    scope = {
        "rotateOutputPath": "a.log", "errorRotateOutputPath": "e.log", "rotationMaxSize": 1, "rotationMaxBackups": 2,
        "rotationMaxAge": 3, "rotationMaxDurationForHour": 4, "outputLevel": "warn", "compress": True,
        "onlyContent": True, "outputPaths": ["stdout"], "errorOutputPaths": ["stderr"],
    }  # fmt: skip
    text = ", ".join(f"{k}: {str(v).lower() if isinstance(v, bool) else v}" for k, v in scope.items())
    found = translate.log_scope(config(f"bootstrap.logger.naming={{{text}}}").bootstrap.logger["naming"])
    assert (found.rotation_max_size, found.rotation_max_backups, found.rotation_max_age) == (1, 2, 3)
    assert (found.rotation_max_duration_for_hour, found.output_level, found.compress) == (4, "warn", True)
    assert (found.only_content, found.output_paths, found.error_output_paths) == (True, ("stdout",), ("stderr",))
    assert found.rotate_output_path.endswith("a.log")
    assert found.error_rotate_output_path.endswith("e.log")


CONFIG = [
    ("open=false", "config_open", False),
    ("validateFormat=true", "validate_format", True),
    ("contentMaxLength=7", "content_max", 7),
]


@pytest.mark.parametrize(("given", "field", "expected"), CONFIG)
def test_the_configuration_centre(given: str, field: str, expected: object) -> None:
    found = config(f"config.{given}")
    assert getattr(translate.polaris(found), field) == expected
    assert getattr(translate.polaris(config()), field) != expected
    if field != "content_max":
        option = next(x.option for x in found.apiservers if isinstance(x, NacosListener))
        assert getattr(translate.nacos(found, option), field) == expected
        assert getattr(translate.nacos(config(), option), field) != expected


def test_how_long_history_of_configuration_files_is_kept() -> None:
    job = "maintain.jobs=[{name: CleanConfigReleaseHistory, enable: true, option: {retentionDays: %s, batchSize: %d}}]"
    found = [*translate.jobs(config(job % ("36h", 9))), *translate.jobs(config(job % ("1s", 9999)))]
    assert [(j._timeout_ms, j.most) for j in found if isinstance(j, CleanHistory)] == [
        (129_600_000, 9),
        (60_000, PER_RUN),
    ]


def test_where_the_key_of_encrypted_files_is() -> None:
    chosen = "plugin.crypto={entries: [{name: AES, option: {serverKeyFile: keys/mine}}]}"
    memory = "store={name: memoryStore}"
    data = Path("/data")
    assert translate.server_key(config(), data) == Path("/data/config.key")
    assert translate.server_key(config(chosen, memory), data) == Path("/data/keys/mine")
    assert translate.server_key(config(memory), data) is None
    assert translate.server_key(config(), None) is None
