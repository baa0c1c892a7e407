"""Our own checks: what Envoy and gRPC clients would refuse, found before it goes out. Pure.

Resources are looked at in the JSON of their messages; whether fields and their kinds are right is the messages' own to say.
Sources: the rules published with the messages (protoc-gen-validate), and what gRPC's libraries refuse
(https://github.com/grpc/proposal, A27, A28, A36, A50, A53).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from polaris_bridge.adapters.xds.wire import types

Json = Mapping[str, Any]

MOST: Final = 2**32 - 1
ROUTER: Final = "envoy.filters.http.router"


def defects(type_url: str, content: Json) -> Iterator[str]:
    """What is wrong with a resource; nothing when it may go out."""
    check = _CHECKS.get(type_url)
    if check is not None:
        yield from check(content)


def _cluster(cluster: Json) -> Iterator[str]:
    if not cluster.get("name"):
        yield "a cluster has no name"
    if cluster.get("type") == "EDS" and "eds_config" not in cluster.get("eds_cluster_config", {}):
        yield "nobody says where its endpoints come from"
    if seconds(cluster.get("connect_timeout", "5s")) <= 0:
        yield "connect_timeout has to be above 0"
    outlier = cluster.get("outlier_detection", {})
    for field in ("interval", "base_ejection_time", "max_ejection_time"):
        if field in outlier and seconds(outlier[field]) <= 0:
            yield f"outlier_detection.{field} has to be above 0"
    for field, value in outlier.items():
        if (field.startswith("enforcing_") or field in _PERCENT) and not 0 <= int(value) <= 100:
            yield f"outlier_detection.{field} is a percentage"
    for at, check in enumerate(cluster.get("health_checks", ())):
        yield from _health_check(f"health_checks[{at}]", check)
    for at, selector in enumerate(cluster.get("lb_subset_config", {}).get("subset_selectors", ())):
        keys = selector["keys"]
        if len(set(keys)) != len(keys) or not keys:
            yield f"lb_subset_config.subset_selectors[{at}] names a key twice, or none"


_PERCENT: Final = frozenset({"max_ejection_percent", "failure_percentage_threshold"})


def _health_check(where: str, check: Json) -> Iterator[str]:
    for field in ("timeout", "interval"):
        if seconds(check.get(field, "0s")) <= 0:
            yield f"{where}.{field} has to be above 0"
    for field in ("unhealthy_threshold", "healthy_threshold"):
        if field not in check:
            yield f"{where}.{field} is missing"
    kinds = [kind for kind in ("http_health_check", "tcp_health_check", "grpc_health_check") if kind in check]
    if len(kinds) != 1:
        yield f"{where} has to be of one kind"
    if "http_health_check" in check and not _printable(check["http_health_check"].get("path", "")):
        yield f"{where}.path is missing, or no path"


def _table(table: Json) -> Iterator[str]:
    domains: set[str] = set()
    names: set[str] = set()
    for host in table.get("virtual_hosts", ()):
        yield from _host(host)
        if host.get("name") in names:
            yield f"two virtual hosts are called {host.get('name')}"
        names.add(host.get("name", ""))
        for domain in map(str.lower, host.get("domains", ())):
            if domain in domains:
                yield f"two virtual hosts have the domain {domain}"
            domains.add(domain)


def _host(host: Json) -> Iterator[str]:
    name = host.get("name")
    if not name:
        yield "a virtual host has no name"
    domains = host.get("domains", ())
    if not domains:
        yield f"virtual host {name} has no domain"
    if len({domain.lower() for domain in domains}) != len(domains):
        yield f"virtual host {name} has a domain twice"
    for at, route in enumerate(host.get("routes", ())):
        yield from _route(f"{name}.routes[{at}]", route)


def _route(where: str, route: Json) -> Iterator[str]:
    match = route.get("match", {})
    if sum(kind in match for kind in ("prefix", "path", "safe_regex")) != 1:
        yield f"{where} has to match the path in one way"
    for matcher in (*match.get("headers", ()), *match.get("query_parameters", ())):
        if not matcher.get("name"):
            yield f"{where} compares something without a name"
        text = matcher.get("string_match", {})
        if not _plain(matcher.get("name", "")) or ("safe_regex" in text and not text["safe_regex"].get("regex")):
            yield f"{where} compares {matcher.get('name')} with nothing"
    if "safe_regex" in match and not match["safe_regex"].get("regex"):
        yield f"{where} has an empty pattern"
    if sum(action in route for action in ("route", "direct_response", "non_forwarding_action", "redirect")) != 1:
        yield f"{where} has to do one thing"
    yield from _action(where, route.get("route", {}))


def _action(where: str, action: Json) -> Iterator[str]:
    weighted = action.get("weighted_clusters")
    if weighted is not None:
        weights = [int(each["weight"]) for each in weighted.get("clusters", ())]
        if not 1 <= sum(weights) <= MOST:
            yield f"{where}: the weights are 1 to {MOST} together"
    for limit in action.get("rate_limits", ()):
        if not limit.get("actions"):
            yield f"{where}: a rate limit without actions"


def _listener(listener: Json) -> Iterator[str]:
    name = listener.get("name")
    if not name:
        yield "a listener has no name"
    api = listener.get("api_listener")
    if api is not None:
        yield from _manager(str(name), api.get("api_listener", {}))
        return
    if "address" not in listener:
        yield f"listener {name} has no address"
    matches: list[Any] = []
    for chain in listener.get("filter_chains", ()):
        match = chain.get("filter_chain_match", {})
        if match in matches:
            yield f"listener {name}: two filter chains match the same"
        matches.append(match)
        for each in chain.get("filters", ()):
            if each["name"] == "envoy.filters.network.http_connection_manager":
                yield from _manager(str(name), each["typed_config"])


def _manager(name: str, manager: Json) -> Iterator[str]:
    filters = [each.get("name") for each in manager.get("http_filters", ())]
    if not filters or filters[-1] != ROUTER:
        yield f"listener {name}: the last filter has to be the router"
    if len(set(filters)) != len(filters):
        yield f"listener {name}: two filters have the same name"
    if ("rds" in manager) == ("route_config" in manager):
        yield f"listener {name} needs routes, once"


def seconds(duration: Any) -> float:
    """A duration in the JSON of its message (``1.5s``)."""
    try:
        return float(str(duration).removesuffix("s"))
    except ValueError:
        return -1.0


def _plain(text: str) -> bool:
    return not any(character in text for character in "\0\r\n")


def _printable(text: str) -> bool:
    return bool(text) and _plain(text)


_CHECKS: Final[Mapping[str, Callable[[Json], Iterator[str]]]] = {
    types.CLUSTER: _cluster,
    types.ROUTES: _table,
    types.VIRTUAL_HOST: _host,
    types.LISTENER: _listener,
}
