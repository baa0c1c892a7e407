"""Namespaces as Nacos consoles list, make, rename and delete them.

Naming accepts every id. One that nobody made but a Nacos client used is in no list, as on the real server (2.5.1); those of
other protocols are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct, structs

from polaris_bridge.adapters.nacos.translate.keys import SOURCE
from polaris_bridge.adapters.nacos.translate.names import Spaces
from polaris_bridge.adapters.nacos.wire import codes
from polaris_bridge.adapters.nacos.wire.messages import PUBLIC, Refused
from polaris_bridge.core.batches import SETTLED, Commit
from polaris_bridge.core.errors import Conflict
from polaris_bridge.core.model import Caller, NamespaceRecord
from polaris_bridge.core.ports import Ids
from polaris_bridge.core.registry import Registry

QUOTA: Final = 200
"""Configurations that a namespace may have, as it is shown; nobody counts."""
_PUBLIC_TYPE: Final = 0
_MADE_TYPE: Final = 2
_OURS: Final = "Polaris"
"""Where the server registers itself: nobody's business here."""


class Namespace(Struct, frozen=True, gc=False):
    """A namespace as consoles see it."""

    id: str
    """``public`` for the default one; consoles of 2.x are shown "" there."""
    name: str
    description: str
    config_count: int
    type: int
    """0: the default one; 2: one that was made."""
    quota: int = QUOTA


class Namespaces:
    """The namespaces of one registry."""

    def __init__(self, registry: Registry, spaces: Spaces, ids: Ids) -> None:
        self._registry = registry
        self._spaces = spaces
        self._ids = ids
        self.config_count: Callable[[str], int] = lambda _namespace: 0
        """How many configurations a namespace of the core has."""

    def all(self) -> list[Namespace]:
        """The default one first, the others by id."""
        default = self._spaces.core(PUBLIC)
        records = {record.name: record for record in self._registry.namespaces()}
        others = [self._shown(r) for r in records.values() if r.name != default and _listed(r)]
        first = self._shown(records.get(default, NamespaceRecord(default)))
        return [first, *sorted(others, key=lambda n: n.id)]

    def find(self, id: str) -> Namespace | None:
        """One by its id; None when nobody made it."""
        core = self._spaces.core(id)
        record = self._registry.ledger.namespace(core)
        if core == self._spaces.core(PUBLIC):
            return self._shown(record or NamespaceRecord(core))
        return self._shown(record) if record is not None and _listed(record) else None

    def get(self, id: str) -> Namespace:
        """One by its id. Refused when nobody made it."""
        found = self.find(id)
        if found is None:
            raise Refused(404, codes.NAMESPACE_NOT_EXIST, f"namespaceId [ {id} ] not exist")
        return found

    def create(self, id: str, name: str, description: str, caller: Caller) -> Commit:
        """Make one; without an id it gets one. Refused when it is there."""
        id = id or _dashed(self._ids.unique())
        if self.find(id) is not None:
            raise Refused(400, codes.NAMESPACE_EXISTS, f"namespaceId [{id}] already exist")
        core = self._spaces.core(id)
        record = self._registry.ledger.namespace(core) or NamespaceRecord(core, owners=caller.principal)
        return self._put(record, name, description, caller)

    def update(self, id: str, name: str, description: str, caller: Caller) -> Commit | None:
        """Rename one; None when nobody made it."""
        if self.find(id) is None:
            return None
        core = self._spaces.core(id)
        record = self._registry.ledger.namespace(core) or NamespaceRecord(core)
        return self._put(record, name, description, caller)

    def delete(self, id: str, caller: Caller) -> Commit:
        """Delete one; nothing happens to an unknown one or to the default one.

        One that services live in leaves the lists, as on the real server, and its services stay.
        """
        core = self._spaces.core(id)
        record = self._registry.ledger.namespace(core)
        if record is None or core == self._spaces.core(PUBLIC) or not _listed(record):
            return SETTLED
        try:
            return self._registry.delete_namespace(core, caller) or SETTLED
        except Conflict:
            return self._registry.put_namespace(_implied(record), caller)

    def imply(self, core: str, caller: Caller) -> None:
        """A Nacos client used a namespace that was not there; it is by now. Inside the transaction of its registration."""
        record = self._registry.ledger.namespace(core)
        if record is not None and SOURCE not in record.ext and core != self._spaces.core(PUBLIC):
            self._registry.put_namespace(_implied(record), caller)

    def _put(self, record: NamespaceRecord, name: str, description: str, caller: Caller) -> Commit:
        ext = {**record.ext, SOURCE: {"name": name, "desc": description, "implied": False}}
        return self._registry.put_namespace(structs.replace(record, auto_created=False, ext=ext), caller)

    def _shown(self, record: NamespaceRecord) -> Namespace:
        id = self._spaces.id(record.name)
        kept = record.ext.get(SOURCE, {"name": "", "desc": record.comment})
        public = id == PUBLIC
        return Namespace(
            id,
            kept["name"] or id,
            "" if public and SOURCE not in record.ext else kept["desc"],
            self.config_count(record.name),
            _PUBLIC_TYPE if public else _MADE_TYPE,
        )


def _listed(record: NamespaceRecord) -> bool:
    return record.name != _OURS and not record.ext.get(SOURCE, {}).get("implied", False)


def _implied(record: NamespaceRecord) -> NamespaceRecord:
    """One that is used, and that nobody made."""
    ext = {**record.ext, SOURCE: {"name": "", "desc": "", "implied": True}}
    return structs.replace(record, ext=ext)


def _dashed(unique: str) -> str:
    """32 hexadecimal digits as a UUID is written."""
    return "-".join((unique[:8], unique[8:12], unique[12:16], unique[16:20], unique[20:]))
