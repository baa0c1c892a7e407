"""Options of one Eureka listener (``apiservers[].option`` of a ``service-eureka`` entry)."""

from __future__ import annotations

from msgspec import Struct

from .wire.messages import OWN_DATA_CENTER_CLASS

DELTA_RETENTION_S = 180
"""What Netflix servers keep in their delta queue; never less, whatever the configuration says."""


class EurekaSettings(Struct, frozen=True, kw_only=True):
    """How one listener behaves."""

    namespace: str = "default"
    """The namespace of calls that name none by header ``x-namespace`` or URL prefix ``/ns/<namespace>``."""
    delta_expire_s: float = 60.0
    """How long a change stays in ``apps/delta``; at least 180 s are kept, because slow clients count on it."""
    unhealthy_expire_s: float = 180.0
    """How long an instance of another protocol that lost its lease is shown DOWN before it leaves this view."""
    self_preservation: bool = True
    """Whether self-protection may hold back the expiry of leases taken here."""
    lease_factor: float = 1.0
    """What a lease's duration is multiplied by. Netflix servers count it twice after the first renewal: 2 is their way."""
    generate_unique_inst_id: bool = False
    """PolarisMesh prefixes ids with the application here, because its ids are global. Ours are kept per application, so this
    changes nothing but is accepted."""
    data_center_class: str = OWN_DATA_CENTER_CLASS
    """``dataCenterInfo`` class of instances that other protocols registered."""
    data_center_name: str = "MyOwn"
    """``dataCenterInfo`` name of instances that other protocols registered."""
    max_body_bytes: int = 10 * 1024 * 1024
    """Bound of a gzipped batch after unpacking; the listener bounds what comes over the wire."""
    routing: bool = False
    """Whether rules are applied to what clients look up, of services that do not say so themselves."""
    auth: bool = False
    """Whether Basic credentials are demanded. Off as on the real server; they are heard when sent all the same."""
