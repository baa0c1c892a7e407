"""The configuration centre in a bottle for tests of native clients: timers that come due, equipped with ciphers and patterns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bottle
from bottle import CALLER

from polaris_bridge.adapters.polaris.service.config.clients import ConfigClients
from polaris_bridge.adapters.polaris.service.config.watching import Watch
from polaris_bridge.adapters.polaris.settings import PolarisSettings
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.config.model import FileKey
from polaris_bridge.core.model import Caller
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.terms import Terms
from polaris_bridge.runtime.configcentre import equip

KEY = FileKey("default", "g", "a.yaml")


class Timer:
    def __init__(self, due_s: float, run: Callable[[], None]) -> None:
        self.due_s = due_s
        self.run: Callable[[], None] | None = run

    def cancel(self) -> None:
        self.run = None


class Queue(bottle.Queue):
    """Timers come due when the clock is moved."""

    def __init__(self, clock: bottle.Clock) -> None:
        super().__init__()
        self._clock = clock
        self.timers: list[Timer] = []

    def later(self, delay_s: float, run: Callable[[], None]) -> Timer:  # type: ignore[override]
        timer = Timer(self._clock.now_s + delay_s, run)
        self.timers.append(timer)
        return timer

    def come_due(self) -> None:
        for timer in [t for t in self.timers if t.due_s <= self._clock.now_s]:
            self.timers.remove(timer)
            if timer.run is not None:
                timer.run()

    @property
    def held(self) -> int:
        """Timers that somebody still waits for."""
        return sum(timer.run is not None for timer in self.timers)


class ConfigWorld(bottle.Bottle):
    """A server's configuration centre as native clients call it."""

    def __init__(self, terms: Terms | None = None, settings: PolarisSettings | None = None) -> None:
        self.settings = settings or PolarisSettings()
        super().__init__(terms)

    def restart(self) -> None:
        self.queue: Queue = Queue(self.clock)
        self.registry = Registry(self.store, self.clock, self.queue, self.terms)
        self.registry.load()
        self.centre = self.registry.config
        equip(self.centre, None, True)
        self.clients = ConfigClients(self.registry, self.settings)

    def pass_time(self, seconds: float) -> None:
        for _ in range(round(seconds)):
            self.clock.now_s += 1
            self.clock.now_ms += 1000
            self.queue.come_due()
            self.registry.tick()
            self.clients.sweep()
            self.queue.settle()

    # ------------------------------------------------------------------ calls

    def create(self, content: str = "a: 1", key: FileKey = KEY, **fields: Any) -> Any:
        return self.answer(self.clients.create(draft(content, key, **fields), CALLER))

    def update(self, content: str, key: FileKey = KEY, **fields: Any) -> Any:
        return self.answer(self.clients.update(draft(content, key, **fields), CALLER))

    def publish(self, key: FileKey = KEY, **fields: Any) -> Any:
        return self.answer(self.clients.publish(release(key, **fields), CALLER))

    def upsert(self, content: str, md5: str | None = None, key: FileKey = KEY, **fields: Any) -> Any:
        m = v1.ConfigFilePublishInfo(**wrapped(content=content, md5=md5, **fields))
        m.namespace.value, m.group.value, m.file_name.value = key
        return self.answer(self.clients.upsert_and_publish(m, CALLER))

    def get(self, key: FileKey = KEY, version: int = 0, caller: Caller = CALLER, **fields: Any) -> Any:
        body = self.clients.reading.get(question(key, version, **fields), caller)
        return v1.ConfigClientResponse.FromString(body)

    def watch(self, *files: v1.ClientConfigFileInfo, ip: str = "", caller: Caller = CALLER) -> Waiter:
        m = v1.ClientWatchConfigFileRequest(watch_files=files)
        if ip:
            m.client_ip.value = ip
        return Waiter(self.clients.watching.watch(m, caller))

    def seed(self, content: str = "a: 1", key: FileKey = KEY, **fields: Any) -> None:
        """A file that is released."""
        assert code(self.create(content, key, **fields)) == code(self.publish(key)) == 200000


class Waiter:
    """A client whose watch is under way."""

    def __init__(self, found: bytes | Watch) -> None:
        self.at_once = isinstance(found, bytes)
        self.bodies: list[bytes] = []
        self._watch = None if isinstance(found, bytes) else found
        if isinstance(found, bytes):
            self.bodies.append(found)
        else:
            found.then(self.bodies.append)

    @property
    def answers(self) -> list[Any]:
        return [v1.ConfigClientResponse.FromString(body) for body in self.bodies]

    def hang_up(self) -> None:
        assert self._watch is not None
        self._watch.abandon()


# ---------------------------------------------------------------------- messages


def wrapped(**fields: Any) -> dict[str, Any]:
    """Fields as their wrappers; None leaves one out."""
    found: dict[str, Any] = {}
    for name, value in fields.items():
        if name == "tags":
            found[name] = [{"key": {"value": k}, "value": {"value": v}} for k, v in value.items()]
        elif name == "beta_labels":
            found[name] = value
        elif value is not None:
            found[name] = {"value": value}
    return found


def draft(content: str | None, key: FileKey = KEY, **fields: Any) -> v1.ConfigFile:
    named = dict(zip(("namespace", "group", "name"), key, strict=True))
    return v1.ConfigFile(**wrapped(**named, content=content, **fields))


def release(key: FileKey = KEY, **fields: Any) -> v1.ConfigFileRelease:
    named = dict(zip(("namespace", "group", "file_name"), key, strict=True))
    return v1.ConfigFileRelease(**wrapped(**named, **fields))


def question(key: FileKey = KEY, version: int | None = None, **fields: Any) -> v1.ClientConfigFileInfo:
    named = dict(zip(("namespace", "group", "file_name"), key, strict=True))
    return v1.ClientConfigFileInfo(**wrapped(**named, version=version, **fields))


def label(key: str, value: str, type: int = 0) -> v1.ClientLabel:
    return v1.ClientLabel(key=key, value=v1.MatchString(type=type, value={"value": value}))


def code(answer: Any) -> int:
    found = answer.code
    return int(found if isinstance(found, int) else found.value)


def said(answer: Any) -> tuple[int, str]:
    return answer.code.value, answer.info.value


def tags(m: Any) -> dict[str, str]:
    return {tag.key.value: tag.value.value for tag in m.tags}
