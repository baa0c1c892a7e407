"""Options that every listener takes, whatever its protocol."""

from datetime import timedelta
from typing import Literal

from .fields import Section, key, unused
from .values import Address, DataPath, Duration, Hosts, Networks

Transport = Literal["native", "grpcio"]


class ConnLimit(Section):
    """Limits on connections of one listener."""

    open_conn_limit: bool = key(False, "Whether the limits apply. Off: clients behind one NAT address share its count.")
    max_conn_per_host: int = key(128, "Connections from one client address.", ge=1)
    max_conn_limit: int = key(5120, "Connections in all; below 1 = no limit, as in the original.")
    white_list: Hosts = key((), "Client addresses that `maxConnPerHost` does not limit, parted by commas.")
    read_timeout: Duration = unused(timedelta(0), "Read timeout; `headerTimeout` and `keepAlive` bound reads here.")
    purge_counter_interval: Duration = key(timedelta(seconds=10), "How often counters of gone clients are dropped.")
    purge_counter_expire: Duration = key(
        timedelta(seconds=5), "How long a counter of no connections is kept; `purgeCounterExpired` is the same key."
    )


class Tls(Section):
    """TLS of one listener. Files are read again when they change. Empty = plain text."""

    cert_file: DataPath = key(None, "Certificate chain, PEM.")
    key_file: DataPath = key(None, "Private key, PEM.")
    trusted_ca_file: DataPath = key(
        None, "Authorities of client certificates, PEM. Given, every client must show one.", alias="trustedCAFile"
    )
    server_name: str = unused("", "Name expected of a peer.")
    insecure_skip_tls_verify: bool = unused(False, "Accept any certificate of a peer.")


class ListenerOptions(Section):
    """Common to all listeners; a subclass adds the port with its default and what is its own."""

    listen_ip: Address = key(
        "0.0.0.0", "Address to bind, `::` for IPv4 and IPv6; as the real servers do, all of IPv4.", alias="listenIP"
    )
    listen_port: int = key(0, "Port; 0 = any free one, for tests.", ge=0, le=65535)
    conn_limit: ConnLimit = key(ConnLimit.model_construct(), "Limits on connections.")
    tls: Tls = key(Tls.model_construct(), "Certificates; without them, plain text.")
    trusted_proxies: Networks = key(
        (), "Proxies whose `X-Forwarded-For` and `-Proto` are believed; none by default, since anybody can send them."
    )
    max_body_size: int = key(
        10_485_760, "Largest request body in bytes; above, 413. 10 MiB is Nacos' largest configuration.", ge=1
    )
    header_timeout: Duration = key(
        timedelta(seconds=20), "How long a request's head may take, against clients that send it byte by byte."
    )
    keep_alive: Duration = key(
        timedelta(seconds=120),
        "How long an idle connection is kept; above the clients' pools, so that they close first.",
    )
    auth: bool = key(
        False, "Whether credentials are asked for; off, like the real servers of the compatibility protocols."
    )


class LookupOptions(ListenerOptions):
    """Of listeners whose clients do not evaluate rules themselves."""

    routing: bool = key(
        False,
        "Whether rules of routing are applied to look-ups; a service that says so itself "
        "(metadata `polaris-bridge-discovery-routing`: `true` or `false`) goes first.",
    )
