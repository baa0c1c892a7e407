"""Decisions: a model of policies against an evaluator that looks at every policy every time, and the cases people ask about."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polaris_bridge.core.auth.rights import COMPARISONS, READS, Rights, fits
from polaris_bridge.core.auth.values import ACCOUNTS, ALLOW, ANY, DENY, NAMESPACE, READ, Condition, Grant, Policy
from polaris_bridge.core.ports import Resource

NOTHING = Resource("")
FUNCTIONS = ("DescribeServices", "UpdateServices", "DiscoverInstances", "CreateUsers")
PATTERNS = (*FUNCTIONS, "*", "Describe*", "*Services", "*Serv*", "Nothing")
NAMESPACES, NAMES = ("n1", "n2"), ("a", "b")

grants = st.one_of(
    st.builds(Grant, st.sampled_from(("service", "namespace", "routing", "user")), st.just(ANY)),
    st.builds(Grant, st.just("namespace"), st.sampled_from(NAMESPACES)),
    st.builds(Grant, st.just("service"), st.just(""), st.sampled_from(NAMESPACES), st.sampled_from(NAMES)),
    st.builds(Grant, st.sampled_from(("routing", "user")), st.sampled_from(("r1", "r2"))),
)
conditions = st.builds(
    Condition,
    st.sampled_from(("env", "team")),
    st.sampled_from(("x", "X", "y")),
    st.sampled_from((*COMPARISONS, "unheard-of")),
)
policies = st.lists(
    st.builds(
        Policy,
        id=st.integers(0, 99).map(str),
        name=st.just("p"),
        effect=st.sampled_from((ALLOW, ALLOW, DENY, READ)),
        default=st.booleans(),
        functions=st.lists(st.sampled_from(PATTERNS), max_size=2).map(tuple),
        grants=st.lists(grants, max_size=3).map(tuple),
        conditions=st.lists(conditions, max_size=2).map(tuple),
    ),
    max_size=6,
)
resources = st.one_of(
    st.just(NOTHING),
    st.builds(lambda n: Resource("namespace", n, n, n), st.sampled_from(NAMESPACES)),
    st.builds(Resource, st.just("service"), st.sampled_from(NAMESPACES), st.sampled_from(NAMES)),
    st.builds(
        Resource, st.just("routing"), st.sampled_from(("", *NAMESPACES)), st.just("rule"), st.sampled_from(("r1", "r3"))
    ),
    st.builds(Resource, st.just("user"), st.just(""), st.just(""), st.sampled_from(("r1", "r3"))),
)
labels = st.dictionaries(st.sampled_from(("env", "team")), st.sampled_from(("x", "X", "y")))


def naive(policies: list[Policy], function: str, resource: Resource, labels: dict[str, str]) -> bool:
    """The rules as they are written down, without any index."""

    def named(policy: Policy) -> bool:
        patterns = policy.functions or (ANY,)
        hit = any(
            p in (ANY, function)
            or (p.startswith("*") and p.endswith("*") and p[1:-1] in function)
            or (p.endswith("*") and not p.startswith("*") and function.startswith(p[:-1]))
            or (p.startswith("*") and not p.endswith("*") and function.endswith(p[1:]))
            for p in patterns
        )
        return hit and (policy.effect != READ or any(function.startswith(r) for r in READS))

    def granted(policy: Policy, grant: Grant) -> bool:
        owns = policy.default and policy.effect != DENY and grant.kind not in ACCOUNTS
        if not owns and not named(policy):
            return False
        if grant.kind == NAMESPACE and resource.namespace:
            return grant.id in (ANY, resource.namespace)
        if grant.kind != resource.kind:
            return False
        if grant.id:
            return grant.id in (ANY, resource.id)
        return (grant.namespace, grant.name) == (resource.namespace, resource.name)

    def labelled(policy: Policy) -> bool:
        def holds(c: Condition) -> bool:
            return c.key in labels and c.compare in COMPARISONS and COMPARISONS[c.compare](labels[c.key], c.value)

        return bool(policy.conditions) and named(policy) and all(map(holds, policy.conditions))

    def covers(policy: Policy) -> bool:
        everywhere = not policy.grants and not policy.conditions
        if not resource.kind:
            if policy.effect == DENY:
                return named(policy) and (everywhere or Grant(NAMESPACE, ANY) in policy.grants)
            return named(policy)
        if policy.effect == DENY and everywhere:
            return named(policy)
        return any(granted(policy, g) for g in policy.grants) or labelled(policy)

    if any(policy.effect == DENY and covers(policy) for policy in policies):
        return False
    return any(policy.effect != DENY and covers(policy) for policy in policies)


@given(policies, st.sampled_from(FUNCTIONS), resources, labels)
def test_rights_say_what_the_policies_say(
    policies: list[Policy], function: str, resource: Resource, labels: dict[str, str]
) -> None:
    assert Rights(policies).allow(function, resource, labels) == naive(policies, function, resource, labels)


@given(policies, st.sampled_from(FUNCTIONS), resources)
def test_the_order_of_policies_does_not_matter(policies: list[Policy], function: str, resource: Resource) -> None:
    assert Rights(policies).allow(function, resource) == Rights(policies[::-1]).allow(function, resource)


def test_without_policies_nothing_is_allowed_but_to_administrators() -> None:
    for resource in (NOTHING, Resource("service", "n", "a")):
        assert not Rights(()).allow("DescribeServices", resource)
        assert Rights([Policy("1", "p", effect=DENY)], everything=True).allow("DescribeServices", resource)


SERVICE = Resource("service", "n1", "a")


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (Policy("1", "p", functions=("*",), grants=(Grant("service", "", "n1", "a"),)), True),
        (Policy("1", "p", functions=("*",), grants=(Grant("namespace", "n1"),)), True),
        (Policy("1", "p", functions=("*",), grants=(Grant("namespace", "n2"),)), False),
        (Policy("1", "p", functions=("Describe*",), grants=(Grant("service", "*"),)), False),
        (Policy("1", "p", effect=READ, grants=(Grant("service", "*"),)), False),
        (Policy("1", "p", functions=("*",)), False),
        (Policy("1", "p", functions=("*",), conditions=(Condition("env", "prod", "string_equal"),)), True),
        (Policy("1", "p", functions=("*",), conditions=(Condition("env", "test", "string_equal"),)), False),
        (Policy("1", "p", default=True, functions=("UpdateUser",), grants=(Grant("service", "", "n1", "a"),)), True),
    ],
)
def test_one_policy(policy: Policy, expected: bool) -> None:
    assert Rights([policy]).allow("UpdateServices", SERVICE, {"env": "prod"}) is expected


def test_a_denial_of_one_service_leaves_lists_open() -> None:
    everything = Policy("1", "all", functions=("*",), grants=(Grant("namespace", "*"),))
    not_this = Policy("2", "not", effect=DENY, grants=(Grant("service", "", "n1", "a"),))
    rights = Rights([everything, not_this])
    assert rights.allow("DescribeServices", NOTHING)
    assert not rights.allow("DescribeServices", SERVICE)
    assert rights.allow("DescribeServices", Resource("service", "n1", "b"))


@pytest.mark.parametrize(
    ("pattern", "function", "expected"),
    [
        ("*", "X", True),
        ("De*", "Delete", True),
        ("*te", "Delete", True),
        ("*le*", "Delete", True),
        ("delete", "Delete", False),
    ],
)
def test_patterns(pattern: str, function: str, expected: bool) -> None:
    assert fits(pattern, function) is expected
