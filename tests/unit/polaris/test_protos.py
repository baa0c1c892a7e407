"""Our .proto files: every number, type and JSON name by the specification's table, and what is committed is what they say."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from polaris_bridge.adapters.polaris.wire import v1

ROOT = Path(__file__).parents[3]
TABLE = Path(__file__).parent / "data/polaris-messages.tsv"
FOREIGN = "envoy_"
"""Beginning of the files that are of Envoy's API; test_envoy_limits.py holds them to its numbers."""
PROTOS = sorted(path for path in (ROOT / "protos/polaris").glob("*.proto") if not path.name.startswith(FOREIGN))
COLLIDING = ("v1.DiscoverResponse", "losslessRules")
"""Number 25, which means something else today: an old list that no server ever filled. All other old fields are kept."""
RECORDED_JSON_NAMES = {("v1.Rule", "concurrencyAmount"): "concurrency_amount"}
"""Where a real server's JSON has another name than the newest specification; both are read."""

Row = dict[str, str]


def _rows(kind: str) -> list[Row]:
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    names = lines[0].split("\t")
    rows = [dict(zip(names, line.split("\t"), strict=True)) for line in lines[1:]]
    return [row for row in rows if row["kind"] == kind]


MEMBERS = {kind: [row for row in _rows(kind) if row["member"]] for kind in ("message", "enum", "service", "file")}
FIELDS = [row for row in MEMBERS["message"] if (row["full_name"], row["member"]) != COLLIDING]

_KINDS = {
    value: name.removeprefix("TYPE_").lower() for name, value in vars(FieldDescriptor).items() if "TYPE_" in name[:5]
}


def _type(field: FieldDescriptor) -> str:
    """A field's type as the table writes it."""
    message, enum = field.message_type, field.enum_type
    if message is not None and message.GetOptions().map_entry:
        return f"map<{','.join(_type(part) for part in message.fields)}>"
    name = message.full_name if message else f"enum {enum.full_name}" if enum else _KINDS[field.type]
    return f"repeated {name}" if field.is_repeated else name


def _flat(written: str) -> str:
    return re.sub(r"map<(.*)>", lambda found: f"map<{found[1].replace(' ', '')}>", written)


def test_every_field_has_the_number_type_and_json_name_of_the_table() -> None:
    wrong = []
    for row in FIELDS:
        message: Descriptor = v1.MESSAGES.pool.FindMessageTypeByName(row["full_name"])
        field = message.fields_by_name.get(row["member"])
        default = re.sub("_([a-z])", lambda letter: letter[1].upper(), row["member"])
        json_name = RECORDED_JSON_NAMES.get((row["full_name"], row["member"])) or row["json_name_or_path"] or default
        expected = (int(row["number"]), _flat(row["type"]), json_name)
        seen = (field.number, _type(field), field.json_name) if field else None
        if seen != expected:
            wrong.append((row["full_name"], row["member"], expected, seen))
    assert wrong == []
    assert len(FIELDS) > 900


def test_every_enum_value_has_the_number_of_the_table() -> None:
    for row in MEMBERS["enum"]:
        enum: EnumDescriptor = v1.MESSAGES.pool.FindEnumTypeByName(row["full_name"])
        assert enum.values_by_name[row["member"]].number == int(row["number"]), row


def test_every_method_has_the_types_and_streams_of_the_table() -> None:
    for row in MEMBERS["service"]:
        method = v1.MESSAGES.pool.FindServiceByName(row["full_name"]).methods_by_name[row["member"]]
        sides = ((method.client_streaming, method.input_type), (method.server_streaming, method.output_type))
        written = " -> ".join(("stream " if streams else "") + side.full_name for streams, side in sides)
        assert written == row["type"]
        assert row["json_name_or_path"] == f"/{row['full_name']}/{row['member']}"


def test_nothing_is_declared_that_the_table_does_not_have() -> None:
    known = {(row["full_name"], row["member"]) for rows in MEMBERS.values() for row in rows}
    names = {row["full_name"] for row in _rows("message") + _rows("enum")}
    extra = [item for item in _declared() if item not in known]
    assert extra == []
    assert {name for name, _ in _declared()} <= names
    assert {path.name for path in PROTOS} == {row["full_name"] for row in MEMBERS["file"]}


def _declared() -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, file in v1.MESSAGES.files.items():
        if name.startswith("polaris/") and not name.startswith(f"polaris/{FOREIGN}"):
            for message in file.message_types_by_name.values():
                found += _of_message(message)
            for enum in file.enum_types_by_name.values():
                found += [(enum.full_name, value.name) for value in enum.values]
    return found


def _of_message(message: Descriptor) -> list[tuple[str, str]]:
    found = [(message.full_name, field.name) for field in message.fields]
    for enum in message.enum_types:
        found += [(enum.full_name, value.name) for value in enum.values]
    for nested in message.nested_types:
        if not nested.GetOptions().map_entry:
            found += _of_message(nested)
    return found


def test_messages_keep_the_reserved_numbers_of_the_table(compiled: Any) -> None:
    messages = {f".{file.package}.{message.name}": message for file in compiled.file for message in file.message_type}
    for row in _rows("message"):
        if not row["member"] and row["note"].startswith("reserved"):
            first, _, last = re.sub("[,;].*", "", row["note"].removeprefix("reserved ")).partition("-")
            ranges = [(part.start, part.end - 1) for part in messages["." + row["full_name"]].reserved_range]
            assert ranges == [(int(first), int(last or first))], row["full_name"]


@pytest.fixture(scope="module")
def generate() -> Any:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "protos/generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def compiled(generate: Any) -> Any:
    return generate.compile_folder("polaris")


def test_what_is_committed_is_what_make_protos_makes(generate: Any, compiled: Any, tmp_path: Path) -> None:
    module = ROOT / "polaris_bridge/adapters/polaris/wire/v1"
    made = generate.descriptor_set(compiled)
    assert module.with_suffix(".binpb").read_bytes() == made, "run `make protos`"
    comments = module.with_suffix(".comments.json").read_text(encoding="utf-8")
    assert comments == generate.comments("v1", compiled), "run `make protos`"
    for package, written in (("v1", module), *generate.FURTHER["polaris"]):
        stub = tmp_path / f"{package}.pyi"
        stub.write_text(generate.Stubs(package, compiled).text())
        ruff = [sys.executable, "-m", "ruff", "format", "--quiet", "--config", str(ROOT / "pyproject.toml"), str(stub)]
        subprocess.run(ruff, check=True)
        assert written.with_suffix(".pyi").read_text() == stub.read_text(), "run `make protos`"


@pytest.mark.parametrize("path", PROTOS, ids=lambda path: path.name)
def test_everything_has_a_comment_in_a_sentence(path: Path) -> None:
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    assert lines[0].startswith("// ")
    for before, line in pairwise(lines):
        if re.match(r"(message|enum|service) |rpc |.* = \d+( \[.*\])?;", line) and not line.startswith("syntax"):
            comment = line.partition("; // ")[2] or (before.startswith("// ") and before) or ""
            assert re.search(r"\w{2,}.*[.:]$", comment), (path.name, line)
