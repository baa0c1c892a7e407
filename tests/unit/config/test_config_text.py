"""Environment variables, YAML rules, and exact places."""

import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from polaris_bridge.runtime.config.problems import Place
from polaris_bridge.runtime.config.text import MAX_CHARACTERS, expand
from polaris_bridge.runtime.config.tree import MAX_DEPTH, MAX_NODES
from polaris_bridge.runtime.config.tree import read as read_tree

SUBSTITUTED = [
    ("${A}", "1"),
    ("${B:-x}", "x"),
    ("${A:-x}", "1"),
    ("${EMPTY:-x}", "x"),
    ("${EMPTY}", ""),
    ("${B:-}", ""),
    ("$A", "$A"),
    ("a$", "a$"),
    ("$$", "$$"),
    ("x${A}y${A}z", "x1y1z"),
    ("# ${A} ${B} ${", "# ${A} ${B} ${"),
    ("  # ${A}\n${A}", "  # ${A}\n1"),
    ("k: v # ${A}", "k: v # 1"),
    ("${DOLLAR:-$}{A}", "${A}"),
    ("${B:-a:-b $ #}", "a:-b $ #"),
]


@pytest.mark.parametrize(("text", "result"), SUBSTITUTED)
def test_substitution(text, result):
    assert expand("f", text, {"A": "1", "EMPTY": ""}).text == result


@pytest.mark.parametrize("text", ["${", "${}", "${1}", "${A:?x}", "${A", "${A:-x\n}"])
def test_what_is_no_reference_is_an_error_with_its_place(text):
    (problem,) = expand("f", f"a: 1\nb: {text}", {"A": "1"}).problems
    assert str(problem) == "f:2:4: expected ${NAME} or ${NAME:-default} after ${"


def test_an_unset_variable_gives_nothing_and_a_warning(read):
    loaded = read("namespace:\n  autoCreate: ${NOT_SET}\n")
    assert loaded.config.namespace.auto_create is True
    assert loaded.warnings == (
        "f.yaml:2: the environment variable NOT_SET is not set; write ${NOT_SET:-} if that is meant",
    )


def test_a_variable_that_is_not_text_is_an_error(read):
    assert read.problems("store: ${A}", env={"A": "\udcff"}) == ["f.yaml:1:8: the environment variable A is not UTF-8"]


def test_typed_values_and_structures_come_out_of_the_environment(read):
    text = "apiservers: [{name: api-http, option: {listenPort: ${PORT:-8080}, trustedProxies: ${PROXIES}}}]"
    option = read(text, env={"PROXIES": "[10.0.0.1, 10.0.0.2]"}).config.apiservers[0].option
    assert option.listen_port == 8080
    assert len(option.trusted_proxies) == 2


def test_places_are_those_of_the_file_whatever_was_substituted(read):
    env = {"LONG": "x" * 50, "LINES": "[1,\n2,\n3]"}
    text = """\
    bootstrap: {startInOrder: {key: "${LONG}", opne: true}}
    cache: {resources: ${LINES}, foo: 1}
    naming:
      autocreate: true
    """
    assert [problem.split(": ")[0] for problem in read.problems(text, env=env)] == [
        "f.yaml:1:44",
        "f.yaml:2:30",
        "f.yaml:4:3",
    ]


@given(st.text(alphabet="ab#:{}$- \néx", max_size=60), st.integers(0, 80))
def test_without_references_places_are_those_of_a_plain_count(text, index):
    expanded = expand("f", re.sub(r"\$\{+", "$", text), {})
    text, index = expanded.text, min(index, len(expanded.text))
    assert not expanded.problems
    line = text.count("\n", 0, index) + 1
    assert expanded.place(index) == Place("f", line, index - (text.rfind("\n", 0, index) + 1) + 1)


def test_a_key_that_stands_twice_is_an_error_and_the_rest_is_still_checked(read):
    assert read.problems("naming:\n  autoCreate: true\n  foo: 1\n  autoCreate: false\n") == [
        "f.yaml:3:3: naming.foo: unknown key "
        "(known here: autoCreate, maxMetadata, l5Open, batch, selfProtection, auth, healthcheck)",
        "f.yaml:4:3: naming.autoCreate: this key stands here a second time; the first is in line 2",
    ]


BAD_YAML = [
    ("a: [1", "not YAML"),
    ("a: b: c", "not YAML"),
    ("a: 1\n---\nb: 2", "a second one begins here"),
    ("- 1", "expected a mapping with keys such as apiservers and store"),
    ("7", "expected a mapping with keys"),
    ("a: *b", "names nothing above it"),
    ("a: &a [*a]", "names nothing above it"),
    ("? [1]\n: 2", "expected a key of plain text"),
    ("cache: !!python/object:os.system x", "cannot be read as !!python/object:os.system"),
    ("cache: !!set {a}", "the tag !!set has no meaning here"),
    ("cache: !!int abc", "cannot be read as !!int"),
    ("naming: {<<: 7}", "expected a mapping, or a list of mappings, after <<"),
    ("a: \0", "not allowed"),
    ("a: \udcff", "not Unicode text"),
]


@pytest.mark.parametrize(("text", "message"), BAD_YAML)
def test_bad_yaml(read, text, message):
    assert message in "\n".join(read.problems(text))


def test_syntax_errors_have_a_line(read):
    (problem,) = read.problems("naming:\n  autoCreate: true\n   batch: 1\n")
    assert problem.startswith("f.yaml:3:")


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "---\n", "null", "~"])
def test_an_empty_file_means_every_default(read, text):
    loaded = read(text)
    assert [listener.name for listener in loaded.config.apiservers] == ["service-eureka", "api-http", "service-grpc"]
    assert loaded.config.store.name == "sqliteStore"
    assert loaded.without_effect == ()


def test_anchors_and_merges(read):
    text = """\
    naming:
      batch:
        register: &limits {queueSize: 7, waitTime: 1s}
        deregister: {<<: *limits, queueSize: 8}
        heartbeat: *limits
    """
    batch = read(text).config.naming.batch
    assert (batch.register_.queue_size, batch.deregister.queue_size, batch.heartbeat.queue_size) == (7, 8, 7)
    assert batch.deregister.wait_time == batch.register_.wait_time


def test_a_copy_of_an_alias_can_be_changed_alone(read):
    text = "naming: {batch: {register: &a {queueSize: 7}, deregister: *a}}"
    batch = read(text, sets=["naming.batch.deregister.queueSize=9"]).config.naming.batch
    assert (batch.register_.queue_size, batch.deregister.queue_size) == (7, 9)


@pytest.mark.parametrize("value", ["2020-01-02", "1:30", "=", "'5'", "!!str 5", "! 5"])
def test_what_is_text_although_yaml_has_other_ideas(read, value):
    assert (
        read(f"bootstrap: {{startInOrder: {{key: {value}}}}}").config.bootstrap.start_in_order.key
        in "2020-01-02 1:30 = 5"
    )


BOMBS = [
    "a: " + "[" * 100_000,
    "a: " + "{a: " * 100_000,
    "a: " + "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1),
    "a: [" + "1," * (MAX_NODES + 1) + "]",
    "a0: &a0 [x,x]\n" + "".join(f"a{n}: &a{n} [" + ",".join([f"*a{n - 1}"] * 9) + "]\n" for n in range(1, 12)),
    "a0: &a0 {k: v}\n" + "".join(f"a{n}: &a{n} {{<<: [" + ",".join([f"*a{n - 1}"] * 9) + "]}\n" for n in range(1, 12)),
    "#" * (MAX_CHARACTERS + 1),
    "a: " + "9" * 100_000,
]


@pytest.mark.parametrize("number", range(len(BOMBS)))
def test_bombs_are_refused_at_once(read, number):
    assert len(read.problems(BOMBS[number])) < 30


def test_values_are_those_of_pyyaml():
    text = "a: [1, -2, 0x1F, 1.5, .inf, yes, Off, null, ~, text, 'x', \"y\\n\", 1_000, 010]\nb: |\n  line\n"
    node, problems = read_tree(text, lambda index: Place("f"))
    assert not problems
    assert node.plain() == yaml.safe_load(text)
