"""Writes ``docs/configuration.md`` from the declarations: ``python -m polaris_bridge.runtime.config.docs [FILE]``."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from .listeners import Listener
from .root import Config
from .shape import Model, dotted, element, honoured, keys, names, sections
from .values import Host, Seconds, format_duration

_INTRODUCTION = """# The configuration file

This page is written from the code by `python -m polaris_bridge.runtime.config.docs`; change the declarations, not the page.

`polaris-server.yaml` has the format of PolarisMesh, versions 1.2 to 1.19. `serve` uses `conf/polaris-server.yaml` (the same
file is inside the installed package) unless `--config FILE` names another. `check-config FILE` shows every error at once, each
as `file:line:column: key: what was expected (nearest known key: …)`.

- **Here**: *yes* = it works; *not yet* = it is read and checked, and start-up names it when a file sets it. A listener that is
  not built yet is named the same way.
- **Durations** have a unit: `32ms`, `10s`, `1h30m`. Where the type is *seconds*, a bare whole number is seconds.
- **A key without a value** (`option:`) means its default.
- **Relative paths** lie under the folder of `--data`.
- **Environment**: `${NAME}` and `${NAME:-default}` are replaced in the whole text before it is read, except in lines that are
  only a comment. The default also stands in for an empty variable and ends at the first `}`. An unset variable without default
  gives nothing, with a warning. A `$` without a brace stays as it is (PolarisMesh would expand `$NAME` too); a literal `${` is
  written `${DOLLAR:-$}{`.
- **Command line**: `--set a.b.c=value` sets one key; the value is YAML, and an empty one means the default. List elements are
  named by their `name` (all that have it), by index, or `*`: `--set apiservers.service-eureka.option.namespace=prod`.
  `--listen IP` replaces every `listenIP`; `--port-offset N` is added to every port but 0.
- **Older forms** are rewritten with a warning that says what to write: flat `auth.option`, `config_file`, listener names such as
  `eurekaserver`, plugins as a single `{name, option}`. Keys that have no place in today's format are named like those
  without effect.
- YAML anchors, aliases and `<<` work. A key that stands twice in one mapping is an error.
"""


def render() -> str:
    """The whole page."""
    parts = [_INTRODUCTION]
    for name, field in keys(Config).items():
        parts.append(f"## {name}\n\n{field.description}{_default_remark(name)}\n")
        parts.extend(_tables(name, field.annotation, honoured(field)))
    return "\n".join(parts)


def _default_remark(name: str) -> str:
    return " Without the section: `sqliteStore`." if name == "store" else ""


def _tables(path: str, annotation: Any, works: bool) -> Iterator[str]:
    """One table for a section, or one for each alternative that ``name`` chooses."""
    inner = annotation
    while (item := element(inner)) is not None:
        inner, path = item, f"{path}.*"
    found = sections(inner)
    if len(found) == 1:
        yield _table(list(_rows(found[0], path, works)))
        return
    shared: set[str] = set()
    if all(issubclass(model, Listener) for model in found):
        rows = list(_rows(Listener, "", True))
        shared = set(map(_without_here, rows))
        yield f"### Every listener\n\n{_sentence(Listener)} The tables below add to this one or say otherwise.\n\n{_table(rows)}"
    for model in found:
        own = names(model)[0]
        heading = f"{path.removesuffix('.*')}.{own}" if path.endswith(".*") else f"{path}: {own}"
        yield f"### {heading}\n\n{_sentence(model)}\n"
        yield _table([row for row in _rows(model, "", works and model.effective) if _without_here(row) not in shared])


def _without_here(row: str) -> str:
    return row.rpartition("| ")[0]


def _sentence(model: Model) -> str:
    return " ".join((model.__doc__ or "").split()).replace("``", "`")


def _table(rows: list[str]) -> str:
    return "\n".join(["| key | type | default | meaning | here |", "| --- | --- | --- | --- | --- |", *rows, ""])


def _rows(model: Model, path: str, works: bool) -> Iterator[str]:
    for name, field in keys(model).items():
        own, effective = dotted(path, name), works and honoured(field)
        inner = field.annotation
        nested = own
        while (item := element(inner)) is not None:
            inner, nested = item, f"{nested}.*"
        alternatives = sections(inner)
        if not alternatives or nested != own:
            yield _row(own, field, effective)
        for section in alternatives:
            chosen = names(section)[0] if len(alternatives) > 1 else ""
            where = f"{nested.removesuffix('.*')}.{chosen}" if chosen else nested
            yield from _rows(section, where, effective and section.effective)


def _row(path: str, field: FieldInfo, effective: bool) -> str:
    cells = (
        f"`{path}`",
        _type(field),
        _default(field.default),
        field.description or "",
        "yes" if effective else "not yet",
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _type(field: FieldInfo) -> str:
    return _TYPE_NAMES.get(field.annotation) or _type_name(field.annotation, field)


_SECONDS = get_args(Seconds)[1]

_TYPE_NAMES: dict[Any, str] = {
    bool: "boolean",
    int: "number",
    str: "text",
    SecretStr: "text, secret",
    Any: "any",
    Path | None: "path",
}


def _type_name(annotation: Any, field: FieldInfo) -> str:
    origin = get_origin(annotation)
    if annotation is timedelta:
        return "seconds" if any(item == _SECONDS for item in field.metadata) else "duration"
    if origin is Literal:
        return " / ".join(f"`{choice}`" for choice in get_args(annotation) if choice)
    if origin is tuple:
        return "addresses" if Host in get_args(annotation) else "addresses, networks"
    if origin is list:
        return "list"
    if origin in (dict, Union, types.UnionType):
        return "mapping"
    return "text"


def _default(value: Any) -> str:
    if value is None or value is PydanticUndefined or (value in ("", (), [], {}) and not isinstance(value, bool | int)):
        return ""
    if isinstance(value, SecretStr):
        return f"`{value.get_secret_value()}`" if value.get_secret_value() else ""
    if isinstance(value, timedelta):
        return f"`{format_duration(value)}`"
    if isinstance(value, list):
        return ", ".join(f"`{(*names(type(item)), item.name)[0]}`" for item in value)
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def main(target: Path = Path("docs/configuration.md")) -> None:
    """Write the page."""
    target.write_text(render(), encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
