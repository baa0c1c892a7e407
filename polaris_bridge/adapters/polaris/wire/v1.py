"""The messages of package ``v1`` (PolarisMesh specification), as classes in a descriptor pool of our own.

``from .v1 import Instance`` gives the class of message ``v1.Instance``; the values of top-level enums stand beside them.
Their types are in ``v1.pyi``; both it and ``v1.binpb`` are made from ``protos/polaris`` by ``make protos``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any as Anything
from typing import Final

from polaris_bridge.adapters._shared.messages import Messages

MESSAGES: Final = Messages(Path(__file__).with_suffix(".binpb"))


def __getattr__(name: str) -> Anything:
    """A class of the package, or of the well-known types that it uses; an enum's value by its name. Kept once asked for."""
    for package in ("v1", "google.protobuf"):
        try:
            found = MESSAGES.message(f"{package}.{name}")
        except KeyError:
            continue
        globals()[name] = found
        return found
    number = _VALUES.get(name)
    if number is None:
        raise AttributeError(name)
    globals()[name] = number
    return number


def _values() -> dict[str, int]:
    """Values of the enums that stand at the top of a file: protobuf scopes their names by package."""
    enums = (enum for file in MESSAGES.files.values() for enum in file.enum_types_by_name.values())
    return {value.name: value.number for enum in enums for value in enum.values if enum.full_name.startswith("v1.")}


_VALUES: Final = _values()
