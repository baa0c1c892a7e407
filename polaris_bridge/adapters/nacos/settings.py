"""Options of one Nacos listener (``apiservers[].option`` of a ``service-nacos`` entry)."""

from __future__ import annotations

from msgspec import Struct

from polaris_bridge.adapters._shared.settings import GrpcSettings, HttpSettings

GRPC_OFFSET = 1000
"""The gRPC port above the HTTP port; clients compute it."""


class NacosSettings(Struct, frozen=True, kw_only=True):
    """How one listener behaves."""

    default_namespace: str = "default"
    """The core namespace of clients that name none, or ``public``."""
    namespaces: dict[str, str] = {}
    """Nacos namespace id -> core namespace, for those that are not called the same."""
    default_is_public: bool = False
    """Whether the namespace id ``default`` means the same as ``public``, as on polaris-server. On Nacos it is another one."""
    split_group: bool = True
    """Whether another protocol's service ``g__s`` is shown as service ``s`` of group ``g``."""
    routing: bool = False
    """Whether rules are applied to what clients look up, of services that do not say so themselves."""
    auth: bool = False
    """Whether credentials are demanded. Off as on the real server; a login is answered all the same."""
    token_key: str = ""
    """Base64 of at least 32 bytes that access tokens are signed with; empty: one is made at the first start and kept."""
    token_ttl_s: int = 18_000
    """How long an access token counts."""
    identity_key: str = ""
    """Header that, with ``identity_value``, lets a call in without a login; empty: there is none."""
    identity_value: str = ""
    max_body_bytes: int = 10 * 1024 * 1024
    config_open: bool = True
    """``config.open``: whether the configuration centre is served; off, its calls are not there, as in function mode naming."""
    validate_format: bool = False
    """``config.validateFormat``: whether a published content that is not what its type says is refused."""

    def __repr__(self) -> str:
        """Without secrets."""
        return f"NacosSettings(default_namespace={self.default_namespace!r}, auth={self.auth!r})"


class ListenerSettings(Struct, frozen=True, kw_only=True):
    """The two ports of one listener."""

    http: HttpSettings
    grpc: GrpcSettings
