"""Messages to JSON, in the member order and number or text forms of the Netflix server."""

from __future__ import annotations

from typing import Any, Final

import orjson

from .messages import AMAZON_CLASS, CLASS_KEY, EMPTY_MAP_CLASS, DataCenterInfo, InstanceInfo, Port

_BOOLEAN: Final = {True: "true", False: "false"}
_EMPTY_METADATA: Final = {CLASS_KEY: EMPTY_MAP_CLASS}
COMPACT_AMAZON_KEYS: Final = frozenset(
    {"instance-id", "public-ipv4", "public-hostname", "local-ipv4", "availability-zone"}
)
"""Amazon metadata that the compact form keeps."""


def json_full(info: InstanceInfo) -> bytes:
    """The full instance object, without a root."""
    document: dict[str, Any] = {}
    if info.instance_id is not None:
        document["instanceId"] = info.instance_id
    document["hostName"] = info.host_name
    document["app"] = info.app
    document["ipAddr"] = info.ip_addr
    if info.sid is not None:
        document["sid"] = info.sid
    document["status"] = info.status
    document["overriddenStatus"] = info.overridden_status
    document["port"] = _port(info.port)
    document["securePort"] = _port(info.secure_port)
    document["countryId"] = info.country_id
    if info.data_center is not None:
        document["dataCenterInfo"] = _data_center(info.data_center)
    lease = info.lease
    document["leaseInfo"] = {
        "renewalIntervalInSecs": lease.renewal_s,
        "durationInSecs": lease.duration_s,
        "registrationTimestamp": lease.registration_ms,
        "lastRenewalTimestamp": lease.last_renewal_ms,
        "evictionTimestamp": lease.eviction_ms,
        "serviceUpTimestamp": lease.service_up_ms,
    }
    document["metadata"] = info.metadata or _EMPTY_METADATA
    urls_and_names = (
        ("appGroupName", info.app_group_name),
        ("homePageUrl", info.home_page_url),
        ("statusPageUrl", info.status_page_url),
        ("healthCheckUrl", info.health_check_url),
        ("secureHealthCheckUrl", info.secure_health_check_url),
        ("vipAddress", info.vip_address),
        ("secureVipAddress", info.secure_vip_address),
    )
    document.update([pair for pair in urls_and_names if pair[1] is not None])
    document["isCoordinatingDiscoveryServer"] = "true" if info.is_coordinating_discovery_server else "false"
    if info.last_updated_ms is not None:
        document["lastUpdatedTimestamp"] = str(info.last_updated_ms)
    if info.last_dirty_ms is not None:
        document["lastDirtyTimestamp"] = str(info.last_dirty_ms)
    if info.action_type is not None:
        document["actionType"] = info.action_type
    if info.asg_name is not None:
        document["asgName"] = info.asg_name
    return dump(document)


def json_compact(info: InstanceInfo) -> bytes:
    """The compact instance object: what a client needs to call the instance, nothing it could show."""
    center = info.data_center
    document: dict[str, Any] = {
        "instanceId": info.instance_id,
        "app": info.app,
        "ipAddr": info.ip_addr,
        "vipAddress": info.vip_address,
        "secureVipAddress": info.secure_vip_address,
        "dataCenterInfo": None if center is None else _data_center(compact_data_center(center)),
        "hostName": info.host_name,
        "status": info.status,
        "lastUpdatedTimestamp": info.last_updated_ms,
        "actionType": info.action_type,
        "asgName": info.asg_name,
        "port": _port(info.port),
        "securePort": _port(info.secure_port),
    }
    return dump({name: value for name, value in document.items() if value is not None})


def compact_data_center(center: DataCenterInfo) -> DataCenterInfo:
    """The data centre as the compact forms show it."""
    if not center.metadata:
        return center
    kept = {key: value for key, value in center.metadata.items() if key in COMPACT_AMAZON_KEYS}
    return DataCenterInfo(center.name, center.cls, kept)


def _port(port: Port) -> dict[str, Any]:
    return {"$": port.number, "@enabled": _BOOLEAN[port.enabled]}


def _data_center(center: DataCenterInfo) -> dict[str, Any]:
    document: dict[str, Any] = {CLASS_KEY: center.cls, "name": center.name}
    if center.cls == AMAZON_CLASS:
        document["metadata"] = center.metadata
    return document


def dump(document: Any) -> bytes:
    """JSON of plain values. Lone surrogates, which UTF-8 cannot hold, become question marks as in Java."""
    try:
        return orjson.dumps(document)
    except orjson.JSONEncodeError:
        return orjson.dumps(_scrubbed(document))


def _scrubbed(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {_scrubbed(key): _scrubbed(item) for key, item in value.items()}
    return value
