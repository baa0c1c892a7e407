"""Bodies of registrations, read: services and checks from JSON, in every spelling of their members that an agent takes."""

from __future__ import annotations

from typing import Any, Final

from . import json_in
from .definitions import EMPTY_CHECK, STATUSES, CheckDefinition, ServiceDefinition
from .json_in import BadJson, Table
from .refusals import bad

_CHECK_FIELDS: Final = {
    "CheckID": ("check_id", json_in.text),
    "Name": ("name", json_in.text),
    "Notes": ("notes", json_in.text),
    "Status": ("status", json_in.text),
    "ServiceID": ("service_id", json_in.text),
    "service_id": ("service_id_snake", json_in.text),
    "TTL": ("ttl_ns", json_in.duration),
    "Interval": ("interval_ns", json_in.duration),
    "Timeout": ("timeout_ns", json_in.duration),
    "DeregisterCriticalServiceAfter": ("deregister_ns", json_in.duration),
    "deregister_critical_service_after": ("deregister_snake", json_in.duration),
    "HTTP": ("http", json_in.text),
    "Method": ("method", json_in.text),
    "Header": ("header", json_in.texts_map),
    "Body": ("body", json_in.text),
    "DisableRedirects": ("disable_redirects", json_in.flag),
    "disable_redirects": ("disable_redirects_snake", json_in.flag),
    "TCP": ("tcp", json_in.text),
    "TCPUseTLS": ("tcp_tls", json_in.flag),
    "tcp_use_tls": ("tcp_tls_snake", json_in.flag),
    "UDP": ("udp", json_in.text),
    "GRPC": ("grpc", json_in.text),
    "GRPCUseTLS": ("grpc_tls", json_in.flag),
    "grpc_use_tls": ("grpc_tls_snake", json_in.flag),
    "H2PING": ("h2ping", json_in.text),
    "H2PingUseTLS": ("h2ping_tls", json_in.flag),
    "h2ping_use_tls": ("h2ping_tls_snake", json_in.flag),
    "OSService": ("os_service", json_in.text),
    "AliasNode": ("alias_node", json_in.text),
    "AliasService": ("alias_service", json_in.text),
    "ScriptArgs": ("args", json_in.texts),
    "args": ("args_short", json_in.texts),
    "script_args": ("args_snake", json_in.texts),
    "DockerContainerID": ("docker", json_in.text),
    "docker_container_id": ("docker_snake", json_in.text),
    "Shell": ("shell", json_in.text),
    "TLSServerName": ("tls_server_name", json_in.text),
    "tls_server_name": ("tls_server_name_snake", json_in.text),
    "TLSSkipVerify": ("tls_skip_verify", json_in.flag),
    "tls_skip_verify": ("tls_skip_verify_snake", json_in.flag),
    "SuccessBeforePassing": ("success_before_passing", json_in.integer),
    "FailuresBeforeWarning": ("failures_before_warning", json_in.integer),
    "FailuresBeforeCritical": ("failures_before_critical", json_in.integer),
    "OutputMaxSize": ("output_max", json_in.integer),
    "ProxyHTTP": ("proxy_http", json_in.text),
    "ProxyGRPC": ("proxy_grpc", json_in.text),
    "Namespace": ("namespace", json_in.text),
    "Partition": ("partition", json_in.text),
}
_CHECK: Final[Table] = json_in.table({**_CHECK_FIELDS, "ID": ("id", json_in.text), "Token": ("token", json_in.text)})
"""Inline checks name themselves ``CheckID``, those of check/register ``ID``; either is taken in both."""

_SECOND_NAMES: Final = {
    "check_id": "id",
    "service_id_snake": "service_id",
    "deregister_snake": "deregister_ns",
    "disable_redirects_snake": "disable_redirects",
    "tcp_tls_snake": "tcp_tls",
    "grpc_tls_snake": "grpc_tls",
    "h2ping_tls_snake": "h2ping_tls",
    "args_short": "args",
    "args_snake": "args",
    "docker_snake": "docker",
    "tls_server_name_snake": "tls_server_name",
    "tls_skip_verify_snake": "tls_skip_verify",
}
"""Names that count when the first is absent or empty."""
_DROPPED: Final = frozenset({"proxy_http", "proxy_grpc", "namespace", "partition"})
_SPECIAL: Final = _DROPPED.union(_SECOND_NAMES)


def _check(said: dict[str, Any]) -> CheckDefinition:
    if not _SPECIAL.isdisjoint(said):
        for second, first in _SECOND_NAMES.items():
            found = said.pop(second, None)
            if (found and not said.get(first)) or (found is False and first not in said):
                said[first] = found
        for name in _DROPPED:
            said.pop(name, None)
    return CheckDefinition(**said)


_WEIGHTS: Final = json_in.table({"Passing": ("passing", json_in.integer), "Warning": ("warning", json_in.integer)})
_TAGGED: Final = json_in.table({"Address": ("address", json_in.text), "Port": ("port", json_in.integer)})
_SERVICE: Final[Table] = json_in.table(
    {
        "ID": ("id", json_in.text),
        "Name": ("name", json_in.text),
        "Kind": ("kind", json_in.text),
        "Tags": ("tags", json_in.texts),
        "Address": ("address", json_in.text),
        "Port": ("port", json_in.integer),
        "Ports": ("ports", json_in.raw),
        "SocketPath": ("socket_path", json_in.text),
        "TaggedAddresses": ("tagged", json_in.mapped(_TAGGED)),
        "tagged_addresses": ("tagged_snake", json_in.mapped(_TAGGED)),
        "Meta": ("meta", json_in.text_map),
        "Weights": ("weights", json_in.nested(_WEIGHTS)),
        "EnableTagOverride": ("tag_override", json_in.flag),
        "enable_tag_override": ("tag_override_snake", json_in.flag),
        "Check": ("check", json_in.nested(_CHECK)),
        "Checks": ("checks", json_in.many(_CHECK)),
        "Proxy": ("proxy", json_in.raw),
        "Connect": ("connect", json_in.raw),
        "Locality": ("locality", json_in.raw),
        "Token": ("token", json_in.text),
        "Namespace": ("namespace", json_in.text),
        "Partition": ("partition", json_in.text),
    }
)
_EXTRA: Final = (("proxy", "Proxy"), ("connect", "Connect"), ("locality", "Locality"), ("ports", "Ports"))
_PORTS: Final = json_in.table(
    {"Name": ("name", json_in.text), "Port": ("port", json_in.integer), "Default": ("default", json_in.flag)}
)
_DESTINATION: Final = ("destinationservicename", "destination_service_name")


def service(body: bytes) -> ServiceDefinition:
    """The body of agent/service/register. Raises ``Refused`` for what cannot be read."""
    try:
        return _service(json_in.members(json_in.value(body), _SERVICE))
    except BadJson as error:
        raise json_in.decode_failed(error) from None


def _service(said: dict[str, Any]) -> ServiceDefinition:
    name = said.get("name", "")
    checks = []
    inline = said.get("check")
    if inline:
        found = _check(inline)
        if found != EMPTY_CHECK:
            checks.append(found)
    checks += [_check(each) for each in said.get("checks", ())]
    tagged = said.get("tagged") or said.get("tagged_snake") or {}
    weights = said.get("weights")
    return ServiceDefinition(
        name=name,
        id=said.get("id") or name,
        kind=said.get("kind", ""),
        tags=said.get("tags", ()),
        address=said.get("address", ""),
        port=said.get("port", 0) or _default_port(said.get("ports")),
        socket_path=said.get("socket_path", ""),
        tagged={key: (each.get("address", ""), each.get("port", 0)) for key, each in tagged.items()},
        meta=said.get("meta", {}),
        weights=None if weights is None else (weights.get("passing", 0), weights.get("warning", 0)),
        tag_override=said.get("tag_override") or said.get("tag_override_snake") or False,
        checks=tuple(checks),
        extra={shown: said[key] for key, shown in _EXTRA if said.get(key)},
        proxied=_destination(said.get("proxy")),
    )


def _default_port(ports: bytes | None) -> int:
    """The port of a service that names several and no single one."""
    if ports is None:
        return 0
    found: list[dict[str, Any]] = json_in.many(_PORTS)(json_in.value(ports), "Ports")
    chosen = next((each for each in found if each.get("default")), found[0] if found else {})
    number: int = chosen.get("port", 0)
    return number


def _destination(proxy: bytes | None) -> str:
    found = None if proxy is None else json_in.value(proxy)
    if not isinstance(found, dict):
        return ""
    return next((each for key, each in found.items() if key.lower() in _DESTINATION and isinstance(each, str)), "")


def check(body: bytes) -> CheckDefinition:
    """The body of agent/check/register. Raises ``Refused`` for what cannot be read."""
    try:
        return _check(json_in.members(json_in.value(body), _CHECK))
    except BadJson as error:
        raise json_in.decode_failed(error) from None


_UPDATE: Final = json_in.table({"Status": ("status", json_in.text), "Output": ("output", json_in.text)})


def update(body: bytes) -> tuple[str, str]:
    """The body of agent/check/update: status and output. Raises ``Refused``."""
    try:
        said = json_in.members(json_in.value(body), _UPDATE)
    except BadJson as error:
        raise json_in.decode_failed(error) from None
    status = said.get("status", "")
    if status not in STATUSES:
        raise bad(f"Invalid check status: '{status}'")
    return status, said.get("output", "")
