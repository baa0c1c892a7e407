"""What Consul's names stand for: services, nodes, addresses, prepared queries; a question in, records out.

Names and rules of an agent 1.20: everything under one domain (``consul.``) and an alternative one, answered under the one that
was asked. What can be made once per change of a service is made once.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import partial
from math import inf, log
from typing import Any, Final, Protocol

from msgspec import Struct, structs

from polaris_bridge.adapters._shared.slices import Work
from polaris_bridge.adapters.consul.settings import ConsulSettings, DnsSettings
from polaris_bridge.adapters.consul.translate.keys import NodeKey
from polaris_bridge.adapters.consul.translate.names import (
    is_rfc2782,
    label_of,
    name_of,
    reversed_address,
    service_and_tag,
)
from polaris_bridge.adapters.consul.translate.records import (
    address_record,
    host_wire,
    meta_records,
    packed_ip,
    same_ip,
)
from polaris_bridge.adapters.consul.view import Reading, View
from polaris_bridge.adapters.consul.view_instances import Instance, NodeView
from polaris_bridge.adapters.consul.wire import dns
from polaris_bridge.adapters.consul.wire.dns import Answer, Question, Record
from polaris_bridge.core.model import CRITICAL, PASSING, WARNING

from .catalog import Catalog

_ADDRESSES: Final = frozenset({dns.A, dns.AAAA, dns.ANY})
_TYPE_OF: Final = {4: dns.A, 6: dns.AAAA}
_SUFFIXES: Final = {"dc": "datacenter", "ns": "default", "ap": "default"}
_REFRESH: Final = (3600, 600, 86_400, 0)
_MOST_CNAMES: Final = 3
_MOST_NS: Final = 3

Shuffle = Callable[[list[Any]], None]


class Executed(Struct, frozen=True):
    """What a prepared query came to."""

    instances: Sequence[Instance]
    ttl_s: int = 0
    ordered: bool = True
    """Whether the order says something and is to be kept."""


class Queries(Protocol):
    """Prepared queries, as far as names are concerned."""

    def executed(self, seen: Reading, namespace: str, name: str, peer: str) -> Executed | None:
        """What a query by id or name comes to for a client, who sees services so; None: there is none."""
        ...


class Hosts(Protocol):
    """Which nodes and services are at an address."""

    @property
    def ready(self) -> bool:
        """Whether it is known; else ``look`` should have run."""
        ...

    def look(self) -> Work:
        """Find out."""
        ...

    def nodes_at(self, namespace: str, address: str) -> Iterable[NodeKey]:
        """The nodes, those without documents apart."""
        ...

    def services_at(self, namespace: str, host: str) -> Iterable[str]:
        """Their names."""
        ...


class Place(Struct, frozen=True, gc=False):
    """One instance as names show it."""

    srv: Record
    """Its SRV record."""
    address: Record | None
    """Its A or AAAA record under the name that was asked; None: its address is a host name."""
    glue: tuple[Record, ...]
    """What goes with the SRV record."""
    name: bytes
    """The host name that is its address, in wire form; empty: it has an IP."""
    tags: frozenset[str]
    """Lower case."""
    passing: bool
    weight: int
    """0 for none."""
    weighed: bool
    """Whether that is a rule's."""


class Asker(Struct, frozen=True, gc=False):
    """Who asks."""

    peer: str
    seen: Reading
    """The services, as whoever it is sees them."""


class Unprepared(Exception):
    """A name cannot be answered in a moment: first ``work`` has to run, in slices; it is the same for all of one ``key``."""

    def __init__(self, key: Hashable, work: Callable[[], Work]) -> None:
        super().__init__(key)
        self.key = key
        self.work = work


class Names:
    """Answers questions about one tree of names."""

    def __init__(
        self,
        view: View,
        catalog: Catalog,
        settings: ConsulSettings,
        *,
        own_node: Callable[[str], NodeKey],
        datacenter: Callable[[str], str],
        wall_s: Callable[[], int],
        shuffle: Shuffle,
        random: Callable[[], float],
        hosts: Hosts,
        seen_by: Callable[[str, bytes], Reading],
        queries: Queries | None = None,
    ) -> None:
        """``own_node``: this server's, by namespace; ``datacenter``: of a namespace; ``shuffle``: puts a list into a random
        order; ``random``: numbers from 0 to below 1; ``seen_by``: the services as a client sees them, by its address and the
        subnet that it asks for."""
        self._view = view
        self._catalog = catalog
        self._settings = settings
        self._dns: DnsSettings = settings.dns
        self._own_node = own_node
        self._datacenter = datacenter
        self._wall_s = wall_s
        self._shuffle = shuffle
        self._random = random
        self._hosts = hosts
        self._seen_by = seen_by
        self._queries = queries
        self._own_namespace = settings.namespace
        self._domains = [(d, f".{d}") for d in (self._dns.domain, self._dns.alt_domain) if d]
        self._authorities: dict[str, tuple[int, Record]] = {}
        self._labels: dict[str, tuple[int, dict[str, str]]] = {}

    # ------------------------------------------------------------------ entry

    def answer(self, question: Question, peer: str) -> Answer | None:
        """The answer; None: the name is nobody's here. Raises ``Unprepared``."""
        name = question.name
        for domain, below in self._domains:
            if name.endswith(below):
                asker = Asker(peer, self._seen_by(peer, question.subnet))
                answer = self._inside(question.type, name[: -len(below)], domain, asker)
                return answer if asker.seen is self._view else structs.replace(answer, scoped=True)
            if name == domain:
                return self._apex(question.type, domain)
        if name.endswith((".in-addr.arpa.", ".ip6.arpa.")):
            return self._reverse(question.type, name)
        return None

    def authority(self, domain: str) -> Record:
        """The SOA record of a domain; its serial is the second that it is."""
        now = self._wall_s()
        second, record = self._authorities.get(domain) or (0, None)
        if record is None or second != now:
            mailbox = dns.name_wire(f"hostmaster.{domain}")
            data = dns.soa(dns.name_wire(f"ns.{domain}"), mailbox, now, *_REFRESH)
            record = Record(dns.SOA, data, 0, dns.name_wire(domain))
            self._authorities[domain] = now, record
        return record

    # ------------------------------------------------------------------ kinds of names

    def _inside(self, type: int, name: str, domain: str, asker: Asker, level: int = 0) -> Answer:
        kind, parts, suffix = name_of(name)
        if not kind and type == dns.SRV and len(parts) in (2, 3) and is_rfc2782(parts):
            kind, parts, suffix = "service", parts[:2], parts[2:]
        namespace = self._namespace(suffix)
        if kind == "addr":
            return self._address(type, parts, domain)
        if namespace is None or not parts:
            return self._nobody(domain)
        if kind == "service":
            return self._service(type, parts, namespace, domain, asker, level)
        if kind == "node":
            return self._node(type, ".".join(parts), namespace, domain, asker, level)
        if kind == "query":
            return self._query(type, parts, namespace, domain, asker, level)
        return self._nobody(domain)  # nothing takes part in a mesh here

    def _namespace(self, suffix: tuple[str, ...]) -> str | None:
        """The namespace that the labels behind a kind mean; None: there is no such datacenter."""
        if not suffix:
            return self._own_namespace
        datacenter = ""
        rest = list(suffix)
        while rest:
            if len(rest) >= 2 and rest[1] in _SUFFIXES:
                value, means = rest[0], _SUFFIXES[rest[1]]
                del rest[:2]
                if means == "datacenter" and not datacenter:
                    datacenter = value
                elif value != "default":
                    return None
            elif len(rest) == 1 and not datacenter:
                datacenter = rest.pop()
            else:
                return None
        if not datacenter or datacenter == self._settings.datacenter.lower():
            return self._own_namespace
        known = {name.lower(): namespace for name, namespace in self._settings.datacenters.items()}
        return known.get(datacenter)

    def _apex(self, type: int, domain: str) -> Answer:
        soa = self.authority(domain)
        servers = self._servers(domain)
        names = [Record(dns.NS, target, 0, soa.owner) for target, _ in servers]
        glue = [record for _, records in servers for record in records]
        if type == dns.SOA:
            return Answer(answers=[Record(dns.SOA, soa.data)], authority=names, additional=glue)
        if type == dns.NS:
            return Answer(answers=[Record(dns.NS, target) for target, _ in servers], additional=glue)
        if type == dns.ANY:
            answers = [Record(dns.SOA, soa.data), *(Record(dns.NS, target) for target, _ in servers)]
            return Answer(answers=answers, additional=glue)
        return Answer(authority=[soa])

    def _servers(self, domain: str) -> list[tuple[bytes, list[Record]]]:
        """The servers of the domain with their addresses: this one."""
        node = self._view.node(self._own_node(self._settings.namespace))
        if node is None:
            return []
        target = self._node_name(node, domain)
        record = address_record(node.shape.address, 0, target)
        return [(target, [record] if record is not None else [])][:_MOST_NS]

    def _address(self, type: int, parts: tuple[str, ...], domain: str) -> Answer:
        """``0a010203.addr``: the address itself."""
        hex = parts[0] if len(parts) == 1 else ""
        try:
            packed = bytes.fromhex(hex) if len(hex) in (8, 32) else b""
        except ValueError:
            packed = b""
        if not packed:
            return self._nobody(domain)
        of = dns.A if len(packed) == 4 else dns.AAAA
        record = Record(of, packed, self._dns.node_ttl_s)
        return Answer(answers=[record]) if type in (of, dns.ANY) else Answer(additional=[record])

    # ------------------------------------------------------------------ services

    def _service(
        self, type: int, parts: tuple[str, ...], namespace: str, domain: str, asker: Asker, level: int
    ) -> Answer:
        name, tag = service_and_tag(parts)
        places = self._places(namespace, name, domain, asker.seen)
        if not places and (other := self._by_label(namespace, name)) != name:
            places = self._places(namespace, other, domain, asker.seen)
        if tag:
            places = [place for place in places if tag in place.tags]
        if self._dns.only_passing:
            places = [place for place in places if place.passing]
        if not places:
            return self._nobody(domain)
        places = places.copy()
        self._arrange(places, type, asker)
        return self._shown(type, places, domain, asker, level)

    def _arrange(self, places: list[Place], type: int, asker: Asker) -> None:
        """Put places into a random order: in one where each is first as often as it weighs, if weights are a rule's and the
        records do not say them."""
        if type != dns.SRV and asker.seen is not self._view and any(place.weighed for place in places):
            places.sort(key=lambda place: -log(1 - self._random()) / place.weight if place.weight else inf)
        else:
            self._shuffle(places)

    def _places(self, namespace: str, name: str, domain: str, seen: Reading) -> list[Place]:
        """The instances of a service that are not critical."""
        if name == "consul":
            ttl, instances = self._ttl(name), self._catalog.instances(seen, namespace, name)
            return [self._place(i, domain, ttl) for i in instances if i.status != CRITICAL]
        variant = f"names, {domain}"
        found = seen.at_hand(namespace, name, variant)
        if found is None:
            ttl = self._ttl(name)
            build = partial(seen.build, namespace, name, variant, lambda i: self._placed(i, domain, ttl))
            shared = (namespace, name, domain) if seen is self._view else object()
            raise Unprepared(shared, build)
        service = found[0]
        made: dict[str, list[Place]] = service.records(lambda _: {})
        places = made.get(domain)
        if places is None:
            ttl = self._ttl(service.name.lower())
            places = made[domain] = [self._placed(i, domain, ttl) for i in service.instances if i.status != CRITICAL]
        return places

    def _placed(self, instance: Instance, domain: str, ttl: int) -> Place:
        """The same for as long as the instance is the same, so that a change of one in thousands costs one."""
        if instance.places is None:
            instance.places = {}
        kept: Place | None = instance.places.get(domain)
        if kept is None:
            kept = instance.places[domain] = self._place(instance, domain, ttl)
        return kept

    def _place(self, instance: Instance, domain: str, ttl: int) -> Place:
        node, service = instance.node, instance.service
        weights = service.weights
        weight = weights.warning if instance.status == WARNING else weights.passing
        own = service.address
        address = own or node.shape.address
        packed = packed_ip(address)
        datacenter = self._datacenter(node.key.namespace)
        node_name = self._node_name(node, domain)
        name = b""
        if own and packed:
            target = dns.name_wire(f"{packed.hex()}.addr.{datacenter}.{domain}")
        elif packed:
            target = node_name
        else:
            target = name = host_wire(address) or node_name
        record = address_record(address, ttl)
        glue: list[Record] = []
        if record is not None:
            glue.append(Record(record.type, record.data, ttl, target))
        if self._dns.node_meta_txt:
            glue += meta_records(node.shape.meta, ttl, node_name)
        tags = frozenset(tag.lower() for tag in service.tags)
        srv = Record(dns.SRV, dns.srv(1, weight, service.port, target), ttl)
        passing = instance.status == PASSING
        return Place(srv, record, tuple(glue), name, tags, passing, weight, instance.weighed)

    def _shown(self, type: int, places: Iterable[Place], domain: str, asker: Asker, level: int) -> Answer:
        """The records of some instances, in their order."""
        if type == dns.SRV:
            return self._srv_answer(places)
        if type not in _ADDRESSES:
            return self._nothing(domain)
        addresses: dict[bytes, Record] = {}
        names: list[bytes] = []
        for place in places:
            if place.address is None:
                names.append(place.name)
            else:
                addresses[place.address.data] = place.address
        if not addresses and names:
            return self._cname(type, names[0], asker, level)
        found = [record for record in addresses.values() if type in (record.type, dns.ANY)]
        if self._dns.a_record_limit > 0:
            found = found[: self._dns.a_record_limit]
        return Answer(answers=found) if found else self._nothing(domain)

    def _srv_answer(self, places: Iterable[Place]) -> Answer:
        answers: dict[bytes, Record] = {}
        glue: dict[bytes, Record] = {}
        for place in places:
            answers[place.srv.wire] = place.srv
            for record in place.glue:
                glue[record.wire] = record
        return Answer(answers=list(answers.values()), additional=list(glue.values()))

    def _cname(self, type: int, target: bytes, asker: Asker, level: int) -> Answer:
        """An address that is a host name: the name, and its addresses when it is one of ours."""
        alias = Record(dns.CNAME, target)
        name = dns.name_text(target)
        for own, below in self._domains:
            if level < _MOST_CNAMES and name.endswith(below):
                further = self._inside(type, name[: -len(below)], own, asker, level + 1)
                answers = [alias, *(r if r.owner else Record(r.type, r.data, r.ttl, target) for r in further.answers)]
                return Answer(answers=answers)
        return Answer(answers=[alias])

    def _by_label(self, namespace: str, label: str) -> str:
        """The service whose name reads so as a label: names with characters that no label has are found by it."""
        since = self._view.named(namespace)
        kept = self._labels.get(namespace)
        if kept is None or kept[0] != since:
            labels: dict[str, str] = {}
            for name, _ in self._view.names(namespace):
                form = label_of(name)
                if form != name.lower():
                    labels.setdefault(form, name)
            kept = self._labels[namespace] = since, labels
        return kept[1].get(label, label)

    def _ttl(self, name: str) -> int:
        ttls = self._dns.service_ttl_s
        if name in ttls:
            return ttls[name]
        fitting = [key for key in ttls if key.endswith("*") and name.startswith(key[:-1])]
        return ttls[max(fitting, key=len)] if fitting else 0

    # ------------------------------------------------------------------ nodes and queries

    def _node(self, type: int, name: str, namespace: str, domain: str, asker: Asker, level: int) -> Answer:
        node = self._view.node(NodeKey(namespace, name))
        if node is None or not self._catalog.is_listed(node.key):
            return self._nobody(domain)
        ttl = self._dns.node_ttl_s
        if type == dns.TXT:
            return Answer(answers=meta_records(node.shape.meta, ttl, b""))
        if type not in _ADDRESSES:
            return Answer()
        record = address_record(node.shape.address, ttl)
        if record is None:
            target = host_wire(node.shape.address)
            return self._cname(type, target, asker, level) if target else self._nothing(domain)
        if type not in (record.type, dns.ANY):
            return self._nothing(domain)
        texts = meta_records(node.shape.meta, ttl, b"") if self._dns.node_meta_txt or type == dns.ANY else []
        if type == dns.ANY:
            return Answer(answers=[record, *texts])
        return Answer(answers=[record], additional=texts)

    def _node_name(self, node: NodeView, domain: str) -> bytes:
        text = f"{node.shape.node}.node.{self._datacenter(node.key.namespace)}.{domain}"
        try:
            return dns.name_wire(text)
        except ValueError:  # a node's name that is no name
            return dns.name_wire(f"{label_of(node.shape.node)}.node.{self._datacenter(node.key.namespace)}.{domain}")

    def _query(
        self, type: int, parts: tuple[str, ...], namespace: str, domain: str, asker: Asker, level: int
    ) -> Answer:
        if len(parts) == 2 and is_rfc2782(parts):
            parts = (parts[0][1:],)
        queries, name = self._queries, ".".join(parts)
        found = None if queries is None else queries.executed(asker.seen, namespace, name, asker.peer)
        if found is None or not found.instances:
            return self._nobody(domain)
        places = [self._place(i, domain, found.ttl_s) for i in found.instances]
        if not found.ordered:
            self._arrange(places, type, asker)
        return structs.replace(self._shown(type, places, domain, asker, level), scoped=True)

    def _reverse(self, type: int, name: str) -> Answer:
        domain, namespace = self._dns.domain, self._settings.namespace
        address = reversed_address(name)
        if type not in (dns.PTR, dns.ANY) or not address:
            return Answer(dns.NXDOMAIN, authority=[self.authority(domain)]) if not address else self._nothing(domain)
        if not self._hosts.ready:
            raise Unprepared("hosts", self._hosts.look)
        keys = dict.fromkeys((*self._catalog.fixed(namespace), *self._hosts.nodes_at(namespace, address)))
        nodes = (self._view.node(key) for key in keys if self._catalog.is_listed(key))
        found = [
            Record(dns.PTR, self._node_name(node, domain))
            for node in nodes
            if node is not None and same_ip(node.shape.address, address)
        ]
        if not found:
            datacenter = self._datacenter(namespace)
            names = (
                f"{label_of(s)}.service.{datacenter}.{domain}" for s in self._hosts.services_at(namespace, address)
            )
            found = [Record(dns.PTR, dns.name_wire(text)) for text in names]
        return Answer(answers=found) if found else self._nobody(domain)

    # ------------------------------------------------------------------ nothing

    def _nobody(self, domain: str) -> Answer:
        return Answer(dns.NXDOMAIN, authority=[self.authority(domain)])

    def _nothing(self, domain: str) -> Answer:
        """The name exists, a record of the type does not."""
        return Answer(authority=[self.authority(domain)])
