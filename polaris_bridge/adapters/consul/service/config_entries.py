"""Config entries: kept and given back as they came. Only a service mesh would act on them, and there is none here."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from polaris_bridge.adapters.consul.wire.refusals import Refused, bad, failed
from polaris_bridge.core.batches import SETTLED, Commit
from polaris_bridge.core.model import Caller, Document
from polaris_bridge.core.registry import Registry

KIND: Final = "consul-config-entry"
"""Kind of documents that hold them."""
KINDS: Final = frozenset(
    {
        "api-gateway",
        "bound-api-gateway",
        "exported-services",
        "file-system-certificate",
        "http-route",
        "ingress-gateway",
        "inline-certificate",
        "jwt-provider",
        "mesh",
        "proxy-defaults",
        "sameness-group",
        "service-defaults",
        "service-intentions",
        "service-resolver",
        "service-router",
        "service-splitter",
        "tcp-route",
        "terminating-gateway",
    }
)
NO_CONNECT: Final = "Connect must be enabled in order to use this endpoint"
_FIXED_NAMES: Final = {"proxy-defaults": "global", "mesh": "mesh", "exported-services": "default"}
_INDEXES: Final = frozenset({"createindex", "modifyindex", "create_index", "modify_index"})

_encode: Final = msgspec.json.Encoder(order="deterministic").encode
_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


class ConfigEntries:
    """The config entries of every datacenter."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    @property
    def index(self) -> int:
        """Of all of them."""
        return self._registry.documents.revision(KIND)

    def get(self, namespace: str, kind: str, name: str) -> dict[str, Any] | None:
        """One entry; None: there is none."""
        kept = self._registry.documents.get(KIND, _id(namespace, kind, name))
        return None if kept is None else _shown(kept)

    def list(self, namespace: str, kind: str) -> list[dict[str, Any]]:
        """Every entry of a kind, by name."""
        found = [d for d in self._registry.documents.all(KIND) if d.id.startswith(_id(namespace, kind, ""))]
        return [_shown(kept) for kept in sorted(found, key=lambda d: d.name)]

    def put(self, namespace: str, said: dict[str, Any], cas: int | None, caller: Caller) -> Commit | None:
        """Create or replace; None when ``cas`` is not the index of what is there. Raises ``Refused``."""
        kind, name = _named(said)
        before = self._registry.documents.newest(KIND, _id(namespace, kind, name))
        if cas is not None and cas != _created_modified(before)[1]:
            return None
        created = _created_modified(before)[0] or self._registry.ledger.next_revision()
        rest = {key: each for key, each in said.items() if key.lower() not in {"kind", "name", *_INDEXES}}
        body = _encode({"Kind": kind, "Name": name, **rest})
        kept = Document(KIND, _id(namespace, kind, name), namespace, name, priority=created, body=body)
        if before is not None and before.body == body:
            return SETTLED
        return self._registry.documents.put(kept, caller)

    def delete(self, namespace: str, kind: str, name: str, cas: int | None, caller: Caller) -> Commit | None:
        """Delete; None when there is nothing to delete, or ``cas`` is not its index. Raises ``Refused`` for an unknown kind."""
        _check_kind(kind)
        before = self._registry.documents.newest(KIND, _id(namespace, kind, name))
        if before is None or (cas is not None and cas != before.revision):
            return None
        return self._registry.documents.delete(KIND, before.id, caller)


def _id(namespace: str, kind: str, name: str) -> str:
    return f"{namespace}|{kind}|{name}"


def _named(said: dict[str, Any]) -> tuple[str, str]:
    folded = {key.lower(): each for key, each in said.items()}
    kind, name = folded.get("kind"), folded.get("name")
    if not isinstance(kind, str) or not kind:
        raise bad("Request decoding failed: Payload does not contain a kind/Kind key at the top level")
    if kind not in KINDS:
        raise bad(f"Request decoding failed: invalid config entry kind: {kind}")
    if kind == "service-intentions":
        raise failed(NO_CONNECT)
    fixed = _FIXED_NAMES.get(kind)
    if fixed is not None and kind != "proxy-defaults":
        return kind, name if isinstance(name, str) and name else fixed
    if fixed is not None and name != fixed:
        raise failed(f'invalid name ("{name or ""}"), only "{fixed}" is supported')
    if not isinstance(name, str) or not name:
        raise failed("Name is required")
    return kind, name


def _check_kind(kind: str) -> None:
    if kind not in KINDS:
        raise Refused(400, f"invalid config entry kind: {kind}")


def _created_modified(kept: Document | None) -> tuple[int, int]:
    return (0, 0) if kept is None else (kept.priority, kept.revision)


def _shown(kept: Document) -> dict[str, Any]:
    created, modified = _created_modified(kept)
    return {**_decode(kept.body), "CreateIndex": min(created + 1, modified), "ModifyIndex": modified}
