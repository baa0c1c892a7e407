"""Resources as policies name them: ids of the native protocol to what the core knows, and back."""

from __future__ import annotations

from polaris_bridge.adapters.polaris.translate.auth import entries
from polaris_bridge.adapters.polaris.translate.services import service_id
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.auth.values import ACCOUNTS, ANY, CONFIG_GROUP, NAMESPACE, SERVICE, Grant
from polaris_bridge.core.config.model import GroupKey
from polaris_bridge.core.model import ServiceKey, ServiceRecord

from .desk import Desk


class Resources:
    """Looks up what is granted. Services and groups of configuration files are granted by name, so that a grant outlives one
    that comes and goes."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._registry = desk.registry

    # ------------------------------------------------------------------ in

    def grants(self, resources: v1.StrategyResources) -> tuple[tuple[Grant, ...], int]:
        """What is named, and 200000 or what is wrong with it (400305, 400301)."""
        found: dict[Grant, None] = {}
        for kind, entry in entries(resources):
            grant = self._grant(kind, entry)
            if grant is None:
                return (), v1.NotFoundNamespace if kind == NAMESPACE else v1.NotFoundService
            found[grant] = None
        return tuple(found), v1.ExecuteSuccess

    def _grant(self, kind: str, entry: v1.StrategyResourceEntry) -> Grant | None:
        id = entry.id.value
        if id == ANY:
            return Grant(kind, ANY)
        if kind == NAMESPACE:
            name = id or entry.name.value
            return None if self._registry.ledger.namespace(name) is None else Grant(NAMESPACE, name)
        if kind == SERVICE:
            record = self._service(entry)
            return None if record is None else Grant(SERVICE, "", record.namespace, record.name)
        if kind != CONFIG_GROUP:
            return Grant(kind, id)
        if not id:
            return Grant(kind, "", entry.namespace.value, entry.name.value)
        group = next((g for g in self._registry.config.reading.groups() if str(g.id) == id), None)
        return Grant(kind, id) if group is None else Grant(kind, "", *group.key)

    def _service(self, entry: v1.StrategyResourceEntry) -> ServiceRecord | None:
        id = entry.id.value
        if not id:
            key = ServiceKey(entry.namespace.value, entry.name.value)
            return self._registry.ledger.service(key).record
        for snapshot in self._registry:
            if snapshot.record is not None and service_id(snapshot.record) == id:
                return snapshot.record
        return None

    def removed(self, resources: v1.StrategyResources, grants: tuple[Grant, ...]) -> frozenset[Grant]:
        """Which of the grants are meant by what is to be taken out. What is not there any more can be taken out too."""
        gone = set()
        for kind, entry in entries(resources):
            named = self._grant(kind, entry)
            ids = {entry.id.value, entry.name.value} - {""}
            gone |= {g for g in grants if g == named or (g.kind == kind and g.id in ids)}
        return frozenset(gone)

    # ------------------------------------------------------------------ out

    def shown(self, grant: Grant) -> tuple[str, str, str] | None:
        """See ``translate.auth.Shown``."""
        kind, id = grant.kind, grant.id
        if kind == NAMESPACE:
            return None if self._registry.ledger.namespaces.get(id) is None else (id, id, id)
        if kind == SERVICE:
            record = self._registry.snapshot(ServiceKey(grant.namespace, grant.name)).record
            return None if record is None else (service_id(record), record.namespace, record.name)
        if kind in ACCOUNTS:
            name = self._desk.name_of(kind, id)
            return None if name is None else (id, "", name)
        if kind == CONFIG_GROUP:
            group = self._registry.config.reading.group(GroupKey(grant.namespace, grant.name))
            return None if group is None else (str(group.id), *group.key)
        document = self._registry.documents.get(kind, id)
        return None if document is None else (id, document.namespace, document.name)

    def matches(self, grant: Grant, kind: str, id: str) -> bool:
        """Whether a grant is the one of a kind that a console asks for by id."""
        if grant.kind != kind:
            return False
        if id in (grant.id, grant.name):
            return True
        shown = self.shown(grant)
        return shown is not None and shown[0] == id
