"""Which view of a namespace a caller reads, where rules are applied to what it reads.

A client holds a list and adds deltas to it, so a delta must be of the view that it holds. Which one that is, is remembered by
caller; whoever may hold another one (rules or its own registration changed, it was forgotten) is given a hash code that makes it
fetch everything.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import count
from typing import Final, NamedTuple

from polaris_bridge.core.model import Caller
from polaris_bridge.core.ports import Clock
from polaris_bridge.core.routing.classes import RoutingClass
from polaris_bridge.core.routing.discovery import DiscoveryRouting
from polaris_bridge.core.routing.scope import Scope

from .reading import Readable
from .routed import RoutedView
from .view import NamespaceView

KEPT_VIEWS: Final = 512
"""Views for kinds of callers; the one that was read longest ago makes room."""
KEPT_DOCUMENTS: Final = 32
"""Views whose documents are kept: those that were read last."""
KEPT_SEATS: Final = 65_536
"""Callers of whom it is remembered what they hold."""
PROOF_S: Final = 45.0
"""How long after the first answer from another view a caller is made to fetch everything: several clients may call from one
address, each every 30 s."""


class _Seat(NamedTuple):
    """What a caller holds."""

    view: int
    proven_s: float
    """From when on (monotonic) everybody at its address is taken to hold that."""


class Routing:
    """The views of one listener for kinds of callers."""

    def __init__(self, routing: DiscoveryRouting, clock: Clock, switched: bool) -> None:
        """``switched``: whether services that do not say so themselves are routed."""
        self._routing = routing
        self._clock = clock
        self._switched = switched
        self._scopes: dict[str, Scope] = {}
        self._views: OrderedDict[tuple[NamespaceView, RoutingClass], RoutedView] = OrderedDict()
        self._seats: OrderedDict[tuple[str, str, str, str], _Seat] = OrderedDict()
        self._count = count(1).__next__

    def view(self, whole: NamespaceView, caller: Caller) -> Readable:
        """What a caller sees of a namespace."""
        return whole if self._idle(whole) else self._view(whole, caller)

    def full(self, whole: NamespaceView, caller: Caller) -> Readable:
        """The same, for a caller that fetches everything."""
        if self._idle(whole):
            return whole
        view = self._view(whole, caller)
        self._prove(view, caller, fresh=True)
        return view

    def delta(self, whole: NamespaceView, caller: Caller) -> Readable:
        """The same, for a caller that fetches what changed."""
        if self._idle(whole):
            return whole
        view = self._view(whole, caller)
        return view if self._prove(view, caller, fresh=not view.differs) else view.unproven

    def _idle(self, whole: NamespaceView) -> bool:
        return not self._routing.any_on(self._switched) or not whole.applications

    def _view(self, whole: NamespaceView, caller: Caller) -> RoutedView:
        scope = self._scopes.get(whole.namespace)
        if scope is None:
            scope = self._scopes[whole.namespace] = Scope(self._routing, whole.namespace, self._switched)
        key = whole, scope.kind_of(caller)
        view = self._views.get(key)
        if view is None:
            view = self._views[key] = RoutedView(whole, scope, key[1], self._clock, self._count)
            whole.followers.append(view)
            if len(self._views) > KEPT_VIEWS:
                (old, _), gone = self._views.popitem(last=False)
                old.followers.remove(gone)
        self._views.move_to_end(key)
        return view

    def _prove(self, view: RoutedView, caller: Caller, *, fresh: bool) -> bool:
        """Whether a caller holds this view. ``fresh``: whether one who was never seen holds it from now on."""
        now = self._clock.monotonic()
        key = view.namespace, view.reader, caller.address, caller.client
        seat = self._seats.pop(key, None)
        if seat is None or seat.view != view.number:
            if seat is not None:
                view.overtake()
            seat = _Seat(view.number, now if seat is None and fresh else now + PROOF_S)
        self._seats[key] = seat
        if len(self._seats) > KEPT_SEATS:
            self._seats.popitem(last=False)
        return seat.proven_s <= now

    def sweep(self) -> None:
        """Once a second: documents of views that are not read give room."""
        for view in list(self._views.values())[:-KEPT_DOCUMENTS]:
            view.forget_documents()
