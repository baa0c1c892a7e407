"""A blocking read: one that waits until its answer is newer than what the client has seen, or its time is over.

Nothing can be missed: the watch is armed with the registry's revision of before the read. A wake-up without a newer answer
(something beside it changed) arms again. On time-out the read is done once more and answered as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from polaris_bridge.adapters._shared.exchange import Request, Response
from polaris_bridge.adapters.consul.service.movers import Watch

from .answers import Answer, Later
from .call import ConsulCall, Route

if TYPE_CHECKING:
    from .http import ConsulHttp


_NEEDED: Final = frozenset({b"accept", b"accept-encoding"})


def seen(found: Answer, call: ConsulCall) -> bool:
    """Whether the client has this answer already."""
    return found.unchanged or 0 < found.index <= call.options.index


def _kept(request: Request) -> Request:
    """What an answer still needs of its request: thousands wait."""
    headers = tuple((name, value) for name, value in request.headers if name in _NEEDED)
    return Request(request.method, request.path, request.query, headers, b"", request.peer, request.scheme)


class Blocked:
    """One read that waits (``exchange.Parked``): its watch, its timer, and nothing else that would cost memory."""

    __slots__ = ("_call", "_first", "_http", "_reply", "_route", "_timer", "_watch")

    def __init__(
        self, http: ConsulHttp, call: ConsulCall, route: Route, since: int, first: Later | None = None
    ) -> None:
        """``since``: the revision of before the read that found nothing newer, or (``first``) whose answer takes a while."""
        self._first = None if first is None else (first, since)
        self._http = http
        self._call = call
        call.request = _kept(call.request)
        self._route = route
        self._reply: Callable[[Response], None] | None = None
        self._timer: Any = None
        assert route.blocking is not None
        self._watch: Watch = route.blocking(http.service, call, self._woken)
        if first is None:
            self._watch.arm(since)
        http.blocked[self] = None

    def then(self, reply: Callable[[Response], None]) -> None:
        """See ``Deferred``. The time runs from here."""
        self._reply = reply
        wait_s = self._call.options.wait_s
        wait_s += self._http.random() * wait_s / 16
        self._timer = self._http.service.registry.scheduler.later(wait_s, self._over)
        first, self._first = self._first, None
        if first is not None:
            self._take(*first)

    def abandon(self) -> None:
        """See ``Parked``."""
        self._end()

    def release(self) -> None:
        """The server stops: answer with what there is."""
        self._over()

    def _woken(self) -> None:
        if self._reply is None:  # between making and ``then``: what woke it is read when ``then`` has come
            self._http.service.registry.scheduler.soon(self._woken_late)
            return
        since = self._http.service.registry.revision
        self._take(self._http.read_again(self._route, self._call), since)

    def _take(self, found: Answer | Response | Later, since: int) -> None:
        """What the read came to, perhaps in slices: the answer, or nothing newer than what the client has seen."""
        if isinstance(found, Later):
            found.begin(lambda late: self._take(self._late(late), since))
        elif isinstance(found, Answer) and seen(found, self._call):
            if self._reply is not None:
                self._watch.arm(since)
        else:
            self._answer(found)

    def _late(self, late: Answer | Exception) -> Answer | Response:
        return self._http.refusal(late) if isinstance(late, Exception) else late

    def _woken_late(self) -> None:
        if self._reply is not None:
            self._woken()

    def _over(self) -> None:
        self._timer = None
        if self._reply is None:
            return
        found = self._http.read_whole(self._route, self._call)
        if isinstance(found, Later):
            found.begin(lambda late: self._answer(self._late(late)))
        else:
            self._answer(found)

    def _answer(self, found: Answer | Response) -> None:
        reply = self._reply
        self._end()
        if reply is not None:
            reply(self._http.response(found, self._route, self._call))

    def _end(self) -> None:
        self._reply = None
        self._http.blocked.pop(self, None)
        self._watch.cancel()
        timer, self._timer = self._timer, None
        cancel = getattr(timer, "cancel", None)  # a scheduler may have nothing to cancel
        if cancel is not None:
            cancel()
