"""Any sequence of agent calls: what is shown is what a plain model of an agent says, and a restart changes nothing of it."""

from __future__ import annotations

from typing import Any

from consul_bottle import ConsulBottle
from hypothesis import given, settings
from hypothesis import strategies as st

PEERS = st.sampled_from(["127.0.0.1", "10.0.0.5"])
IDS = st.sampled_from(["a", "b", "c"])
CHECKS = st.sampled_from(["x", "y", "service:a"])
WORDS = {"pass": "passing", "warn": "warning", "fail": "critical"}

STEPS = st.one_of(
    st.tuples(st.just("register"), PEERS, IDS, st.lists(CHECKS, max_size=2, unique=True), st.booleans()),
    st.tuples(st.just("deregister"), PEERS, IDS),
    st.tuples(st.just("check"), PEERS, CHECKS, IDS | st.just("")),
    st.tuples(st.just("uncheck"), PEERS, CHECKS),
    st.tuples(st.just("say"), PEERS, CHECKS, st.sampled_from(sorted(WORDS))),
    st.tuples(st.just("maintain"), PEERS, IDS, st.booleans()),
    st.tuples(st.just("maintain-node"), PEERS, st.booleans()),
    st.tuples(st.just("restart")),
)


class Model:
    """An agent for each host, as plain dictionaries."""

    def __init__(self) -> None:
        self.services: dict[tuple[str, str], bool] = {}
        """Whether it is in maintenance."""
        self.checks: dict[tuple[str, str], tuple[str, str]] = {}
        """Whose it is ("" = the node's), and its status."""
        self.nodes: dict[str, bool] = {}

    def register(self, peer: str, id: str, checks: list[str], replace: bool) -> int:
        self.services.setdefault((peer, id), False)
        if replace:
            self.checks = {
                key: each for key, each in self.checks.items() if (key[0], each[0]) != (peer, id) or key[1] in checks
            }
        for check in checks:
            self.checks[peer, check] = (id, self.checks.get((peer, check), ("", "critical"))[1])
        return 200

    def deregister(self, peer: str, id: str) -> int:
        if self.services.pop((peer, id), None) is None:
            return 404
        self.checks = {key: each for key, each in self.checks.items() if (key[0], each[0]) != (peer, id)}
        return 200

    def check(self, peer: str, check: str, owner: str) -> int:
        if owner and (peer, owner) not in self.services:
            return 404
        self.checks[peer, check] = (owner, self.checks.get((peer, check), ("", "critical"))[1])
        return 200

    def uncheck(self, peer: str, check: str) -> int:
        return 404 if self.checks.pop((peer, check), None) is None else 200

    def say(self, peer: str, check: str, word: str) -> int:
        if (peer, check) not in self.checks:
            return 404
        self.checks[peer, check] = (self.checks[peer, check][0], WORDS[word])
        return 200

    def maintain(self, peer: str, id: str, on: bool) -> int:
        if (peer, id) not in self.services:
            return 404
        self.services[peer, id] = on
        return 200

    def maintain_node(self, peer: str, on: bool) -> int:
        self.nodes[peer] = on
        return 200

    def shown(self, peer: str) -> dict[str, tuple[str, str]]:
        found = {check: each for (host, check), each in self.checks.items() if host == peer}
        for (host, id), on in self.services.items():
            if host == peer and on:
                found[f"_service_maintenance:{id}"] = (id, "critical")
        if self.nodes.get(peer):
            found["_node_maintenance"] = ("", "critical")
        return found


def act(bottle: ConsulBottle, step: tuple[Any, ...]) -> int:
    match step:
        case ("register", peer, id, checks, replace):
            body = {
                "Name": f"n-{id}",
                "ID": id,
                "Port": 80,
                "Checks": [{"CheckID": check, "TTL": "1h"} for check in checks],
            }
            query = "?replace-existing-checks=true" if replace else ""
            return bottle.put(f"/v1/agent/service/register{query}", body, peer).status
        case ("deregister", peer, id):
            return bottle.put(f"/v1/agent/service/deregister/{id}", peer=peer).status
        case ("check", peer, check, owner):
            return bottle.put("/v1/agent/check/register", {"Name": check, "ServiceID": owner, "TTL": "1h"}, peer).status
        case ("uncheck", peer, check):
            return bottle.put(f"/v1/agent/check/deregister/{check}", peer=peer).status
        case ("say", peer, check, word):
            return bottle.put(f"/v1/agent/check/{word}/{check}", peer=peer).status
        case ("maintain", peer, id, on):
            return bottle.put(
                f"/v1/agent/service/maintenance/{id}?enable={'true' if on else 'false'}", peer=peer
            ).status
        case ("maintain-node", peer, on):
            return bottle.put(f"/v1/agent/maintenance?enable={'true' if on else 'false'}", peer=peer).status
    raise AssertionError(step)


def withdrawn(bottle: ConsulBottle) -> set[tuple[str, str]]:
    found = set()
    for snapshot in bottle.registry.services("default"):
        for address in snapshot.addresses.values():
            for switch in address.switches:
                node, _, id = switch.key.partition("|")
                found.add(("127.0.0.1" if node == "here" else "10.0.0.5", id))
    return found


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_any_sequence(steps: list[tuple[Any, ...]]) -> None:
    bottle, model = ConsulBottle(), Model()
    for step in steps:
        if step[0] == "restart":
            bottle.restart()
        else:
            assert act(bottle, step) == getattr(model, step[0].replace("-", "_"))(*step[1:]), step
    for again in (False, True):
        if again:
            bottle.restart()
        for peer in ("127.0.0.1", "10.0.0.5"):
            assert set(bottle.get("/v1/agent/services", peer).json) == {
                id for host, id in model.services if host == peer
            }
            checks = bottle.get("/v1/agent/checks", peer).json
            assert {id: (check["ServiceID"], check["Status"]) for id, check in checks.items()} == model.shown(peer)
            for host, id in model.services:
                if host == peer:
                    _own_and_node_checks_count(bottle, model, host, id)
        off = {key for key, on in model.services.items() if on or model.nodes.get(key[0])}
        assert withdrawn(bottle) == off


def _own_and_node_checks_count(bottle: ConsulBottle, model: Model, peer: str, id: str) -> None:
    r = bottle.service.index.service(bottle.service.nodes.key_of(_caller(peer)), id)
    assert r is not None
    own = {check: status for (host, check), (owner, status) in model.checks.items() if (host, owner) == (peer, id)}
    nodes = {
        f"node:{check}": status
        for (host, check), (owner, status) in model.checks.items()
        if (host, owner) == (peer, "")
    }
    states = r.liveness.states  # type: ignore[union-attr]
    assert {name: state for name, state in states.items() if not name.startswith("node:")} == own
    assert {n: s for n, s in states.items() if n.startswith("node:") and s != "passing"} == {
        n: s for n, s in nodes.items() if s != "passing"
    }


def _caller(peer: str) -> Any:
    from polaris_bridge.core.model import Caller

    return Caller("consul", peer)
