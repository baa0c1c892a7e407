"""The section ``plugin.ratelimit``, and the file that its limits may stand in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from .complaints import complaints
from .fields import Section, key, unused
from .problems import Place, Problem
from .shape import drop_nulls, find
from .text import MAX_CHARACTERS, expand
from .tree import Node, read

PATH = "plugin.ratelimit.option"


class Bucket(Section):
    """One token bucket."""

    open: bool = key(False, "Whether it limits.")
    bucket: int = key(0, "Tokens it holds; it is full at first. One call takes one.", ge=0)
    rate: int = key(0, "Tokens it gets each second.", ge=0)


class EveryBucket(Section):
    """The size of every bucket."""

    open: bool = unused(False, "Without effect, as in polaris-server: the `open` beside it counts.")
    bucket: int = key(0, "Tokens each holds; it is full at first. One call takes one.", ge=0)
    rate: int = key(0, "Tokens each gets every second.", ge=0)


class ResourceLimit(Section):
    """A bucket for each client address or instance."""

    open: bool = key(False, "Whether it limits.")
    global_: EveryBucket = key(EveryBucket.model_construct(), "Size of every bucket.", alias="global")
    resource_cache_amount: int = key(
        1024,
        "Buckets kept; beyond, the one not used for longest is forgotten, and full when it comes back.",
        alias="resource-cache-amount",
        ge=1,
    )
    white_list: list[str] = key([], "Addresses, or ids of instances, that are not limited.", alias="white-list")


class ApiRule(Section):
    """A named bucket."""

    name: str = key("", "Name that `apis` refer to.")
    limit: Bucket = key(Bucket.model_construct(), "The bucket; each of the `apis` has one of its own.")


class LimitedApi(Section):
    """A route and its bucket."""

    name: str = key("", "`METHOD:/path`, the path of a gRPC method (`/v1.PolarisGRPC/Discover`), or `DNS`.")
    rule: str = key("", "Name of the rule.")


class ApiLimit(Section):
    """Buckets for single routes."""

    open: bool = key(False, "Whether it limits.")
    rules: list[ApiRule] = key([], "Buckets.")
    apis: list[LimitedApi] = key([], "Routes; calls of all clients count together.")


class RateLimitRules(Section):
    """The limits."""

    ip_limit: ResourceLimit = key(
        ResourceLimit.model_construct(), "How often one client address may call, over all listeners.", alias="ip-limit"
    )
    instance_limit: ResourceLimit = key(
        ResourceLimit.model_construct(),
        "How often one instance may be registered or deregistered natively.",
        alias="instance-limit",
    )
    api_limit: ApiLimit = key(ApiLimit.model_construct(), "How often single routes may be called.", alias="api-limit")


class RateLimitOption(RateLimitRules):
    """Limits on calls of this server, in place or in a file."""

    enable: bool = key(False, "Whether calls are limited.")
    rule_file: str = key(
        "",
        "File with the three `…-limit` keys, which then stand for those here; a relative path begins where the server was "
        "started, as in polaris-server. It is read at the start.",
        alias="rule-file",
    )
    remote_conf: bool = unused(False, "Read the limits from elsewhere.", alias="remote-conf")


class RateLimit(Section):
    """Limits on calls of this server."""

    name: Literal["token-bucket", ""] = key("", "`token-bucket` switches it on.")
    option: RateLimitOption = key(RateLimitOption.model_construct(), "Its options.")

    @property
    def on(self) -> bool:
        """Whether anything may be limited."""
        return bool(self.name) and self.option.enable


def settled(section: RateLimit, root: Node, env: Mapping[str, str]) -> tuple[RateLimit, list[Problem]]:
    """The section with the limits of its file in it, and what is wrong with them. Problems only while it is on, as there."""
    if not section.on:
        return section, []
    if not section.option.rule_file:
        return section, list(_wrong(section.option, root, PATH))
    place = _place(root, f"{PATH}.rule-file")
    rules, node, problems = _read(section.option.rule_file, place, env)
    if rules is None:
        return section, problems
    option = section.option.model_copy(
        update={"ip_limit": rules.ip_limit, "instance_limit": rules.instance_limit, "api_limit": rules.api_limit}
    )
    return section.model_copy(update={"option": option}), [*problems, *_wrong(rules, node, "")]


def _read(name: str, named_at: Place, env: Mapping[str, str]) -> tuple[RateLimitRules | None, Node, list[Problem]]:
    nothing = Node({}, named_at)
    try:
        with Path(name).open("rb") as opened:
            content = opened.read(4 * MAX_CHARACTERS + 1)
        text = content.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        return None, nothing, [Problem(named_at, f"{PATH}.rule-file", f"{name[:200]!r} cannot be read: {why}")]
    expanded = expand(name, text, env)
    if expanded.problems:
        return None, nothing, expanded.problems
    root, problems = read(expanded.text, expanded.place)
    if root.value is None:
        root = Node({}, root.place)
    if not isinstance(root.value, dict):
        return None, nothing, [*problems, Problem(root.place, "", "expected a mapping with keys such as ip-limit")]
    drop_nulls(RateLimitRules, root)
    try:
        return RateLimitRules.model_validate(root.plain()), root, problems
    except ValidationError as error:
        return None, root, [*problems, *complaints(error, root, RateLimitRules)]


def _wrong(rules: RateLimitRules, root: Node, path: str) -> Iterator[Problem]:
    """What polaris-server 1.19 does not start with either."""
    for name, resource in (("ip-limit", rules.ip_limit), ("instance-limit", rules.instance_limit)):
        at = _joined(path, f"{name}.global")
        if resource.open and not (resource.global_.bucket and resource.global_.rate):
            yield Problem(_place(root, at), at, "expected bucket and rate above 0 while the limit is open")
    if rules.api_limit.open:
        yield from _wrong_apis(rules.api_limit, root, _joined(path, "api-limit"))


def _wrong_apis(limit: ApiLimit, root: Node, path: str) -> Iterator[Problem]:
    known: set[str] = set()
    for index, rule in enumerate(limit.rules):
        at = f"{path}.rules.{index}"
        if not rule.name:
            yield Problem(_place(root, at), at, "expected a name")
        if rule.limit.open and not (rule.limit.bucket and rule.limit.rate):
            yield Problem(_place(root, at), at, "expected bucket and rate above 0 while the limit is open")
        known.add(rule.name)
    for index, api in enumerate(limit.apis):
        at = f"{path}.apis.{index}"
        if not api.name:
            yield Problem(_place(root, at), at, "expected a name such as POST:/naming/v1/instances")
        if not api.rule or api.rule not in known:
            yield Problem(_place(root, at), at, f"there is no rule {api.rule!r} among the rules")
    if not limit.rules or not limit.apis:
        yield Problem(_place(root, path), path, "expected rules and apis while the limit is open")


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _place(root: Node, path: str) -> Place:
    while path and (node := find(root, path)) is None:
        path = path.rpartition(".")[0]
    return node.place if path and node else root.place
