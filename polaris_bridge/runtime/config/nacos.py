"""Options of the listener ``service-nacos``."""

from datetime import timedelta

from pydantic import SecretStr

from .fields import key, unused
from .listener_options import LookupOptions, Transport
from .values import Duration


class NacosOptions(LookupOptions):
    """Options of Nacos. Its gRPC port is always the HTTP port + 1000, since clients compute it."""

    listen_port: int = key(8848, "HTTP port; gRPC listens 1000 above. 0 = any free pair, for tests.", ge=0, le=64535)
    default_namespace: str = key("default", "Namespace of clients that name none, or `public`.", min_length=1)
    namespaces: dict[str, str] = key(
        {}, "Nacos namespace id: namespace here, for those that are not called the same on both sides."
    )
    default_is_public: bool = key(
        False,
        "Whether the namespace id `default` means the same as `public`, as in the original. On a Nacos server it is another "
        "one, kept here as `nacos.default`.",
    )
    split_group: bool = key(
        True, "Whether a service `g__s` of another protocol is shown to Nacos clients as service `s` of group `g`."
    )
    transport: Transport = key("native", "Which gRPC server carries the port: this project's own, or grpcio.")
    token_secret_key: SecretStr = key(
        SecretStr(""),
        "Base64 of at least 32 bytes that access tokens are signed with. Empty: one is made at the first start and kept in the "
        "store; the keys that Nacos servers once shipped are refused.",
    )
    token_expire: Duration = key(timedelta(hours=5), "How long an access token counts; clients renew it in time.")
    server_identity_key: str = key("", "Name of a header that lets calls in without a login; empty = there is none.")
    server_identity_value: SecretStr = key(SecretStr(""), "Value of that header; needed with it.")
    server_service: str = unused("", "Service under which the server tells clients of its nodes.")
    server_namespace: str = unused("", "Namespace of that service.")
