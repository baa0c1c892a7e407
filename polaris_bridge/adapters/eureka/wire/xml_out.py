"""Messages to XML, in the element order and layout of the Netflix server.

Every newline in what is written here belongs to the layout (``escape_text`` writes those of values as references), so text that
was laid out for one depth can be moved to another by replacing line starts.
"""

from __future__ import annotations

from typing import Final

from .json_out import compact_data_center
from .messages import AMAZON_CLASS, EMPTY_MAP_CLASS, DataCenterInfo, InstanceInfo, Port
from .xml_text import element_name, escape_text

_BOOLEAN: Final = {True: "true", False: "false"}
LIST_INDENT: Final = "\n    "
"""Line start of an instance inside ``applications``, the depth at which fragments are kept."""


def xml_full(info: InstanceInfo, indent: str = LIST_INDENT) -> bytes:
    """The full instance element; every line, the first too, begins with ``indent`` (a newline and blanks)."""
    inner = indent + "  "
    deeper = inner + "  "
    lease = info.lease
    port, secure = info.port, info.secure_port
    return (
        f"{indent}<instance>{_optional(inner, 'instanceId', info.instance_id)}"
        f"{_optional(inner, 'hostName', info.host_name)}"
        f"{inner}<app>{escape_text(info.app)}</app>"
        f"{_optional(inner, 'ipAddr', info.ip_addr)}{_optional(inner, 'sid', info.sid)}"
        f"{inner}<status>{info.status}</status>"
        f"{inner}<overriddenstatus>{info.overridden_status}</overriddenstatus>"
        f'{inner}<port enabled="{_BOOLEAN[port.enabled]}">{port.number}</port>'
        f'{inner}<securePort enabled="{_BOOLEAN[secure.enabled]}">{secure.number}</securePort>'
        f"{inner}<countryId>{info.country_id}</countryId>"
        f"{_data_center(info.data_center, inner)}"
        f"{inner}<leaseInfo>"
        f"{deeper}<renewalIntervalInSecs>{lease.renewal_s}</renewalIntervalInSecs>"
        f"{deeper}<durationInSecs>{lease.duration_s}</durationInSecs>"
        f"{deeper}<registrationTimestamp>{lease.registration_ms}</registrationTimestamp>"
        f"{deeper}<lastRenewalTimestamp>{lease.last_renewal_ms}</lastRenewalTimestamp>"
        f"{deeper}<evictionTimestamp>{lease.eviction_ms}</evictionTimestamp>"
        f"{deeper}<serviceUpTimestamp>{lease.service_up_ms}</serviceUpTimestamp>"
        f"{inner}</leaseInfo>{_map(info.metadata, inner)}"
        f"{_optional(inner, 'appGroupName', info.app_group_name)}"
        f"{_optional(inner, 'homePageUrl', info.home_page_url)}"
        f"{_optional(inner, 'statusPageUrl', info.status_page_url)}"
        f"{_optional(inner, 'healthCheckUrl', info.health_check_url)}"
        f"{_optional(inner, 'secureHealthCheckUrl', info.secure_health_check_url)}"
        f"{_optional(inner, 'vipAddress', info.vip_address)}"
        f"{_optional(inner, 'secureVipAddress', info.secure_vip_address)}"
        f"{inner}<isCoordinatingDiscoveryServer>{_BOOLEAN[info.is_coordinating_discovery_server]}"
        f"</isCoordinatingDiscoveryServer>"
        f"{_number(inner, 'lastUpdatedTimestamp', info.last_updated_ms)}"
        f"{_number(inner, 'lastDirtyTimestamp', info.last_dirty_ms)}"
        f"{_optional(inner, 'actionType', info.action_type)}{_optional(inner, 'asgName', info.asg_name)}"
        f"{indent}</instance>"
    ).encode()


def xml_compact(info: InstanceInfo) -> bytes:
    """The compact instance element: the members of compact JSON in the same order, without layout."""
    center = None if info.data_center is None else compact_data_center(info.data_center)
    return (
        f"<instance>{_optional('', 'instanceId', info.instance_id)}<app>{escape_text(info.app)}</app>"
        f"{_optional('', 'ipAddr', info.ip_addr)}{_optional('', 'vipAddress', info.vip_address)}"
        f"{_optional('', 'secureVipAddress', info.secure_vip_address)}{_data_center(center, '')}"
        f"{_optional('', 'hostName', info.host_name)}<status>{info.status}</status>"
        f"{_number('', 'lastUpdatedTimestamp', info.last_updated_ms)}"
        f"{_optional('', 'actionType', info.action_type)}{_optional('', 'asgName', info.asg_name)}"
        f"{_compact_port('port', info.port)}{_compact_port('securePort', info.secure_port)}</instance>"
    ).encode()


def _optional(indent: str, name: str, text: str | None) -> str:
    return "" if text is None else f"{indent}<{name}>{escape_text(text)}</{name}>"


def _number(indent: str, name: str, number: int | None) -> str:
    return "" if number is None else f"{indent}<{name}>{number}</{name}>"


def _compact_port(name: str, port: Port) -> str:
    return f'<{name} enabled="{_BOOLEAN[port.enabled]}">{port.number}</{name}>'


def _data_center(center: DataCenterInfo | None, indent: str) -> str:
    if center is None:
        return ""
    inner = indent + "  " if indent else ""
    metadata = _map(center.metadata, inner) if center.cls == AMAZON_CLASS else ""
    return (
        f'{indent}<dataCenterInfo class="{escape_text(center.cls)}">{_optional(inner, "name", center.name)}{metadata}'
        f"{indent}</dataCenterInfo>"
    )


def _map(pairs: dict[str, str], indent: str) -> str:
    if not pairs:
        return f'{indent}<metadata class="{EMPTY_MAP_CLASS}"/>'
    inner = indent + "  " if indent else ""
    parts = [f"{indent}<metadata>"]
    for key, value in pairs.items():
        name = element_name(key)
        parts.append(f"{inner}<{name}>{escape_text(value)}</{name}>")
    parts.append(f"{indent}</metadata>")
    return "".join(parts)
