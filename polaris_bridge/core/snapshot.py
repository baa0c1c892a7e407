"""A service at one revision: immutable, so holding one is free and reading one takes no lock."""

from __future__ import annotations

import hashlib

import msgspec

from .model import Address, AddressKey, Checks, ServiceKey, ServiceRecord

_encoder = msgspec.msgpack.Encoder(enc_hook=lambda value: str(value), order="deterministic")
_NOT_SEEN = {"created_ms": 0, "updated_ms": 0, "lost_ms": 0, "seq": 0, "revision": 0, "marks": None, "liveness": None}


class ServiceSnapshot:
    """The addresses of a service with what stands at them. Absent services have an empty snapshot, so they can be watched."""

    __slots__ = ("_content_hash", "addresses", "key", "record", "revision")

    def __init__(
        self, key: ServiceKey, record: ServiceRecord | None, addresses: dict[AddressKey, Address], revision: int
    ) -> None:
        self.key = key
        self.record = record
        """None when the service does not exist."""
        self.addresses = addresses
        """Not to be changed by anybody."""
        self.revision = revision
        """Of the publication that last changed it."""
        self._content_hash: str | None = None

    @property
    def content_hash(self) -> str:
        """40 hexadecimal digits over what readers can see: equal content, equal hash, on any node and after any restart."""
        if self._content_hash is None:
            digest = hashlib.blake2b(digest_size=20)
            if self.record is not None:
                digest.update(
                    _encoder.encode(msgspec.structs.replace(self.record, created_ms=0, updated_ms=0, revision=0))
                )
            for key in sorted(self.addresses):
                address = self.addresses[key]
                for r in sorted(address.registrations, key=lambda r: (r.source, r.key)):
                    failing = isinstance(r.liveness, Checks) and r.liveness.critical
                    digest.update(_encoder.encode((r.live, failing, msgspec.structs.replace(r, **_NOT_SEEN))))
                # whose document changed last is seen by all protocols without one of their own
                newest = max(address.registrations, key=lambda r: r.seq, default=None)
                digest.update((newest.source if newest is not None else "").encode())
                digest.update(_encoder.encode(sorted((s.source, s.key, s.word) for s in address.switches)))
                if address.ejection is not None:
                    digest.update(_encoder.encode((address.ejection.rule, address.ejection.name)))
            self._content_hash = digest.hexdigest()
        return self._content_hash

    def __repr__(self) -> str:
        return f"<{self.key.namespace}/{self.key.name} at {self.revision}, {len(self.addresses)} addresses>"


def absent(key: ServiceKey, revision: int) -> ServiceSnapshot:
    """The snapshot of a service that is not there; ``revision``: since when at the latest."""
    return ServiceSnapshot(key, None, {}, revision)
