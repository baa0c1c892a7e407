"""What the command line changes: --set, --listen, --port-offset, and where each value came from."""

from pathlib import Path

import pytest

from polaris_bridge.runtime.config import ConfigError, load, shipped_file

TWO = """\
apiservers:
  - name: service-eureka
    option: {listenPort: 8761, namespace: a}
  - name: service-eureka
    option: {listenPort: 8762, namespace: b}
  - name: api-http
"""


def namespaces(loaded):
    return [listener.option.namespace for listener in loaded.config.apiservers if listener.name == "service-eureka"]


CHOSEN = [
    ("apiservers.service-eureka.option.namespace=x", ["x", "x"]),
    ("apiservers.0.option.namespace=x", ["x", "b"]),
    ("apiservers.1.option.namespace=x", ["a", "x"]),
    ("apiservers.1.option={listenPort: 1, namespace: y}", ["a", "y"]),
    ("apiservers.service-eureka.option.namespace=", ["default", "default"]),
    ("apiservers=[{name: service-eureka}]", ["default"]),
]


@pytest.mark.parametrize(("setting", "result"), CHOSEN)
def test_list_elements_by_name_index_or_whole(read, setting, result):
    assert namespaces(read(TWO, sets=[setting])) == result


def test_star_names_every_element(read):
    loaded = read(TWO, sets=["apiservers.*.option.maxBodySize=77"])
    assert {listener.option.max_body_size for listener in loaded.config.apiservers} == {77}


def test_a_value_may_hold_an_equals_sign_and_later_settings_win(read):
    loaded = read("", sets=["bootstrap.startInOrder.key=a=b", "naming.autoCreate=false", "naming.autoCreate=true"])
    assert loaded.config.bootstrap.start_in_order.key == "a=b"
    assert loaded.config.naming.auto_create is True


def test_mappings_on_the_way_are_made(read):
    config = read(
        "", sets=["naming.batch.register.waitTime=5ms", "plugin.whitelist={name: whitelist, option: {ip: 10.0.0.1}}"]
    ).config
    assert config.naming.batch.register_.wait_time.microseconds == 5000
    assert config.plugin.whitelist.name == "whitelist"


def test_older_forms_work_on_the_command_line_too(read):
    loaded = read(
        "apiservers: [{name: eurekaserver}]",
        sets=["apiservers.service-eureka.option.namespace=p", "auth.option.salt=a-salt-of-16-byt"],
    )
    assert namespaces(loaded) == ["p"]
    assert loaded.config.auth.user.option.salt.get_secret_value() == "a-salt-of-16-byt"


BAD = [
    ("naming.autoCreate", "--set naming.autoCreate: expected a.b.c=value"),
    ("=1", "--set : expected a.b.c=value"),
    ("a..b=1", "--set a..b: expected a.b.c=value"),
    ("naming.autoCreate=[", "--set naming.autoCreate: naming.autoCreate: not YAML: "),
    (
        "apiservers.service-nacos.option.listenPort=1",
        "--set apiservers.service-nacos.option.listenPort: apiservers: no element service-nacos in this list "
        "(3 elements, names: service-eureka, api-http); name one by its name, its index or *",
    ),
    ("apiservers.0.name.x=1", "--set apiservers.0.name.x: apiservers.0.name: this is a single value and has no key x"),
    (
        "naming.autocreat=true",
        "--set naming.autocreat: naming.autocreat: unknown key (nearest known key: naming.autoCreate)",
    ),
    (
        "naming.autoCreate=5",
        "--set naming.autoCreate: naming.autoCreate: expected true or false, found the number 5",
    ),
]


@pytest.mark.parametrize(("setting", "message"), BAD)
def test_what_cannot_be_set(read, setting, message):
    (problem,) = read.problems(TWO, sets=[setting])
    assert problem.startswith(message)


def test_errors_of_a_setting_do_not_show_a_secret(read):
    (problem,) = read.problems("", sets=["auth.user.option.initialPassword=123456"])
    assert "123456" not in problem


def test_the_port_offset_moves_every_port_but_zero(read):
    text = TWO + "  - {name: service-consul}\n  - {name: service-nacos, option: {listenPort: 0}}\n"
    listeners = read(text, port_offset=1000).config.apiservers
    assert [listener.option.listen_port for listener in listeners] == [9761, 9762, 9090, 9500, 0]
    assert listeners[3].option.dns_port == 9600


def test_an_offset_beyond_the_last_port_is_an_error(read):
    assert [problem.split(": ", 2)[2] for problem in read.problems(TWO, port_offset=57_000)] == [
        "port 65761 is above 65535; choose a smaller port or port offset",
        "port 65762 is above 65535; choose a smaller port or port offset",
    ]


def test_listen_replaces_every_address(read):
    listeners = read(TWO, listen="127.0.0.1").config.apiservers
    assert {listener.option.listen_ip for listener in listeners} == {"127.0.0.1"}
    assert read.problems(TWO, listen="localhost")[0].startswith("--listen: expected an IP address")


def test_where_values_come_from(read):
    loaded = read(TWO, sets=["naming.autoCreate=false"])
    assert loaded.source("apiservers.api-http") == "f.yaml:6"
    assert loaded.source("apiservers.1.option.namespace") == "f.yaml:5"
    assert loaded.source("naming.autoCreate") == "--set naming.autoCreate"
    assert loaded.source("store.name") == "default"
    assert loaded.source("apiservers.9.option") == "default"


def test_without_a_file_the_shipped_one_is_used(tmp_path):
    loaded = load(None, data_dir=tmp_path, env={})
    assert loaded.source("apiservers.service-eureka.option.listenPort").startswith(f"{shipped_file()}:")
    assert loaded.config.store.option.path == tmp_path / "polaris-bridge.db"


def test_relative_data_folders_are_made_absolute():
    assert (
        load(None, data_dir=Path("data"), env={}).config.store.option.path == Path.cwd() / "data" / "polaris-bridge.db"
    )


def test_errors_name_the_file(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("foo: 1\n")
    with pytest.raises(ConfigError, match=f"{file}:1:1: foo: unknown key"):
        load(file, data_dir=tmp_path)
