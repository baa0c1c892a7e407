"""Eureka's instance documents to canonical registrations and back. Pure; the mapping sheet's tables in code."""

from __future__ import annotations

import hashlib
import sys
from functools import lru_cache
from typing import Final

from msgspec import Struct, structs

from polaris_bridge.adapters._shared.tags import metadata_of
from polaris_bridge.core.model import (
    DOWN,
    NOWHERE,
    OUT_OF_SERVICE,
    STARTING,
    UNKNOWN,
    UP,
    Address,
    Lease,
    Location,
    Port,
    Registration,
    RegistrationKey,
)
from polaris_bridge.core.views import Shown

from .settings import EurekaSettings
from .wire.messages import AMAZON_CLASS, MY_OWN, OWN_DATA_CENTER_CLASS, DataCenterInfo, InstanceInfo, LeaseInfo
from .wire.messages import Port as WirePort

SOURCE: Final = "eureka"

WORDS: Final = {"UP": UP, "DOWN": DOWN, "STARTING": STARTING, "OUT_OF_SERVICE": OUT_OF_SERVICE, "UNKNOWN": UNKNOWN}
STATUSES: Final = {word: status for status, word in WORDS.items()}

_REGION, _ZONE, _CAMPUS = "region", "zone", "campus"
_NATIVE: Final = "internal-eureka-"


class Document(Struct, frozen=True, gc=False, array_like=True):
    """What only Eureka says of an instance: kept beside the canonical fields, returned as it came."""

    given_id: bool = False
    """Whether it had an ``instanceId``; the id itself is in the registration's key."""
    host_name: str | None = None
    sid: str | None = None
    port: int = 0
    port_enabled: bool = True
    secure_port: int = 0
    secure_port_enabled: bool = False
    country_id: int = 1
    data_center_name: str | None = None
    data_center_class: str = ""
    data_center_metadata: dict[str, str] | None = None
    renewal_s: int = 30
    duration_s: int = 90
    app_group_name: str | None = None
    home_page_url: str | None = None
    status_page_url: str | None = None
    health_check_url: str | None = None
    secure_health_check_url: str | None = None
    vip_address: str | None = None
    secure_vip_address: str | None = None
    is_coordinating_discovery_server: bool = False
    asg_name: str | None = None


class Marks(Struct, frozen=True, gc=False, array_like=True):
    """Eureka's bookkeeping of one registration, in wall-clock milliseconds. No part of what an instance says."""

    dirty_ms: int = 0
    registered_ms: int = 0
    service_up_ms: int = 0
    replicated: bool = False


def registration_key(namespace: str, app: str, id: str) -> RegistrationKey:
    """Eureka ids are unique within their application only; the application's case does not matter."""
    return RegistrationKey(SOURCE, namespace, f"{app}/{id}")


def service_hint(info: InstanceInfo) -> str:
    """The first VIP without its port: Spring sends the application's name there as its owner spells it."""
    return (info.vip_address or "").split(",", 1)[0].rsplit(":", 1)[0].strip()


def primary_port(info: InstanceInfo) -> tuple[int, str]:
    """The port traffic goes to and its protocol: the plain one if enabled, else the secure one if enabled, else plain."""
    if not info.port.enabled and info.secure_port.enabled:
        return info.secure_port.number, "https"
    return info.port.number, "http"


def farewell(key: RegistrationKey) -> Registration:
    """What is left to say of a registration that ended before this process began: which one it was."""
    id = key.key.partition("/")[2]
    return Registration(
        key.source, key.namespace, key.key, app_of(key.key).lower(), "", 0, ext=Document(True, id), marks=Marks()
    )


def lift(
    info: InstanceInfo, namespace: str, service: str, word: str, marks: Marks, settings: EurekaSettings
) -> Registration:
    """The canonical form of an instance whose status was already decided (``word``)."""
    port, protocol = primary_port(info)
    center = info.data_center
    host = info.ip_addr or ""
    document = Document(
        given_id=bool(info.instance_id),
        host_name=host if info.host_name == host else info.host_name,
        sid=info.sid,
        port=info.port.number,
        port_enabled=info.port.enabled,
        secure_port=info.secure_port.number,
        secure_port_enabled=info.secure_port.enabled,
        country_id=info.country_id,
        data_center_name=center.name if center else None,
        data_center_class=sys.intern(center.cls) if center else "",
        data_center_metadata=center.metadata if center and center.metadata else None,
        renewal_s=info.lease.renewal_s,
        duration_s=info.lease.duration_s,
        app_group_name=info.app_group_name,
        home_page_url=info.home_page_url,
        status_page_url=info.status_page_url,
        health_check_url=info.health_check_url,
        secure_health_check_url=info.secure_health_check_url,
        vip_address=info.vip_address,
        secure_vip_address=info.vip_address if info.secure_vip_address == info.vip_address else info.secure_vip_address,
        is_coordinating_discovery_server=info.is_coordinating_discovery_server,
        asg_name=info.asg_name,
    )
    # equal texts are kept as one object below and above: a registry of 100,000 instances is mostly text
    return Registration(
        source=SOURCE,
        namespace=namespace,
        key=registration_key(namespace, info.app, info.id or "").key,
        service=sys.intern(service),
        host=host,
        port=port,
        liveness=_lease(info.lease.renewal_s, info.lease.duration_s, settings.lease_factor, settings.self_preservation),
        reported=word,
        protocol=protocol,
        ports=_ports(info),
        metadata={key: _shared(value) for key, value in info.metadata.items()},
        location=_location(info.metadata, center),
        ext=document,
        marks=marks,
    )


def render_own(
    r: Registration, word: str, override: str | None, action: str, last_renewal_ms: int, gone_ms: int = 0
) -> InstanceInfo:
    """A registration made through Eureka, as its readers get it back. ``gone_ms``: when it left, 0 while it is there."""
    d: Document = r.ext
    m: Marks = r.marks
    center = None
    if d.data_center_name is not None or d.data_center_class:
        center = DataCenterInfo(d.data_center_name, d.data_center_class, d.data_center_metadata or {})
    return InstanceInfo(
        app=app_of(r.key),
        instance_id=own_id(r) if d.given_id else None,
        host_name=d.host_name,
        ip_addr=r.host,
        sid=d.sid,
        status=STATUSES[word],
        overridden_status=STATUSES[override] if override else "UNKNOWN",
        port=WirePort(d.port, d.port_enabled),
        secure_port=WirePort(d.secure_port, d.secure_port_enabled),
        country_id=d.country_id,
        data_center=center,
        lease=LeaseInfo(d.renewal_s, d.duration_s, m.registered_ms, last_renewal_ms, gone_ms, m.service_up_ms),
        metadata=r.metadata,
        app_group_name=d.app_group_name,
        home_page_url=d.home_page_url,
        status_page_url=d.status_page_url,
        health_check_url=d.health_check_url,
        secure_health_check_url=d.secure_health_check_url,
        vip_address=d.vip_address,
        secure_vip_address=d.secure_vip_address,
        is_coordinating_discovery_server=d.is_coordinating_discovery_server,
        last_updated_ms=r.updated_ms,
        last_dirty_ms=m.dirty_ms,
        action_type=action,
        asg_name=d.asg_name,
    )


def render_foreign(r: Registration, id: str, word: str, action: str, settings: EurekaSettings) -> InstanceInfo:
    """A registration of another protocol, with what Eureka readers expect of every instance made up for it."""
    name = r.service
    secure = r.protocol.lower() in ("https", "grpcs") or r.metadata.get("secure") == "true"
    other = next((p.number for p in r.ports if p.name == ("http" if secure else "https")), None)
    plain, tls = (other or r.port, r.port) if secure else (r.port, other or 443)
    management = r.metadata.get("management.port") or str(r.port)
    context = r.metadata.get("management.context-path", "")
    host = f"[{r.host}]" if ":" in r.host else r.host
    base = f"{'https' if secure and management == str(r.port) else 'http'}://{host}:{management}{context}/actuator"
    metadata = dict(metadata_of(r))
    for key, value in zip((_REGION, _ZONE, _CAMPUS), structs.astuple(r.location), strict=True):
        if value:
            metadata.setdefault(key, value)
    return InstanceInfo(
        app=name.upper(),
        instance_id=id,
        host_name=r.host,
        ip_addr=r.host,
        status=STATUSES[word],
        port=WirePort(plain, not secure or other is not None),
        secure_port=WirePort(tls, secure or other is not None),
        data_center=DataCenterInfo(settings.data_center_name, settings.data_center_class),
        lease=LeaseInfo(30, 90, r.created_ms, r.updated_ms, 0, r.created_ms),
        metadata=metadata,
        home_page_url=f"{'https' if secure else 'http'}://{host}:{r.port}/",
        status_page_url=f"{base}/info",
        health_check_url=f"{base}/health",
        vip_address=name,
        secure_vip_address=name,
        last_updated_ms=r.updated_ms,
        last_dirty_ms=r.updated_ms,
        action_type=action,
    )


def native_pairs(r: Registration) -> dict[str, str]:
    """The metadata that polaris-server 1.19's Eureka adapter keeps with an instance: native readers find them there.

    Of the country and the data centre only what is not the default, texts only when they are not empty, ``replicate`` only on
    what a peer sent. Nothing when this adapter is switched off, for then nobody can read what it kept.
    """
    d, m = r.ext, r.marks
    if not isinstance(d, Document) or not isinstance(m, Marks):
        return {}
    pairs = {
        _NATIVE + "instance-id": own_id(r),
        _NATIVE + "renewal-interval": str(d.renewal_s),
        _NATIVE + "duration": str(d.duration_s),
        _NATIVE + "insecure-port": str(d.port),
        _NATIVE + "insecure-port-enabled": "true" if d.port_enabled else "false",
        _NATIVE + "secure-port": str(d.secure_port),
        _NATIVE + "secure-port-enabled": "true" if d.secure_port_enabled else "false",
        _NATIVE + "status": STATUSES[r.reported],
        _NATIVE + "overriddenStatus": "UNKNOWN",
    }
    texts = (
        ("app-group", d.app_group_name),
        ("hostname", d.host_name),
        ("home-url", d.home_page_url),
        ("status-url", d.status_page_url),
        ("health-url", d.health_check_url),
        ("vip", d.vip_address),
        ("secure-vip", d.secure_vip_address),
        ("country-id", str(d.country_id) if d.country_id != 1 else ""),
        ("dci-clazz", d.data_center_class if d.data_center_class != OWN_DATA_CENTER_CLASS else ""),
        ("dci-name", d.data_center_name if d.data_center_name != MY_OWN.name else ""),
        ("replicate", "true" if m.replicated else ""),
    )
    for name, text in texts:
        if text:
            pairs[_NATIVE + name] = text
    return pairs


def foreign_id(r: Registration, first: bool) -> str:
    """A stable id for another protocol's instance; several at one address differ by a hash of their keys."""
    id = f"{r.host}:{r.service}:{r.port}"
    return id if first else f"{id}:{hashlib.sha1(f'{r.source}/{r.key}'.encode()).hexdigest()[:4]}"


def own_id(r: Registration) -> str:
    """The id that paths use for a registration made through Eureka."""
    return r.key.partition("/")[2]


def app_of(key: str) -> str:
    """The application in a registration's key."""
    return key.partition("/")[0]


def shown_status(shown: Shown) -> str:
    """The word Eureka readers get. Of another protocol's instances: DOWN when it is not heard of any more, OUT_OF_SERVICE
    when its weight says that it wants no traffic, for Eureka knows no weights."""
    if shown.own:
        return shown.word
    if not shown.live:
        return DOWN
    return OUT_OF_SERVICE if shown.word == UP and shown.registration.weight == 0 else shown.word


def override_of(address: Address | None, key: str) -> str | None:
    """The status an operator set through Eureka on one registration; None when there is none."""
    for switch in address.switches if address is not None else ():
        if switch.source == SOURCE and switch.key == key:
            return switch.word
    return None


@lru_cache(maxsize=1024)
def _lease(renewal_s: int, duration_s: int, factor: float, protectable: bool) -> Lease:
    """The terms of a lease. Most instances have the same: one object serves them all."""
    duration_ms = int(duration_s * 1000 * factor)
    return Lease(renewal_s * 1000, duration_ms, duration_ms, protectable)


def _shared(value: str) -> str:
    """A metadata value; one object for those that many instances have in common (zones, versions, ports)."""
    return sys.intern(value) if len(value) <= 24 and (len(value) < 9 or not value.isdigit()) else value


def _shared_name(name: str | None) -> str | None:
    """A VIP: the instances of an application have the same, and often it is the service's name."""
    return None if name is None else sys.intern(name)


def _ports(info: InstanceInfo) -> tuple[Port, ...]:
    """The second port, when both are enabled."""
    if info.port.enabled and info.secure_port.enabled:
        return (Port("https", info.secure_port.number, "https"),)
    return ()


def _location(metadata: dict[str, str], center: DataCenterInfo | None) -> Location:
    zone = metadata.get(_ZONE, "")
    if not zone and center is not None and center.cls == AMAZON_CLASS:
        zone = center.metadata.get("availability-zone", "")
    region, campus = metadata.get(_REGION, ""), metadata.get(_CAMPUS, "")
    return _place(region, zone, campus) if region or zone or campus else NOWHERE


@lru_cache(maxsize=1024)
def _place(region: str, zone: str, campus: str) -> Location:
    """A location. Many instances are at the same."""
    return Location(region, zone, campus)
