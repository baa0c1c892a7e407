"""``plugin.ratelimit``: limits in place and in a file of their own, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from polaris_bridge.runtime import translate
from polaris_bridge.runtime.plugins.ratelimit import Rate, RateLimitSettings, ResourceRates

RULES = """\
# as polaris-server ships it, with everything open
ip-limit:
  open: true
  global:
    open: false
    bucket: 300
    rate: 200
  resource-cache-amount: 1024
  white-list: [127.0.0.1]
instance-limit:
  open: true
  global: {bucket: 200, rate: 100}
  resource-cache-amount: 512
api-limit:
  open: true
  rules:
    - name: store-read
      limit: {open: true, bucket: 2000, rate: 1000}
    - name: store-write
      limit: {open: false, bucket: 1000, rate: 500}
  apis:
    - {name: "GET:/naming/v1/services", rule: store-read}
    - {name: "POST:/naming/v1/services", rule: store-write}
"""
SETTINGS = RateLimitSettings(
    addresses=ResourceRates(Rate(300, 200), 1024, frozenset({"127.0.0.1"})),
    apis={"GET:/naming/v1/services": Rate(2000, 1000)},
    instances=ResourceRates(Rate(200, 100), 512),
)


def section(option: str, name: str = "token-bucket") -> str:
    return f"plugin: {{ratelimit: {{name: '{name}', option: {{{option}}}}}}}"


def in_place(enable: str) -> str:
    lines = "".join(f"      {line}\n" for line in RULES.splitlines())
    return f"plugin:\n  ratelimit:\n    name: token-bucket\n    option:\n      enable: {enable}\n{lines}"


def test_limits_in_place(read):
    assert translate.call_limits(read(in_place("true")).config) == SETTINGS


@pytest.mark.parametrize("text", ["", in_place("false"), in_place("true").replace("token-bucket", '""')])
def test_nothing_is_limited_unless_it_is_switched_on(read, text):
    assert translate.call_limits(read(text).config) is None


def test_switched_on_with_nothing_open_is_off(read):
    assert translate.call_limits(read(section("enable: true")).config) is None


def test_limits_of_a_file_stand_for_those_in_place(read, tmp_path: Path):
    file = tmp_path / "rule.yaml"
    file.write_text(RULES.replace("bucket: 300", "bucket: ${IP_BUCKET:-300}"))
    given = f"enable: true, rule-file: '{file}', ip-limit: {{open: true, global: {{bucket: 1, rate: 1}}}}"
    assert translate.call_limits(read(section(given)).config) == SETTINGS


def test_the_file_is_not_looked_for_while_it_is_off(read):
    assert translate.call_limits(read(section("enable: false, rule-file: /nowhere.yaml")).config) is None


def test_a_file_that_is_not_there(read):
    (problem,) = read.problems(section("enable: true, rule-file: /nowhere.yaml"))
    assert problem.startswith("f.yaml:1:")
    assert "'/nowhere.yaml' cannot be read: No such file" in problem


def test_an_empty_file_limits_nothing(read, tmp_path: Path):
    file = tmp_path / "rule.yaml"
    file.write_text("# later\n")
    assert translate.call_limits(read(section(f"enable: true, rule-file: '{file}'")).config) is None


BROKEN = [
    ("ip-limt: {}", ":1:1: ip-limt: ", "nearest known key: ip-limit"),
    ("ip-limit: {open: 3}", ":1:18: ip-limit.open: ", "expected true or false"),
    ("- a", ":1:1: ", "expected a mapping"),
    ("ip-limit: {open: true}", ":1:11: ip-limit.global: ", "expected bucket and rate above 0"),
    ("ip-limit: {open: true, global: {bucket: 1}}", ":1:32: ip-limit.global: ", "expected bucket and rate above 0"),
    ("instance-limit: {open: true, global: {rate: 1}}", ":1:38: instance-limit.global: ", "above 0"),
    ("api-limit: {open: true}", ":1:12: api-limit: ", "expected rules and apis"),
    (
        "api-limit: {open: true, rules: [{name: a}], apis: [{name: 'GET:/', rule: b}]}",
        "api-limit.apis.0: ",
        "there is no rule 'b'",
    ),
    (
        "api-limit: {open: true, rules: [{name: a, limit: {open: true}}], apis: [{name: x, rule: a}]}",
        "api-limit.rules.0: ",
        "above 0",
    ),
    ("api-limit: {open: true, rules: [{}], apis: [{rule: ''}]}", "api-limit.rules.0: ", "expected a name"),
    ("ip-limit: {", ":1:", "not YAML"),
    ("ip-limit: ${", ":1:", "expected ${NAME}"),
]


@pytest.mark.parametrize(("text", "where", "what"), BROKEN)
def test_what_is_wrong_with_a_file_is_said_with_its_place(read, tmp_path: Path, text, where, what):
    file = tmp_path / "rule.yaml"
    file.write_text(text)
    problems = read.problems(section(f"enable: true, rule-file: '{file}'"))
    assert problems[0].startswith(str(file))
    assert where in problems[0]
    assert what in problems[0]


def test_what_is_wrong_in_place(read):
    (problem,) = read.problems(section("enable: true, ip-limit: {open: true}"))
    assert "plugin.ratelimit.option.ip-limit.global: expected bucket and rate above 0" in problem


def test_no_text(read, tmp_path: Path):
    file = tmp_path / "rule.yaml"
    file.write_bytes(b"\xff\xfe\x00")
    assert "it is not UTF-8 text" in read.problems(section(f"enable: true, rule-file: '{file}'"))[0]
