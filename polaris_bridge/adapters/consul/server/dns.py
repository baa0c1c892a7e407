"""DNS: message -> question -> names -> message, within what the client can take. No rule about names here."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable
from typing import Final

from polaris_bridge.adapters._shared.slices import Work
from polaris_bridge.adapters.consul.service.dns import Names, Unprepared
from polaris_bridge.adapters.consul.settings import DnsSettings
from polaris_bridge.adapters.consul.wire import dns
from polaris_bridge.adapters.consul.wire.dns import Answer, Question

from .dns_recursors import Recursors
from .dns_udp import Pending

log = logging.getLogger("polaris_bridge.apiserver")

_MOST_UDP: Final = 4096
"""Bytes of an answer over UDP, whatever the client announces: more is fragmented and lost, and makes an amplifier."""
_MOST_TCP: Final = 4096
_MOST_TCP_SRV: Final = 1024
"""Answers over TCP."""
_MOST_PLAIN: Final = 8
"""Answers over UDP without EDNS, whatever is configured."""
_TRANSFERS: Final = frozenset({dns.AXFR, dns.IXFR})
_CLASSES: Final = frozenset({dns.IN, dns.ANY_CLASS})
_FAILED: Final = Answer(dns.SERVFAIL, authoritative=False)

Observe = Callable[[str, int, float], None]
Prepare = Callable[[Hashable, Callable[[], Work], Callable[[object], None]], None]


class Resolver:
    """Answers messages of one port."""

    def __init__(
        self,
        names: Names,
        settings: DnsSettings,
        recursors: Recursors | None = None,
        *,
        observe: Observe | None = None,
        elapsed: Callable[[], float] = time.perf_counter,
        prepare: Prepare,
    ) -> None:
        """``observe`` is told of every answer: operation (``DNS``), response code, seconds. ``prepare`` runs in slices what has
        to run before a name can be answered (``Slices.run``)."""
        self._names = names
        self._recursors = recursors
        self._observe = observe
        self._elapsed = elapsed
        self._mark = settings.enable_truncate
        self._plain = min(max(settings.udp_answer_limit, 1), _MOST_PLAIN)
        self._failed_once = False
        self._prepare = prepare

    def resolve(self, data: bytes, peer: str, tcp: bool) -> bytes | Pending | None:
        """See ``dns_udp.Resolve``."""
        began = self._elapsed()
        try:
            question = dns.read(data)
        except dns.Malformed:
            return None
        return self._resolved(data, question, peer, tcp, began)

    def _resolved(self, data: bytes, question: Question, peer: str, tcp: bool, began: float) -> bytes | Pending:
        try:
            answer = self._answer(question, peer)
        except Unprepared as unprepared:
            return _Prepared(self._prepare, unprepared, lambda: self._resolved(data, question, peer, tcp, began))
        except Exception:  # one question must not end the port
            if not self._failed_once:
                log.exception("a DNS question failed (further ones are not logged): %s", question.name)
            self._failed_once = True
            answer = _FAILED
        if answer is None:
            assert self._recursors is not None
            return self._recursors.ask(data, question, tcp)
        message = self._message(question, answer, tcp)
        if self._observe is not None:
            self._observe("DNS", answer.rcode, self._elapsed() - began)
        return message

    def _answer(self, question: Question, peer: str) -> Answer | None:
        """What is said; None: others are to be asked."""
        if question.error:
            return Answer(question.error, authoritative=False)
        if question.type in _TRANSFERS:
            return Answer(dns.NOTIMP, authoritative=False)
        if question.class_ not in _CLASSES:
            return Answer(dns.REFUSED, authoritative=False)
        found = self._names.answer(question, peer)
        if found is not None:
            return found
        if self._recursors is not None:
            return None
        return Answer(dns.REFUSED, authoritative=False)

    def _message(self, question: Question, answer: Answer, tcp: bool) -> bytes:
        recursors = self._recursors is not None
        if tcp:
            most = _MOST_TCP_SRV if question.type == dns.SRV else _MOST_TCP
            return dns.fitted(
                question, answer, most_answers=most, most_bytes=dns.MOST_MESSAGE, mark=self._mark, recursors=recursors
            )
        if question.size:
            most, room = _MOST_TCP, min(question.size, _MOST_UDP)
        else:
            most, room = self._plain, dns.PLAIN_SIZE
        return dns.fitted(question, answer, most_answers=most, most_bytes=room, mark=self._mark, recursors=recursors)


class _Prepared:
    """An answer after something had to be looked up."""

    def __init__(self, prepare: Prepare, what: Unprepared, resolved: Callable[[], bytes | Pending]) -> None:
        self._prepare = prepare
        self._what = what
        self._resolved = resolved

    def then(self, reply: Callable[[bytes], None]) -> None:
        """See ``Pending``."""

        def prepared(_result: object) -> None:
            found = self._resolved()
            if isinstance(found, bytes):
                reply(found)
            else:
                found.then(reply)

        self._prepare(self._what.key, self._what.work, prepared)
