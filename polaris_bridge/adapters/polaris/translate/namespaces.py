"""Namespaces: records of the core as native messages and back. Pure."""

from __future__ import annotations

import hashlib

import msgspec
from msgspec import Struct, structs

from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.model import NamespaceRecord

from .keys import SOURCE
from .services import NOBODY, Counts
from .times import local_time


class Attributes(Struct, frozen=True, gc=False, omit_defaults=True):
    """What a namespace has besides the canonical fields: ``NamespaceRecord.ext["polaris"]``."""

    token: str = ""


def namespace_token(record: NamespaceRecord) -> str:
    """The token of a namespace; one that was made on the way has it from its name."""
    kept = record.ext.get(SOURCE)
    token = "" if kept is None else msgspec.convert(kept, Attributes, from_attributes=True).token
    return token or hashlib.blake2b(f"token##{record.name}".encode(), digest_size=16).hexdigest()


def with_token(record: NamespaceRecord, token: str) -> NamespaceRecord:
    """The record with another token."""
    return structs.replace(record, ext={**record.ext, SOURCE: Attributes(token)})


def lift_namespace(m: v1.Namespace, token: str) -> NamespaceRecord:
    """A new namespace as a console describes it."""
    record = NamespaceRecord(
        m.name.value,
        comment=m.comment.value,
        owners=m.owners.value,
        metadata=dict(m.metadata),
        export_to=exported(m),
    )
    return with_token(record, token)


def exported(m: v1.Namespace) -> tuple[str, ...]:
    """The namespaces that its services are to be visible in."""
    return tuple(dict.fromkeys(namespace.value for namespace in m.service_export_to))


def render_namespace(record: NamespaceRecord, services: int, counts: Counts) -> v1.Namespace:
    """A namespace as console lists show it: no token, its id is its name."""
    m = v1.Namespace()
    m.id.value = record.name
    m.name.value = record.name
    m.comment.value = record.comment
    m.owners.value = record.owners or (NOBODY if record.auto_created else "")
    m.ctime.value = local_time(record.created_ms)
    m.mtime.value = local_time(record.updated_ms)
    m.total_service_count.value = services
    m.total_instance_count.value = counts.total
    m.total_health_instance_count.value = counts.healthy
    for namespace in record.export_to:
        m.service_export_to.add().value = namespace
    m.metadata.update(record.metadata)
    m.editable.value = True
    m.deleteable.value = True
    return m
