"""What each Eureka call does: decides, calls the core, says which status the protocol answers with.

One function an operation, over decoded values; no HTTP. The rules are those of eureka-core 1.10 / 2.0 (InstanceResource,
AbstractInstanceRegistry), the differences on purpose are in the adapter's README.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import Final

from msgspec import Struct, structs

from polaris_bridge.core.auth.ports import Overseer
from polaris_bridge.core.auth.records import tell_refusal
from polaris_bridge.core.batches import SETTLED, Commit
from polaris_bridge.core.errors import Busy, CoreError, Denied, Unavailable
from polaris_bridge.core.events import OFFLINE, ONLINE, InstanceEvent
from polaris_bridge.core.model import (
    OUT_OF_SERVICE,
    UNKNOWN,
    UP,
    AddressKey,
    Caller,
    Registration,
    RegistrationKey,
    ServiceKey,
    Switch,
)
from polaris_bridge.core.ports import Authority, Credential, OpenDoor, Resource
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.routing.discovery import DiscoveryRouting

from .listing import ADDED, Entry
from .reading import Readable
from .routing import Routing
from .settings import EurekaSettings
from .translate import SOURCE, WORDS, Marks, lift, override_of, registration_key, render_own, service_hint
from .view import NamespaceView, Views
from .wire.messages import Action, InstanceInfo, ReplicationAnswer, ReplicationItem, first_defect

_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,19}\Z", re.ASCII)
_LONG_MAX: Final = 2**63 - 1
_BELIEVED: Final = (UP, OUT_OF_SERVICE)
"""Words that a client's registration does not set by itself when the server knows better."""


class Outcome(Struct, frozen=True):
    """How a call ended: its status, when that becomes true, and the instance to show with a 409."""

    status: int
    commit: Commit = SETTLED
    instance: InstanceInfo | None = None


READ: Final = "service:read"
"""What readers need a right to."""

OK: Final = Outcome(200)
NOT_FOUND: Final = Outcome(404)
FAILED: Final = Outcome(500)


class Anonymous(Denied):
    """Credentials are demanded and none, or wrong ones, were shown."""


Told = Callable[[str, ReplicationItem], None]
"""Takes a namespace, and a call as peers are told of it."""


class EurekaService:
    """The operations of one listener. Counts what clients do, for the server's own page and metrics."""

    def __init__(
        self,
        registry: Registry,
        settings: EurekaSettings,
        authority: Authority,
        routing: DiscoveryRouting | None = None,
    ) -> None:
        """``routing``: which instances look-ups are answered with, where rules are applied to them."""
        self.registry = registry
        self.settings = settings
        self.views = Views(registry, settings)
        self._authority = authority
        self._routing = None if routing is None else Routing(routing, registry.clock, settings.routing)
        self.renewals = 0
        self.started_ms = registry.clock.wall_ms()
        self.changes: deque[InstanceEvent] = deque(maxlen=2000)
        """The latest instances that came and went, oldest first."""
        self.told: list[Told] = []
        """Called for every change that a client, and no peer, made here, and for its heartbeats: to be passed on to peers."""
        self._renewal_marks: deque[int] = deque([0], maxlen=60)
        registry.events.append(self._note)

    # ------------------------------------------------------------------ time

    def sweep(self) -> None:
        """Once a second."""
        self._renewal_marks.append(self.renewals)
        self.views.sweep()
        if self._routing is not None:
            self._routing.sweep()

    @property
    def renewals_last_minute(self) -> int:
        """Heartbeats heard in the last sixty seconds."""
        return self.renewals - self._renewal_marks[0]

    def _note(self, event: InstanceEvent) -> None:
        if event.kind in (ONLINE, OFFLINE):
            self.changes.append(event)

    # ------------------------------------------------------------------ who may

    def admit(
        self, credential: Credential | None, operation: str, namespace: str, caller: Caller, app: str = ""
    ) -> Caller:
        """The caller with its principal, or ``Anonymous`` / ``Denied``. The one place where credentials are looked at.

        ``app``: the application that the call is about; empty: all of the namespace.
        """
        if credential is None:
            if self.settings.auth:
                raise self._unknown(caller, operation, namespace, "credentials are demanded")
            principal: str | None = ""
        else:
            try:
                principal = self._authority.authenticate(credential)
            except Denied as error:
                raise self._unknown(caller, operation, namespace, str(error)) from None
            if principal is None:
                raise self._unknown(caller, operation, namespace, "wrong credentials")
        if principal:
            caller = structs.replace(caller, principal=principal)
        for resource in self._resources(namespace, app):
            if not self._authority.allow(principal or "", operation, resource) and (
                app or operation != READ or not self.view(namespace, caller).applications
            ):
                denied = Denied(f"{principal or 'anonymous'} may not {operation} in {namespace} {app}")
                tell_refusal(self.registry, caller, operation, resource, denied)
                raise denied
        return caller

    def _unknown(self, caller: Caller, operation: str, namespace: str, why: str) -> Anonymous:
        error = Anonymous(why)
        tell_refusal(self.registry, caller, operation, Resource("namespace", namespace, namespace), error)
        return error

    def _resources(self, namespace: str, app: str) -> list[Resource]:
        """The services that an application's name means, whatever their spelling; the namespace when there is none yet."""
        if app and type(self._authority) is not OpenDoor:
            found = self.registry.same_name(namespace, app)
            if found:
                return [Resource("service", key.namespace, key.name) for key in found]
            return [Resource("service", namespace, app.lower())]
        return [Resource("namespace", namespace, namespace)]

    # ------------------------------------------------------------------ reading

    def view(self, namespace: str, caller: Caller | None = None) -> NamespaceView:
        """A namespace as readers see it; as much of it as ``caller`` may see."""
        authority, sees = self._authority, self._sees(caller)
        if caller is None or sees is None or not isinstance(authority, Overseer):
            return self.views.of(namespace)
        return self.views.partial(namespace, caller.principal, authority.revision, sees)

    def looked_up(self, whole: NamespaceView, caller: Caller) -> Readable:
        """What rules leave of a view for a client, where they are applied."""
        return whole if self._routing is None else self._routing.view(whole, caller)

    def everything(self, whole: NamespaceView, caller: Caller) -> Readable:
        """The same, for who fetches all of it."""
        return whole if self._routing is None else self._routing.full(whole, caller)

    def changed(self, whole: NamespaceView, caller: Caller) -> Readable:
        """The same, for who fetches what changed."""
        return whole if self._routing is None else self._routing.delta(whole, caller)

    def seen_changes(self, caller: Caller) -> Iterable[InstanceEvent]:
        """Those of ``changes`` that a caller may see."""
        sees = self._sees(caller)
        if sees is None:
            return self.changes
        judged = {key: sees(key) for key in {ServiceKey(event.namespace, event.service) for event in self.changes}}
        return [event for event in self.changes if judged[ServiceKey(event.namespace, event.service)]]

    def _sees(self, caller: Caller | None) -> Callable[[ServiceKey], bool] | None:
        """Whether a caller may see a service; None: it may see all."""
        authority = self._authority
        if caller is None or not isinstance(authority, Overseer) or authority.oversees(caller.principal, READ):
            return None
        principal = caller.principal
        return lambda key: authority.allow(principal, READ, Resource("service", key.namespace, key.name))

    # ------------------------------------------------------------------ register, renew, cancel

    def register(self, namespace: str, info: InstanceInfo, caller: Caller, replicated: bool) -> Outcome:
        """POST apps/{APP}: 204. The stored document stays when its dirty timestamp is greater; a new lease starts."""
        now_ms = self.registry.clock.wall_ms()
        key = registration_key(namespace, info.app, info.id or "")
        before = self.registry.newest(key)
        override = self._override(before)
        dirty_ms = info.last_dirty_ms if info.last_dirty_ms is not None else now_ms
        old: Marks | None = before.marks if before is not None else None
        documented = WORDS[info.overridden_status]
        outdated = old is not None and old.dirty_ms > dirty_ms
        sets_override = documented if override is None and documented != UNKNOWN and not outdated else None
        existing = before.reported if before is not None else None
        word = _decide(WORDS[info.status], override or sets_override, existing, replicated)
        up_since = old.service_up_ms if old else 0
        marks = Marks(dirty_ms, now_ms, up_since or (now_ms if word == UP else 0), replicated)
        with self.registry.transaction() as commit:
            if before is not None and old is not None and outdated:
                kept = _decide(before.reported, override, before.reported, replicated)
                marks = structs.replace(marks, dirty_ms=old.dirty_ms)
                r = structs.replace(before, reported=kept, marks=marks)
                self.registry.register(r, caller)
            else:
                service, exact = self.registry.spelling(namespace, info.app, service_hint(info))
                r = lift(info, namespace, service, word, marks, self.settings)
                self.registry.register(r, caller, exact=exact)
            if sets_override is not None:
                self._switch(r, sets_override, caller)
        self.views.keep(namespace)  # before it is published, so that the delta has it
        if self.told and not replicated:
            self._tell(namespace, info.app, info.id or "", "Register", commit)
        return Outcome(204, commit)

    def renew(
        self,
        namespace: str,
        app: str,
        id: str,
        dirty: str | None,
        overridden: str | None,
        replicated: bool,
        caller: Caller,
    ) -> Outcome:
        """PUT apps/{APP}/{id}: 200; 404 = register (again); 409 with ours when a peer holds an older document."""
        outcome = self._renew(namespace, app, id, dirty, overridden, replicated, caller)
        if self.told and not replicated and outcome is OK:
            self._tell(namespace, app, id, "Heartbeat")
        return outcome

    def _renew(
        self,
        namespace: str,
        app: str,
        id: str,
        dirty: str | None,
        overridden: str | None,
        replicated: bool,
        caller: Caller,
    ) -> Outcome:
        key = RegistrationKey(SOURCE, namespace, f"{app}/{id}")
        r = self.registry.renew(key)
        self.renewals += 1
        if r is None:
            return NOT_FOUND
        if r.reported != UP or replicated:
            override = self._override(r)
            word = _decide(r.reported, override, r.reported, replicated)
            if word == UNKNOWN:
                return NOT_FOUND
            if word != r.reported:
                self.registry.amend(key, lambda now: structs.replace(now, reported=word), caller, "status")
        if dirty is None:
            return OK
        stored = r.marks.dirty_ms
        sent = _number(dirty)
        if sent is None:
            return FAILED
        if sent > stored:
            if replicated and overridden in WORDS and overridden != "UNKNOWN":
                self._switch(r, WORDS[overridden], caller)
            return NOT_FOUND
        if sent < stored and replicated:
            return Outcome(409, instance=self._stored(r))
        return OK

    def cancel(self, namespace: str, app: str, id: str, caller: Caller, *, replicated: bool = False) -> Outcome:
        """DELETE apps/{APP}/{id}: 200, or 404 when nothing was registered through Eureka under that id."""
        done = self.registry.deregister(registration_key(namespace, app, id), caller)
        if done is None:
            return NOT_FOUND
        if self.told and not replicated:
            self._tell(namespace, app, id, "Cancel", done.commit)
        return Outcome(200, done.commit)

    # ------------------------------------------------------------------ status and metadata

    def set_status(
        self,
        namespace: str,
        app: str,
        id: str,
        value: str | None,
        dirty: str | None,
        caller: Caller,
        *,
        replicated: bool = False,
    ) -> Outcome:
        """PUT …/status: an operator's override. The same status again changes nothing."""
        key = registration_key(namespace, app, id)
        r = self.registry.renew(key)
        if r is None:
            return self._set_foreign_status(namespace, app, id, value, caller)
        word = WORDS.get(value or "")
        dirty_ms = _number(dirty) if dirty is not None else 0
        if word is None or dirty_ms is None:
            return FAILED
        if word == r.reported:
            return OK
        with self.registry.transaction() as commit:
            self._switch(r, word, caller)
            self.registry.amend(key, self._with_status(word, dirty_ms), caller, "status")
        if self.told and not replicated:
            self._tell(namespace, app, id, "StatusUpdate", commit, value)
        return Outcome(200, commit)

    def delete_status(
        self,
        namespace: str,
        app: str,
        id: str,
        value: str | None,
        dirty: str | None,
        caller: Caller,
        *,
        replicated: bool = False,
    ) -> Outcome:
        """DELETE …/status: the override ends and the status becomes ``value`` (UNKNOWN: the client registers again)."""
        key = registration_key(namespace, app, id)
        r = self.registry.renew(key)
        if r is None:
            return self._set_foreign_status(namespace, app, id, "UP", caller)
        word = UNKNOWN if value is None else WORDS.get(value)
        dirty_ms = _number(dirty) if dirty is not None else 0
        if word is None or dirty_ms is None:
            return FAILED
        if self._override(r) is None:
            return OK
        with self.registry.transaction() as commit:
            self._switch(r, UP, caller, on=False)
            self.registry.amend(key, self._with_status(word, dirty_ms), caller, "status")
        if self.told and not replicated:
            self._tell(namespace, app, id, "DeleteStatusOverride", commit, value)
        return Outcome(200, commit)

    def set_metadata(self, namespace: str, app: str, id: str, pairs: Mapping[str, str], caller: Caller) -> Outcome:
        """PUT …/metadata: merged into what is there, and a new lease begins."""
        key = registration_key(namespace, app, id)
        if self.registry.newest(key) is None:
            return NOT_FOUND
        if not pairs:
            return OK
        now_ms = self.registry.clock.wall_ms()

        def merged(r: Registration) -> Registration:
            marks = structs.replace(r.marks, registered_ms=now_ms)
            return structs.replace(r, metadata={**r.metadata, **pairs}, marks=marks)

        done = self.registry.amend(key, merged, caller, "metadata", renews=True)
        return NOT_FOUND if done is None else Outcome(200, done.commit)

    # ------------------------------------------------------------------ peers

    def replicate(
        self, namespace: str, items: list[ReplicationItem], caller: Caller
    ) -> Generator[None, None, tuple[list[ReplicationAnswer], Commit]]:
        """POST peerreplication/batch: each item as its single call with the replication header, in order.

        Work in slices: yields after every item, returns the answers and the commit of the last change.
        """
        answers = []
        commit = SETTLED
        for item in items:
            try:
                outcome = self._replicate_one(namespace, item, caller)
            except (Busy, Unavailable):
                if commit is SETTLED:  # nothing was done yet: the peer sends the whole batch again
                    raise
                outcome = Outcome(503)
            except CoreError:
                outcome = Outcome(400)
            if outcome.commit is not SETTLED:
                commit = outcome.commit  # the last is enough: a transaction that fails takes the later ones with it
            status = 200 if outcome.status == 204 else outcome.status
            answers.append(ReplicationAnswer(status, outcome.instance))
            yield
        return answers, commit

    def _replicate_one(self, namespace: str, item: ReplicationItem, caller: Caller) -> Outcome:
        app, id = (item.app_name or "").upper(), item.id or ""
        dirty = None if item.last_dirty_ms is None else str(item.last_dirty_ms)
        match item.action:
            case "Register":
                if item.instance is None:
                    return FAILED
                if first_defect(item.instance, app) is not None:
                    return OK  # a real server ignores what it refuses here
                return self.register(namespace, item.instance, caller, True)
            case "Heartbeat":
                return self.renew(namespace, app, id, dirty, item.overridden_status, True, caller)
            case "StatusUpdate":
                return self.set_status(namespace, app, id, item.status, dirty, caller, replicated=True)
            case "DeleteStatusOverride":
                return self.delete_status(namespace, app, id, item.status, dirty, caller, replicated=True)
            case "Cancel":
                return self.cancel(namespace, app, id, caller, replicated=True)
            case _:
                return FAILED

    def stored(self, namespace: str, app: str, id: str) -> InstanceInfo | None:
        """An instance that registered through Eureka, as it is stored now; None when there is none."""
        r = self.registry.newest(registration_key(namespace, app, id))
        return None if r is None else self._stored(r)

    def _tell(
        self, namespace: str, app: str, id: str, action: Action, commit: Commit = SETTLED, value: str | None = None
    ) -> None:
        """Tell of a call of a client once it is durable. ``value``: the status it named."""
        info = None if action == "Cancel" else self.stored(namespace, app, id)
        if info is None:
            item = ReplicationItem(app, id, action)
        else:
            word = info.status if value is None else value
            body = info if action == "Register" else None
            item = ReplicationItem(app, id, action, info.last_dirty_ms, word, info.overridden_status, body)

        def tell(error: Exception | None) -> None:
            if error is None:
                for told in self.told:
                    told(namespace, item)

        commit.then(tell)

    # ------------------------------------------------------------------ pieces

    def _override(self, r: Registration | None) -> str | None:
        if r is None:
            return None
        return override_of(self.registry.newest_address(r.service_key, r.address), r.key)

    def _switch(self, r: Registration, word: str, caller: Caller, *, on: bool = True) -> None:
        self.registry.switch(r.service_key, r.address, Switch(SOURCE, r.key, word), caller, on=on)

    def _with_status(self, word: str, dirty_ms: int) -> Callable[[Registration], Registration]:
        now_ms = self.registry.clock.wall_ms()

        def change(r: Registration) -> Registration:
            m: Marks = r.marks
            up_since = m.service_up_ms or (now_ms if word == UP else 0)
            marks = structs.replace(m, dirty_ms=max(m.dirty_ms, dirty_ms), service_up_ms=up_since)
            return structs.replace(r, reported=word, marks=marks)

        return change

    def _set_foreign_status(self, namespace: str, app: str, id: str, value: str | None, caller: Caller) -> Outcome:
        """An override on an instance that another protocol registered and this one lists: a switch on its address."""
        entry: Entry | None = self.view(namespace).entry(app, id)
        if entry is None or entry.own:
            return NOT_FOUND
        word = WORDS.get(value or "")
        if word is None:
            return FAILED
        commit = SETTLED
        service, place = entry.service, entry.place
        with self.registry.transaction():
            if word != UP:
                commit = self.registry.switch(service, place, Switch(SOURCE, "", word), caller) or SETTLED
            else:
                commit = self._release_all(service, place, caller)
        return Outcome(200, commit)

    def _release_all(self, service: ServiceKey, place: AddressKey, caller: Caller) -> Commit:
        commit = self.registry.switch(service, place, Switch(SOURCE, "", UP), caller, on=False) or SETTLED
        address = self.registry.newest_address(service, place)
        for switch in address.switches if address is not None else ():
            if switch.source == SOURCE:
                commit = self.registry.switch(service, place, switch, caller, on=False) or commit
        return commit

    def _stored(self, r: Registration) -> InstanceInfo:
        return render_own(r, r.reported, self._override(r), ADDED, self.registry.last_renewed_ms(r))


def _decide(word: str, override: str | None, existing: str | None, replicated: bool) -> str:
    """The status rule, first match wins: a word that withdraws, the override, what the lease already says, the word."""
    if word not in _BELIEVED:
        return word
    if override is not None:
        return override
    if not replicated and existing in _BELIEVED and existing is not None:
        return existing
    return word


def _number(text: str) -> int | None:
    """A decimal 64-bit number as Java's Long reads it; None when it is none."""
    if not _NUMBER.match(text):
        return None
    value = int(text)
    return value if -_LONG_MAX - 1 <= value <= _LONG_MAX else None
