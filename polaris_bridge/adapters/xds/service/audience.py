"""Who subscribes to resources of one type in one view, and what they are told: worked out and encoded once for all who ask for
the same and have the same.

What a client was told is a ``Held``, shared by all who were told the same. So a change is found out once for each different
``Held`` of a ``Group`` (those with the same subscription), and a client that is up to date costs a look into a dict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from polaris_bridge.adapters._shared.slices import Work
from polaris_bridge.adapters.xds.resources import View

from .steps import PORTION, Held, Making, Scope, Step, Steps, finished

if TYPE_CHECKING:
    from .subscription import Subscription

NARROW: Final = 16
"""Up to so many names a group is found by them; others are compared with each change."""
SMALL: Final = 4 * PORTION
"""Up to so many names a step is worked out in one go."""
MAX_KEPT: Final = 16 * 1024 * 1024
"""Octets of encoded answers that are kept for whoever asks the same, until something changes."""
MAX_STEPS: Final = 4096
"""The same, counted."""

Key = tuple[object, ...]


class Group:
    """Everybody with the same subscription to one type in one view."""

    __slots__ = ("members", "scope")

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.members: dict[Subscription, None] = {}

    @property
    def narrow(self) -> bool:
        """Whether it is found by its names."""
        return not self.scope.wildcard and len(self.scope.names) <= NARROW


class Building(Exception):
    """What is to be told takes a while to work out: to be done in slices. The result is a ``Step``."""

    def __init__(self, key: Key, work: Work) -> None:
        super().__init__()
        self.key = key
        self.work = work


class Audience:
    """The subscribers of one type in one view, and the answers to them."""

    def __init__(self, view: View, type_url: str) -> None:
        self.view = view
        self.type_url = type_url
        self.at = view.stamp(type_url)
        """Up to where its members were looked through for whom a change concerns."""
        self._made = Steps(view, type_url)
        self._groups: dict[Scope, Group] = {}
        self._narrow: dict[str, dict[Group, None]] = {}
        self._wide: dict[Group, None] = {}
        self._stamp = -1
        self._steps: dict[Key, tuple[Held, Step]] = {}
        self._kept = 0

    def __bool__(self) -> bool:
        return bool(self._groups)

    @property
    def oversized(self) -> int:
        """Responses that were larger than what every client takes."""
        return self._made.oversized

    # ------------------------------------------------------------------ who

    def enter(self, member: Subscription, scope: Scope) -> Group:
        """The group of a subscription, which it is a member of from now on."""
        group = self._groups.get(scope)
        if group is None:
            group = self._groups[scope] = Group(scope)
            if group.narrow:
                for name in scope.names:
                    self._narrow.setdefault(name, {})[group] = None
            else:
                self._wide[group] = None
        group.members[member] = None
        return group

    def leave(self, member: Subscription, group: Group) -> None:
        """No member any more."""
        del group.members[member]
        if group.members:
            return
        del self._groups[group.scope]
        if not group.narrow:
            del self._wide[group]
            return
        for name in group.scope.names:
            found = self._narrow[name]
            del found[group]
            if not found:
                del self._narrow[name]

    def concerned(self, names: frozenset[str] | None) -> Iterator[Group]:
        """The groups that a change of these names concerns; None: every one."""
        if names is None:
            yield from self._groups.values()
            return
        found: dict[Group, None] = {}
        for name in names:
            found.update(self._narrow.get(name, ()))
        yield from found
        for group in self._wide:
            if group.scope.wildcard or not group.scope.names.isdisjoint(names):
                yield group

    # ------------------------------------------------------------------ what

    def asked(self, sub: Subscription) -> Step:
        """The answer to what a subscriber has asked for. Raises ``Building``."""
        delta, scope, held, names, must = sub.stream.delta, sub.group.scope, sub.held, sub.asked, sub.must
        key = "asked", delta, sub.group, id(held), names, must
        return self._step(key, sub, lambda: names, lambda: self._made.answer(delta, scope, held, names, must))

    def changed(self, sub: Subscription, leaving: frozenset[str] | None) -> Step:
        """What a subscriber has to be told after changes; ``leaving``: see ``Steps.change``. Raises ``Building``."""
        delta, scope, held, since, again = sub.stream.delta, sub.group.scope, sub.held, sub.since, sub.again
        key = "changed", delta, sub.group, id(held), since, again, leaving
        return self._step(
            key,
            sub,
            lambda: self._made.since(scope, since),
            lambda: self._made.change(delta, scope, held, since, again, leaving),
        )

    def _step(
        self, key: Key, sub: Subscription, wanted: Callable[[], frozenset[str] | None], make: Callable[[], Making]
    ) -> Step:
        prepared, sub.prepared = sub.prepared, None
        if prepared is not None and prepared[0] == key:
            return prepared[1]
        stamp = self.view.stamp(self.type_url)
        if stamp != self._stamp:
            self._stamp = stamp
            self._forget()
        known = self._steps.get(key)
        if known is not None:
            return known[1]
        scope, names = sub.group.scope, wanted()
        if names is None and not scope.wildcard:
            names = scope.names
        ahead = self.view.ahead(self.type_url, names)
        if ahead is None and len(self.view.all(self.type_url) if names is None else names) <= SMALL:
            step = finished(make())
            self._keep(key, sub.held, step)
            return step
        raise Building(key, self._work(key, sub.held, ahead, make))

    def _work(self, key: Key, held: Held, ahead: Work | None, make: Callable[[], Making]) -> Work:
        if ahead is not None:
            yield from ahead
        step = yield from make()
        self._keep(key, held, step)
        return step

    def _keep(self, key: Key, held: Held, step: Step) -> None:
        """For who asks the same, unless something has changed meanwhile."""
        if step.stamp != self._stamp:
            return
        self._kept += sum(map(len, step.bodies))
        if self._kept > MAX_KEPT or len(self._steps) >= MAX_STEPS:
            self._forget()
        self._steps[key] = held, step  # with ``held``, so that its id stays its own

    def _forget(self) -> None:
        self._steps = {}
        self._kept = 0
