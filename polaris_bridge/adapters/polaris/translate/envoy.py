"""What Envoy says of a request as labels that rules look at, and decisions as what Envoy is answered. Pure.

Entries are named as polaris-server 1.19 names them in the routes that it gives to Envoy: ``:path``, ``header.x``, ``query.x``,
``method.``, ``source_cluster`` (``namespace|service``), ``remote_address``. Of a header, a query parameter and the path Envoy
compares itself, and sends the text of the condition instead of the value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from polaris_bridge.adapters.polaris.wire import rls
from polaris_bridge.core.limiting.judging import Asked, Verdict
from polaris_bridge.core.limiting.model import Allowance
from polaris_bridge.core.model import ServiceKey

from .limits import CALLER_SERVICE, INTERFACE
from .routing_rules import CALLER_IP, CALLER_METADATA, HEADER, METHOD, QUERY

DEFAULT: Final = "default"
"""The namespace of a domain that names none."""
MOST_TOKENS: Final = 2**31 - 1

_PREFIXES: Final = (("header.", HEADER), ("query.", QUERY), ("caller_metadata.", CALLER_METADATA), ("custom.", ""))
_NAMES: Final = {":path": INTERFACE, "method.": METHOD, "method": METHOD, "remote_address": CALLER_IP}
_COMPARED: Final = (INTERFACE, HEADER, QUERY)
"""Labels, or beginnings of labels, that Envoy compares itself."""
_DAY_MS: Final = 86_400_000
UNIT_MS: Final = {
    1: 1000, 2: 60_000, 3: 3_600_000, 4: _DAY_MS, 5: 30 * _DAY_MS, 6: 365 * _DAY_MS, 7: 7 * _DAY_MS,
}  # fmt: skip
"""Lengths of Envoy's units by number: second, minute, hour, day, month, year, week."""
_UNITS: Final = {length: unit for unit, length in UNIT_MS.items()}


def service_of(domain: str, is_namespace: Callable[[str], bool]) -> ServiceKey:
    """The service that a domain names. Names may hold dots: the namespace is the longest end of it that is one, else what
    follows the last dot."""
    name, dot, namespace = domain.rpartition(".")
    if not dot:
        return ServiceKey(DEFAULT, domain)
    at = domain.find(".")
    while at >= 0:
        if is_namespace(domain[at + 1 :]):
            return ServiceKey(domain[at + 1 :], domain[:at])
        at = domain.find(".", at + 1)
    return ServiceKey(namespace, name)


def asked_of(request: rls.RateLimitRequest, service: ServiceKey, caller: str) -> list[Asked]:
    """One description of the call for each descriptor."""
    shared = request.hits_addend or 1
    found = []
    for descriptor in request.descriptors:
        tokens = descriptor.hits_addend.value if descriptor.HasField("hits_addend") else shared
        labels = labels_of((entry.key, entry.value) for entry in descriptor.entries)
        texts = frozenset(key for key in labels if key.startswith(_COMPARED))
        limit = _own_limit(descriptor)
        found.append(Asked(service, labels, caller, min(tokens, MOST_TOKENS), texts, limit))
    return found


def labels_of(entries: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Entries as labels. Of ``source_cluster`` the form that names a service counts, whichever comes first."""
    labels: dict[str, str] = {}
    for key, value in entries:
        if key == "source_cluster":
            namespace, bar, service = value.partition("|")
            if bar:
                labels[CALLER_SERVICE + namespace] = service
            else:
                labels[key] = value
            continue
        labels[_NAMES.get(key) or _prefixed(key)] = value
    return labels


def _prefixed(key: str) -> str:
    for prefix, label in _PREFIXES:
        if key.startswith(prefix):
            return label + key.removeprefix(prefix)
    return key


def _own_limit(descriptor: rls.RateLimitDescriptor) -> Allowance | None:
    if not descriptor.HasField("limit"):
        return None
    duration_ms = UNIT_MS.get(descriptor.limit.unit)
    return None if duration_ms is None else Allowance(descriptor.limit.requests_per_unit, duration_ms)


def answer_of(verdicts: Sequence[Verdict]) -> rls.RateLimitResponse:
    """The answer: over the limit when any description is."""
    codes = rls.RateLimitResponse
    refusing = next((verdict for verdict in verdicts if not verdict.allowed), None)
    answer = rls.RateLimitResponse(overall_code=codes.OK if refusing is None else codes.OVER_LIMIT)
    for verdict in verdicts:
        status = answer.statuses.add(code=codes.OK if verdict.allowed else codes.OVER_LIMIT)
        rule, allowance = verdict.rule, verdict.allowance
        if rule is None or allowance is None:
            continue
        status.current_limit.requests_per_unit = allowance.amount
        status.current_limit.unit = _UNITS.get(allowance.duration_ms, 0)
        status.current_limit.name = rule.rule.name
        status.limit_remaining = verdict.remaining
        status.duration_until_reset.seconds, rest_ms = divmod(verdict.reset_ms, 1000)
        status.duration_until_reset.nanos = rest_ms * 1_000_000
    if refusing is not None and refusing.rule is not None and refusing.rule.rule.body:
        answer.raw_body = refusing.rule.rule.body.encode("utf-8", "replace")
    return answer
