"""The token service: clients begin to count on quotas, report what they used, and are told what is left.

Clients decide for themselves, from what they were told last. Behaviour of polaris-limiter (main, 2025-04) except: use that is
reported late counts in the slot of its time while the window has it, where polaris-limiter drops it once its slot is over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Generic, TypeVar

from .counters import Client, Counter
from .model import INDEX_BITS, MAX_COUNTERS, Identity, Left, LimiterTerms, Quota, Refused
from .sweeping import Round
from .windows import shared

H = TypeVar("H")

_MAX_CLIENT_KEY: Final = (1 << 32) - 1


class Limiter(Generic[H]):
    """All counters of a process. ``H`` is what clients are told by; it is handed back with what they have to be told.

    All methods belong to the event loop's thread, never wait, and take the time now in milliseconds since 1970.
    """

    def __init__(self, terms: LimiterTerms, told: Callable[[H, Counter[H], Left], None]) -> None:
        """``told``: a client has to be told that nothing is left of a counter. ValueError for a node outside 1..255."""
        if not 1 <= terms.node <= 255:
            raise ValueError(f"node {terms.node}: nodes are numbered 1 to 255")
        self.terms = terms
        self.told = told
        self._counters: dict[int, Counter[H]] = {}
        self._keys: dict[Identity, int] = {}
        self._clients: dict[str, Client[H]] = {}
        self._client_keys: set[int] = set()
        self._next_index = 0
        self._next_client = 0
        self._round: Round[int] = Round()
        self.touched: dict[int, Counter[H]] | None = None
        """Counters that were used since somebody who shares use looked; None: nobody shares."""
        self.used_total = 0
        """Requests that clients said they let through."""
        self.limited_total = 0
        """Requests that clients said they refused."""

    # ------------------------------------------------------------------ clients

    def enter(self, client: Client[H] | None, id: str, seat: H) -> Client[H] | Refused:
        """The client of a stream. ``client``: who the stream belongs to already. Who is known under the id comes along with its
        key and is told by the new seat from now on."""
        if client is not None:
            return client if client.id == id else Refused.OTHER_CLIENT
        known = self._clients.get(id)
        if known is not None:
            known.seat = seat
            return known
        if len(self._clients) >= self.terms.max_clients:
            return Refused.TOO_MANY_CLIENTS
        made = self._clients[id] = Client(self._client_key(), id, seat)
        return made

    def leave(self, client: Client[H], seat: H) -> None:
        """A stream is over. Its client goes too, unless it came back on another one."""
        if client.seat != seat or self._clients.get(client.id) is not client:
            return
        del self._clients[client.id]
        self._client_keys.discard(client.key)
        for counter in client.counters.values():
            counter.clients = tuple(other for other in counter.clients if other is not client)
            if counter.each and self.touched is not None:
                self.touched[counter.key] = counter
        client.counters.clear()

    def _client_key(self) -> int:
        while True:
            self._next_client = self._next_client % _MAX_CLIENT_KEY + 1
            if self._next_client not in self._client_keys:
                self._client_keys.add(self._next_client)
                return self._next_client

    # ------------------------------------------------------------------ counters

    def begin(
        self, client: Client[H], place: tuple[str, str, str], quotas: Sequence[Quota], slots: int, now_ms: int
    ) -> list[Counter[H]] | Refused:
        """A client counts on quotas of one place (namespace, service, labels): a counter for each, in order, made if there is
        none. ``slots`` 0 = as the terms say; a counter that is there keeps its own."""
        slots = slots or self.terms.slots
        longest_ms = max((quota.duration_s for quota in quotas), default=0) * 1000
        kept_ms = shared(max(2 * longest_ms, self.terms.idle_ms))
        found: list[Counter[H]] = []
        for quota in quotas:
            identity = (*place, quota.duration_s)
            counter = self._counters.get(self._keys.get(identity, 0)) or self._make(identity, slots)
            if counter is None:
                return Refused.TOO_MANY_COUNTERS
            counter.load(quota, kept_ms)
            counter.used_ms = now_ms
            if counter.key not in client.counters:
                client.counters[counter.key] = counter
                counter.clients = (*counter.clients, client)
            if self.touched is not None:
                self.touched[counter.key] = counter
            found.append(counter)
        return found

    def _make(self, identity: Identity, slots: int) -> Counter[H] | None:
        """None: there is no room."""
        if len(self._counters) >= min(self.terms.max_counters, MAX_COUNTERS):
            return None
        while True:
            self._next_index = self._next_index % MAX_COUNTERS + 1
            key = self.terms.node << INDEX_BITS | self._next_index
            if key not in self._counters:
                break
        made = self._counters[key] = Counter(key, identity, slots)
        self._keys[identity] = key
        return made

    def report(
        self, client: Client[H], key: int, used: int, limited: int, at_ms: int, now_ms: int
    ) -> Counter[H] | Refused:
        """A client let so many through and refused so many, at a time; the counter, whose ``left`` it wants to know. The others
        who count on it are told when nothing is left, once each time that this comes about."""
        counter = self._counters.get(key)
        if counter is None:
            own = key >> INDEX_BITS == self.terms.node and 0 < key & MAX_COUNTERS <= self.terms.max_counters
            return Refused.UNKNOWN_COUNTER if own else Refused.FOREIGN_COUNTER
        counter.used_ms = now_ms
        if self.touched is not None:
            self.touched[key] = counter
        if counter.exhausted and counter.left(now_ms) > 0:
            counter.exhausted = False  # time alone brought something back
        if used:
            self._use(counter, counter.window.add_at(now_ms, at_ms, used), used)
            self.used_total += used
        if limited:
            counter.limited += limited
            self.limited_total += limited
        if used or limited:
            self._look(counter, client, now_ms)
        return counter

    def _use(self, counter: Counter[H], slot: int | None, used: int) -> None:
        """Somebody used something in a slot of the window: others are to hear of it."""
        if slot is not None and self.touched is not None:
            if counter.waiting is None:
                counter.waiting = {}
            counter.waiting[slot] = counter.waiting.get(slot, 0) + used

    # ------------------------------------------------------------------ decided here

    @property
    def alone(self) -> bool:
        """Whether whoever decides here need not ask: no client counted lately, and use is shared with no other node."""
        return self.touched is None and not self._counters

    def meet(self, identity: Identity, quota: Quota, now_ms: int) -> Counter[H] | None:
        """The counter that whoever decides here shares with clients and other nodes; None: nobody counts on it but this
        process. Made if there is none while use is shared, for others may count on it elsewhere."""
        counter = self._counters.get(self._keys.get(identity, 0))
        if counter is None:
            if self.touched is None:
                return None
            counter = self._make(identity, self.terms.slots)
            if counter is None:
                return None
            counter.load(quota, shared(max(2000 * quota.duration_s, self.terms.idle_ms)))
        counter.used_ms = now_ms
        if self.touched is not None:
            self.touched[counter.key] = counter
        return counter

    def spend(self, counter: Counter[H], tokens: int, now_ms: int) -> None:
        """Somebody who decided here used so much; clients are told when nothing is left."""
        self._use(counter, counter.window.add(now_ms, tokens), tokens)
        self._look(counter, None, now_ms)

    # ------------------------------------------------------------------ told

    def _look(self, counter: Counter[H], client: Client[H] | None, now_ms: int) -> None:
        left = counter.left(now_ms)
        if left > 0:
            counter.exhausted = False
        elif not counter.exhausted:
            counter.exhausted = True
            word = Left(counter.key, left, counter.sharers)
            for other in counter.clients:
                if other is not client:
                    self.told(other.seat, counter, word)

    def learn(self, counter: Counter[H], totals: Mapping[int, int], elsewhere: int, now_ms: int) -> None:
        """What all nodes together used of a counter, by slot, what this one has not told them yet included; and how many
        clients count on it on the others."""
        counter.elsewhere = elsewhere
        counter.window.roll(now_ms)
        for slot, amount in totals.items():
            counter.window.raise_to(slot, amount)
        self._look(counter, None, now_ms)

    def find(self, identity: Identity) -> Counter[H] | None:
        """The counter of something, for whoever wants to know what clients counted."""
        return self._counters.get(self._keys.get(identity, 0))

    def __iter__(self) -> Iterator[Counter[H]]:
        return iter(self._counters.values())

    @property
    def counters(self) -> int:
        """How many counters there are."""
        return len(self._counters)

    @property
    def clients(self) -> int:
        """How many clients there are."""
        return len(self._clients)

    # ------------------------------------------------------------------ time

    def sweep(self, now_ms: int, most: int = 2000) -> int:
        """Look at some counters and let go of those that nobody used for long; how many went."""
        gone = 0
        for key in self._round.some(self._counters, most):
            counter = self._counters.get(key)
            if counter is not None and now_ms - counter.used_ms > counter.kept_ms:
                del self._counters[key]
                del self._keys[counter.identity]
                for client in counter.clients:
                    client.counters.pop(key, None)
                gone += 1
        return gone
