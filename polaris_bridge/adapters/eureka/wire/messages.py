"""Eureka's own typed messages: what its documents say, before anything is translated.

Values are plain: status and action words are strings, times are milliseconds since the epoch. Absent members are None, so that a
caller can tell "not said" from "said empty". Words that repeat in every instance are interned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from msgspec import Struct

Format = Literal["json", "xml"]

STATUSES: Final = ("UP", "DOWN", "STARTING", "OUT_OF_SERVICE", "UNKNOWN")
STATUS_WORDS: Final = {word: word for word in STATUSES}
"""Look-up that returns the one shared string of a status word."""
ACTION_TYPES: Final = {word: word for word in ("ADDED", "MODIFIED", "DELETED")}

DATA_CENTER_NAMES: Final = {word: word for word in ("Netflix", "Amazon", "MyOwn")}
OWN_DATA_CENTER_CLASS: Final = "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo"
AMAZON_CLASS: Final = "com.netflix.appinfo.AmazonInfo"
DATA_CENTER_CLASSES: Final = {
    OWN_DATA_CENTER_CLASS: OWN_DATA_CENTER_CLASS,
    "com.netflix.appinfo.MyDataCenterInfo": OWN_DATA_CENTER_CLASS,
    AMAZON_CLASS: AMAZON_CLASS,
}
"""Class names that a real server can read, and the one it writes back for each."""
EMPTY_MAP_CLASS: Final = "java.util.Collections$EmptyMap"
CLASS_KEY: Final = "@class"
"""Artefact of the servers' JSON codec; never a metadata key of a user."""

DEFAULT_PORT: Final = 7001
DEFAULT_SECURE_PORT: Final = 7002
DEFAULT_RENEWAL_S: Final = 30
DEFAULT_DURATION_S: Final = 90

MAX_MEMBERS: Final = 10_000
"""Metadata pairs in one JSON instance, elements in one XML instance. Servers have no such limit and clients come nowhere near it;
without one a single body could hold the event loop for seconds."""


class Malformed(Exception):
    """The bytes are not the document that was asked for. The only exception that decoding raises.

    A real server answers 400 ``{"error": "cannot parse request body"}`` then, see ``negotiation.parse_error``.
    """

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"{where}: {why}")
        self.where = where
        self.why = why


class Port(Struct, frozen=True, gc=False):
    """``port`` or ``securePort``: a number and whether clients may use it."""

    number: int
    enabled: bool


class DataCenterInfo(Struct, frozen=True, gc=False):
    """``dataCenterInfo``. ``name`` is None when a client forgot it; ``metadata`` is only read and written for Amazon's class."""

    name: str | None
    cls: str = OWN_DATA_CENTER_CLASS
    metadata: dict[str, str] = {}


MY_OWN: Final = DataCenterInfo("MyOwn")
"""The data centre of nearly every instance, shared."""


class LeaseInfo(Struct, frozen=True, gc=False):
    """``leaseInfo``. Intervals in seconds, times in milliseconds since the epoch, 0 = never."""

    renewal_s: int = DEFAULT_RENEWAL_S
    duration_s: int = DEFAULT_DURATION_S
    registration_ms: int = 0
    last_renewal_ms: int = 0
    eviction_ms: int = 0
    service_up_ms: int = 0


DEFAULT_LEASE: Final = LeaseInfo()


class InstanceInfo(Struct, frozen=True, gc=False, kw_only=True):
    """One instance document. ``app`` and ``app_group_name`` are upper-case, as every server stores them."""

    app: str
    instance_id: str | None = None
    host_name: str | None = None
    ip_addr: str | None = None
    sid: str | None = None
    status: str = "UP"
    overridden_status: str = "UNKNOWN"
    port: Port = Port(DEFAULT_PORT, True)
    secure_port: Port = Port(DEFAULT_SECURE_PORT, False)
    country_id: int = 1
    data_center: DataCenterInfo | None = None
    lease: LeaseInfo = DEFAULT_LEASE
    metadata: dict[str, str] = {}
    app_group_name: str | None = None
    home_page_url: str | None = None
    status_page_url: str | None = None
    health_check_url: str | None = None
    secure_health_check_url: str | None = None
    vip_address: str | None = None
    secure_vip_address: str | None = None
    is_coordinating_discovery_server: bool = False
    last_updated_ms: int | None = None
    last_dirty_ms: int | None = None
    action_type: str | None = None
    asg_name: str | None = None

    @property
    def id(self) -> str | None:
        """The id that paths use: ``instanceId``, else Amazon's ``instance-id``, else the host name."""
        if self.instance_id:
            return self.instance_id
        center = self.data_center
        if center is not None and center.cls == AMAZON_CLASS:
            return center.metadata.get("instance-id") or self.host_name
        return self.host_name


class Applications(Struct, frozen=True, gc=False):
    """A list that a server sent, flattened; ``version`` and ``hash_code`` are None in single documents."""

    instances: list[InstanceInfo]
    version: int | None = None
    hash_code: str | None = None


Action = Literal["Register", "Heartbeat", "StatusUpdate", "DeleteStatusOverride", "Cancel"]


class ReplicationItem(Struct, frozen=True, gc=False):
    """One call inside a peer's batch. ``action`` is None when the peer left it out (a real server answers that item with 500)."""

    app_name: str | None
    id: str | None
    action: Action | None
    last_dirty_ms: int | None = None
    status: str | None = None
    overridden_status: str | None = None
    instance: InstanceInfo | None = None


class ReplicationList(Struct, frozen=True, gc=False):
    """A peer's batch, in its order."""

    items: list[ReplicationItem]


class ReplicationAnswer(Struct, frozen=True, gc=False):
    """Answer to one item: a status code, and with 409 the instance that is stored here."""

    status_code: int
    instance: InstanceInfo | None = None


def first_defect(info: InstanceInfo, path_app: str) -> str | None:
    """Text of the 400 answer to a registration, or None when it is complete.

    The checks of POST apps/{APP} in the order of eureka-core's ApplicationResource; an empty text counts as missing.
    """
    app = path_app.upper()
    if not info.id:
        return "Missing instanceId"
    if not info.host_name:
        return "Missing hostname"
    if not info.ip_addr:
        return "Missing ip address"
    if not info.app:
        return "Missing appName"
    if info.app != app:
        return f"Mismatched appName, expecting {app} but was {info.app}"
    if info.data_center is None:
        return "Missing dataCenterInfo"
    if info.data_center.name is None:
        return "Missing dataCenterInfo Name"
    return None


def hash_code(counts: Mapping[str, int]) -> str:
    """``apps__hashcode`` of a registry with so many instances per status; "" when it is empty."""
    return "".join(f"{status}_{counts[status]}_" for status in sorted(counts) if counts[status])


def count_statuses(instances: Sequence[InstanceInfo]) -> dict[str, int]:
    """Instances per status, the argument of ``hash_code``."""
    counts: dict[str, int] = {}
    for info in instances:
        counts[info.status] = counts.get(info.status, 0) + 1
    return counts
