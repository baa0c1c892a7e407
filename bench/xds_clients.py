"""What clients of discovery say, as bytes: first requests, how their acknowledgements begin, and the servers they say it to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bridge import Bridge
from grpc_floor import TRANSPORT
from grpc_load import send_all
from polaris_fleet import REGISTER, SUCCESS, NativeFleet

from polaris_bridge.adapters.xds.wire import messages, types

STREAM = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
CARRIED = (
    f"apiservers.service-grpc.option.transport={TRANSPORT}",
    f"apiservers.xds-v3.option.transport={TRANSPORT}",
)
NATIVE = TRANSPORT == "native"


def asking(service: str, namespace: str = "default") -> list[bytes]:
    """What a gRPC client of a service says: for each type the first request and the beginning of what follows."""
    names = (
        (types.LISTENER, f"{service}.{namespace}"),
        (types.ROUTES, f"polaris-outbound-router|{service}.{namespace}"),
        (types.CLUSTER, f"OUTBOUND|{namespace}|{service}"),
        (types.ASSIGNMENT, f"OUTBOUND|{namespace}|{service}"),
    )
    found: list[bytes] = []
    for type_url, name in names:
        stem = messages.discovery.DiscoveryRequest(type_url=type_url, resource_names=[name])
        first = messages.discovery.DiscoveryRequest()
        first.CopyFrom(stem)
        if not found:
            first.node.id = "sidecar~default/bench-1~127.0.0.1"
            first.node.user_agent_name = "gRPC Go"
        found += [first.SerializeToString(), stem.SerializeToString()]
    return found


@contextmanager
def filled(*fleets: NativeFleet) -> Iterator[Bridge]:
    """Our server with the instances of some fleets."""
    with Bridge(options=CARRIED) as server:
        for fleet in fleets:
            send_all(server.grpc, REGISTER, [fleet.registration(n) for n in range(fleet.size)], SUCCESS)
        yield server
