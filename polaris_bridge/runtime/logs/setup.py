"""Ties loggers to files: which scope a logger writes to, and which outputs a scope has.

Every scope is the stdlib logger ``polaris_bridge.<scope>``. Modules log to ``logging.getLogger(__name__)`` as anywhere else;
the package that they are in decides their scope (``PACKAGES``).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from .options import SCOPES, LoggerOptions
from .rotation import RotatingFile, limits_of
from .streams import STREAMS, Stream, to_stderr
from .writer import Output, Target, Writer

ROOT: Final = "polaris_bridge"
DEFAULT: Final = "default"

PACKAGES: Final = {
    "polaris_bridge": DEFAULT,
    "polaris_bridge.core": "naming",
    "polaris_bridge.storage": "store",
    "polaris_bridge.adapters": "apiserver",
    "polaris_bridge.adapters.eureka": "eureka",
    "polaris_bridge.adapters.xds": "xdsv3",
    "polaris_bridge.runtime": DEFAULT,
    "uvicorn": "apiserver",
    "asyncio": DEFAULT,
}
"""Scope of the loggers that are named after modules; the longest name that fits decides, as logging does it."""


def scope(name: str) -> logging.Logger:
    """The logger of a scope of the configuration file."""
    return logging.getLogger(f"{ROOT}.{name}")


class Logs:
    """The log files of one process. ``start`` once, ``reopen`` on SIGHUP, ``close`` last.

    A process has one set of loggers, so it can have one of these at a time; a server inside somebody's test has none.
    """

    def __init__(
        self, scopes: Mapping[str, LoggerOptions], folder: Path, fallback: Callable[[bytes], None] = to_stderr
    ) -> None:
        self._folder = folder
        self._fallback = fallback
        self._files: dict[Path, RotatingFile] = {}
        self._streams: dict[str, Output] = {}
        self._handlers: dict[logging.Logger, _Handler] = {}
        options = {DEFAULT: scopes.get(DEFAULT, LoggerOptions())} | dict(scopes)
        self._options = options | {name: options[DEFAULT] for name in SCOPES if name not in options}
        self._targets = {name: self._target(name, chosen) for name, chosen in self._options.items()}
        self.writer = Writer([*self._files.values(), *self._streams.values()], fallback)

    def start(self) -> None:
        """Open the files, begin to write and attach the loggers. A file that cannot be opened is named on stderr."""
        for file in self._files.values():
            file.open()
        self.writer.start()
        for name, target in self._targets.items():
            self._attach(f"{ROOT}.{name}", target, self._options[name].level)
        for package, name in PACKAGES.items():
            self._attach(package, self._targets[name], self._options[name].level)

    def reopen(self) -> None:
        """Open all files afresh (SIGHUP): something moved them away. Returns at once."""
        self.writer.reopen()

    def flush(self) -> bool:
        """Wait (at most 5 s) until every line so far is written."""
        return self.writer.flush()

    def close(self) -> None:
        """Detach the loggers, write what is queued, close the files."""
        for logger, handler in self._handlers.items():
            logger.removeHandler(handler)
            logger.propagate = True
            logger.setLevel(logging.NOTSET)
        self._handlers.clear()
        self.writer.stop()

    def _attach(self, name: str, target: Target, level: int) -> None:
        logger = logging.getLogger(name)
        handler = _Handler(self.writer, target)
        logger.addHandler(handler)
        logger.setLevel(level)
        logger.propagate = False
        self._handlers[logger] = handler

    def _target(self, name: str, options: LoggerOptions) -> Target:
        lines = self._outputs((options.rotate_output_path, *options.output_paths), options)
        errors = self._outputs((options.error_rotate_output_path, *options.error_output_paths), options)
        if not lines:
            lines = [self._stream("stderr")]
        return Target(name, lines, [error for error in errors if error not in lines], options.only_content)

    def _outputs(self, paths: tuple[str, ...], options: LoggerOptions) -> list[Output]:
        found: dict[int, Output] = {}
        for path in paths:
            if path:
                output = self._stream(path) if path in STREAMS else self._file(path, options)
                found[id(output)] = output
        return list(found.values())

    def _file(self, path: str, options: LoggerOptions) -> Output:
        """One per path: scopes may share a file, whose limits are then those of the first."""
        full = self._folder / path
        if full not in self._files:
            limits = limits_of(
                options.rotation_max_size,
                options.rotation_max_duration_for_hour,
                options.rotation_max_backups,
                options.rotation_max_age,
                options.compress,
            )
            self._files[full] = RotatingFile(full, limits, self._complain)
        return self._files[full]

    def _stream(self, name: str) -> Output:
        return self._streams.setdefault(name, Stream(name))

    def _complain(self, text: str) -> None:
        self._fallback(f"{text}\n".encode())


class _Handler(logging.Handler):
    """Makes a record safe to be formatted later, and hands it to the writer.

    Arguments are put into the message here, since they may change. A message that is no string and has no arguments must
    be immutable: the writer thread calls ``str`` on it.
    """

    def __init__(self, writer: Writer, target: Target) -> None:
        super().__init__()
        self._writer = writer
        self._target = target

    def handle(self, record: logging.LogRecord) -> bool:
        """Without the lock of ``logging.Handler``: the queue has its own."""
        if record.args:
            record.msg = _message(record)
            record.args = None
        if record.exc_info:
            record.exc_text = record.exc_text or _formatter.formatException(record.exc_info)
            record.exc_info = None
        self._writer.put(self._target, record)
        return True


_formatter = logging.Formatter()


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError) as error:  # a wrong log call must not fail what it reports about
        return f"{record.msg} {record.args!r} (not formatted: {error})"
