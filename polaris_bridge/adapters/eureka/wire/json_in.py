"""JSON bytes to messages, as lenient as the Netflix server's deserialiser.

Two paths with one result. The quick one is a typed decoder for what clients really send; whatever it refuses (a number where
text belongs, a float, null in metadata) goes to the tolerant one, which reads every member by itself. Of doubled members the last
wins. Members may come in any order and unknown ones are ignored. Metadata values that are objects or arrays are Malformed: a real
server loses its place in them and refuses the document too.
"""

from __future__ import annotations

from collections.abc import Callable
from sys import intern
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Raw, Struct, field

from .json_out import dump
from .messages import (
    ACTION_TYPES,
    AMAZON_CLASS,
    CLASS_KEY,
    DATA_CENTER_CLASSES,
    DATA_CENTER_NAMES,
    DEFAULT_DURATION_S,
    DEFAULT_LEASE,
    DEFAULT_PORT,
    DEFAULT_RENEWAL_S,
    DEFAULT_SECURE_PORT,
    MAX_MEMBERS,
    MY_OWN,
    OWN_DATA_CENTER_CLASS,
    STATUS_WORDS,
    Applications,
    DataCenterInfo,
    InstanceInfo,
    LeaseInfo,
    Malformed,
    Port,
)
from .scalars import INT_MAX, LONG_MAX, Scalar, as_boolean, as_whole

_NULL: Final = Raw(b"null")
_Text = str | None
_Number = int | str | None
_Flag = str | bool | None


class _Port(Struct, gc=False):
    number: _Number = field(name="$", default=None)
    enabled: _Flag = field(name="@enabled", default=None)


class _DataCenter(Struct, gc=False):
    cls: _Text = field(name="@class", default=None)
    name: _Text = None
    metadata: dict[str, str] | None = None


class _Lease(Struct, gc=False):
    renewalIntervalInSecs: _Number = None
    durationInSecs: _Number = None
    registrationTimestamp: _Number = None
    lastRenewalTimestamp: _Number = None
    evictionTimestamp: _Number = None
    serviceUpTimestamp: _Number = None


class _Instance(Struct, gc=False):
    """The document's own shape; attribute names are the member names."""

    instanceId: _Text = None
    hostName: _Text = None
    app: _Text = None
    ipAddr: _Text = None
    sid: _Text = None
    status: _Text = None
    overriddenStatus: _Text = None
    overriddenstatus: _Text = None
    port: _Port | None = None
    securePort: _Port | None = None
    countryId: _Number = None
    dataCenterInfo: _DataCenter | None = None
    leaseInfo: _Lease | None = None
    metadata: dict[str, str] | None = None
    appGroupName: _Text = None
    homePageUrl: _Text = None
    statusPageUrl: _Text = None
    healthCheckUrl: _Text = None
    secureHealthCheckUrl: _Text = None
    vipAddress: _Text = None
    secureVipAddress: _Text = None
    isCoordinatingDiscoveryServer: _Flag = None
    lastUpdatedTimestamp: _Number = None
    lastDirtyTimestamp: _Number = None
    actionType: _Text = None
    asgName: _Text = None


class _Root(Struct, gc=False):
    instance: _Instance


class _Documents(Struct, gc=False):
    """Any of the three documents that a server sends; exactly one member is expected."""

    applications: Raw = _NULL
    application: Raw = _NULL
    instance: Raw = _NULL


class _Applications(Struct, gc=False):
    versions__delta: _Number = None
    apps__hashcode: _Text = None
    application: Raw = _NULL


class _Application(Struct, gc=False):
    name: _Text = None
    instance: Raw = _NULL


_ROOT: Final = msgspec.json.Decoder(_Root)
_INSTANCE: Final = msgspec.json.Decoder(_Instance)
_LOOSE_ROOT: Final = msgspec.json.Decoder(dict[str, Raw])
_MEMBERS: Final = msgspec.json.Decoder(dict[str, Raw])
_ELEMENTS: Final = msgspec.json.Decoder(list[Raw])
_DOCUMENTS: Final = msgspec.json.Decoder(_Documents)
_APPLICATIONS: Final = msgspec.json.Decoder(_Applications)
_APPLICATION: Final = msgspec.json.Decoder(_Application)
_ANY: Final = msgspec.json.Decoder()

T = TypeVar("T")


def decode_instance_json(body: bytes) -> InstanceInfo:
    """A registration body ``{"instance": {...}}``. Raises Malformed."""
    body = _without_mark(body)
    try:
        document = _ROOT.decode(body).instance
    except msgspec.ValidationError:
        root = parsed(_LOOSE_ROOT, body, "document")
        return _lift(_tolerant(root.get("instance", _NULL), "instance"), strict=True)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Malformed("document", str(error)) from None
    return _lift(document, strict=True)


def decode_bare_instance_json(raw: Raw | bytes, *, strict: bool, app: str | None = None) -> InstanceInfo:
    """An instance object without its root. ``app`` stands in when the object has none (a member of an application)."""
    try:
        document = _INSTANCE.decode(raw)
    except msgspec.ValidationError:
        document = _tolerant(raw, "instance")
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Malformed("instance", str(error)) from None
    if document.app is None:
        document.app = app
    return _lift(document, strict=strict)


def decode_applications_json(body: bytes) -> Applications:
    """What a server sent: applications, one application or one instance; a lone object counts as a list of one."""
    documents = parsed(_DOCUMENTS, _without_mark(body), "document")
    if not is_null(documents.instance):
        return Applications([decode_bare_instance_json(documents.instance, strict=False)])
    if not is_null(documents.application):
        return Applications(_application(documents.application))
    if is_null(documents.applications):
        raise Malformed("document", "expected applications, application or instance")
    listing = parsed(_APPLICATIONS, documents.applications, "applications")
    instances = [info for raw in elements(listing.application, "application") for info in _application(raw)]
    return Applications(
        instances, as_whole(listing.versions__delta, "versions__delta", LONG_MAX), listing.apps__hashcode
    )


def _application(raw: Raw) -> list[InstanceInfo]:
    application = parsed(_APPLICATION, raw, "application")
    return [
        decode_bare_instance_json(item, strict=False, app=application.name)
        for item in elements(application.instance, "instance")
    ]


def parsed(decoder: msgspec.json.Decoder[T], raw: Raw | bytes, where: str) -> T:
    """Decode, with every way in which bytes can be wrong turned into Malformed."""
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Malformed(where, str(error)) from None


def elements(raw: Raw, where: str) -> list[Raw]:
    """Members of an array; a lone object is an array of one, null and text are none (servers before XStream 1.4 wrote those)."""
    first = bytes(memoryview(raw)[:1])
    if first == b"[":
        return parsed(_ELEMENTS, raw, where)
    if first == b"{":
        return [raw]
    if first in (b"n", b'"'):
        return []
    raise Malformed(where, "expected an array")


def is_null(raw: Raw) -> bool:
    """Whether the value is null (or the member was absent, by the defaults used here)."""
    return bytes(memoryview(raw)[:1]) == b"n"


def scalar(raw: Raw, where: str) -> Scalar:
    """The value of a member that must not be an object or array."""
    value = parsed(_ANY, raw, where)
    if isinstance(value, (dict, list)):
        raise Malformed(where, "expected a single value")
    return value  # type: ignore[no-any-return]


def text(raw: Raw, where: str) -> str | None:
    """Text as a real server reads it: numbers and booleans as they were spelt; None for null."""
    value = scalar(raw, where)
    if value is None or isinstance(value, str):
        return value
    return bytes(raw).decode("ascii")


def _without_mark(body: bytes) -> bytes:
    """Without the byte order mark that some .NET clients put first."""
    return body[3:] if body.startswith(b"\xef\xbb\xbf") else body


# The tolerant path: member by member


def _flag(raw: Raw, where: str) -> _Flag:
    value = scalar(raw, where)
    return value if value is None or isinstance(value, str) else bool(value)


def _strings(raw: Raw, where: str) -> dict[str, str] | None:
    if is_null(raw):
        return None
    pairs = parsed(_MEMBERS, raw, where)
    if len(pairs) > MAX_MEMBERS:
        raise Malformed(where, "too many pairs")
    texts = {key: _pair_text(value, where) for key, value in pairs.items()}
    return {key: "null" if value is None else value for key, value in texts.items()}


def _pair_text(raw: Raw, where: str) -> str | None:
    """A value of a map of texts. A real server takes an object too, scattering its members; here it stays one JSON text."""
    value = parsed(_ANY, raw, where)
    return dump(value).decode() if isinstance(value, dict) else text(raw, where)


def _object(
    kind: Callable[..., Any], readers: dict[str, tuple[str, Callable[[Raw, str], Any]]]
) -> Callable[[Raw, str], Any]:
    """Reader of an object: known members by their readers, the others skipped, null as None."""

    def read(raw: Raw, where: str) -> Any:
        if is_null(raw):
            return None
        found = {}
        for name, value in parsed(_MEMBERS, raw, where).items():
            reader = readers.get(name)
            if reader is not None:
                found[reader[0]] = reader[1](value, f"{where}.{name}")
        return kind(**found)

    return read


_read_port: Final = _object(_Port, {"$": ("number", scalar), "@enabled": ("enabled", _flag)})
_read_center: Final = _object(
    _DataCenter, {"@class": ("cls", text), "name": ("name", text), "metadata": ("metadata", _strings)}
)
_read_lease: Final = _object(_Lease, {name: (name, scalar) for name in _Lease.__struct_fields__})
_SPECIAL_MEMBERS: Final[dict[str, Callable[[Raw, str], Any]]] = {
    "port": _read_port,
    "securePort": _read_port,
    "dataCenterInfo": _read_center,
    "leaseInfo": _read_lease,
    "metadata": _strings,
    "isCoordinatingDiscoveryServer": _flag,
    "countryId": scalar,
    "lastUpdatedTimestamp": scalar,
    "lastDirtyTimestamp": scalar,
}
_read_instance: Final = _object(
    _Instance, {name: (name, _SPECIAL_MEMBERS.get(name, text)) for name in _Instance.__struct_fields__}
)


def _tolerant(raw: Raw | bytes, where: str) -> _Instance:
    document: _Instance | None = _read_instance(Raw(raw), where)
    if document is None:
        raise Malformed(where, "missing")
    return document


# From the document's shape to the message


def _lift(document: _Instance, *, strict: bool) -> InstanceInfo:
    app = document.app
    if app is None:
        raise Malformed("instance.app", "missing")
    group = document.appGroupName
    sid = document.sid
    center = document.dataCenterInfo
    lease = document.leaseInfo
    metadata = document.metadata
    status = document.status
    action = document.actionType
    overridden = document.overriddenStatus
    if overridden is None:
        overridden = document.overriddenstatus
    coordinating = document.isCoordinatingDiscoveryServer
    return InstanceInfo(
        app=intern(app.upper()),
        instance_id=document.instanceId,
        host_name=document.hostName or None,
        ip_addr=document.ipAddr,
        sid=None if sid == "na" or sid == "unknown" else sid,
        status="UP" if status is None else STATUS_WORDS.get(status, "UNKNOWN"),
        overridden_status="UNKNOWN" if overridden is None else STATUS_WORDS.get(overridden, "UNKNOWN"),
        port=_lift_port(document.port, DEFAULT_PORT, True),
        secure_port=_lift_port(document.securePort, DEFAULT_SECURE_PORT, False),
        country_id=1 if document.countryId is None else _int(document.countryId, "countryId"),
        data_center=None if center is None else _lift_center(center, strict),
        lease=DEFAULT_LEASE if lease is None else _lift_lease(lease),
        metadata=_lift_metadata(metadata) if metadata else {},
        app_group_name=None if group is None else intern(group.upper()),
        home_page_url=document.homePageUrl,
        status_page_url=document.statusPageUrl,
        health_check_url=document.healthCheckUrl,
        secure_health_check_url=document.secureHealthCheckUrl,
        vip_address=document.vipAddress,
        secure_vip_address=document.secureVipAddress,
        is_coordinating_discovery_server=coordinating is not None and as_boolean(coordinating) is True,
        last_updated_ms=_long(document.lastUpdatedTimestamp, "lastUpdatedTimestamp"),
        last_dirty_ms=_long(document.lastDirtyTimestamp, "lastDirtyTimestamp"),
        action_type=None if action is None else ACTION_TYPES.get(action),
        asg_name=document.asgName,
    )


def _int(value: _Number, where: str) -> int:
    return as_whole(value, where, INT_MAX) or 0


def _long(value: _Number, where: str) -> int | None:
    return as_whole(value, where, LONG_MAX)


def _lift_port(port: _Port | None, number: int, enabled: bool) -> Port:
    if port is None:
        return Port(number, enabled)
    if port.number is not None:
        number = _int(port.number, "port")
    flag = port.enabled
    return Port(number, enabled if flag is None else flag is True or flag == "true")


def _lift_lease(lease: _Lease) -> LeaseInfo:
    renewal_s = _int(lease.renewalIntervalInSecs, "leaseInfo")
    duration_s = _int(lease.durationInSecs, "leaseInfo")
    return LeaseInfo(
        renewal_s if renewal_s > 0 else DEFAULT_RENEWAL_S,
        duration_s if duration_s > 0 else DEFAULT_DURATION_S,
        _long(lease.registrationTimestamp, "leaseInfo") or 0,
        _long(lease.lastRenewalTimestamp, "leaseInfo") or 0,
        _long(lease.evictionTimestamp, "leaseInfo") or 0,
        _long(lease.serviceUpTimestamp, "leaseInfo") or 0,
    )


def _lift_center(center: _DataCenter, strict: bool) -> DataCenterInfo:
    """The class decides, as for the servers' typed deserialiser. A client's (``strict``) must be one that a server has."""
    cls = DATA_CENTER_CLASSES.get(center.cls or "")
    if cls is None:
        if strict:
            raise Malformed("instance.dataCenterInfo", "missing or unknown @class")
        cls = center.cls or OWN_DATA_CENTER_CLASS
    if cls == AMAZON_CLASS:
        return DataCenterInfo("Amazon", cls, _lift_metadata(center.metadata or {}))
    name = center.name
    if name == "MyOwn" and cls == OWN_DATA_CENTER_CLASS:
        return MY_OWN
    if strict and name is not None and name not in DATA_CENTER_NAMES:
        raise Malformed("instance.dataCenterInfo.name", "unknown name")
    return DataCenterInfo(name, cls)


def _lift_metadata(metadata: dict[str, str]) -> dict[str, str]:
    if len(metadata) > MAX_MEMBERS:
        raise Malformed("metadata", "too many pairs")
    lifted = {intern(key): value for key, value in metadata.items()}
    lifted.pop(CLASS_KEY, None)
    return lifted
