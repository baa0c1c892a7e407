"""Any text either loads or raises ConfigError; so does any file of bytes."""

from contextlib import suppress
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from polaris_bridge.runtime.config import Config, ConfigError, load, loads, shipped_file
from polaris_bridge.runtime.config.shape import all_keys

WORDS = sorted({part for key in all_keys(Config) for part in key.split(".")})
SCALARS = [
    "1",
    "-1",
    "true",
    "~",
    "''",
    "10s",
    "x",
    "[]",
    "{}",
    "${A}",
    "${A:-b}",
    "*a",
    "&a 1",
    "2020-01-01",
    "!!binary x",
    "1e9",
]

yaml_like = st.recursive(
    st.sampled_from(SCALARS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.dictionaries(st.sampled_from([*WORDS, "<<", "1"]), inner, max_size=4).map(
            lambda pairs: "{" + ", ".join(f"{key}: {value}" for key, value in pairs.items()) + "}"
        ),
    ),
    max_leaves=12,
)


def attempt(text: str, sets: tuple[str, ...] = ()) -> None:
    try:
        loaded = loads(text, source="f", sets=sets, env={}, data_dir=Path("/srv"))
    except ConfigError as error:
        refused = error.problems
    else:
        assert isinstance(loaded.config, Config)
        return
    assert refused
    assert all(str(problem) for problem in refused)


@given(st.text(max_size=200))
@settings(max_examples=150)
def test_any_text(text):
    attempt(text)


@given(yaml_like)
@settings(max_examples=250)
def test_any_yaml_of_known_words(text):
    attempt(text)


@given(st.data())
@settings(max_examples=60)
def test_the_shipped_file_with_a_part_replaced(data):
    lines = shipped_file().read_text().splitlines()
    number = data.draw(st.integers(0, len(lines) - 1))
    lines[number] = lines[number].split(":")[0] + ": " + data.draw(yaml_like)
    attempt("\n".join(lines))


@given(st.text(max_size=30), st.sampled_from(["", *all_keys(Config)]), yaml_like)
@settings(max_examples=150)
def test_any_setting(prefix, key, value):
    attempt("apiservers: [{name: api-http}]", (prefix, f"{key}={value}", f"{prefix}={value}"))


@given(content=st.binary(max_size=120))
@settings(max_examples=60)
def test_any_bytes(tmp_path_factory, content):
    file = tmp_path_factory.mktemp("fuzz") / "f.yaml"
    file.write_bytes(content)
    with suppress(ConfigError):
        load(file, env={}, data_dir=Path("/srv"))
