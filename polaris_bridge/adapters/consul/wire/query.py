"""Prepared queries: their definition as it is sent and shown, and the answer of an execution. As Consul 1.20 has them."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct, field

from . import durations, json_in
from .json_in import BadJson
from .refusals import Refused, bad, failed

NAME_PREFIX: Final = "name_prefix_match"

encode: Final = msgspec.json.Encoder().encode


class Failover(Struct, frozen=True, rename="pascal"):
    """Where to look when nothing healthy is here."""

    nearest_n: int = field(name="NearestN", default=0)
    datacenters: tuple[str, ...] = ()
    targets: tuple[dict[str, str], ...] = ()


class QueryService(Struct, frozen=True, rename="pascal"):
    """What is looked for."""

    service: str = ""
    failover: Failover = Failover()
    only_passing: bool = False
    ignore_check_ids: tuple[str, ...] = field(name="IgnoreCheckIDs", default=())
    near: str = ""
    tags: tuple[str, ...] = ()
    """All of them; one that begins with ``!`` must not be there."""
    node_meta: dict[str, str] = {}
    service_meta: dict[str, str] = {}
    connect: bool = False
    peer: str = ""


class Dns(Struct, frozen=True, gc=False):
    """How its names are answered."""

    ttl: str = field(name="TTL", default="")


class Template(Struct, frozen=True, rename="pascal"):
    """A query for every name that begins as its own does."""

    type: str = ""
    regexp: str = ""
    remove_empty_tags: bool = False


class Query(Struct, frozen=True, rename="pascal"):
    """A query as it is kept and shown."""

    id: str = field(name="ID", default="")
    name: str = ""
    session: str = ""
    token: str = ""
    template: Template = Template()
    service: QueryService = QueryService()
    dns: Dns = field(name="DNS", default=Dns())
    create_index: int = 0
    modify_index: int = 0


decode: Final = msgspec.json.Decoder(Query).decode

_text, _texts, _flag, _integer = json_in.text, json_in.texts, json_in.flag, json_in.integer
_TARGET: Final = json_in.table({"Peer": ("Peer", _text), "Datacenter": ("Datacenter", _text), "Partition": ("Partition", _text),
                                "Namespace": ("Namespace", _text)})  # fmt: skip
_FAILOVER: Final = json_in.table(
    {
        "NearestN": ("nearest_n", _integer),
        "Datacenters": ("datacenters", _texts),
        "Targets": ("targets", json_in.many(_TARGET)),
    }
)
_SERVICE: Final = json_in.table(
    {
        "Service": ("service", _text),
        "SamenessGroup": ("ignored", json_in.ignored),
        "Failover": ("failover", json_in.nested(_FAILOVER)),
        "OnlyPassing": ("only_passing", _flag),
        "IgnoreCheckIDs": ("ignore_check_ids", _texts),
        "Near": ("near", _text),
        "Tags": ("tags", _texts),
        "NodeMeta": ("node_meta", json_in.text_map),
        "ServiceMeta": ("service_meta", json_in.text_map),
        "Connect": ("connect", _flag),
        "Peer": ("peer", _text),
        "Namespace": ("ignored", json_in.ignored),
        "Partition": ("ignored", json_in.ignored),
    }
)
_TEMPLATE: Final = json_in.table(
    {"Type": ("type", _text), "Regexp": ("regexp", _text), "RemoveEmptyTags": ("remove_empty_tags", _flag)}
)


def _duration_text(found: Any, name: str) -> str:
    """A duration stays as it was written; a number is nanoseconds."""
    return found if isinstance(found, str) else durations.text(json_in.duration(found, name))


_QUERY: Final = json_in.table(
    {
        "ID": ("id", _text),
        "Name": ("name", _text),
        "Session": ("session", _text),
        "Token": ("token", _text),
        "Template": ("template", json_in.nested(_TEMPLATE)),
        "Service": ("service", json_in.nested(_SERVICE)),
        "DNS": ("dns", json_in.nested(json_in.table({"TTL": ("ttl", _duration_text)}))),
        "CreateIndex": ("ignored", json_in.ignored),
        "ModifyIndex": ("ignored", json_in.ignored),
    }
)


def query(body: bytes) -> Query:
    """A definition. Raises ``Refused``."""
    try:
        said = json_in.members(json_in.value(body), _QUERY)
    except BadJson as error:
        raise bad(f"Request decode failed: {error}") from None
    said.pop("ignored", None)
    service = said.get("service", {})
    service.pop("ignored", None)
    failover = service.pop("failover", {})
    failover["targets"] = tuple(failover.get("targets", ()))
    found = Query(
        said.get("id", ""),
        said.get("name", ""),
        said.get("session", ""),
        said.get("token", ""),
        Template(**said.get("template", {})),
        QueryService(**service, failover=Failover(**failover)),
        Dns(**said.get("dns", {})),
    )
    return checked(found)


def checked(found: Query) -> Query:
    """The query, if an agent would take it. Raises ``Refused``."""
    template = found.template
    if template.type and template.type != NAME_PREFIX:
        raise failed(f"Bad Template.Type '{template.type}'")
    if not template.type and template.regexp:
        raise failed("Template.Regexp given without a Template.Type")
    if not found.name and not found.session and not template.type:
        raise failed("Must be bound to a session")
    if not found.service.service:
        raise failed("Must provide a Service name to query")
    if found.service.failover.nearest_n < 0:
        raise failed(f"Bad NearestN '{found.service.failover.nearest_n}', must be >= 0")
    ttl = found.dns.ttl
    if ttl:
        try:
            ns = durations.parse(ttl)
        except durations.BadDuration as error:
            raise failed(f"Bad DNS TTL '{ttl}': {error}") from None
        if ns < 0:
            raise failed(f"DNS TTL '{ttl}', must be >=0")
    return found


def ttl_s(found: Query) -> int:
    """The TTL of its names in seconds."""
    return durations.parse(found.dns.ttl) // durations.SECOND if found.dns.ttl else 0


def executed(found: Query, nodes: bytes, datacenter: str, failovers: int) -> bytes:
    """The answer of an execution; ``nodes``: a JSON list as health/service has it."""
    service, dns = encode(found.service.service), encode(found.dns)
    tail = b',"Datacenter":' + encode(datacenter) + b',"Failovers":%d' % failovers
    return b'{"Service":' + service + b',"Nodes":' + nodes + b',"DNS":' + dns + tail + b',"Namespace":"default"}'


NOT_FOUND: Final = Refused(404, "Query not found")
