"""Errors of a whole file: every one, at its place, with the nearest known key."""

import pytest

from polaris_bridge.runtime.config import check, load
from polaris_bridge.runtime.config.problems import ConfigError

NEAREST = [
    ("namng: {}", "namng", "nearest known key: naming"),
    ("naming: {autocreat: true}", "naming.autocreat", "nearest known key: naming.autoCreate"),
    ("naming: {AUTOCREATE: true}", "naming.AUTOCREATE", "nearest known key: naming.autoCreate"),
    ("autoCreate: true", "autoCreate", "nearest known key: namespace.autoCreate"),
    ("bootstrap: {logger: {namings: {}}}", "bootstrap.logger.namings", "nearest known key: bootstrap.logger.naming"),
    (
        "apiservers: [{name: api-http, option: {listenport: 1}}]",
        "apiservers.api-http.option.listenport",
        "nearest known key: apiservers.api-http.option.listenPort",
    ),
    (
        "apiservers: [{name: service-eurka}]",
        "apiservers.service-eurka.name",
        "nearest known name: service-eureka",
    ),
    ("store: {name: sqlitestore}", "store.name", "nearest known name: sqliteStore"),
    (
        "maintain: {jobs: [{name: CleanDeletedInstance}]}",
        "maintain.jobs.CleanDeletedInstance.name",
        "nearest known name: CleanDeletedInstances",
    ),
    ("store: {name: sqliteStore, option: {zzz: 1}}", "store.option.zzz", "known here: path, synchronous"),
    ("plugin: {statis: {entries: [{name: locale}]}}", "plugin.statis.entries.locale.name", "nearest known name: local"),
]


@pytest.mark.parametrize(("text", "path", "hint"), NEAREST)
def test_the_nearest_known_key(read, text, path, hint):
    (problem,) = read.problems(text)
    assert problem.startswith("f.yaml:1:")
    assert f": {path}: " in problem
    assert problem.endswith(f"({hint})")


def test_all_errors_are_reported_in_the_order_of_the_file_at_their_places(read):
    text = """\
    # first line
    apiservers:
      - name: service-eureka
        option:
          listenPort: "8761"
          nmespace: prod
      - option: {listenPort: 1}
    naming:
      batch:
        register:
          waitTime: soon
          queueSize: 0
    foo: 1
    """
    assert [problem.split(": ")[0:2] for problem in read.problems(text)] == [
        ["f.yaml:5:19", "apiservers.service-eureka.option.listenPort"],
        ["f.yaml:6:7", "apiservers.service-eureka.option.nmespace"],
        ["f.yaml:7:5", "apiservers.1"],
        ["f.yaml:11:17", "naming.batch.register.waitTime"],
        ["f.yaml:12:18", "naming.batch.register.queueSize"],
        ["f.yaml:13:1", "foo"],
    ]


def test_the_sql_store_is_refused_with_the_line_to_use(read):
    (problem,) = read.problems("store:\n  name: defaultStore\n  option: {master: {dbType: mysql, dbPwd: 123456}}\n")
    assert problem == (
        "f.yaml:2:3: store: defaultStore (MySQL) is not supported yet; "
        "write: store: {name: sqliteStore, option: {path: ./polaris-bridge.db}}"
    )


def test_the_refused_line_works():
    from pathlib import Path

    from polaris_bridge.runtime.config import loads
    from polaris_bridge.runtime.config.store import USE_INSTEAD

    assert loads(USE_INSTEAD, data_dir=Path("/srv")).config.store.name == "sqliteStore"


PORTS = [
    (
        "apiservers: [{name: api-http}, {name: api-http}]",
        "port 8090 of api-http is already taken by apiservers.0 (api-http)",
    ),
    (
        "apiservers: [{name: service-nacos, option: {listenPort: 7090}}, {name: api-http}]",
        "port 8090 of api-http is already taken by apiservers.0 (service-nacos)",
    ),
    (
        "apiservers: [{name: api-http, option: {listenIP: 10.0.0.1}}, {name: api-http, option: {listenIP: '::'}}]",
        "port 8090 of api-http is already taken by apiservers.0 (api-http)",
    ),
]


@pytest.mark.parametrize(("text", "message"), PORTS)
def test_two_listeners_on_one_port(read, text, message):
    (problem,) = read.problems(text)
    assert problem.startswith("f.yaml:1:")
    assert problem.endswith(message)


@pytest.mark.parametrize(
    "text",
    [
        "apiservers: [{name: api-http, option: {listenIP: 10.0.0.1}}, {name: api-http, option: {listenIP: 10.0.0.2}}]",
        "apiservers: [{name: service-eureka}, {name: service-eureka, option: {listenPort: 8762}}]",
        "apiservers: [{name: api-http, option: {listenPort: 0}}, {name: service-eureka, option: {listenPort: 0}}]",
    ],
)
def test_listeners_that_do_not_collide(read, text):
    assert len(read(text).config.apiservers) == 2


def test_certificates_come_with_their_key(read):
    text = "apiservers: [{name: api-http, option: {tls: {%s}}}]"
    assert "certFile and keyFile together" in read.problems(text % "certFile: a.pem")[0]
    assert "needs certFile" in read.problems(text % "trustedCAFile: a.pem")[0]
    assert read(text % "certFile: '', keyFile: '', trustedCAFile: ''").config.apiservers[0].option.tls.cert_file is None


def test_a_job_stands_once(read):
    text = "maintain: {jobs: [{name: CleanDeletedInstances}, {name: CleanDeletedInstances}]}"
    assert "stands here a second time" in read.problems(text)[0]


def test_files_that_cannot_be_read(tmp_path):
    assert [str(problem) for problem in check(tmp_path / "none.yaml")] == [
        f"{tmp_path}/none.yaml: cannot be read: No such file or directory"
    ]
    (tmp_path / "latin.yaml").write_bytes(b"a: 1\nb: \xe9\n")
    assert [str(problem) for problem in check(tmp_path / "latin.yaml")] == [
        f"{tmp_path}/latin.yaml:2:1: this line is not UTF-8"
    ]
    with pytest.raises(ConfigError):
        load(tmp_path, data_dir=tmp_path)


def test_a_byte_order_mark_and_windows_lines_are_no_problem(tmp_path):
    file = tmp_path / "windows.yaml"
    file.write_bytes(b"\xef\xbb\xbfnaming:\r\n  autoCreate: false\r\n  foo: 1\r\n")
    (problem,) = check(file)
    assert str(problem).startswith(f"{file}:3:3: naming.foo: unknown key")


def test_a_good_file_has_no_problems(tmp_path):
    file = tmp_path / "good.yaml"
    file.write_text("naming: {autoCreate: false}\n")
    assert check(file) == []
    assert load(file, data_dir=tmp_path).config.naming.auto_create is False
