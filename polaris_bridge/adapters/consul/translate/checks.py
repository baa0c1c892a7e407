"""Checks: from what was registered to what is kept, and checks of nodes as documents."""

from __future__ import annotations

from typing import Final

import msgspec

from polaris_bridge.adapters.consul.wire.definitions import CheckDefinition, ServiceDefinition, interval_text
from polaris_bridge.core.model import Document

from .keys import CHECK, CheckRecord, NodeKey, check_document

OUTPUT_MAX: Final = 4096
"""Bytes of an output that are kept, at most."""

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(CheckRecord).decode


def record(definition: CheckDefinition, id: str, name: str) -> CheckRecord:
    """A check as it is kept, under the id and name that it has in the end."""
    limit = definition.output_max
    critical = definition.failures_before_critical
    return CheckRecord(
        id=id,
        name=name,
        type=definition.type,
        notes=definition.notes,
        ttl_ns=definition.ttl_ns,
        interval_ns=definition.interval_ns,
        timeout_ns=definition.timeout_ns,
        deregister_ns=definition.deregister_ns,
        success_before_passing=definition.success_before_passing,
        failures_before_warning=definition.failures_before_warning or critical,
        failures_before_critical=critical,
        output_max=limit if 0 < limit < OUTPUT_MAX else OUTPUT_MAX,
        target=definition.target,
        method=definition.method,
        headers=definition.header,
        body=definition.body,
        tls=definition.tls,
        tls_skip_verify=definition.tls_skip_verify,
        tls_server_name=definition.tls_server_name,
        disable_redirects=definition.disable_redirects,
        alias_node=definition.alias_node,
        interval=interval_text(definition.interval_ns),
        timeout=interval_text(definition.timeout_ns),
    )


def records_of(service: ServiceDefinition) -> list[tuple[CheckRecord, str]]:
    """The checks that come with a service, each with the status it begins with ("" = not stated), named by the agent where
    they do not name themselves."""
    found = []
    several = len(service.checks) > 1
    for number, definition in enumerate(service.checks, 1):
        id = definition.id or f"service:{service.id}" + (f":{number}" if several else "")
        name = definition.name or f"Service '{service.name}' check"
        found.append((record(definition, id, name), definition.status))
    return found


def document(node: NodeKey, check: CheckRecord) -> Document:
    """A check of a node, with its state."""
    return Document(CHECK, check_document(node, check.id), node.namespace, node.name, body=_encode(check))


def document_id(node: NodeKey, id: str) -> tuple[str, str]:
    """Kind and id of the document of a node's check."""
    return CHECK, check_document(node, id)


def of_document(kept: Document) -> CheckRecord:
    """The check of a node that a document describes."""
    return _decode(kept.body)


def node_of(kept: Document) -> NodeKey:
    """The node of such a document."""
    return NodeKey(kept.namespace, kept.name)


def cut(output: str, limit: int) -> str:
    """An output within its limit in bytes; what is cut off is said."""
    if len(output) <= limit and (output.isascii() or len(output.encode("utf-8", "replace")) <= limit):
        return output
    raw = output.encode("utf-8", "replace")
    return f"{raw[:limit].decode('utf-8', 'ignore')} ... (captured {limit} of {len(raw)} bytes)"
