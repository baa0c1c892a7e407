"""Services and their aliases: records of the core as native messages and back. Pure.

Every service has a native id, token and revision, whichever protocol made it: what was not drawn when it was created follows
from its name, so it is the same after a restart and on every node.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec
from msgspec import Struct, structs

from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.model import ServiceKey, ServiceRecord

from .keys import SOURCE
from .times import local_time


class Attributes(Struct, frozen=True, gc=False, omit_defaults=True):
    """What a service has besides the canonical fields: ``ServiceRecord.ext["polaris"]``."""

    id: str = ""
    token: str = ""
    ports: str = ""
    cmdb_mod1: str = ""
    cmdb_mod2: str = ""
    cmdb_mod3: str = ""
    platform_id: str = ""


class Counts(Struct, frozen=True, gc=False):
    """Instances of a service as native readers see them. A healthy one is not isolated."""

    total: int = 0
    healthy: int = 0
    isolated: int = 0


NO_ATTRIBUTES: Final = Attributes()
NOBODY: Final = "Polaris"
"""The owner of what no account created."""
EDITED: Final = (
    "ports",
    "business",
    "department",
    "cmdb_mod1",
    "cmdb_mod2",
    "cmdb_mod3",
    "comment",
    "owners",
    "platform_id",
)
"""The texts of a service that a console sets; a request without one leaves it as it is."""
_KEPT_APART: Final = frozenset(Attributes.__struct_fields__)
_SHOWN: Final = {"created_ms": 0, "updated_ms": 0, "revision": 0}

_encoder = msgspec.msgpack.Encoder(order="deterministic")


def attributes(record: ServiceRecord) -> Attributes:
    """What the adapter keeps with a service."""
    kept = record.ext.get(SOURCE)
    if kept is None:
        return NO_ATTRIBUTES
    return kept if isinstance(kept, Attributes) else msgspec.convert(kept, Attributes)  # the store knows no such struct


def with_attributes(record: ServiceRecord, kept: Attributes) -> ServiceRecord:
    """The record with these attributes instead."""
    return structs.replace(record, ext={**record.ext, SOURCE: kept})


def service_id(record: ServiceRecord) -> str:
    """The id of a service: 32 hexadecimal digits."""
    return attributes(record).id or _digest(f"{record.namespace}##{record.name}".encode())


def service_token(record: ServiceRecord) -> str:
    """The token of a service. Old clients show it; nothing has depended on it since accounts exist."""
    return attributes(record).token or _digest(f"token##{record.namespace}##{record.name}".encode())


def service_revision(record: ServiceRecord) -> str:
    """The revision of what is said of a service itself: equal content, equal text."""
    return _digest(_encoder.encode(structs.replace(record, **_SHOWN)))


def service_text(record: ServiceRecord, name: str) -> str:
    """One of the texts in ``EDITED``."""
    return str(getattr(attributes(record) if name in _KEPT_APART else record, name))


def with_texts(record: ServiceRecord, texts: dict[str, str]) -> ServiceRecord:
    """The record with some of the texts in ``EDITED`` changed."""
    apart = {name: value for name, value in texts.items() if name in _KEPT_APART}
    own = {name: value for name, value in texts.items() if name not in _KEPT_APART}
    changed = structs.replace(record, **own) if own else record
    return with_attributes(changed, structs.replace(attributes(record), **apart)) if apart else changed


def lift_service(m: v1.Service, id: str, token: str) -> ServiceRecord:
    """A new service as a console describes it."""
    return ServiceRecord(
        namespace=m.namespace.value,
        name=m.name.value,
        metadata=dict(m.metadata),
        business=m.business.value,
        department=m.department.value,
        owners=m.owners.value,
        comment=m.comment.value,
        export_to=exported(m),
        ext={
            SOURCE: Attributes(
                id,
                token,
                m.ports.value,
                m.cmdb_mod1.value,
                m.cmdb_mod2.value,
                m.cmdb_mod3.value,
                m.platform_id.value,
            )
        },
    )


def exported(m: v1.Service) -> tuple[str, ...]:
    """The namespaces that a service is to be visible in."""
    return tuple(dict.fromkeys(namespace.value for namespace in m.export_to))


def owners_of(record: ServiceRecord) -> str:
    """Who a service belongs to. One that a registration created without an account is the server's own, as in the original."""
    return record.owners or (NOBODY if record.auto_created else "")


def render_service(record: ServiceRecord) -> v1.Service:
    """A service as console lists show it: every attribute, no token."""
    kept = attributes(record)
    m = v1.Service()
    m.id.value = service_id(record)
    m.name.value = record.name
    m.namespace.value = record.namespace
    m.metadata.update(record.metadata)
    m.ports.value = kept.ports
    m.business.value = record.business
    m.department.value = record.department
    m.cmdb_mod1.value = kept.cmdb_mod1
    m.cmdb_mod2.value = kept.cmdb_mod2
    m.cmdb_mod3.value = kept.cmdb_mod3
    m.comment.value = record.comment
    m.owners.value = owners_of(record)
    m.ctime.value = local_time(record.created_ms)
    m.mtime.value = local_time(record.updated_ms)
    m.revision.value = service_revision(record)
    m.platform_id.value = kept.platform_id
    m.editable.value = True
    m.deleteable.value = True
    for namespace in record.export_to:
        m.export_to.add().value = namespace
    return m


def counted(m: v1.Service, counts: Counts) -> v1.Service:
    """The message with the number of instances filled in."""
    m.total_instance_count.value = counts.total
    m.healthy_instance_count.value = counts.healthy
    return m


def lift_alias(m: v1.ServiceAlias, name: str, id: str, token: str) -> ServiceRecord:
    """A new alias. ``name``: what it is called, when that was not left to the client."""
    return ServiceRecord(
        namespace=m.alias_namespace.value,
        name=name,
        owners=m.owners.value,
        comment=m.comment.value,
        reference=ServiceKey(m.namespace.value, m.service.value),
        ext={SOURCE: Attributes(id, token)},
    )


def render_alias(record: ServiceRecord, target: ServiceKey) -> v1.ServiceAlias:
    """An alias of a service as console lists show it."""
    m = v1.ServiceAlias()
    m.id.value = service_id(record)
    m.service.value = target.name
    m.namespace.value = target.namespace
    m.alias.value = record.name
    m.alias_namespace.value = record.namespace
    m.owners.value = owners_of(record)
    m.comment.value = record.comment
    m.ctime.value = local_time(record.created_ms)
    m.mtime.value = local_time(record.updated_ms)
    m.editable.value = True
    m.deleteable.value = True
    return m


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
