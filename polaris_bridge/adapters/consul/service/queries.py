"""Prepared queries: kept, found by id, name or template, and executed over this server's datacenters."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any, Final

from msgspec import Struct, structs

from polaris_bridge.adapters.consul.settings import ConsulSettings
from polaris_bridge.adapters.consul.view import Reading
from polaris_bridge.adapters.consul.view_instances import Instance
from polaris_bridge.adapters.consul.wire import query as wire
from polaris_bridge.adapters.consul.wire.durations import quoted
from polaris_bridge.adapters.consul.wire.query import Query
from polaris_bridge.adapters.consul.wire.refusals import failed
from polaris_bridge.core.batches import Commit
from polaris_bridge.core.kv.model import KeySession
from polaris_bridge.core.model import CRITICAL, PASSING, Caller, Document
from polaris_bridge.core.ports import Ids
from polaris_bridge.core.registry import Registry

from .catalog import Catalog
from .dns import Executed, Shuffle
from .selecting import has_meta

KIND: Final = "consul-query"
"""Kind of documents that hold them."""
_VARIABLE: Final = re.compile(r"\$\{\s*(name\.full|name\.prefix|name\.suffix|agent\.segment|match\(\s*(\d+)\s*\))\s*\}")

Groups = Callable[[str, str], list[str] | None]
"""The groups of a regular expression in a text, the whole first; None: it does not match. Raises ``ValueError``."""


class Result(Struct, frozen=True):
    """What an execution came to."""

    query: Query
    instances: list[Instance]
    datacenter: str
    failovers: int
    sorted: bool


class Queries:
    """See the module."""

    def __init__(
        self,
        registry: Registry,
        settings: ConsulSettings,
        catalog: Catalog,
        ids: Ids,
        shuffle: Shuffle,
        groups: Groups,
        node_of: Callable[[str], str],
    ) -> None:
        """``node_of``: the node of a client's address."""
        self._registry = registry
        self._settings = settings
        self._catalog = catalog
        self._ids = ids
        self._shuffle = shuffle
        self._groups = groups
        self._node_of = node_of
        registry.kv.sessions.ending.append(self._session_ends)

    # ------------------------------------------------------------------ kept

    @property
    def index(self) -> int:
        """Of all of them."""
        return max(1, self._registry.documents.revision(KIND))

    def all(self, namespace: str) -> list[Query]:
        """Every query of a datacenter."""
        found = (d for d in self._registry.documents.all(KIND) if d.namespace == namespace)
        return [_shown(d) for d in sorted(found, key=lambda d: d.id)]

    def get(self, namespace: str, id: str) -> Query:
        """One by its id. Raises ``Refused`` (404)."""
        kept = self._registry.documents.get(KIND, id)
        if kept is None or kept.namespace != namespace:
            raise wire.NOT_FOUND
        return _shown(kept)

    def create(self, namespace: str, query: Query, caller: Caller) -> tuple[str, Commit]:
        """Keep a new one; its id. Raises ``Refused``."""
        if query.id:
            raise failed("ID must be empty when creating a new prepared query")
        id = str(uuid.UUID(self._ids.unique()))
        return id, self._put(namespace, structs.replace(query, id=id), caller)

    def update(self, namespace: str, id: str, query: Query, caller: Caller) -> Commit:
        """Replace one. Raises ``Refused``."""
        if self._registry.documents.newest(KIND, id) is None:
            raise failed(f"Cannot modify non-existent prepared query: '{id}'")
        return self._put(namespace, structs.replace(query, id=id), caller)

    def delete(self, id: str, caller: Caller) -> Commit | None:
        """Forget one; None: there was none."""
        return self._registry.documents.delete(KIND, id, caller)

    def _session_ends(self, session: KeySession, caller: Caller) -> None:
        """A query that is bound to a session goes with it, in one command."""
        for kept in self._registry.documents.newest_all(KIND):
            if kept.namespace == session.namespace and wire.decode(kept.body).session == session.id:
                self._registry.documents.delete(KIND, kept.id, caller)

    def _put(self, namespace: str, query: Query, caller: Caller) -> Commit:
        if query.session and self._registry.kv.sessions.newest(query.session) is None:
            raise failed(f"invalid session {quoted(query.session)}")
        for kept in self._registry.documents.newest_all(KIND):
            if kept.namespace != namespace or kept.id == query.id:
                continue
            if query.name and kept.name == query.name:
                raise failed(f"name '{query.name}' aliases an existing query name")
            if query.template.type and not query.name and not kept.name and kept.priority:
                raise failed("a catch-all query template is already registered")
        if query.template.regexp:
            try:
                self._groups(query.template.regexp, "")
            except ValueError as error:
                raise failed(f"Bad template: Bad Regexp: {error}") from None
        before = self._registry.documents.newest(KIND, query.id)
        created = query.create_index if before is None else wire.decode(before.body).create_index
        kept_query = structs.replace(
            query, create_index=created or self._registry.ledger.next_revision(), modify_index=0
        )
        template = 1 if query.template.type else 0
        document = Document(KIND, query.id, namespace, query.name, priority=template, body=wire.encode(kept_query))
        return self._registry.documents.put(document, caller)

    # ------------------------------------------------------------------ found

    def find(self, namespace: str, id_or_name: str) -> Query | None:
        """By id, by name, or by the template whose name is the longest beginning of this one."""
        kept = self._registry.documents.get(KIND, id_or_name)
        if kept is not None and kept.namespace == namespace:
            return _shown(kept)
        best: Document | None = None
        for kept in self._registry.documents.all(KIND):
            if kept.namespace != namespace:
                continue
            if kept.name == id_or_name and not kept.priority:
                return _shown(kept)
            fits = kept.priority and id_or_name.startswith(kept.name)
            if fits and (best is None or len(kept.name) > len(best.name)):
                best = kept
        return None if best is None else self.rendered(_shown(best), id_or_name)

    def rendered(self, query: Query, name: str) -> Query:
        """A template with its variables replaced for a name. Raises ``Refused``."""
        if not query.template.type:
            raise failed("prepared query is not a template")
        groups = None
        if query.template.regexp:
            try:
                groups = self._groups(query.template.regexp, name)
            except ValueError as error:
                raise failed(f"Bad Regexp: {error}") from None
        known = {
            "name.full": name,
            "name.prefix": query.name,
            "name.suffix": name[len(query.name) :],
            "agent.segment": "",
        }

        def value(found: re.Match[str]) -> str:
            if found[2] is None:
                return known[found[1]]
            number = int(found[2])
            return groups[number] if groups is not None and number < len(groups) else ""

        return structs.replace(query, service=_replaced(query, value))

    # ------------------------------------------------------------------ executed

    def execute(self, seen: Reading, namespace: str, query: Query, near: str, limit: int, peer: str) -> Result:
        """Look for instances here, then where the query says. ``seen``: as the client sees services; ``peer``: its address."""
        datacenter, failovers = self._named(namespace), 0
        found = self._instances(seen, namespace, query)
        if not found:
            for name, elsewhere in self._others(namespace, query):
                failovers += 1
                found = self._instances(seen, elsewhere, query)
                if found:
                    datacenter = name
                    break
        near = near or query.service.near
        if near in ("_agent", "_ip"):
            near = self._node_of(peer)
        self._shuffle(found)
        if near:
            found.sort(key=lambda i: i.order[0] != near.lower())
        return Result(query, found[:limit] if limit > 0 else found, datacenter, failovers, bool(near))

    def executed(self, seen: Reading, namespace: str, name: str, peer: str) -> Executed | None:
        """See ``dns.Queries``; names are found in any case."""
        query = self.find(namespace, name) or self._folded(namespace, name)
        if query is None:
            return None
        result = self.execute(seen, namespace, query, "", 0, peer)
        return Executed(result.instances, wire.ttl_s(query), result.sorted)

    def _folded(self, namespace: str, name: str) -> Query | None:
        return next((q for q in self.all(namespace) if q.name.lower() == name and not q.template.type), None)

    def _instances(self, seen: Reading, namespace: str, query: Query) -> list[Instance]:
        wanted = query.service
        if wanted.connect:
            return []
        ignored = frozenset(wanted.ignore_check_ids)
        return [
            i
            for i in self._catalog.instances(seen, namespace, wanted.service)
            if _healthy(i, wanted.only_passing, ignored)
            and _tagged(i, wanted.tags)
            and has_meta(i.node.shape.meta, wanted.node_meta)
            and has_meta(i.service.meta, wanted.service_meta)
        ]

    def _others(self, namespace: str, query: Query) -> Iterator[tuple[str, str]]:
        """Datacenter and namespace of where to look next."""
        failover, known = query.service.failover, self._settings.datacenters
        names = [name for name in sorted(known) if known[name] != namespace][: failover.nearest_n]
        names += [name for name in failover.datacenters if name not in names]
        names += [t["Datacenter"] for t in failover.targets if t.get("Datacenter") and not t.get("Peer")]
        for name in names:
            if name in known and known[name] != namespace:
                yield name, known[name]

    def _named(self, namespace: str) -> str:
        found = (name for name, of in self._settings.datacenters.items() if of == namespace)
        return next(found, self._settings.datacenter)


def _shown(kept: Document) -> Query:
    return structs.replace(wire.decode(kept.body), modify_index=kept.revision)


def _healthy(i: Instance, only_passing: bool, ignored: frozenset[str]) -> bool:
    states = [c.status for c in (*i.node.checks, *i.checks) if c.check_id not in ignored]
    return all(s == PASSING for s in states) if only_passing else CRITICAL not in states


def _tagged(i: Instance, tags: tuple[str, ...]) -> bool:
    have = {tag.lower() for tag in i.service.tags}
    return all((tag[1:].lower() not in have) if tag.startswith("!") else tag.lower() in have for tag in tags if tag)


def _replaced(query: Query, value: Callable[[re.Match[str]], str]) -> Any:
    def text(found: str) -> str:
        return _VARIABLE.sub(value, found)

    s = query.service
    tags = tuple(map(text, s.tags))
    if query.template.remove_empty_tags:
        tags = tuple(tag for tag in tags if tag)
    return structs.replace(
        s,
        service=text(s.service),
        near=text(s.near),
        tags=tags,
        node_meta={key: text(each) for key, each in s.node_meta.items()},
        service_meta={key: text(each) for key, each in s.service_meta.items()},
        failover=structs.replace(s.failover, datacenters=tuple(map(text, s.failover.datacenters))),
    )
