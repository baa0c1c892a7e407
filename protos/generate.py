"""``make protos``: from the .proto files to what the program loads, a descriptor set and the types of its classes.

Writes, for the package of each target, ``<module>.binpb``, ``<module>.pyi`` and ``<module>.comments.json`` beside
``<module>.py``. The comments are those of the .proto files by full name; the description of the HTTP API shows them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)
from grpc_tools import protoc

HERE = Path(__file__).parent
PACKAGE = HERE.parent / "polaris_bridge"
TARGETS = {"polaris": ("v1", PACKAGE / "adapters/polaris/wire/v1")}
"""Folder of .proto files: the package whose classes are wanted, and the module that offers them."""
FURTHER = {
    "polaris": (
        ("polaris.metric.v2", PACKAGE / "adapters/polaris/wire/limiter"),
        ("envoy.service.ratelimit.v3 envoy.extensions.common.ratelimit.v3", PACKAGE / "adapters/polaris/wire/rls"),
    )
}
"""Further packages of a folder, whose classes come from the same descriptor set: only their types are written. Several packages
in one module are parted by a space."""

F = FieldDescriptorProto
_NUMBERS = {
    F.TYPE_INT32, F.TYPE_INT64, F.TYPE_UINT32, F.TYPE_UINT64, F.TYPE_SINT32, F.TYPE_SINT64,
    F.TYPE_FIXED32, F.TYPE_FIXED64, F.TYPE_SFIXED32, F.TYPE_SFIXED64,
}  # fmt: skip


def compile_folder(folder: str) -> FileDescriptorSet:
    """All .proto files of a folder with everything they import, comments included."""
    files = sorted(str(path.relative_to(HERE)) for path in (HERE / folder).glob("*.proto"))
    well_known = Path(protoc.__file__).parent / "_proto"
    out = HERE / f".{folder}.binpb"
    included = ("--include_imports", "--include_source_info")
    arguments = ["protoc", f"-I{HERE}", f"-I{well_known}", f"--descriptor_set_out={out}", *included, *files]
    try:
        if protoc.main(arguments) != 0:
            sys.exit("protoc refused the files, see above")
        return FileDescriptorSet.FromString(out.read_bytes())
    finally:
        out.unlink(missing_ok=True)


def descriptor_set(files: FileDescriptorSet) -> bytes:
    """What the program loads: everything but comments and places in the text."""
    bare = FileDescriptorSet()
    bare.CopyFrom(files)
    for file in bare.file:
        file.ClearField("source_code_info")
    return bare.SerializeToString(deterministic=True)


def comments(package: str, files: FileDescriptorSet) -> str:
    """The comments of a package as JSON: full name of a message, field, enum, value, service or method to its text."""
    found: dict[str, str] = {}
    for file in files.file:
        if file.package == package:
            names = dict(_names(file))
            for place in file.source_code_info.location:
                text = place.leading_comments or place.trailing_comments
                if text and tuple(place.path) in names:
                    found[names[tuple(place.path)]] = " ".join(text.split())
    return json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _names(file: FileDescriptorProto) -> Iterator[tuple[tuple[int, ...], str]]:
    """Full names by path: numbers of fields in descriptors and positions in them, as protoc says where a comment belongs."""
    messages, enums, services = 4, 5, 6
    yield from _messages((messages,), file.message_type, file.package)
    yield from _members((enums,), file.enum_type, "value", 2, file.package)
    yield from _members((services,), file.service, "method", 2, file.package)


def _messages(
    path: tuple[int, ...], messages: Iterable[DescriptorProto], within: str
) -> Iterator[tuple[tuple[int, ...], str]]:
    fields, nested, enums = 2, 3, 4
    found = list(messages)
    yield from _members(path, found, "field", fields, within)
    for at, message in enumerate(found):
        yield from _messages((*path, at, nested), message.nested_type, f"{within}.{message.name}")
        yield from _members((*path, at, enums), message.enum_type, "value", 2, f"{within}.{message.name}")


def _members(
    path: tuple[int, ...], owners: Iterable[Any], members: str, number: int, within: str
) -> Iterator[tuple[tuple[int, ...], str]]:
    for at, owner in enumerate(owners):
        yield (*path, at), f"{within}.{owner.name}"
        for nth, member in enumerate(getattr(owner, members)):
            yield (*path, at, number, nth), f"{within}.{owner.name}.{member.name}"


class Stubs:
    """The text of a .pyi file."""

    def __init__(self, package: str, files: FileDescriptorSet) -> None:
        self.packages = package.split()
        self.known: dict[str, str] = {}
        self.maps: dict[str, DescriptorProto] = {}
        self.lines: list[str] = []
        self.wanted = [file for file in files.file if file.package in (*self.packages, "google.protobuf")]
        for file in self.wanted:
            for message in file.message_type:
                self._name(f".{file.package}.{message.name}", message.name, message)

    def _name(self, full: str, name: str, message: DescriptorProto) -> None:
        self.known[full] = name
        for nested in message.nested_type:
            if nested.options.map_entry:
                self.maps[f"{full}.{nested.name}"] = nested
            else:
                self._name(f"{full}.{nested.name}", f"{name}.{nested.name}", nested)

    def text(self) -> str:
        """All classes and enums of the package, with the well-known types that they use."""
        self.lines = [
            '"""Generated by ``make protos``: the types of this module\'s classes."""',
            "",
            "from collections.abc import Iterable, Mapping",
            "from typing import Any as Anything",
            "from typing import Final",
            "",
            "from google.protobuf.internal.containers import RepeatedCompositeFieldContainer, RepeatedScalarFieldContainer",
            "from google.protobuf.message import Message",
            "",
            "from polaris_bridge.adapters._shared.messages import Messages",
            "",
            "MESSAGES: Final[Messages]",
        ]
        for file in self.wanted:
            for enum in file.enum_type if file.package in self.packages else ():
                self._enum(enum, 0)
            for message in file.message_type:
                self._message(message, 0)
        if not any("Mapping[" in line for line in self.lines):
            self.lines = [line.replace("Iterable, Mapping", "Iterable") for line in self.lines]
        if not any("RepeatedScalarFieldContainer[" in line for line in self.lines):
            self.lines = [line.replace(", RepeatedScalarFieldContainer", "") for line in self.lines]
        return "\n".join(self.lines) + "\n"

    def _enum(self, enum: EnumDescriptorProto, depth: int) -> None:
        self.lines += [f"{'    ' * depth}{value.name}: int" for value in enum.value if value.name.isidentifier()]

    def _message(self, message: DescriptorProto, depth: int) -> None:
        pad = "    " * depth
        self.lines += ["", f"{pad}class {message.name}(Message):"]
        for enum in message.enum_type:
            self._enum(enum, depth + 1)
        for nested in message.nested_type:
            if not nested.options.map_entry:
                self._message(nested, depth + 1)
        fields = [(field.name, *self._types(field)) for field in message.field]
        self.lines += [f"{pad}    {name}: {read}" for name, read, _ in fields if name.isidentifier()]
        given = "".join(f", {name}: {write} | None = ..." for name, _, write in fields)
        self.lines.append(f"{pad}    def __init__(self{', *' if given else ''}{given}) -> None: ...")

    def _types(self, field: FieldDescriptorProto) -> tuple[str, str]:
        """As an attribute and as a keyword of the constructor."""
        entry = self.maps.get(field.type_name)
        if entry is not None:
            key, value = (self._single(f) for f in entry.field)
            return f"dict[{key}, {value}]", f"Mapping[{key}, {value}]"
        single = self._single(field)
        if field.label == F.LABEL_REPEATED:
            composite = field.type == F.TYPE_MESSAGE
            kind = "RepeatedCompositeFieldContainer" if composite else "RepeatedScalarFieldContainer"
            return f"{kind}[{single}]", f"Iterable[{single}]"
        return single, f"{single} | dict[str, Anything]" if field.type == F.TYPE_MESSAGE else single

    def _single(self, field: FieldDescriptorProto) -> str:
        if field.type == F.TYPE_MESSAGE:
            return self.known[field.type_name]
        if field.type == F.TYPE_ENUM or field.type in _NUMBERS:
            return "int"
        return {F.TYPE_STRING: "str", F.TYPE_BOOL: "bool", F.TYPE_BYTES: "bytes"}.get(field.type, "float")


def main() -> None:
    """Compile every target and write its three files."""
    for folder, (package, module) in TARGETS.items():
        files = compile_folder(folder)
        module.with_suffix(".binpb").write_bytes(descriptor_set(files))
        module.with_suffix(".pyi").write_text(Stubs(package, files).text())
        module.with_suffix(".comments.json").write_text(comments(package, files), encoding="utf-8")
        for other, beside in FURTHER.get(folder, ()):
            beside.with_suffix(".pyi").write_text(Stubs(other, files).text())
        print(f"{folder}: {len(files.file)} files -> {module.with_suffix('.binpb').relative_to(HERE.parent)}")


if __name__ == "__main__":
    main()
