"""One process: configuration, logs, signals, a server until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from polaris_bridge import __version__
from polaris_bridge.core.ports import StoreRefused

from . import translate
from .config import ConfigError, Loaded, load
from .garbage import Garbage
from .limits import raise_open_files
from .logs.options import LoggerOptions
from .logs.setup import Logs, scope
from .server import Server


def run(*, config: Path | None, data: Path, listen: str | None, port_offset: int, sets: list[str]) -> int:
    """``polaris-bridge serve``: until SIGTERM or SIGINT. Exit codes: 0 ended as asked, 1 could not start."""
    try:
        loaded = load(config, sets=sets, data_dir=data, listen=listen, port_offset=port_offset)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    data.mkdir(parents=True, exist_ok=True)
    scopes: dict[str, LoggerOptions] = {
        name: translate.log_scope(option) for name, option in loaded.config.bootstrap.logger.items()
    }
    logs = Logs(scopes, data)
    logs.start()
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(_serve(loaded, logs, data))
    finally:
        logs.close()


async def _serve(loaded: Loaded, logs: Logs, data: Path) -> int:
    began = time.monotonic()
    for line in (*loaded.warnings, str(raise_open_files())):
        print(line, file=sys.stderr)
    if loaded.without_effect:
        print(f"accepted, without effect here: {', '.join(loaded.without_effect)}", file=sys.stderr)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    try:
        server = Server(loaded.config, data=data)
    except (ValueError, OSError) as error:
        return _refuse(error)
    server.metrics.log_lines_dropped = lambda: logs.writer.dropped

    def reload() -> None:
        logs.reopen()
        server.reload()

    loop.add_signal_handler(signal.SIGHUP, reload)
    try:
        await server.start()
    except (StoreRefused, ValueError, OSError) as error:
        await server.stop()
        return _refuse(error)
    garbage = Garbage()
    garbage.start()
    print(f"polaris-bridge {__version__} is ready after {time.monotonic() - began:.2f} s")
    for line in server.describe():
        print(f"  {line}")
    for line in server.notices:
        print(line)
    sys.stdout.flush()
    await stopped.wait()
    garbage.stop()
    await server.stop()
    return 0


def _refuse(error: Exception) -> int:
    print(f"cannot start: {error}", file=sys.stderr)
    scope("default").error("cannot start: %s", error)
    return 1


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:  # not on this platform: slower, otherwise the same
        return asyncio.new_event_loop
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
