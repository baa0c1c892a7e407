"""What one HTTP listener can be told. Read from the configuration elsewhere; here are the values and their meaning."""

from __future__ import annotations

from msgspec import Struct


class TlsSettings(Struct, frozen=True):
    """Certificates of one listener (``tls{certFile, keyFile, trustedCAFile}``)."""

    cert_file: str
    """PEM file with the server certificate and its chain."""
    key_file: str
    """PEM file with the private key."""
    trusted_ca_file: str = ""
    """PEM file of authorities; not empty means that a client must show a certificate one of them signed."""


class ConnLimitSettings(Struct, frozen=True):
    """Limits on connections (``connLimit``), with the meaning polaris-server gives them."""

    open_conn_limit: bool = False
    """Whether the limits below apply at all."""
    max_conn_per_host: int = 1024
    """Connections one client address may hold; at least 1."""
    max_conn_limit: int = 10240
    """Connections of the whole listener; 0 or less means no limit."""
    white_list: str = ""
    """Addresses, separated by commas, to which ``max_conn_per_host`` does not apply."""
    purge_counter_interval_s: float = 10.0
    """How often the counters of hosts without a connection are looked through."""
    purge_counter_expire_s: float = 5.0
    """How long a host must have been without a connection before its counter is dropped."""

    def __post_init__(self) -> None:
        if not self.open_conn_limit:
            return
        if self.max_conn_per_host < 1:
            raise ValueError(f"connLimit.maxConnPerHost is {self.max_conn_per_host}: give at least 1")
        if self.purge_counter_interval_s <= 0 or self.purge_counter_expire_s <= 0:
            raise ValueError("connLimit.purgeCounterInterval and purgeCounterExpired must be longer than 0s")


class HttpSettings(Struct, frozen=True):
    """Options of one HTTP listener."""

    name: str
    """Name of the ``apiservers`` entry; log lines and metrics carry it."""
    port: int
    """TCP port; 0 takes a free one (see ``HttpListener.port``)."""
    host: str = "0.0.0.0"
    """IPv4 or IPv6 address or host name to bind to; ``::`` takes IPv4 connections too."""
    backlog: int = 2048
    """Connections the kernel holds for us; asyncio's 100 is too few when thousands of clients start at once."""
    max_body_size: int = 10 * 1024 * 1024
    """Bytes of a request body, chunked or not; more is answered with 413."""
    header_timeout_s: float = 20.0
    """Time for a TLS handshake and for a complete header block; also the grace of a slow body (see ``body_rate``)."""
    body_rate: int = 16 * 1024
    """Bytes a second a body must bring on average once ``header_timeout_s`` has passed."""
    keep_alive_s: float = 120.0
    """How long an idle connection stays open; also how long a client may stop reading its answer."""
    max_head_size: int = 64 * 1024
    """Bytes of request line and header block; more is answered with 431."""
    max_headers: int = 200
    """Number of header lines; more is answered with 431."""
    tls: TlsSettings | None = None
    """None = plain HTTP."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or CIDR networks whose ``X-Forwarded-For`` and ``X-Forwarded-Proto`` are believed."""
    conn_limit: ConnLimitSettings = ConnLimitSettings()
    """Limits on the number of connections."""


class GrpcSettings(Struct, frozen=True):
    """Options of one gRPC listener."""

    name: str
    """Name of the ``apiservers`` entry; log lines and metrics carry it."""
    port: int
    """TCP port; 0 takes a free one (see ``GrpcListener.port``)."""
    host: str = "0.0.0.0"
    """IPv4 or IPv6 address or host name to bind to. Both ``0.0.0.0`` and ``::`` take IPv4 and IPv6 connections."""
    max_receive: int = 4 * 1024 * 1024
    """Bytes of one message a client may send, as servers written in Go have it; more ends the call with RESOURCE_EXHAUSTED."""
    max_send: int = 2**31 - 1
    """Bytes of one message sent; more ends the call with RESOURCE_EXHAUSTED."""
    max_metadata: int = 64 * 1024
    """Bytes of a call's headers; more ends the call with RESOURCE_EXHAUSTED."""
    max_streams: int = 1000
    """Calls a connection may have under way; a client keeps further ones back until others have ended."""
    max_backlog: int = 8 * 1024 * 1024
    """Bytes of pushes that may wait for one stream's client; more ends that stream with RESOURCE_EXHAUSTED."""
    handshake_timeout_s: float = 20.0
    """Time for a TLS handshake and the first bytes of HTTP/2."""
    keep_alive_s: float = 120.0
    """After so much silence a connection is asked whether its client still lives; see ``keep_alive_timeout_s``."""
    keep_alive_timeout_s: float = 20.0
    """Without an answer for so long the client is taken for gone."""
    transport: str = "native"
    """``native``, the transport of our own, or ``grpcio``."""
    backlog: int = 2048
    """Connections the kernel holds for us (native)."""
    tls: TlsSettings | None = None
    """None = plain."""
    conn_limit: ConnLimitSettings = ConnLimitSettings()
    """Limits on the number of connections; what counts as one: ``grpc_peers``."""
