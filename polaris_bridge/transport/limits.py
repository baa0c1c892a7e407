"""Every limit of the transport, with its reason. Those of ``Limits`` are a listener's settings; the others bound what no honest
client does, so nobody needs to set them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

MIB: Final = 1024 * 1024


@dataclass(slots=True, frozen=True)
class Limits:
    """What one listener allows its clients."""

    max_receive: int = 4 * MIB
    """Bytes of one message from a client, also after inflation; more ends the call with RESOURCE_EXHAUSTED."""
    max_send: int = 2**31 - 1
    """Bytes of one message to a client; more ends the call with RESOURCE_EXHAUSTED."""
    max_metadata: int = 64 * 1024
    """Size of a header list (RFC 7541, section 4.1); more ends the call with RESOURCE_EXHAUSTED."""
    max_streams: int = 1000
    """Calls a connection may have under way; more are refused, which a client that read our SETTINGS does not meet."""
    max_backlog: int = 8 * MIB
    """Bytes of pushes that may wait for one stream's client; more ends that stream with RESOURCE_EXHAUSTED."""
    max_unsent: int = 32 * MIB
    """Bytes that may wait for one connection. Beyond, its calls are set aside until half of it was read; pushes that
    exceed it end their streams."""
    max_unsent_total: int = 512 * MIB
    """The same for all connections of the listener: then those that have more than ``FAIR_UNSENT`` are set aside."""
    max_held: int = 64 * MIB
    """Bytes of one connection that have arrived and not been handled: unfinished messages and those that wait for their
    turn. The call whose message exceeds it ends with RESOURCE_EXHAUSTED."""
    max_held_total: int = 512 * MIB
    """The same for all connections of the listener: then it meets those that have more than ``FAIR_HELD``."""
    slow_reader_s: float = 60.0
    """A connection that was set aside and took nothing for so long is closed."""
    handshake_timeout_s: float = 20.0
    """Time for the TLS handshake, and again for preface and SETTINGS."""
    keep_alive_s: float = 120.0
    """After so much silence a connection is asked (PING) whether its client still lives."""
    keep_alive_timeout_s: float = 20.0
    """Without any byte for so long after that the client is taken for gone."""
    max_idle_s: float = 0.0
    """A connection without a call for so long is asked to go (GOAWAY); 0 = never."""
    max_age_s: float = 0.0
    """A connection so old is asked to go; 0 = never."""
    max_age_grace_s: float = 30.0
    """What is left of a connection that was asked to go for its age is cut after so long."""


@dataclass(slots=True)
class Budget:
    """What all connections of a listener hold together."""

    unsent: int = 0
    held: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    """How often a connection or a call was set aside, refused or closed, by reason."""


STREAM_WINDOW: Final = 1 * MIB
"""What a client may send on a stream before it was handled; a message of any size passes, credit is given as it arrives."""
CONNECTION_WINDOW: Final = 4 * MIB
"""The same for a connection, so that one stream cannot take it all."""
FAIR_UNSENT: Final = 1 * MIB
"""What a connection may owe its client while the listener as a whole owes too much."""
FAIR_HELD: Final = 8 * MIB
"""What a connection may have unhandled while the listener as a whole has too much."""
WRITE_SIZE: Final = 256 * 1024
"""Bytes given to a socket's buffer at a time; also where its buffer counts as full."""
TURN_SIZE: Final = 64 * 1024
"""Bytes a stream sends before it is another one's turn."""
MAX_CONTROL: Final = 128 * 1024
"""Bytes of acknowledgements and small answers that wait while a client does not read: it makes us produce them and takes
none, so it is ended."""
MAX_CONTINUATIONS: Final = 32
"""CONTINUATION frames of a header block; a full-sized list needs five."""
MAX_BLOCK_FACTOR: Final = 2
"""A header block may have so many times the octets of the largest header list, then the connection ends. Such a call is
refused anyway; what it costs to keep the table in step shall be bounded."""
MAX_LIST_FACTOR: Final = 16
"""A header list this many times larger than allowed is no mistake but a bomb."""
CACHED_BLOCKS: Final = 64
"""Header blocks of a connection whose meaning is remembered."""
REMEMBERED_STREAMS: Final = 256
"""Streams we ended before their client did: what it had sent by then is no error."""

# Allowances: so many at once, and so many more each second. Beyond: ENHANCE_YOUR_CALM.
TROUBLES: Final = (2000, 1000)
"""Cancelled calls, refused streams, stream errors. A client that gives up 1,500 calls at once is honest; one that does so all
the time makes us work for nothing."""
SETTINGS_FRAMES: Final = (100, 10)
"""A client sends one or two in its life; each may touch every stream."""
IDLE_FRAMES: Final = (1000, 200)
"""Frames that say nothing: empty DATA, PRIORITY, unknown types, small CONTINUATIONs."""
