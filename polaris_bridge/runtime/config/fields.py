"""How a key of the file is declared: its meaning, and whether it does anything in this server yet."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel

HONOURED = "honoured"


class Section(BaseModel):
    """One mapping of the file. Unknown keys are errors. Values are frozen, so defaults are shared."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,  # "8761" is not a port: quoting mistakes are reported instead of guessed at
        frozen=True,
        alias_generator=to_camel,
        defer_build=True,  # only the whole file is ever validated, so only its one schema is built
        protected_namespaces=(),
    )

    effective: ClassVar[bool] = True
    """False: a part chosen by its ``name`` (a listener, a job, a plugin) that this server accepts but does not have yet."""


def key(default: Any, meaning: str, **constraints: Any) -> Any:
    """A key that works. ``meaning`` says what happens, in which unit, and why this default."""
    return _declare(default, meaning, honoured=True, constraints=constraints)


def unused(default: Any, meaning: str, **constraints: Any) -> Any:
    """A key that is read and checked but changes nothing here yet; when a file sets it, start-up names it."""
    return _declare(default, meaning, honoured=False, constraints=constraints)


def _declare(default: Any, meaning: str, honoured: bool, constraints: dict[str, Any]) -> Any:
    extra: dict[str, JsonValue] = {HONOURED: honoured}
    return Field(default, description=meaning, json_schema_extra=extra, **constraints)


class Empty(Section):
    """Options of something that has none."""


class ByName(Section):
    """A list element or plugin that is told apart by its ``name``."""


class Switch(Section):
    """The one key ``open`` that several older sections consist of."""

    open: bool = unused(False, "Whether the older feature of this name is on.")


Level = Literal["debug", "info", "warn", "error", "fatal", "none"]
