"""Options of the listener ``service-eureka``."""

from datetime import timedelta
from typing import Annotated, Any

from pydantic import PlainValidator

from polaris_bridge.migration.peers import address_of

from .fields import Section, key, unused
from .listener_options import ConnLimit, LookupOptions
from .values import Seconds

Peers = dict[str | None, tuple[str, ...]]


def _peers(value: Any) -> Peers:
    """``[host:port, {namespace: [host:port]}]`` as namespace -> peers; None is the listener's own namespace."""
    expected = "expected host:port, or {namespace: [host:port, ...]}, in a list"
    if isinstance(value, dict):
        return value
    if not isinstance(value, list):
        raise ValueError(expected)
    found: dict[str | None, list[str]] = {}
    for item in value:
        groups = item if isinstance(item, dict) else {None: [item]}
        for namespace, peers in groups.items():
            if not isinstance(peers, list) or not all(isinstance(peer, str) and peer for peer in peers):
                raise ValueError(expected)
            for peer in peers:
                address_of(peer)
            found.setdefault(namespace, []).extend(peers)
    return {namespace: tuple(peers) for namespace, peers in found.items()}


PeerList = Annotated[Peers, PlainValidator(_peers)]


class CustomValues(Section):
    """What Eureka documents say of instances that came through another protocol."""

    data_center_info_class: str = key(
        "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "`dataCenterInfo.@class`.", min_length=1
    )
    data_center_info_name: str = key(
        "MyOwn", "`dataCenterInfo.name`; `MyOwn` = not in a cloud, what clients expect.", min_length=1
    )


class EurekaConnLimit(ConnLimit):
    """As everywhere, with the higher limits that the original ships for Eureka, whose clients open more connections."""

    max_conn_per_host: int = key(1024, "Connections from one client address.", ge=1)
    max_conn_limit: int = key(10240, "Connections in all; below 1 = no limit, as in the original.")


class EurekaOptions(LookupOptions):
    """Options of Eureka REST."""

    listen_port: int = key(8761, "Port; 0 = any free one, for tests.", ge=0, le=65535)
    conn_limit: EurekaConnLimit = key(EurekaConnLimit.model_construct(), "Limits on connections.")
    namespace: str = key("default", "Namespace of clients that name none by header or URL.", min_length=1)
    refresh_interval: Seconds = unused(
        timedelta(seconds=10), "Seconds between rebuilt snapshots; a change is visible at once here."
    )
    delta_expire_interval: Seconds = key(
        timedelta(seconds=60),
        "Seconds that a change stays in the delta; never less than 180 s, on which Netflix clients rely.",
    )
    unhealthy_expire_interval: Seconds = key(
        timedelta(seconds=180),
        "Seconds that an instance of another protocol that lost its lease is shown DOWN before it leaves the view.",
    )
    enable_self_preservation: bool = key(
        True, "Whether self-protection (`naming.selfProtection`) covers this listener's leases."
    )
    generate_unique_inst_id: bool = unused(
        False, "Prefixes instance ids in the original, whose ids are global; they are kept per application here."
    )
    lease_factor: int = key(
        1,
        "Multiplies lease durations before expiry. 1 = what the client asked for; 2 = what Netflix's server really does.",
        ge=1,
        le=10,
    )
    custom_values: CustomValues = key(CustomValues.model_construct(), "Values for instances of other protocols.")
    peers_to_replicate: PeerList = key(
        {},
        "Other Eureka servers, as host:port or URL: what clients do here is passed on to them, and what they know is taken over "
        "before the first client is answered. Receiving from peers always works.",
    )
    replicate_peers: PeerList = key({}, "Another name of `peersToReplicate`.")
    owner: str = unused("", "Owner of created services in older files.")
    case_sensitive: bool = unused(False, "Older switch for the case of application names.")
    ignore_up_low: bool = unused(False, "Older switch for the case of application names.")
