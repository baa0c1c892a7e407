"""The messages of Envoy's API are loaded when the first client comes, beside the event loop: that takes a second or more.
Who comes meanwhile waits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from polaris_bridge.adapters.xds.wire import messages
from polaris_bridge.transport.rpc import Call, Later, RpcError, Status

log = logging.getLogger(__name__)

MAX_EARLY: Final = 256
"""Messages of one stream that wait."""


class Loading:
    """Whether the messages are there."""

    def __init__(self, load: Callable[[], None] = messages.load) -> None:
        self.ready = False
        self._load = load
        self._waiting: list[Callable[[], None]] = []
        self._task: asyncio.Future[None] | None = None

    def then(self, run: Callable[[], None]) -> None:
        """Run when they are there; at once when they are."""
        if self.ready:
            run()
            return
        self._waiting.append(run)
        if self._task is None:
            self._task = asyncio.ensure_future(asyncio.to_thread(self._load))
            self._task.add_done_callback(self._loaded)

    def _loaded(self, task: asyncio.Future[None]) -> None:
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            log.error("xds: the messages of Envoy's API could not be loaded", exc_info=error)
        self.ready = True  # who asks for what is not there is told so, call by call
        waiting, self._waiting = self._waiting, []
        for run in waiting:
            run()


class Gate:
    """A ``StreamHandler`` whose messages wait until ``Loading`` is done. A subclass says what to do with them (``handle``)."""

    __slots__ = ("_call", "_early", "_loading")

    def __init__(self, loading: Loading, call: Call) -> None:
        self._call = call
        self._loading = loading
        self._early: list[bytes] | None = None if loading.ready else []

    def handle(self, message: bytes, /) -> bytes | Later | None:
        """Answer a message; see ``StreamHandler.on_message``."""
        raise NotImplementedError

    def on_message(self, message: bytes, /) -> bytes | Later | None:
        """See ``StreamHandler``."""
        early = self._early
        if early is None:
            return self.handle(message)
        if len(early) >= MAX_EARLY:
            raise RpcError(Status.RESOURCE_EXHAUSTED, f"more than {MAX_EARLY} requests at once")
        early.append(message)
        if len(early) == 1:
            self._loading.then(self._begin)
        return None

    def _begin(self) -> None:
        early, self._early = self._early, None
        try:
            for message in early or ():
                self._send(self.handle(message))
        except RpcError as error:
            self._call.finish(error.code, error.message)
        except Exception:  # nobody above catches it here, as the listener does for messages that come later
            log.exception("xds: %s failed", self._call.path)
            self._call.finish(Status.INTERNAL, "internal error")

    def _send(self, answer: bytes | Later | None) -> None:
        if isinstance(answer, bytes):
            self._call.send(answer)
        elif answer is not None:
            answer.then(self._arrived)

    def _arrived(self, answer: bytes | RpcError) -> None:
        if isinstance(answer, bytes):
            self._call.send(answer)
        else:
            self._call.finish(answer.code, answer.message)

    def on_end(self) -> bool | None:
        """See ``StreamHandler``: the client sends no more, the stream is over."""
        return None

    def on_close(self) -> None:
        """See ``StreamHandler``."""
        self._early = []
