"""Forms of older PolarisMesh files, each read as today's."""

import pytest

MOVED = [
    ("auth: {option: {salt: polarismesh@2020}}", "auth.user.option.salt", "auth.option.salt"),
    ("auth: {option: {consoleOpen: false}}", "auth.strategy.option.console_open", "auth.option.consoleOpen"),
    ("auth: {option: {clientOpen: true}}", "auth.strategy.option.client_open", "auth.option.clientOpen"),
    ("auth: {option: {strict: true}}", "auth.strategy.option.strict", "auth.option.strict"),
    ("config_file: {open: false}", "config.open", "config_file"),
    ("namespace: {autocreate: false}", "namespace.auto_create", "namespace.autocreate"),
    (
        "bootstrap: {logger: {rateLimit: {outputLevel: warn}}}",
        "bootstrap.logger.token-bucket.output_level",
        "bootstrap.logger.rateLimit",
    ),
]


@pytest.mark.parametrize(("text", "path", "old"), MOVED)
def test_moved_keys_are_read_with_a_warning(read, text, path, old):
    loaded, untouched = read(text), read("")
    (warning,) = loaded.warnings
    assert warning.startswith(f"f.yaml:1: {old} is an older form; write ")
    assert value(loaded.config, path) != value(untouched.config, path)


def value(config, path):
    for part in path.split("."):
        config = config.get(part) if isinstance(config, dict) else getattr(config, part)
        if config is None:
            return None
    return config


NAMES = [
    ("eurekaserver", "service-eureka"),
    ("httpserver", "api-http"),
    ("grpcserver", "service-grpc"),
    ("configgrpcserver", "config-grpc"),
    ("xdsserverv3", "xds-v3"),
    ("l5pbserver", "service-l5"),
    ("prometheusserver", "prometheus-sd"),
]


@pytest.mark.parametrize(("old", "new"), NAMES)
def test_older_listener_names(read, old, new):
    loaded = read(f"apiservers: [{{name: {old}, option: {{listenPort: 1234}}}}]")
    assert [(listener.name, listener.option.listen_port) for listener in loaded.config.apiservers] == [(new, 1234)]
    assert new in loaded.warnings[0]


def test_both_spellings_of_the_purge_key(read):
    text = "apiservers: [{name: api-http, option: {connLimit: {%s: 7s}}}]"
    for spelling in ("purgeCounterExpire", "purgeCounterExpired"):
        loaded = read(text % spelling)
        assert loaded.config.apiservers[0].option.conn_limit.purge_counter_expire.seconds == 7
        assert loaded.warnings == ()
    (problem,) = read.problems(
        "apiservers: [{name: api-http, option: {connLimit: {purgeCounterExpire: 7s, purgeCounterExpired: 8s}}}]"
    )
    assert "remove one of them" in problem


def test_a_key_and_its_older_form_together_are_an_error(read):
    problems = read.problems("auth:\n  option: {salt: polarismesh@2020}\n  user: {option: {salt: polarismesh@2021}}\n")
    assert problems == [
        "f.yaml:2:12: auth.option.salt: auth.user.option.salt says the same in f.yaml:3; remove one of them"
    ]


def test_older_tls_keys(read):
    tls = (
        read("apiservers: [{name: api-http, option: {tls: {cert: a.pem, key: b.pem, caCert: c.pem}}}]")
        .config.apiservers[0]
        .option.tls
    )
    assert [path.name for path in (tls.cert_file, tls.key_file, tls.trusted_ca_file)] == ["a.pem", "b.pem", "c.pem"]


GONE = [
    ("auth: {name: defaultAuth, option: {open: true}}", {"auth.name", "auth.option.open"}),
    ("bootstrap: {logger: {server: {outputLevel: info}}}", {"bootstrap.logger.server"}),
    ("bootstrap: {logger: {naming: {logCaller: true}}}", {"bootstrap.logger.naming.logCaller"}),
    ("bootstrap: {logger: {auth: {compress: true}, defaultAuth: {compress: true}}}", {"bootstrap.logger.defaultAuth"}),
    ("cache: {open: true, resources: [{name: service, option: {disableBusiness: false, needMeta: true}}]}", {"cache"}),
    ("naming: {auth: {open: false}}", {"naming.auth"}),
    ("naming: {healthcheck: {open: true, slotNum: 30, maxIdle: 20, idleTimeout: 120}}", {"naming.healthcheck"}),
    (
        "serviceAutoClean: {open: true, service: a, checkInterval: 60s, checkCountBeforeClean: 3, expireTime: 600s}",
        {"serviceAutoClean"},
    ),
    (
        "plugin: {auth: {name: defaultAuth}, discoverStatis: {name: discoverLocal, option: {interval: 60}}}",
        {"plugin.auth", "plugin.discoverStatis"},
    ),
    (
        "maintain: {jobs: [{name: CleanDeletedInstances, cronSpec: 0 0 * * 1}]}",
        {"maintain.jobs.CleanDeletedInstances.cronSpec"},
    ),
    ("apiservers: [{name: service-eureka, option: {owner: polaris}}]", {"apiservers.service-eureka.option.owner"}),
    (
        "apiservers: [{name: api-http, api: {config: {enable: true, include: [default]}}}]",
        {"apiservers.api-http.api.config"},
    ),
]


@pytest.mark.parametrize(("text", "named"), GONE)
def test_what_has_no_place_today_is_named(read, text, named):
    assert set(read(text).without_effect) == named


def test_inline_rate_limit_rules_keep_their_values(read):
    text = """\
    plugin:
      ratelimit:
        name: token-bucket
        option:
          remote-conf: false
          ip-limit:
            open: true
            global: {open: true, bucket: 300, rate: 200}
            resource-cache-amount: 1024
            white-list: [127.0.0.1]
          api-limit:
            open: false
            rules: [{name: store-read, limit: {open: true, bucket: 2000, rate: 1000}}]
            apis: [{name: "GET:/v1/naming/services", rule: store-read}]
    """
    option = read(text).config.plugin.ratelimit.option
    assert (option.ip_limit.global_.bucket, option.ip_limit.white_list) == (300, ["127.0.0.1"])
    assert option.api_limit.rules[0].limit.rate == 1000


PLUGINS = [
    "history: {name: HistoryLogger}",
    "history: [{name: HistoryLogger}]",
    "history: {entries: [{name: HistoryLogger}]}",
]


@pytest.mark.parametrize("form", PLUGINS)
def test_plugins_as_one_as_a_list_or_as_entries(read, form):
    loaded = read(f"plugin: {{{form}}}")
    assert [entry.name for entry in loaded.config.plugin.history.entries] == ["HistoryLogger"]
    assert loaded.warnings == ()


def test_the_older_event_plugin_and_its_options(read):
    loaded = read(
        "plugin: {discoverEvent: {name: discoverEvent, option: {queueSize: 1024, outputPath: ./discover-event}}}"
    )
    assert [entry.name for entry in loaded.config.plugin.discover_event.entries] == ["discoverEventLocal"]
    assert len(loaded.without_effect) == 2


def test_a_single_statis_plugin_with_its_interval(read):
    (entry,) = read(
        "plugin: {statis: {name: local, option: {interval: 30, outputPath: ./statis}}}"
    ).config.plugin.statis.entries
    assert entry.option.interval.seconds == 30


def test_wrong_types_in_older_places_are_reported_not_raised(read):
    for text in (
        "auth: {option: 5}",
        "auth: 7",
        "plugin: []",
        "plugin: {history: 5}",
        "apiservers: {}",
        "bootstrap: {logger: [1]}",
    ):
        assert read.problems(text)
