"""From file, environment and command line to a checked configuration."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from . import checks, older, overrides
from .complaints import complaints
from .listeners import ConsulListener, Listener
from .problems import ConfigError, Place, Problem
from .ratelimit import settled
from .root import Config
from .shape import drop_nulls, find, without_effect
from .text import MAX_CHARACTERS, SourceText, expand
from .tree import Node, read
from .values import parse_address

_PACKAGED = Path(__file__).parents[1] / "conf" / "polaris-server.yaml"
_CHECKOUT = Path(__file__).parents[3] / "conf" / "polaris-server.yaml"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration and what is to be said about it at start-up."""

    config: Config
    without_effect: tuple[str, ...]
    """Dotted paths that the file sets and that change nothing here, listeners that are not built included."""
    warnings: tuple[str, ...]
    """Older forms that were read, unset environment variables: one sentence each, with file and line."""
    tree: Node
    """The file after substitution, rewriting and ``--set``."""

    def source(self, path: str) -> str:
        """Where a key comes from: ``file:line``, ``--set …``, or ``default`` when nothing sets it."""
        node = find(self.tree, path)
        return str(node.key_place) if node else "default"


def shipped_file() -> Path:
    """The configuration that is used when none is named: inside the installed package, or ``conf/`` of a checkout."""
    return _PACKAGED if _PACKAGED.is_file() else _CHECKOUT


def load(
    path: Path | None,
    *,
    sets: Sequence[str] = (),
    env: Mapping[str, str] = os.environ,
    data_dir: Path,
    listen: str | None = None,
    port_offset: int = 0,
) -> Loaded:
    """Read and check a file (None: the shipped one) with the command line's changes applied.

    Raises ConfigError with every error found. ``listen`` and ``port_offset`` change every listener; port 0 stays 0.
    """
    file = path or shipped_file()
    source = str(file)
    try:
        text = _text(file)
    except OSError as error:
        raise ConfigError([Problem(Place(source), "", f"cannot be read: {error.strerror}")]) from None
    return loads(text, source=source, sets=sets, env=env, data_dir=data_dir, listen=listen, port_offset=port_offset)


def loads(
    text: str,
    *,
    source: str = "configuration",
    sets: Sequence[str] = (),
    env: Mapping[str, str] = os.environ,
    data_dir: Path,
    listen: str | None = None,
    port_offset: int = 0,
) -> Loaded:
    """As ``load``, from text; ``source`` is what errors call it."""
    expanded = expand(source, text, env)
    if expanded.problems:
        raise ConfigError(expanded.problems)
    root, problems = read(expanded.text, expanded.place)
    if root.value is None:
        root = Node({}, root.place)
    if not isinstance(root.value, dict):
        raise ConfigError(
            [*problems, Problem(root.place, "", "expected a mapping with keys such as apiservers and store")]
        )
    rewritten = [older.modernise(root)]
    for setting in sets:
        problems += overrides.override(root, setting)
    rewritten.append(older.modernise(root))
    for done in rewritten:
        problems += done.problems
    drop_nulls(Config, root)
    config = _validate(root, data_dir.absolute(), problems)
    config = _moved(config, listen, port_offset)
    limits, wrong = settled(config.plugin.ratelimit, root, env)
    if wrong := [*checks.check(config, root), *wrong]:
        raise ConfigError(wrong)
    config = config.model_copy(update={"plugin": config.plugin.model_copy(update={"ratelimit": limits})})
    unused = dict.fromkeys(
        [*(path for done in rewritten for path in done.without_effect), *without_effect(Config, root)]
    )
    warnings = _warnings(expanded, rewritten)
    return Loaded(config, tuple(unused), warnings, root)


def check(path: Path) -> list[Problem]:
    """Every error of a file, for ``check-config``. Empty = the file can be used."""
    try:
        load(path, data_dir=Path())
    except ConfigError as error:
        return list(error.problems)
    return []


def _text(file: Path) -> str:
    with file.open("rb") as opened:
        content = opened.read(4 * MAX_CHARACTERS + 1)
    if len(content) > 4 * MAX_CHARACTERS:
        raise ConfigError([Problem(Place(str(file)), "", f"the file is longer than {MAX_CHARACTERS} characters")])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError([Problem(Place(str(file), line, 1), "", "this line is not UTF-8")]) from None


def _validate(root: Node, data_dir: Path, problems: list[Problem]) -> Config:
    try:
        config = Config.model_validate(root.plain(), context={"data_dir": data_dir})
    except ValidationError as error:
        raise ConfigError([*problems, *complaints(error, root, Config)]) from None
    if problems:
        raise ConfigError(problems)
    return config


def _moved(config: Config, listen: str | None, port_offset: int) -> Config:
    """Apply ``--listen`` and ``--port-offset`` to every listener."""
    if listen is None and port_offset == 0:
        return config
    try:
        address = None if listen is None else parse_address(listen)
    except ValueError as error:
        raise ConfigError([Problem(Place("--listen"), "", str(error))]) from None
    moved = [_moved_listener(listener, address, port_offset) for listener in config.apiservers]
    return config.model_copy(update={"apiservers": moved})


def _moved_listener(listener: Listener, address: str | None, port_offset: int) -> Listener:
    option = listener.option
    changes: dict[str, object] = {"listen_ip": address or option.listen_ip}
    if option.listen_port:
        changes["listen_port"] = option.listen_port + port_offset
    if isinstance(listener, ConsulListener) and listener.option.dns_port > 0:
        changes["dns_port"] = listener.option.dns_port + port_offset
    return listener.model_copy(update={"option": option.model_copy(update=changes)})


def _warnings(expanded: SourceText, rewritten: Sequence[older.Rewriting]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*expanded.warnings, *(text for done in rewritten for text in done.warnings)]))
