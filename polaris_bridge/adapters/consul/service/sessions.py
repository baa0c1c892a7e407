"""Sessions: made, renewed and ended by clients; ended too when their node goes, or one of their checks fails or goes.

Rules and texts of Consul 1.20. Whoever waits for locks is woken by the keys that a lost session held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from polaris_bridge.adapters.consul.settings import ConsulSettings
from polaris_bridge.adapters.consul.translate import checks as checking
from polaris_bridge.adapters.consul.translate.keys import CHECK, NODE, SOURCE, Document, NodeKey
from polaris_bridge.adapters.consul.wire.refusals import failed
from polaris_bridge.adapters.consul.wire.session import MAX_LOCK_DELAY_NS, SERF, SessionRequest, SessionShape, shape
from polaris_bridge.core import model
from polaris_bridge.core.batches import Commit
from polaris_bridge.core.events import Published
from polaris_bridge.core.kv.keeping import SESSION
from polaris_bridge.core.kv.model import KeySession
from polaris_bridge.core.kv.watching import KeyWatcher, SessionScope
from polaris_bridge.core.model import CRITICAL, Caller, Checks, Registration
from polaris_bridge.core.ports import Ids
from polaris_bridge.core.registry import Registry

from .events import dashed
from .index import Index
from .nodes import Nodes

_MS: Final = 1_000_000


class Sessions:
    """The sessions of one listener's datacenters."""

    def __init__(self, registry: Registry, settings: ConsulSettings, index: Index, nodes: Nodes, ids: Ids) -> None:
        self._registry = registry
        self._settings = settings
        self._sessions = registry.kv.sessions
        self._index = index
        self._nodes = nodes
        self._ids = ids
        self._audited = False
        nodes.holders.append(self._holds)
        registry.observe(self._published)

    # ------------------------------------------------------------------ commands

    def create(self, namespace: str, asked: SessionRequest, caller: Caller) -> tuple[str, Commit]:
        """A new session: its id. Raises ``Refused`` for a node or a check that is not there, or a check that fails."""
        own = NodeKey(namespace, self._nodes.of_caller(caller))
        node = NodeKey(namespace, asked.node) if asked.node else own
        known = self._nodes.newest(node)
        foreign = node.name.lower() == self._settings.foreign_node.lower()
        if known is None and not foreign and node.folded != own.folded:
            raise failed("apply failed: Missing node registration")
        for id in asked.check_ids:
            self._check(node, id)
        id = dashed(self._ids.unique())
        while self._sessions.newest(id) is not None:
            id = dashed(self._ids.unique())
        session = KeySession(
            id,
            namespace,
            asked.name,
            node.name,
            asked.ttl_ns // _MS,
            min(asked.lock_delay_ns, MAX_LOCK_DELAY_NS) // _MS,
            asked.behaviour,
            (_node(node), *(_of_check(node, id) for id in asked.check_ids)),
            {SOURCE: msgspec.to_builtins(asked)},
        )
        with self._registry.transaction() as commit:
            if known is None and not foreign:
                self._nodes.ensure(node, caller)
            self._sessions.create(session, caller)
        return session.id, commit

    def _check(self, node: NodeKey, id: str) -> None:
        if id == SERF:
            return
        live = self._index.check(node, id)
        if live is None:
            raise failed(f"apply failed: Missing check '{id}' registration")
        if live.status == CRITICAL:
            raise failed(f"apply failed: Check '{id}' is in {CRITICAL} state")

    def destroy(self, namespace: str, id: str, caller: Caller) -> Commit | None:
        """End a session. None when there is none."""
        session = self._sessions.newest(id.lower())
        if session is None or session.namespace != namespace:
            return None
        return self._sessions.destroy(session.id, caller)

    def renew(self, namespace: str, id: str) -> SessionShape | None:
        """A sign of life. None when there is no such session."""
        session = self._sessions.newest(id.lower())
        if session is None or session.namespace != namespace:
            return None
        self._sessions.renew(session.id)
        return _shown(session)

    # ------------------------------------------------------------------ queries

    @property
    def index(self) -> int:
        """The index of every list of sessions."""
        return max(1, self._sessions.index)

    def node_of(self, namespace: str, id: str) -> str | None:
        """The node of a session in the newest state; None: there is no such session."""
        session = self._sessions.newest(id.lower())
        return None if session is None or session.namespace != namespace else session.node

    def get(self, namespace: str, id: str) -> list[SessionShape]:
        """One session, or none."""
        session = self._sessions.get(id.lower())
        return [] if session is None or session.namespace != namespace else [_shown(session)]

    def of_node(self, namespace: str, node: str) -> list[SessionShape]:
        """Those of a node."""
        return [_shown(session) for session in self._sessions.of_node(namespace, node)]

    def all(self, namespace: str) -> list[SessionShape]:
        """Those of a datacenter."""
        return [_shown(session) for session in self._sessions.all(namespace)]

    def watch(self, namespace: str, fire: Callable[[], None]) -> KeyWatcher:
        """What wakes a reader of sessions; not armed yet."""
        return self._registry.kv.watches.key_watcher((SessionScope(namespace),), fire)

    def _holds(self, folded: NodeKey) -> bool:
        return bool(self._sessions.of_node(*folded))

    # ------------------------------------------------------------------ what sessions depend on

    def sweep(self) -> None:
        """Once a second. The first time: what was lost just before a restart is found."""
        if self._audited:
            return
        self._audited = True
        for namespace in dict.fromkeys(self._settings.datacenters.values()):
            for session in self._sessions.all(namespace):
                self._audit(session)

    def _audit(self, session: KeySession) -> None:
        """Find what a session has lost already."""
        asked, node = _asked(session), NodeKey(session.namespace, session.node)
        foreign = node.name.lower() == self._settings.foreign_node.lower()
        if not foreign and self._nodes.newest(node) is None:
            self._sessions.lost(_node(node))
        for id in asked.check_ids:
            live = self._index.check(node, id)
            if id != SERF and (live is None or live.status == CRITICAL):
                self._sessions.lost(_of_check(node, id))

    def _published(self, published: Published) -> None:
        if not len(self._sessions):
            return
        for change in published.changes:
            before, after = change.before, change.after
            now = {r.key: r for r in after.registrations if r.source == SOURCE} if after is not None else {}
            was = {r.key: r for r in before.registrations if r.source == SOURCE} if before is not None else {}
            for key in was.keys() | now.keys():
                r = now.get(key)
                if r is not was.get(key):
                    self._follow(was.get(key), r)
        for document in published.documents:
            if document.kind == NODE and document.after is None and document.before is not None:
                self._sessions.lost(_node(NodeKey(document.before.namespace, document.before.name)))
            elif document.kind == CHECK:
                self._follow_check(document.before, document.after)
            elif document.kind == SESSION and document.before is None:
                session = self._sessions.get(document.id)
                if session is not None and SOURCE in session.ext:  # a check may have failed while it was being stored
                    self._audit(session)

    def _follow(self, was: Registration | None, now: Registration | None) -> None:
        """A service changed: the sessions on those of its checks that fail now, or are gone, are lost."""
        if now is None and was is not None and (moved := self._registry.registration(was.id)) is not None:
            now = moved  # to another address
        states = _states(now)
        for node, id in _checks(was):
            if id not in states and self._index.check(node, id) is None:  # it may be another service's now
                self._sessions.lost(_of_check(node, id))
        for node, id in _checks(now):
            if states.get(id) == CRITICAL:
                self._sessions.lost(_of_check(node, id))

    def _follow_check(self, was: model.Document | None, now: model.Document | None) -> None:
        kept = now or was
        if kept is None:
            return
        check = checking.of_document(kept)
        if now is None or check.status == CRITICAL:
            self._sessions.lost(_of_check(checking.node_of(kept), check.id))


def _states(r: Registration | None) -> dict[str, str]:
    return r.liveness.states if r is not None and isinstance(r.liveness, Checks) else {}


def _checks(r: Registration | None) -> Iterator[tuple[NodeKey, str]]:
    if r is not None and isinstance(r.ext, Document):
        node = NodeKey(r.namespace, r.ext.node)
        for record in r.ext.checks:
            yield node, record.id


def _node(node: NodeKey) -> str:
    """What a session on a node depends on."""
    return f"{SOURCE}-node|{node.document}"


def _of_check(node: NodeKey, id: str) -> str:
    """What a session with a check depends on."""
    return f"{SOURCE}-check|{node.document}|{id}"


def _asked(session: KeySession) -> SessionRequest:
    said: Any = session.ext.get(SOURCE)
    return msgspec.convert(said, SessionRequest) if isinstance(said, dict) else SessionRequest(name=session.name)


def _shown(session: KeySession) -> SessionShape:
    return shape(session.id, session.node, _asked(session), session.revision)
