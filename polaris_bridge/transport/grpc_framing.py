"""gRPC upon HTTP/2 as pure functions: messages and their prefix, statuses, timeouts, metadata, gzip
(https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md). Texts of errors are those of servers written in Go."""

from __future__ import annotations

import base64
import binascii
import zlib
from typing import Final

from .frames import MESSAGE, Layout
from .hpack import encode
from .hpack_tables import Field
from .rpc import RpcError, Status

CONTENT_TYPE: Final = "application/grpc"
PREFIX_SIZE: Final = 5

_UNITS: Final = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_LONGEST_S: Final = 10 * 365 * 86400.0
"""Longer deadlines are none."""

_HEAD: Final[tuple[Field, ...]] = ((":status", "200"), ("content-type", CONTENT_TYPE))
_OK: Final = encode(("grpc-status", "0"))

PLAIN: Final = Layout(encode(*_HEAD), _OK)
"""An answer as it is."""
GZIPPED: Final = Layout(encode(*_HEAD, ("grpc-encoding", "gzip")), _OK)
"""An answer whose messages may be compressed."""


def is_grpc(content_type: str) -> bool:
    """Whether a request is a call: ``application/grpc``, perhaps with what its messages are (``+proto``)."""
    return content_type == CONTENT_TYPE or content_type.startswith((f"{CONTENT_TYPE}+", f"{CONTENT_TYPE};"))


def timeout_s(text: str) -> float | None:
    """Seconds of a ``grpc-timeout``, None when it is practically none. RpcError INTERNAL when it is malformed."""
    unit = _UNITS.get(text[-1:])
    digits = text[:-1]
    if unit is None or not 1 <= len(digits) <= 8 or not (digits.isascii() and digits.isdigit()):
        raise RpcError(Status.INTERNAL, f"malformed grpc-timeout: {text!r}")
    seconds = int(digits) * unit
    return None if seconds > _LONGEST_S else seconds


# ---------------------------------------------------------------- how a call ends


def trailers(code: int, message: str) -> bytes:
    """The header block behind an answer that has begun."""
    if code == 0 and not message:
        return _OK
    return encode(*_status(code, message))


def trailers_only(code: int, message: str, *more: Field) -> bytes:
    """The header block that is the whole answer."""
    return encode(*_HEAD, *_status(code, message), *more)


def _status(code: int, message: str) -> list[Field]:
    fields = [("grpc-status", str(code))]
    if message:
        fields.append(("grpc-message", percent_encoded(message)))
    return fields


_LONGEST_MESSAGE: Final = 4096
"""Of a status, in octets: clients refuse header lists above 8 KiB or so, and with it lose the status."""


def percent_encoded(text: str) -> str:
    """A status message as a header may carry it."""
    octets = text.encode("utf-8", "replace")[:_LONGEST_MESSAGE]
    return "".join(chr(octet) if 0x20 <= octet <= 0x7E and octet != 0x25 else f"%{octet:02X}" for octet in octets)


def binary(value: str) -> str:
    """The octets of a ``-bin`` header as latin-1: the first one when several were joined. RpcError when they are none."""
    text = value.partition(",")[0].strip()
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True).decode("latin-1")
    except (binascii.Error, ValueError):
        raise RpcError(Status.INTERNAL, f"malformed binary metadata {text!r}") from None


# ---------------------------------------------------------------- messages

_GZIP_WINDOW: Final = 31
_LEVEL: Final = 1
"""Registry answers shrink to a tenth at the first level; the sixth costs three times as much for little more."""
WORTH_COMPRESSING: Final = 1024
"""Octets below which gzip costs more than it saves."""


def too_large_received(size: int, most: int) -> RpcError:
    """Why a message is not read."""
    return RpcError(Status.RESOURCE_EXHAUSTED, f"grpc: received message larger than max ({size} vs. {most})")


def too_large_sent(size: int, most: int) -> RpcError:
    """Why a message is not sent."""
    return RpcError(Status.RESOURCE_EXHAUSTED, f"grpc: trying to send message larger than max ({size} vs. {most})")


def message_size(prefix: bytes | bytearray, most: int, encoding: str) -> int:
    """Octets of the message behind a prefix, checked. RpcError when it is not going to be read."""
    flag, size = MESSAGE.unpack_from(prefix)
    if flag > 1:
        raise RpcError(Status.INTERNAL, f"grpc: received unexpected payload format {flag}")
    if flag:
        check_encoding(encoding)
    if size > most:
        raise too_large_received(size, most)
    return int(size)


def check_encoding(encoding: str) -> None:
    """Whether compressed messages can be read. RpcError when not."""
    if encoding in ("", "identity"):
        raise RpcError(Status.INTERNAL, "grpc: compressed flag set with identity or empty encoding")
    if encoding != "gzip":
        raise RpcError(Status.UNIMPLEMENTED, f'grpc: Decompressor is not installed for grpc-encoding "{encoding}"')


def inflated(octets: bytes, most: int) -> bytes:
    """A message that came as gzip. RpcError when it is none, or inflates to more than ``most``; no more than that is held."""
    inflater = zlib.decompressobj(_GZIP_WINDOW)
    try:
        message = inflater.decompress(octets, most + 1)
    except zlib.error as error:
        raise RpcError(Status.INTERNAL, f"grpc: failed to decompress the received message: {error}") from None
    if len(message) > most:
        raise RpcError(Status.RESOURCE_EXHAUSTED, f"grpc: received message after decompression larger than max {most}")
    if not inflater.eof or inflater.unused_data:
        raise RpcError(Status.INTERNAL, "grpc: failed to decompress the received message: it is not one gzip stream")
    return message


def deflated(message: bytes) -> bytes:
    """A message as gzip."""
    deflater = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    return deflater.compress(message) + deflater.flush()
