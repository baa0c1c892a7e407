"""What a recorded conversation of discovery tells: what each client asked and said, what was sent, and from that what happened to
the registry in between, which no recording holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from polaris_bridge.adapters.xds.wire import messages, types

from .recording import GrpcClose, GrpcMessage, GrpcOpen, load

OUTBOUND = "OUTBOUND|"

Endpoints = frozenset[tuple[str, int]]


@dataclass(frozen=True)
class Asked:
    """A client's message. It answers to the ``number``-th response of its type (from 1; 0: to none)."""

    message: Any
    type_url: str
    number: int


@dataclass(frozen=True)
class Sent:
    """A response: resources by name, as messages, and names that are gone."""

    type_url: str
    version: str
    resources: Mapping[str, Any]
    removed: tuple[str, ...] = ()

    @property
    def endpoints(self) -> dict[str, Endpoints]:
        """Of assignments: addresses by name."""
        if self.type_url != types.ASSIGNMENT:
            return {}
        return {name: endpoints_of(each) for name, each in self.resources.items()}


@dataclass
class Story:
    """One stream."""

    method: str
    steps: list[Asked | Sent] = field(default_factory=list)

    @property
    def delta(self) -> bool:
        """Whether it is the incremental variant."""
        return "/Delta" in self.method

    def services(self) -> dict[str, Endpoints]:
        """Every service that is told of, with its first addresses."""
        found: dict[str, Endpoints] = {}
        for step in self.steps:
            if isinstance(step, Sent):
                for name, endpoints in step.endpoints.items():
                    found.setdefault(name, endpoints)
        return {name.rpartition("|")[2]: each for name, each in found.items() if name.startswith(OUTBOUND)}


def endpoints_of(assignment: Any) -> Endpoints:
    """The addresses of an assignment."""
    return frozenset(
        (each.endpoint.address.socket_address.address, each.endpoint.address.socket_address.port_value)
        for locality in assignment.endpoints
        for each in locality.lb_endpoints
    )


def read_sent(data: bytes, delta: bool) -> Sent:
    """A response of either variant."""
    if delta:
        changes = messages.discovery.DeltaDiscoveryResponse.FromString(data)
        found = dict(_opened(each.resource) for each in changes.resources)
        assert set(found) == {each.name for each in changes.resources}
        return Sent(changes.type_url, changes.system_version_info, found, tuple(sorted(changes.removed_resources)))
    state = messages.discovery.DiscoveryResponse.FromString(data)
    return Sent(state.type_url, state.version_info, dict(_opened(each) for each in state.resources))


def nonce_of(data: bytes, delta: bool) -> str:
    """The nonce of a response."""
    kind = messages.discovery.DeltaDiscoveryResponse if delta else messages.discovery.DiscoveryResponse
    return str(kind.FromString(data).nonce)


def _opened(packed: Any) -> tuple[str, Any]:
    kinds = {
        types.LISTENER: messages.listener.Listener,
        types.ROUTES: messages.route.RouteConfiguration,
        types.CLUSTER: messages.cluster.Cluster,
        types.ASSIGNMENT: messages.endpoint.ClusterLoadAssignment,
    }
    message = kinds[packed.type_url].FromString(packed.value)
    return (message.cluster_name if packed.type_url == types.ASSIGNMENT else message.name), message


def stories(path: Path) -> Iterator[Story]:
    """The streams of a recording, in the order in which they were opened."""
    found: dict[int, Story] = {}
    numbers: dict[tuple[int, str], dict[str, int]] = {}
    for line in load(path).lines:
        if isinstance(line, GrpcOpen):
            found[line.call] = Story(line.method)
        elif isinstance(line, GrpcMessage):
            story = found[line.call]
            if line.sender == "server":
                sent = read_sent(line.body, story.delta)
                known = numbers.setdefault((line.call, sent.type_url), {})
                known[nonce_of(line.body, story.delta)] = len(known) + 1
                story.steps.append(sent)
            else:
                story.steps.append(_asked(line, story.delta, numbers))
        else:
            assert isinstance(line, GrpcClose)
    yield from found.values()


def _asked(line: GrpcMessage, delta: bool, numbers: Mapping[tuple[int, str], Mapping[str, int]]) -> Asked:
    kind = messages.discovery.DeltaDiscoveryRequest if delta else messages.discovery.DiscoveryRequest
    message = kind.FromString(line.body)
    number = numbers.get((line.call, message.type_url), {}).get(message.response_nonce, 0)
    assert bool(number) == bool(message.response_nonce)
    return Asked(message, message.type_url, number)
