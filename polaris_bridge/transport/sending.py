"""The sending half of a connection: octets that wait for windows and for the socket, and who has to wait for its client.

What can go out at once becomes frames in ``out``. The rest stays as octets with its stream; streams take turns. HEADERS,
acknowledgements and the like are held back by no window, only bounded. Trailers wait behind the octets of their stream.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from . import frames
from .frames import DATA, END_STREAM, FIRST_FRAME_SIZE, HEAD, Fault, Layout
from .limits import FAIR_HELD, FAIR_UNSENT, MAX_CONTROL, REMEMBERED_STREAMS, TURN_SIZE, WRITE_SIZE, Budget, Limits
from .streams import Stream


class Sender:
    """``wake`` is called when there is something to ``take`` outside of ``receive`` and ``take``. ``writable`` is set from
    outside: whether the socket takes more. Streams and their ``send_window`` belong to both halves."""

    __slots__ = (
        "_aside",
        "_dirty",
        "_frame_size",
        "_overrun",
        "_past",
        "_ready",
        "_wake",
        "budget",
        "ended",
        "first_send_window",
        "held",
        "limits",
        "moved",
        "out",
        "out_size",
        "send_window",
        "streams",
        "unsent",
        "writable",
    )

    def __init__(self, limits: Limits, budget: Budget, wake: Callable[[], None]) -> None:
        self.limits = limits
        self.budget = budget
        self._wake = wake
        self.streams: dict[int, Stream] = {}
        """Open and half closed ones."""
        self._past: dict[int, None] = {}  # those we left
        self.ended = False
        """The connection is over, or will be when what ``take`` gives is written: nothing more is read."""
        self.out: list[bytes] = []
        self.out_size = 0
        self._dirty = True  # whoever takes from ``out`` knows already: at first it holds the greeting
        self._overrun = False
        self.writable = True
        self.send_window = frames.FIRST_WINDOW
        self.first_send_window = frames.FIRST_WINDOW
        self._frame_size = FIRST_FRAME_SIZE
        self._ready: dict[Stream, None] = {}  # with something pending and a window for it
        self.unsent = 0
        """Octets pending on all streams."""
        self.held = 0
        """Octets of unfinished and unhandled messages."""
        self.moved = False
        """Set when something pending was taken; for whoever looks for slow readers."""
        self._aside: deque[Stream] | None = None

    def take(self) -> bytes:
        """What to write now; call it again until it gives nothing. Streams whose pending octets are taken learn it here."""
        self._dirty = True
        ready = self._ready
        while ready and self.writable and self.send_window > 0 and self.out_size < WRITE_SIZE:
            self._advance(next(iter(ready)), True)
        if self._aside and not self.congested(2):
            self._resume_some()
        if self.writable or self.ended:
            data = b"".join(self.out)
            self.out = []
            self.out_size = 0
        else:
            data = b""
        self._dirty = False
        return data

    def respond(self, stream: Stream, layout: Layout, message: bytes) -> None:
        """The whole answer of a stream: head, one message, trailers."""
        size = len(message) + 5
        if (
            stream.ended
            and size <= self._frame_size
            and size <= self.send_window
            and size <= stream.send_window
            and self.writable
            and self.out_size < WRITE_SIZE
        ):
            number = stream.id
            self.out += (layout.first(number, size - 5, 0), message, layout.last(number))
            self.out_size += size + 80
            self.send_window -= size
            del self.streams[number]
            if not self._dirty:
                self._dirty = True
                self._wake()
            return
        self.send(stream, layout, 0, message)
        self.finish(stream, layout.trailers)

    def send(self, stream: Stream, layout: Layout, flag: int, message: bytes) -> bool:
        """A message of an answer. Whether all of it was taken; else it waits, and ``on_taken`` follows."""
        size = len(message) + 5
        if (
            stream.backlog
            or size > self.send_window
            or size > stream.send_window
            or size > TURN_SIZE
            or not self.writable
            or self.out_size >= WRITE_SIZE
        ):
            self.start(stream, layout.head)
            self.push(stream, frames.MESSAGE.pack(flag, size - 5), message)
            return not stream.backlog
        if size <= self._frame_size:
            number = stream.id
            head = layout.next(number, size - 5, flag) if stream.started else layout.first(number, size - 5, flag)
            stream.started = True
            self.out += (head, message)
        else:
            self.start(stream, layout.head)
            self._split(stream.id, flag, message)
        self.out_size += size + 30
        self.send_window -= size
        stream.send_window -= size
        if not self._dirty:
            self._dirty = True
            self._wake()
        return True

    def _split(self, number: int, flag: int, message: bytes) -> None:
        """The DATA frames of a message that needs several and may go at once."""
        most = self._frame_size
        out = self.out
        first = most - frames.MESSAGE.size
        out += (HEAD.pack(most << 8 | DATA, 0, number), frames.MESSAGE.pack(flag, len(message)), message[:first])
        for at in range(first, len(message), most):
            part = message[at : at + most]
            out += (HEAD.pack(len(part) << 8 | DATA, 0, number), part)

    def start(self, stream: Stream, head: bytes) -> None:
        """The header block of an answer, once."""
        if not stream.started:
            stream.started = True
            self._control(frames.headers(stream.id, head, self._frame_size, end=False))

    def push(self, stream: Stream, *parts: bytes) -> None:
        """Octets of an answer's body; they wait for windows and for the socket."""
        if stream.pending is None:
            stream.pending = deque()
        size = 0
        for part in parts:
            if part:
                stream.pending.append(part)
                size += len(part)
        stream.backlog += size
        self.unsent += size
        self.budget.unsent += size
        if stream.send_window > 0:
            ready = bool(self._ready)
            self._ready[stream] = None
            if not ready and self.writable and self.send_window > 0 and self.out_size < WRITE_SIZE:
                self._advance(stream, False)
        self._touch()

    def _advance(self, stream: Stream, tell: bool) -> None:
        """A stream's turn: as much of what is pending as windows and fairness allow."""
        del self._ready[stream]
        pending = stream.pending
        assert pending is not None
        room = min(stream.send_window, self.send_window, TURN_SIZE, stream.backlog)
        stream.send_window -= room
        self.send_window -= room
        stream.backlog -= room
        self._unload(room)
        while room:
            size = min(room, self._frame_size)
            room -= size
            self.out.append(HEAD.pack(size << 8 | DATA, 0, stream.id))
            self.out_size += size + 9
            while size:
                first = pending[0]
                rest = len(first) - stream.offset
                if rest <= size:
                    self.out.append(first[stream.offset :] if stream.offset else first)
                    pending.popleft()
                    stream.offset = 0
                    size -= rest
                else:
                    self.out.append(first[stream.offset : stream.offset + size])
                    stream.offset += size
                    size = 0
        if stream.backlog:
            if stream.send_window > 0:
                self._ready[stream] = None
        elif stream.trailers is not None:
            self._end(stream, stream.trailers)
        elif tell:
            stream.on_taken()

    def _unload(self, size: int) -> None:
        self.unsent -= size
        self.budget.unsent -= size
        self.moved = True

    def finish(self, stream: Stream, block: bytes) -> None:
        """End an answer with a header block (of trailers; an empty one: without), behind what is pending."""
        if stream.id not in self.streams:
            return
        stream.trailers = block
        if not stream.backlog:
            self._end(stream, block)

    def drop(self, stream: Stream) -> None:
        """Forget what is pending on a stream."""
        if stream.backlog:
            self._unload(stream.backlog)
            stream.backlog = 0
            self._ready.pop(stream, None)
        stream.pending = None
        stream.offset = 0

    def _end(self, stream: Stream, block: bytes) -> None:
        number = stream.id
        if block:
            out = frames.headers(number, block, self._frame_size, end=True)
        else:
            out = frames.frame(DATA, END_STREAM, number)
        del self.streams[number]
        if not stream.ended:
            out += frames.rst_stream(number, Fault.NO_ERROR)
            self._remember(number)
        self._control(out)

    def _remember(self, number: int) -> None:
        self._past[number] = None
        if len(self._past) > REMEMBERED_STREAMS:
            del self._past[next(iter(self._past))]

    def _emit(self, octets: bytes) -> None:
        self.out.append(octets)
        self.out_size += len(octets)
        self._touch()

    def _control(self, octets: bytes) -> None:
        """Octets that no window holds back. When a client that reads nothing has too many of them, ``_overrun`` says so, which is
        acted on when no handler runs."""
        self._emit(octets)
        if not self.writable and self.out_size > MAX_CONTROL:
            self._overrun = True

    def _touch(self) -> None:
        if not self._dirty:
            self._dirty = True
            self._wake()

    # ------------------------------------------------------------------ slow readers

    def congested(self, share: int = 1) -> bool:
        """Whether the client owes us to read before it may ask for more; with ``share`` 2: half of that."""
        unsent = self.unsent * share
        if unsent <= FAIR_UNSENT:
            return False
        return unsent > self.limits.max_unsent or self.budget.unsent > self.limits.max_unsent_total

    def set_aside(self, stream: Stream) -> None:
        """Call ``resume`` of a stream when the client has read."""
        if self._aside is None:
            self._aside = deque()
        self._aside.append(stream)
        self.budget.reasons["set_aside"] += 1

    @property
    def aside(self) -> bool:
        """Whether calls wait for the client to read."""
        return bool(self._aside)

    def _resume_some(self) -> None:
        assert self._aside is not None
        while self._aside and not self.congested():
            self._aside.popleft().resume()

    def hold(self, size: int) -> bool:
        """Count octets that have arrived and are kept. False when that is too much."""
        self.held += size
        self.budget.held += size
        limits = self.limits
        if self.held > max(limits.max_held, limits.max_receive):
            return False
        return self.budget.held <= limits.max_held_total or self.held <= FAIR_HELD

    def release(self, size: int) -> None:
        """The reverse of ``hold``."""
        self.held -= size
        self.budget.held -= size
