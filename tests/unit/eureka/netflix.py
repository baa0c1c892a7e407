"""What a lone Netflix server would do, said as naively as possible from the protocol's description; leases are counted once."""

from __future__ import annotations

from dataclasses import dataclass, field

BELIEVED = ("UP", "OUT_OF_SERVICE")
Key = tuple[str, str]


@dataclass
class Instance:
    """One lease with its document, as far as the rules look at it."""

    status: str
    place: tuple[str, int]
    dirty: int
    note: str
    metadata: dict[str, str]
    duration_s: int
    heard_s: float
    up_since_s: float | None = None


@dataclass
class Netflix:
    """The registry of one namespace and its map of overrides."""

    now_s: float = 0.0
    registry: dict[Key, Instance] = field(default_factory=dict)
    overrides: dict[Key, str] = field(default_factory=dict)

    def decide(self, key: Key, word: str, existing: str | None, replicated: bool) -> str:
        if word not in BELIEVED:
            return word
        if key in self.overrides:
            return self.overrides[key]
        if not replicated and existing in BELIEVED:
            return existing
        return word

    def register(self, key: Key, incoming: Instance, overridden: str, replicated: bool) -> int:
        existing = self.registry.get(key)
        taken = incoming
        if existing is not None and existing.dirty > incoming.dirty:
            taken = Instance(**vars(existing))
            overridden = self.overrides.get(key, "UNKNOWN")
        if overridden != "UNKNOWN":
            self.overrides.setdefault(key, overridden)
        taken.status = self.decide(key, taken.status, existing.status if existing else None, replicated)
        taken.heard_s = self.now_s
        self.registry[key] = taken
        return 204

    def renew(self, key: Key, dirty: int | None, overridden: str, replicated: bool) -> int:
        found = self.registry.get(key)
        if found is None:
            return 404
        found.heard_s = self.now_s
        word = self.decide(key, found.status, found.status, replicated)
        if word == "UNKNOWN":
            return 404
        found.status = word
        if dirty is None or dirty == found.dirty:
            return 200
        if dirty > found.dirty:
            if replicated and overridden != "UNKNOWN":
                self.overrides[key] = overridden
            return 404
        return 409 if replicated else 200

    def cancel(self, key: Key) -> int:
        if self.registry.pop(key, None) is None:
            return 404
        self.overrides.pop(key, None)
        return 200

    def set_status(self, key: Key, word: str, dirty: int) -> int:
        found = self.registry.get(key)
        if found is None:
            return 404
        found.heard_s = self.now_s
        if word != found.status:
            self.overrides[key] = found.status = word
            found.dirty = max(found.dirty, dirty)
        return 200

    def delete_status(self, key: Key, word: str, dirty: int) -> int:
        found = self.registry.get(key)
        if found is None:
            return 404
        found.heard_s = self.now_s
        if self.overrides.pop(key, None) is not None:
            found.status = word
            found.dirty = max(found.dirty, dirty)
        return 200

    def set_metadata(self, key: Key, pairs: dict[str, str]) -> int:
        found = self.registry.get(key)
        if found is None:
            return 404
        if pairs:
            found.metadata = {**found.metadata, **pairs}
            found.heard_s = self.now_s
        return 200

    def restart(self) -> None:
        """Ours keeps everything, and leases begin anew."""
        for found in self.registry.values():
            found.heard_s = self.now_s

    def overdue(self, slack_s: float) -> list[Key]:
        """Whose lease ran out at least so long ago."""
        return [k for k, i in self.registry.items() if i.heard_s + i.duration_s + slack_s <= self.now_s]
