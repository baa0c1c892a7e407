"""What a reader of one protocol sees of an address: a pure function of the facts that stand there.

Facts are the registrations with their liveness and the switches. The path by which they came about does not matter, and
documents are never merged: a reader of a protocol that registered itself sees its own statement, others the newest one.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from .model import DOWN, OUT_OF_SERVICE, SEVERITY, UP, Address, Checks, Ejection, Registration, Switch


class Shown(Struct, frozen=True, gc=False):
    """One registration as a reader sees it."""

    registration: Registration
    word: str
    """The effective status word: a switch, else what was reported (checks included); down when that was up, but ejected."""
    live: bool
    """False when only silent registrations are left at the address (lease lost), and while it is ejected."""
    own: bool
    """Whether it is the reader's own protocol that made it."""
    ejection: Ejection | None = None
    """Why it is ejected, if it is."""


def shown(address: Address, reader: str) -> tuple[Shown, ...]:
    """What a reader sees at an address: nothing, one registration, or several of one protocol.

    1. candidates: live statements made here; if none, live copies; if none, lost ones; if none, lost copies
    2. the reader's own among them, each; if it has none, all of the protocol (of copies: from the
       registry) whose document changed last
    3. word: of own ones what each reported; for others the worst of any candidate
    4. a switch withdraws it for everybody
    5. while the address is ejected everybody sees it as one that is not heard of
    """
    if address.ejection is not None:
        return tuple(_ejected(each, address.ejection) for each in _shown(address, reader))
    return _shown(address, reader)


def _ejected(one: Shown, ejection: Ejection) -> Shown:
    """Withdrawals and what was reported stay what they are: who is out of service is not called either way."""
    return Shown(one.registration, DOWN if one.word == UP else one.word, False, one.own, ejection)


def _shown(address: Address, reader: str) -> tuple[Shown, ...]:
    registrations = address.registrations
    if len(registrations) == 1 and not address.switches:
        only = registrations[0]
        return (Shown(only, word_of(only), alive_for(only, reader), only.source == reader),)
    candidates, live = _candidates(registrations, reader)
    if not candidates:
        return ()
    own = [r for r in candidates if r.source == reader]
    if own:
        return tuple(Shown(r, _own_word(address, r), live, True) for r in own)
    newest = max(candidates, key=lambda r: r.seq)
    word = max((word_of(r) for r in candidates), key=SEVERITY.__getitem__)
    if withdrawn(address.switches, registrations):
        word = OUT_OF_SERVICE
    told = (newest.source, newest.copied_from)  # copies from two registries are two statements, as of two protocols
    return tuple(Shown(r, word, live, False) for r in candidates if (r.source, r.copied_from) == told)


def word_of(registration: Registration) -> str:
    """What a registration says of itself: its own word, or down when one of its checks is critical."""
    liveness = registration.liveness
    if isinstance(liveness, Checks) and liveness.critical:
        return max(registration.reported, DOWN, key=SEVERITY.__getitem__)
    return registration.reported


def alive_for(registration: Registration, reader: str) -> bool:
    """Whether a registration counts as live. One kept by self-protection does so for its own protocol only."""
    return registration.lost_ms == 0 or (registration.held and registration.source == reader)


def withdrawn(switches: Iterable[Switch], registrations: Iterable[Registration]) -> bool:
    """Whether switches withdraw an address for readers whose protocol did not set them.

    A switch on one of several registrations of its protocol withdraws the address when all of them are off.
    """
    off = {(s.source, s.key) for s in switches if s.on}
    if any(not key for _, key in off):
        return True
    for source in {source for source, _ in off}:
        keys = [r.key for r in registrations if r.source == source]
        if all((source, key) in off for key in keys):
            return True
    return False


def _candidates(registrations: tuple[Registration, ...], reader: str) -> tuple[list[Registration], bool]:
    for alive in (True, False):
        for copied in (False, True):
            found = [r for r in registrations if alive_for(r, reader) is alive and bool(r.copied_from) is copied]
            if found:
                return found, alive
    return [], False


def _own_word(address: Address, r: Registration) -> str:
    """A foreign switch withdraws; an own one shows what its protocol made of it (``reported``), unless that is "up"."""
    foreign = [s for s in address.switches if s.on and (s.source != r.source or not s.key)]
    if foreign and withdrawn(foreign, address.registrations):
        return OUT_OF_SERVICE
    word = word_of(r)
    if word == UP:
        for switch in address.switches:
            if switch.on and switch.source == r.source and switch.key == r.key:
                return switch.word
    return word
