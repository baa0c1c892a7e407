"""Single values: durations, addresses, numbers, text."""

from datetime import timedelta
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polaris_bridge.runtime.config.values import format_duration, parse_duration

DURATIONS = [
    ("32ms", timedelta(milliseconds=32)),
    ("10s", timedelta(seconds=10)),
    ("1h30m", timedelta(hours=1, minutes=30)),
    ("0s", timedelta(0)),
    ("0", timedelta(0)),
    ("1.5h", timedelta(minutes=90)),
    (".5s", timedelta(milliseconds=500)),
    ("1h2m3s4ms5us", timedelta(hours=1, minutes=2, seconds=3, milliseconds=4, microseconds=5)),
    ("3µs", timedelta(microseconds=3)),
    ("2000ns", timedelta(microseconds=2)),
    ("-5s", timedelta(seconds=-5)),
    ("+5s", timedelta(seconds=5)),
]


@pytest.mark.parametrize(("text", "value"), DURATIONS)
def test_go_durations(text, value):
    assert parse_duration(text) == value


@pytest.mark.parametrize("text", ["", "s", "10", "10 s", "10S", "1d", "5s!", "--5s", "1e3s", "10s10", "9999999999h"])
def test_what_is_no_go_duration(text):
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@given(st.timedeltas(min_value=timedelta(days=-20000), max_value=timedelta(days=20000)))
def test_written_durations_read_back(value):
    assert parse_duration(format_duration(value)) == value


def test_a_bare_number_is_seconds_only_where_the_original_takes_seconds(read):
    option = (
        read("apiservers: [{name: service-eureka, option: {deltaExpireInterval: 240}}]").config.apiservers[0].option
    )
    assert option.delta_expire_interval == timedelta(seconds=240)
    assert read.problems("naming: {batch: {register: {waitTime: 32}}}") == [
        "f.yaml:1:39: naming.batch.register.waitTime: expected a duration with its unit, such as 32s or 32ms"
    ]
    assert read("naming: {batch: {register: {waitTime: 0}}}").config.naming.batch.register_.wait_time == timedelta(0)


def test_negative_durations_only_where_old_files_have_them(read):
    assert read("cache: {diffTime: -5s}").config.cache.diff_time == timedelta(seconds=-5)
    assert "zero or more" in read.problems("naming: {selfProtection: {maxHold: -1s}}")[0]


@pytest.mark.parametrize("written", ["10.0.0.1, ::1", "['10.0.0.1', '::1']"])
def test_addresses_as_text_or_list(read, written):
    text = f"apiservers: [{{name: api-http, option: {{connLimit: {{whiteList: {written!r} }}}}}}]"
    if written.startswith("["):
        text = "apiservers: [{name: api-http, option: {connLimit: {whiteList: ['10.0.0.1', '::1']}}}]"
    limit = read(text).config.apiservers[0].option.conn_limit
    assert limit.white_list == (ip_address("10.0.0.1"), ip_address("::1"))


def test_networks(read):
    config = read("plugin: {whitelist: {name: whitelist, option: {ip: [127.0.0.1, 10.1.2.3/8]}}}").config
    assert config.plugin.whitelist.option.ip == (ip_network("127.0.0.1/32"), ip_network("10.0.0.0/8"))


@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1", "'::'", "'fe80::1'"])
def test_listen_addresses(read, address):
    option = read(f"apiservers: [{{name: api-http, option: {{listenIP: {address}}}}}]").config.apiservers[0].option
    assert option.listen_ip == address.strip("'")


WRONG = [
    ("naming: {autoCreate: 'true'}", "naming.autoCreate: expected true or false, found the text 'true'"),
    ("naming: {autoCreate: 1}", "naming.autoCreate: expected true or false, found the number 1"),
    ("naming: [1]", "naming: expected a mapping of keys to values, found a list"),
    ("apiservers: {}", "apiservers: expected a list, found a mapping"),
    (
        "bootstrap: {startInOrder: {key: 5}}",
        "bootstrap.startInOrder.key: expected text, found the number 5; put it in quotes",
    ),
    (
        "naming: {selfProtection: {percent: 101}}",
        "naming.selfProtection.percent: expected 100 or less, found the number 101",
    ),
    (
        "naming: {selfProtection: {percent: 1.5}}",
        "naming.selfProtection.percent: expected a whole number, found the number 1.5",
    ),
    (
        "naming: {batch: {register: {queueSize: true}}}",
        "naming.batch.register.queueSize: expected a whole number, found true",
    ),
    (
        "auth: {user: {option: {salt: 12}}}",
        "auth.user.option.salt: expected text, found a hidden value; put it in quotes",
    ),
    (
        "apiservers: [{name: api-http, option: {listenIP: localhost}}]",
        "apiservers.api-http.option.listenIP: expected an IP address: 0.0.0.0 is every IPv4 address, :: is IPv4 and IPv6",
    ),
    (
        "apiservers: [{name: api-http, option: {listenPort: 65536}}]",
        "apiservers.api-http.option.listenPort: expected 65535 or less, found the number 65536",
    ),
    (
        "apiservers: [{name: api-http, option: {listenPort: -1}}]",
        "apiservers.api-http.option.listenPort: expected 0 or more, found the number -1",
    ),
    (
        "apiservers: [{name: api-http, option: {connLimit: {whiteList: 10.0.0.0/8}}}]",
        "apiservers.api-http.option.connLimit.whiteList: expected an IP address such as 10.1.2.3, found '10.0.0.0/8'",
    ),
    ("apiservers: [7]", "apiservers.0: expected a mapping of keys to values, found the number 7"),
    ("store: {name: sqliteStore, option: {path: 7}}", "store.option.path: expected a path"),
]


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_wrong_values_say_what_was_expected(read, text, message):
    (problem,) = read.problems(text)
    assert problem.partition(": ")[2] == message


def test_relative_paths_lie_under_the_data_folder(read):
    config = read(
        "bootstrap: {logger: {naming: {rotateOutputPath: log/a.log, errorRotateOutputPath: /var/b.log}}}"
    ).config
    scope = config.bootstrap.logger["naming"]
    assert str(scope.rotate_output_path) == "/srv/data/log/a.log"
    assert str(scope.error_rotate_output_path) == "/var/b.log"
    assert str(config.store.option.path) == "/srv/data/polaris-bridge.db"


def test_secrets_are_not_shown_by_repr(read):
    loaded = read("auth: {user: {option: {initialPassword: open-sesame}}}")
    assert "open-sesame" not in repr(loaded.config)
    assert loaded.config.auth.user.option.initial_password.get_secret_value() == "open-sesame"
