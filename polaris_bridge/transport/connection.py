"""One HTTP/2 connection of a server, without I/O: bytes come in by ``receive`` and go out by ``take`` (RFC 9113).

Theory of operation. Each frame is checked against its own rules (length, stream, flags), then against the state of its stream
(the table in ``streams``), and then it changes what it is about: a window, a setting, a stream. What a peer does wrong raises
``StreamFault`` or ``ConnectionFault`` within this file and ends as RST_STREAM or GOAWAY; ``receive`` itself never raises.

Readers: each ``_on_...`` gets the stream's number, the flags and the whole payload of one frame and returns nothing. Answers are
queued as octets in ``out``; what does not fit the windows or the socket waits with its stream, and streams take turns.

Who uses this: after ``receive`` always ask ``take``; ``ended`` means: write what it gives, then close. Sending is in ``sending``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from . import frames
from .contract import Application, ConnectionFault, Opening, StreamFault
from .frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    FIRST_FRAME_SIZE,
    HEAD,
    HEADERS,
    MAX_WINDOW,
    PADDED,
    PREFACE,
    SETTINGS,
    WITH_PRIORITY,
    Fault,
)
from .headers import Malformed, check_trailers, read_request
from .hpack import Decoder, HpackError, TooLarge
from .limits import (
    CACHED_BLOCKS,
    CONNECTION_WINDOW,
    IDLE_FRAMES,
    MAX_BLOCK_FACTOR,
    MAX_CONTINUATIONS,
    MAX_LIST_FACTOR,
    SETTINGS_FRAMES,
    STREAM_WINDOW,
    TROUBLES,
    TURN_SIZE,
    Budget,
    Limits,
)
from .sending import Sender
from .streams import REACTIONS, Reaction, State, Stream

_UNPACK: Final = HEAD.unpack_from
_STREAM_MASK: Final = 0x7FFFFFFF


class Connection(Sender):
    """See the top of this file."""

    __slots__ = (
        "_application",
        "_block",
        "_block_flags",
        "_block_frames",
        "_block_loops",
        "_block_stream",
        "_cache",
        "_decoder",
        "_greeting",
        "_idle_frames",
        "_last_allowed",
        "_receive_window",
        "_rest",
        "_settings_frames",
        "_troubles",
        "asked_to_go",
        "greeted",
        "heard",
        "last_stream",
        "owner",
        "pinged",
        "stream_window",
        "why",
    )

    def __init__(
        self, application: Application, limits: Limits, budget: Budget, wake: Callable[[], None], owner: Any = None
    ) -> None:
        """``owner`` is for the application: who holds the socket."""
        super().__init__(limits, budget, wake)
        self._application = application
        self.owner = owner
        self.last_stream = 0
        """The highest number a client has begun; all beyond are idle."""
        self._last_allowed = _STREAM_MASK
        self._rest = b""
        self._greeting = True
        self.greeted = False
        """Preface and SETTINGS have come."""
        self.asked_to_go = False
        """The first GOAWAY of a graceful end is out."""
        self.why = ""
        """The reason of an end, for counters and logs."""
        self.heard = True
        """Set by every byte that arrives; for whoever asks after silent connections."""
        self.pinged = False
        """A PING of ours is unanswered."""
        self._decoder = Decoder()
        self._cache: dict[bytes, Opening] = {}
        self._block = b""
        self._block_stream = 0
        self._block_flags = 0
        self._block_frames = 0
        self._block_loops = False  # it depends on itself
        self._receive_window = CONNECTION_WINDOW
        self.stream_window = STREAM_WINDOW
        # allowances
        self._troubles, self._settings_frames, self._idle_frames = TROUBLES[0], SETTINGS_FRAMES[0], IDLE_FRAMES[0]
        self._emit(
            frames.settings(
                {
                    frames.MAX_CONCURRENT_STREAMS: limits.max_streams,
                    frames.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
                    frames.MAX_HEADER_LIST_SIZE: limits.max_metadata,
                }
            )
            + frames.window_update(0, CONNECTION_WINDOW - frames.FIRST_WINDOW)
        )

    # ------------------------------------------------------------------ what comes in

    def receive(self, data: bytes) -> None:
        """Take what the peer sent, cut anywhere. Ask ``take`` and ``ended`` afterwards."""
        self.heard = True
        if self.ended:
            return
        dirty, self._dirty = self._dirty, True  # whoever calls us takes what we queue
        try:
            if self._rest:
                data = self._rest + data
                self._rest = b""
            at = 0
            if self._greeting:
                if len(data) < len(PREFACE) and PREFACE.startswith(data):
                    self._rest = data
                    return
                if not data.startswith(PREFACE):
                    raise ConnectionFault(Fault.PROTOCOL_ERROR, "no HTTP/2 preface")
                self._greeting = False
                at = len(PREFACE)
            self._frames(data, at)
            if self._overrun:
                self._fail_overrun()
        except ConnectionFault as fault:
            self.fail(fault.fault, fault.why)
        finally:
            self._dirty = dirty

    def _frames(self, data: bytes, at: int) -> None:
        end = len(data)
        streams = self.streams
        while end - at >= 9:
            size, flags, number = _UNPACK(data, at)
            kind = size & 0xFF
            stop = at + 9 + (size >> 8)
            if size >> 8 > FIRST_FRAME_SIZE:
                raise ConnectionFault(Fault.FRAME_SIZE_ERROR, f"a frame of {size >> 8} octets")
            if stop > end:
                break
            try:
                if self._block_stream or not self.greeted:
                    self._in_order(kind, flags, number & _STREAM_MASK)
                if kind == DATA:
                    stream = streams.get(number)
                    if stream is None or flags & PADDED or stream.ended or stream.left >= 0:
                        self._unusual_data(number & _STREAM_MASK, flags, data[at + 9 : stop])
                    else:
                        self._data(stream, stop - at - 9, data[at + 9 : stop], flags)
                elif kind == HEADERS:
                    opening = self._cache.get(data[at + 9 : stop]) if flags & ~END_STREAM == END_HEADERS else None
                    if opening is not None and number & 1 and self._may_open(number):
                        self._open(opening, number, flags)
                    else:
                        self._on_headers(number & _STREAM_MASK, flags, data[at + 9 : stop])
                else:
                    read = _READERS.get(kind)
                    if read is None:
                        self._idle_frame("frames of unknown types")
                    else:
                        read(self, number & _STREAM_MASK, flags, data[at + 9 : stop])
            except StreamFault as fault:
                self._refuse(fault)
            at = stop
        self._rest = data[at:]

    def _in_order(self, kind: int, flags: int, stream: int) -> None:
        """The two places where only one kind of frame may come."""
        if self._block_stream:
            if kind != CONTINUATION or stream != self._block_stream:
                raise ConnectionFault(Fault.PROTOCOL_ERROR, "another frame inside a header block")
        elif kind != SETTINGS or flags & ACK:
            raise ConnectionFault(Fault.PROTOCOL_ERROR, "the first frame is not SETTINGS")

    def state(self, number: int) -> State:
        """Where a stream is."""
        stream = self.streams.get(number)
        if stream is not None:
            return State.HALF_CLOSED if stream.ended else State.OPEN
        if number > self.last_stream:
            return State.IDLE
        return State.LEFT if number in self._past else State.CLOSED

    def _takes(self, kind: int, number: int) -> bool:
        """Whether a frame means something where its stream is, by the table."""
        if number == 0:
            raise ConnectionFault(Fault.PROTOCOL_ERROR, "a frame of a stream on stream 0")
        state = self.state(number)
        reaction, fault = REACTIONS[state][kind]
        if reaction is Reaction.CONNECTION:
            raise ConnectionFault(fault, f"frame {kind} on a stream that is {state.value}")
        if reaction is Reaction.STREAM:
            raise StreamFault(number, fault, f"frame {kind} on a stream that is {state.value}")
        return reaction is Reaction.TAKE

    # DATA

    def _data(self, stream: Stream, size: int, octets: bytes, flags: int) -> None:
        """``size`` is what counts for the windows, padding included."""
        self._spend(size)
        stream.receive_window -= size
        if stream.receive_window < 0:
            raise StreamFault(stream.id, Fault.FLOW_CONTROL_ERROR, "more than the stream's window")
        if flags & END_STREAM:
            stream.ended = True
            stream.on_data(octets, True)
            return
        if not octets:
            self._idle_frame("empty DATA frames")
        stream.on_data(octets, False)
        if stream.receive_window <= STREAM_WINDOW // 2:
            self.credit(stream)

    def _spend(self, size: int) -> None:
        self._receive_window -= size
        if self._receive_window <= CONNECTION_WINDOW // 2:
            if self._receive_window < 0:
                raise ConnectionFault(Fault.FLOW_CONTROL_ERROR, "more than the connection's window")
            self._emit(frames.window_update(0, CONNECTION_WINDOW - self._receive_window))
            self._receive_window = CONNECTION_WINDOW

    def credit(self, stream: Stream) -> None:
        """Give a stream's client new credit for what was handled, when it is worth a frame."""
        credit = STREAM_WINDOW - stream.receive_window - stream.held
        if credit >= STREAM_WINDOW // 2 and not stream.ended and stream.id in self.streams:
            stream.receive_window += credit
            self._control(frames.window_update(stream.id, credit))

    def _unusual_data(self, number: int, flags: int, payload: bytes) -> None:
        size = len(payload)
        if number == 0:
            raise ConnectionFault(Fault.PROTOCOL_ERROR, "DATA on stream 0")
        if flags & PADDED:
            payload = _unpadded(payload)
        try:
            taken = self._takes(DATA, number)
        except StreamFault:
            self._spend(size)
            raise
        if not taken:
            self._spend(size)
            return
        stream = self.streams[number]
        if stream.left >= 0:
            stream.left -= len(payload)
            if stream.left < 0 or (flags & END_STREAM and stream.left):
                self._spend(size)
                raise StreamFault(number, Fault.PROTOCOL_ERROR, "content-length is not the length")
            if flags & END_STREAM:
                stream.left = -1
        self._data(stream, size, payload, flags)

    # HEADERS

    def _on_headers(self, number: int, flags: int, payload: bytes) -> None:
        if flags & PADDED:
            payload = _unpadded(payload)
        if number == 0:
            raise ConnectionFault(Fault.PROTOCOL_ERROR, "HEADERS on stream 0")
        depends_on = -1
        if flags & WITH_PRIORITY:
            if len(payload) < 5:
                raise ConnectionFault(Fault.FRAME_SIZE_ERROR, "HEADERS too short for its priority")
            depends_on = frames.NUMBER.unpack_from(payload)[0] & _STREAM_MASK
            payload = payload[5:]
        self._block_flags = flags & END_STREAM
        self._block_loops = depends_on == number
        if flags & END_HEADERS:
            self._header_block(number, payload)
        else:
            self._block, self._block_stream, self._block_frames = payload, number, 0

    def _on_continuation(self, number: int, flags: int, payload: bytes) -> None:
        if not self._block_stream:
            raise ConnectionFault(Fault.PROTOCOL_ERROR, "CONTINUATION of nothing")
        self._block += payload
        self._block_frames += 1
        if len(self._block) > MAX_BLOCK_FACTOR * self.limits.max_metadata + FIRST_FRAME_SIZE:
            raise ConnectionFault(Fault.ENHANCE_YOUR_CALM, "a header block without end")
        if self._block_frames > MAX_CONTINUATIONS:
            raise ConnectionFault(Fault.ENHANCE_YOUR_CALM, "CONTINUATION frames without end")
        if flags & END_HEADERS:
            block, self._block = self._block, b""
            self._block_stream = 0
            self._header_block(number, block)

    def _header_block(self, number: int, block: bytes) -> None:
        """A whole block. It is decoded whatever its stream is, to keep the table in step."""
        opening: Opening | None = None
        fields: list[tuple[str, str]] = []
        try:
            fields = self._decoder.decode(block, self.limits.max_metadata)
        except HpackError as error:
            raise ConnectionFault(Fault.COMPRESSION_ERROR, str(error)) from None
        except TooLarge as error:
            if error.size > MAX_LIST_FACTOR * self.limits.max_metadata:
                raise ConnectionFault(Fault.ENHANCE_YOUR_CALM, f"a header list of {error.size}") from None
            self._trouble("headers that are too large")
            opening = self._application.too_large(error.size)
        if self._decoder.touched and self._cache:
            self._cache.clear()
        flags = self._block_flags
        stream = self.streams.get(number)
        if stream is None and number > self.last_stream:
            if not number & 1:
                raise ConnectionFault(Fault.PROTOCOL_ERROR, f"a client began stream {number}")
            if self._block_loops:
                self.last_stream = number
                raise StreamFault(number, Fault.PROTOCOL_ERROR, "a stream that depends on itself")
            self._begin(opening, number, flags, fields, block)
        elif self._takes_headers(number):
            assert stream is not None
            self._trailers(stream, flags, fields)

    def _takes_headers(self, number: int) -> bool:
        if self.state(number) is State.CLOSED and number != self.last_stream:
            # Was it closed or skipped? Both end the connection; a skipped number is the likelier mistake.
            raise ConnectionFault(Fault.PROTOCOL_ERROR, f"stream {number} after {self.last_stream}")
        return self._takes(HEADERS, number)

    def _begin(
        self, opening: Opening | None, number: int, flags: int, fields: list[tuple[str, str]], block: bytes
    ) -> None:
        if not self._may_open(number):
            self.last_stream = number
            self._trouble("streams beyond the limit")
            raise StreamFault(number, Fault.REFUSED_STREAM, "too many streams")
        if opening is None:
            try:
                opening = self._application.opening(read_request(fields))
            except Malformed as error:
                self.last_stream = number
                raise StreamFault(number, Fault.PROTOCOL_ERROR, str(error)) from None
            if not self._decoder.touched:
                if len(self._cache) >= CACHED_BLOCKS:
                    self._cache.clear()
                self._cache[block] = opening
        self._open(opening, number, flags)

    def _may_open(self, number: int) -> bool:
        return self.last_stream < number <= self._last_allowed and len(self.streams) < self.limits.max_streams

    def _open(self, opening: Opening, number: int, flags: int) -> None:
        self.last_stream = number
        stream = self.streams[number] = opening.open(self, number)
        if not flags & END_STREAM:
            stream.opened()
            return
        if stream.left > 0:
            raise StreamFault(number, Fault.PROTOCOL_ERROR, "content-length is not the length")
        stream.ended = True
        stream.opened()
        if number in self.streams:
            stream.on_data(b"", True)

    def _trailers(self, stream: Stream, flags: int, fields: list[tuple[str, str]]) -> None:
        if not flags & END_STREAM:
            raise StreamFault(stream.id, Fault.PROTOCOL_ERROR, "a second header list that does not end the stream")
        if stream.left > 0:
            raise StreamFault(stream.id, Fault.PROTOCOL_ERROR, "content-length is not the length")
        try:
            check_trailers(fields)
        except Malformed as error:
            raise StreamFault(stream.id, Fault.PROTOCOL_ERROR, str(error)) from None
        stream.ended = True
        stream.on_data(b"", True)

    # The other frames

    def _on_priority(self, number: int, _flags: int, payload: bytes) -> None:
        if number == 0:
            raise ConnectionFault(Fault.PROTOCOL_ERROR, "PRIORITY on stream 0")
        if len(payload) != 5:
            raise StreamFault(number, Fault.FRAME_SIZE_ERROR, "PRIORITY is not 5 octets")
        self._idle_frame("PRIORITY frames")
        if frames.NUMBER.unpack_from(payload)[0] & _STREAM_MASK == number:
            raise StreamFault(number, Fault.PROTOCOL_ERROR, "a stream that depends on itself")

    def _on_rst_stream(self, number: int, _flags: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFault(Fault.FRAME_SIZE_ERROR, "RST_STREAM is not 4 octets")
        if self._takes(frames.RST_STREAM, number):
            self._trouble("cancelled calls")
            self._gone(self.streams[number])

    def _on_settings(self, number: int, flags: int, payload: bytes) -> None:
        if number:
            raise ConnectionFault(Fault.PROTOCOL_ERROR, "SETTINGS on a stream")
        if flags & ACK:
            if payload:
                raise ConnectionFault(Fault.FRAME_SIZE_ERROR, "an acknowledgement with settings")
            return
        if len(payload) % 6:
            raise ConnectionFault(Fault.FRAME_SIZE_ERROR, "SETTINGS is not a multiple of 6 octets")
        self._settings_frames -= 1
        if self._settings_frames < 0:
            raise ConnectionFault(Fault.ENHANCE_YOUR_CALM, "SETTINGS frames without end")
        self.greeted = True
        self._control(_SETTINGS_ACK)  # before any DATA that the new settings allow
        # Each name once: a frame of 2,700 window sizes would touch every stream as often.
        for name, value in dict(frames.SETTING.iter_unpack(payload)).items():
            self._setting(name, value)

    def _setting(self, name: int, value: int) -> None:
        if name == frames.ENABLE_PUSH:
            if value > 1:
                raise ConnectionFault(Fault.PROTOCOL_ERROR, f"ENABLE_PUSH {value}")
        elif name == frames.MAX_FRAME_SIZE:
            if not FIRST_FRAME_SIZE <= value <= frames.LARGEST_FRAME_SIZE:
                raise ConnectionFault(Fault.PROTOCOL_ERROR, f"MAX_FRAME_SIZE {value}")
            self._frame_size = min(value, TURN_SIZE)
        elif name == frames.INITIAL_WINDOW_SIZE:
            if value > MAX_WINDOW:
                raise ConnectionFault(Fault.FLOW_CONTROL_ERROR, f"INITIAL_WINDOW_SIZE {value}")
            grown = value - self.first_send_window
            self.first_send_window = value
            for stream in self.streams.values():
                self._widen(stream, grown, ConnectionFault(Fault.FLOW_CONTROL_ERROR, "a window above 2^31-1"))

    def _widen(self, stream: Stream, credit: int, overflow: Exception) -> None:
        stream.send_window += credit
        if stream.send_window > MAX_WINDOW:
            raise overflow
        if stream.backlog:
            if stream.send_window > 0:
                self._ready[stream] = None
            else:
                self._ready.pop(stream, None)

    def _on_ping(self, number: int, flags: int, payload: bytes) -> None:
        if number:
            raise ConnectionFault(Fault.PROTOCOL_ERROR, "PING on a stream")
        if len(payload) != 8:
            raise ConnectionFault(Fault.FRAME_SIZE_ERROR, "PING is not 8 octets")
        if flags & ACK:
            self.pinged = False
        else:
            self._control(frames.frame(frames.PING, ACK, 0, payload))

    def _on_goaway(self, number: int, _flags: int, payload: bytes) -> None:
        if number:
            raise ConnectionFault(Fault.PROTOCOL_ERROR, "GOAWAY on a stream")
        if len(payload) < 8:
            raise ConnectionFault(Fault.FRAME_SIZE_ERROR, "GOAWAY is too short")

    def _on_window_update(self, number: int, _flags: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFault(Fault.FRAME_SIZE_ERROR, "WINDOW_UPDATE is not 4 octets")
        credit = frames.NUMBER.unpack(payload)[0] & _STREAM_MASK
        if number == 0:
            self.send_window += credit
            if not credit:
                raise ConnectionFault(Fault.PROTOCOL_ERROR, "WINDOW_UPDATE of 0")
            if self.send_window > MAX_WINDOW:
                raise ConnectionFault(Fault.FLOW_CONTROL_ERROR, "the window is above 2^31-1")
            return
        stream = self.streams.get(number)
        if stream is None:
            self._takes(frames.WINDOW_UPDATE, number)
            return
        if not credit:
            raise StreamFault(number, Fault.PROTOCOL_ERROR, "WINDOW_UPDATE of 0")
        self._widen(stream, credit, StreamFault(number, Fault.FLOW_CONTROL_ERROR, "the window is above 2^31-1"))

    def _on_push_promise(self, _number: int, _flags: int, _payload: bytes) -> None:
        raise ConnectionFault(Fault.PROTOCOL_ERROR, "clients cannot push")

    # ------------------------------------------------------------------ what goes out

    def take(self) -> bytes:
        """See ``Sender``."""
        if self._overrun:
            self._fail_overrun()
        return super().take()

    def _fail_overrun(self) -> None:
        self._overrun = False
        self.fail(Fault.ENHANCE_YOUR_CALM, "answers are asked for and not read")

    # ------------------------------------------------------------------ faults and ends

    def _trouble(self, why: str) -> None:
        self._troubles -= 1
        if self._troubles < 0:
            raise ConnectionFault(Fault.ENHANCE_YOUR_CALM, f"{why} without end")

    def _idle_frame(self, why: str) -> None:
        self._idle_frames -= 1
        if self._idle_frames < 0:
            raise ConnectionFault(Fault.ENHANCE_YOUR_CALM, f"{why} without end")

    def refill(self, seconds: float) -> None:
        """Time has passed: allowances grow."""
        self._troubles = min(TROUBLES[0], self._troubles + round(seconds * TROUBLES[1]))
        self._settings_frames = min(SETTINGS_FRAMES[0], self._settings_frames + round(seconds * SETTINGS_FRAMES[1]))
        self._idle_frames = min(IDLE_FRAMES[0], self._idle_frames + round(seconds * IDLE_FRAMES[1]))

    def _refuse(self, fault: StreamFault) -> None:
        """RST_STREAM, and the end of whoever answers."""
        self.budget.reasons[f"stream_{fault.fault.name.lower()}"] += 1
        self._trouble("stream errors")
        if fault.stream > self.last_stream:
            self.last_stream = fault.stream
        self._control(frames.rst_stream(fault.stream, fault.fault))
        self._remember(fault.stream)
        stream = self.streams.get(fault.stream)
        if stream is not None:
            self._gone(stream)

    def _gone(self, stream: Stream) -> None:
        del self.streams[stream.id]
        self.drop(stream)
        stream.gone()

    def ping(self) -> None:
        """Ask whether the client still lives; ``pinged`` until it answers."""
        self.pinged = True
        self._control(frames.frame(frames.PING, 0, 0, b"alive?\0\0"))

    def ask_to_go(self) -> None:
        """The first GOAWAY of a graceful end: what is under way to us is still answered."""
        if not self.ended and not self.asked_to_go:
            self.asked_to_go = True
            self._emit(frames.goaway(_STREAM_MASK, Fault.NO_ERROR))

    def refuse_more(self) -> None:
        """The second one: streams that begin from now on are refused."""
        if not self.ended and self._last_allowed == _STREAM_MASK:
            self._last_allowed = self.last_stream
            self._emit(frames.goaway(self.last_stream, Fault.NO_ERROR))

    @property
    def leaving(self) -> bool:
        """No call is taken any more."""
        return self._last_allowed != _STREAM_MASK

    def fail(self, fault: Fault, why: str) -> None:
        """The end for an error: GOAWAY, and every call is gone."""
        if self.ended:
            return
        self._emit(frames.goaway(self.last_stream, fault, why))
        self.budget.reasons[fault.name.lower()] += 1
        self.lost(why)

    def lost(self, why: str = "") -> None:
        """The connection is over: every call is gone. Twice is once."""
        if self.ended:
            return
        self.ended = True
        self.why = why
        self._rest = self._block = b""
        for stream in list(self.streams.values()):
            if stream.id in self.streams:
                self._gone(stream)
        self._aside = None
        self.release(self.held)

    def let_go(self, remembered: object) -> None:
        """The socket is gone: forget who held it, for each would keep the other until a collector looks, which is rare on
        purpose. ``remembered`` is the owner from now on."""
        self.owner = remembered
        self._wake = _nobody


def _nobody() -> None:
    """Nobody is to be woken."""


_SETTINGS_ACK: Final = frames.frame(SETTINGS, ACK, 0)

_READERS: Final[dict[int, Callable[[Connection, int, int, bytes], None]]] = {
    frames.PRIORITY: Connection._on_priority,
    frames.RST_STREAM: Connection._on_rst_stream,
    frames.SETTINGS: Connection._on_settings,
    frames.PUSH_PROMISE: Connection._on_push_promise,
    frames.PING: Connection._on_ping,
    frames.GOAWAY: Connection._on_goaway,
    frames.WINDOW_UPDATE: Connection._on_window_update,
    frames.CONTINUATION: Connection._on_continuation,
}


def _unpadded(payload: bytes) -> bytes:
    if not payload or payload[0] >= len(payload):
        raise ConnectionFault(Fault.PROTOCOL_ERROR, "padding of more than the frame")
    return payload[1 : len(payload) - payload[0]]
