"""Ways of calls as routes of Envoy's API, in the JSON of its messages. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from polaris_bridge.core.model import ServiceKey
from polaris_bridge.core.routing.matching import integer
from polaris_bridge.core.routing.model import ANY, IN, NOT_EQUALS, NOT_IN, PARAMETER, RANGE, REGEX, Condition

from .endpoints import LB, MOST_WEIGHT
from .listeners import ON_DEMAND
from .names import outbound
from .rules.routing import STAIN, Match, Share, Way
from .rules.subsets import NOBODY

Json = dict[str, Any]

REFUSED: Final = 503
"""What a call is answered that rules send nowhere."""
_NOT: Final = frozenset({NOT_EQUALS, NOT_IN})
_LAST: Final = 2**63 - 1


def envoy_route(service: ServiceKey, way: Way) -> Json:
    """A way as Envoy goes it."""
    route: Json = {"match": match_of(way.match)}
    if way.name:
        route["name"] = way.name
    if way.shares:
        route["route"] = {**_targets(service, way.shares, by_label=True), "timeout": "0s"}
    else:
        route["direct_response"] = {"status": REFUSED}
    if way.stain:
        header = {"header": {"key": STAIN, "value": way.stain}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
        route["request_headers_to_add"] = [header]
    return route


def grpc_route(service: ServiceKey, way: Way) -> Json:
    """A way as a gRPC client goes it: every part of a service is a cluster of its own. Calls that go nowhere go to a cluster
    without endpoints, for grpc-js-xds 1.14 ends its process over a route that does anything else."""
    shares = way.shares or (Share(NOBODY),)
    return {"match": match_of(way.match), "route": _targets(service, shares, by_label=False)}


def fetching(cluster: str) -> Json | None:
    """What a virtual host has whose clusters are fetched with the first call. ``cluster``: from where; empty: they are not."""
    return {"typed_per_filter_config": {ON_DEMAND: _on_demand(cluster)}} if cluster else None


def _on_demand(cluster: str) -> Json:
    source = {
        "api_type": "DELTA_GRPC",
        "transport_api_version": "V3",
        "grpc_services": [{"envoy_grpc": {"cluster_name": cluster}}],
    }
    return {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.on_demand.v3.PerRouteConfig",
        "odcds": {"source": {"api_config_source": source, "resource_api_version": "V3"}},
    }


def _targets(service: ServiceKey, shares: Sequence[Share], *, by_label: bool) -> Json:
    if len(shares) == 1:
        return {"cluster" if key == "name" else key: value for key, value in _target(service, shares[0], by_label)}
    shrink = -(-sum(share.weight for share in shares) // MOST_WEIGHT)
    weighted = [
        {**dict(_target(service, share, by_label)), "weight": max(1, share.weight // shrink)} for share in shares
    ]
    return {"weighted_clusters": {"clusters": weighted}}


def _target(service: ServiceKey, share: Share, by_label: bool) -> Iterator[tuple[str, Any]]:
    labels = share.subset.exact if by_label else None
    yield "name", outbound(share.service or service, share.subset.id if labels is None else "")
    if labels:
        yield "metadata_match", {"filter_metadata": {LB: labels}}


# -------------------------------------------------------------------------------------------------- matching


def match_of(match: Match) -> Json:
    """``RouteMatch``."""
    headers = [one for condition in match.headers for one in header(condition)]
    headers += [{"name": name, "present_match": True, "invert_match": True} for name in match.lacks]
    headers += [one for condition in match.cookies for one in _cookie(condition)]
    found, more = _path(match.path)
    headers += more
    if headers:
        found["headers"] = headers
    if match.queries:
        found["query_parameters"] = [query(condition) for condition in match.queries]
    if match.percent < 100:
        found["runtime_fraction"] = {"default_value": {"numerator": match.percent}}
    return found


def _path(condition: Condition | None) -> tuple[Json, list[Json]]:
    """What matches the path, and what headers have to say of it: only there can something be excluded."""
    if condition is None or _any(condition):
        return {"prefix": "/"}, []
    if condition.operator in _NOT:
        regex = f"(?:{_one_of(condition)})(?:\\?.*)?"
        return {"prefix": "/"}, [{"name": ":path", "string_match": _regex(regex), "invert_match": True}]
    matcher = string_matcher(condition)
    if "exact" in matcher:
        return {"path": matcher["exact"]}, []
    return {"safe_regex": matcher["safe_regex"]}, []


def header(condition: Condition) -> Iterator[Json]:
    """``HeaderMatcher``: a header that is missing never matches, whatever is wanted of it."""
    name = condition.key.lower()
    if _any(condition) or condition.operator in _NOT:
        yield {"name": name, "present_match": True}
        if _any(condition):
            return
    if condition.operator == RANGE:
        low, _, high = condition.value.partition("~")
        end = min(integer(high) or 0, _LAST - 1) + 1
        yield {"name": name, "range_match": {"start": str(integer(low) or 0), "end": str(end)}}
    elif condition.operator in _NOT:
        yield {"name": name, "string_match": string_matcher(condition), "invert_match": True}
    else:
        yield {"name": name, "string_match": string_matcher(condition)}


def query(condition: Condition) -> Json:
    """``QueryParameterMatcher``."""
    if _any(condition):
        return {"name": condition.key, "present_match": True}
    return {"name": condition.key, "string_match": string_matcher(condition)}


def string_matcher(condition: Condition) -> Json:
    """``StringMatcher`` of what a condition names, or excludes. Envoy's patterns match the whole text; those of rules a part."""
    if condition.operator == REGEX:
        return _regex(searching(condition.value))
    values = condition.value.split(",") if condition.operator in (IN, NOT_IN) else [condition.value]
    return {"exact": values[0]} if len(values) == 1 else _regex("|".join(map(re.escape, values)))


def searching(pattern: str) -> str:
    """A pattern that matches a whole text when the given one matches a part of it."""
    if "|" in pattern:
        return f".*(?:{pattern}).*"
    begin = "" if pattern.startswith(("^", ".*")) else ".*"
    end = "" if pattern.endswith(("$", ".*")) and not pattern.endswith(("\\$", "\\.*")) else ".*"
    return f"{begin}{pattern}{end}"


def _regex(pattern: str) -> Json:
    return {"safe_regex": {"regex": pattern}}


def _cookie(condition: Condition) -> Iterator[Json]:
    name = re.escape(condition.key)
    given = _regex(f"(?:.*;)? *{name}=.*")
    if _any(condition):
        yield {"name": "cookie", "string_match": given}
        return
    wanted = _regex(f"(?:.*;)? *{name}=(?:{_one_of(condition)})(?: *;.*)?")
    if condition.operator in _NOT:
        yield {"name": "cookie", "string_match": given}
        yield {"name": "cookie", "string_match": wanted, "invert_match": True}
    else:
        yield {"name": "cookie", "string_match": wanted}


def _one_of(condition: Condition) -> str:
    values = condition.value.split(",") if condition.operator in (IN, NOT_IN) else [condition.value]
    return "|".join(map(re.escape, values))


def _any(condition: Condition) -> bool:
    return condition.origin == PARAMETER or condition.value in ("", ANY)
