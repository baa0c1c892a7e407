"""Names: the sheet's table of questions and answers, and what stands behind it."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest
from consul_bottle import ConsulBottle
from hypothesis import given
from hypothesis import strategies as st

from polaris_bridge.adapters.consul.server.dns import Resolver
from polaris_bridge.adapters.consul.settings import ConsulSettings, DnsSettings
from polaris_bridge.core.model import Checks

SOA = "consul. 0 IN SOA ns.consul. hostmaster.consul. 1700000000 3600 600 86400 0"


class NamesBottle(ConsulBottle):
    """With words for questions."""

    def resolver(self) -> Resolver:
        return Resolver(self.service.names, self.settings.dns, prepare=self.service.slices.run)

    def dig(self, name: str, type: str = "A", *, tcp: bool = False, **options) -> dns.message.Message:
        query = dns.message.make_query(name, type, **options)
        found = self.resolver().resolve(query.to_wire(), "127.0.0.1", tcp)
        if found is not None and not isinstance(found, bytes):
            got: list[bytes] = []
            found.then(got.append)
            self.timers.settle()
            (found,) = got
        message = dns.message.from_wire(found, one_rr_per_rrset=True)
        assert query.is_response(message)
        return message


def lines(section) -> list[str]:
    return [rrset.to_text() for rrset in section]


def short(message) -> list[str]:
    return [next(iter(rrset)).to_text() for rrset in message.answer]


def settled(**options) -> NamesBottle:
    bottle = NamesBottle(ConsulSettings(node_name="n1", dns=DnsSettings(**options)))
    bottle.register("web", ID="web-1", Tags=["v1"], Address="10.1.2.3", Port=8001, Weights={"Passing": 7, "Warning": 2})
    bottle.register("web", ID="web-2", Tags=["v2"], Address="10.1.2.4", Port=8002, Check={"TTL": "10s"})
    bottle.register("api", ID="api-1", Port=9001)
    return bottle


@pytest.fixture
def bottle() -> NamesBottle:
    return settled()


META = ['0 IN TXT "consul-network-segment="', '0 IN TXT "consul-version=1.20.6"']
TABLE = [
    ("web.service.consul", "A", "NOERROR", ["0 IN A 10.1.2.3"], [], []),
    (
        "web.service.consul",
        "SRV",
        "NOERROR",
        ["0 IN SRV 1 7 8001 0a010203.addr.dc1.consul."],
        [],
        ["0a010203.addr.dc1.consul. 0 IN A 10.1.2.3", *(f"n1.node.dc1.consul. {text}" for text in META)],
    ),
    ("v1.web.service.consul", "A", "NOERROR", ["0 IN A 10.1.2.3"], [], []),
    ("v2.web.service.consul", "A", "NXDOMAIN", [], [SOA], []),
    ("_web._v1.service.consul", "SRV", "NOERROR", ["0 IN SRV 1 7 8001 0a010203.addr.dc1.consul."], [], None),
    ("_web._tcp.service.consul", "SRV", "NOERROR", ["0 IN SRV 1 7 8001 0a010203.addr.dc1.consul."], [], None),
    ("_web._tcp.consul", "SRV", "NOERROR", ["0 IN SRV 1 7 8001 0a010203.addr.dc1.consul."], [], None),
    ("web.service.consul", "AAAA", "NOERROR", [], [SOA], []),
    ("web.service.consul", "TXT", "NOERROR", [], [SOA], []),
    (
        "api.service.dc1.consul",
        "SRV",
        "NOERROR",
        ["0 IN SRV 1 1 9001 n1.node.dc1.consul."],
        [],
        ["n1.node.dc1.consul. 0 IN A 10.0.0.9", *(f"n1.node.dc1.consul. {text}" for text in META)],
    ),
    ("api.service.consul", "A", "NOERROR", ["0 IN A 10.0.0.9"], [], []),
    ("n1.node.consul", "A", "NOERROR", ["0 IN A 10.0.0.9"], [], [f"n1.node.consul. {text}" for text in META]),
    ("n1.node.dc1.consul", "TXT", "NOERROR", META, [], []),
    ("n1.node.consul", "AAAA", "NOERROR", [], [SOA], []),
    ("n1.node.consul", "MX", "NOERROR", [], [], []),
    ("nosuch.service.consul", "A", "NXDOMAIN", [], [SOA], []),
    ("nosuch.node.consul", "A", "NXDOMAIN", [], [SOA], []),
    ("nosuch.query.consul", "A", "NXDOMAIN", [], [SOA], []),
    ("web.service.dc9.consul", "A", "NXDOMAIN", [], [SOA], []),
    ("web.service.dc1.dc.consul", "A", "NOERROR", ["0 IN A 10.1.2.3"], [], []),
    ("web.service.default.ns.dc1.dc.consul", "A", "NOERROR", ["0 IN A 10.1.2.3"], [], []),
    ("web.service.other.ns.consul", "A", "NXDOMAIN", [], [SOA], []),
    ("service.consul", "A", "NXDOMAIN", [], [SOA], []),
    ("whatever.consul", "A", "NXDOMAIN", [], [SOA], []),
    ("0a010203.addr.dc1.consul", "A", "NOERROR", ["0 IN A 10.1.2.3"], [], []),
    ("0a010203.addr.consul", "AAAA", "NOERROR", [], [], ["0a010203.addr.consul. 0 IN A 10.1.2.3"]),
    ("20010db8000000000000000000000001.addr.consul", "AAAA", "NOERROR", ["0 IN AAAA 2001:db8::1"], [], []),
    ("0a01020.addr.consul", "A", "NXDOMAIN", [], [SOA], []),
    ("3.2.1.10.in-addr.arpa", "PTR", "NOERROR", ["0 IN PTR web.service.dc1.consul."], [], []),
    ("9.0.0.10.in-addr.arpa", "PTR", "NOERROR", ["0 IN PTR n1.node.dc1.consul."], [], []),
    ("9.9.9.9.in-addr.arpa", "PTR", "NXDOMAIN", [], [SOA], []),
    ("300.0.0.10.in-addr.arpa", "PTR", "NXDOMAIN", [], [SOA], []),
    ("consul.service.consul", "SRV", "NOERROR", ["0 IN SRV 1 1 8300 n1.node.dc1.consul."], [], None),
    ("consul", "SOA", "NOERROR", [SOA.removeprefix("consul. ")], ["consul. 0 IN NS n1.node.dc1.consul."], None),
    ("consul", "NS", "NOERROR", ["0 IN NS n1.node.dc1.consul."], [], ["n1.node.dc1.consul. 0 IN A 10.0.0.9"]),
    ("consul", "A", "NOERROR", [], [SOA], []),
    ("example.org", "A", "REFUSED", [], [], []),
    ("consul.org", "A", "REFUSED", [], [], []),
    ("notconsul", "A", "REFUSED", [], [], []),
]  # fmt: skip


@pytest.mark.parametrize(("name", "type", "rcode", "answer", "authority", "additional"), TABLE)
def test_the_table(bottle, name, type, rcode, answer, authority, additional):
    message = bottle.dig(name, type)
    assert dns.rcode.to_text(message.rcode()) == rcode
    assert lines(message.answer) == [f"{name}. {record}" for record in answer]
    assert lines(message.authority) == authority
    if additional is not None:
        assert lines(message.additional) == additional
    assert bool(message.flags & dns.flags.AA) == (rcode != "REFUSED")
    assert not message.flags & dns.flags.RA


def test_the_question_comes_back_as_it_was_typed(bottle):
    message = bottle.dig("WeB.SerVice.Consul", "A")
    assert message.question[0].name.to_text() == "WeB.SerVice.Consul."
    assert message.answer[0].name.to_text() == "WeB.SerVice.Consul."


def test_states_decide_who_is_shown(bottle):
    assert short(bottle.dig("v2.web.service.consul")) == []
    bottle.done("/v1/agent/check/warn/service:web-2")
    assert short(bottle.dig("v2.web.service.consul", "SRV")) == ["1 1 8002 0a010204.addr.dc1.consul."]
    bottle.done("/v1/agent/service/maintenance/web-1?enable=true")
    assert short(bottle.dig("web.service.consul")) == ["10.1.2.4"]
    bottle.move(11)
    assert bottle.dig("web.service.consul").rcode() == dns.rcode.NXDOMAIN


def test_only_passing_and_weights():
    bottle = settled(only_passing=True)
    bottle.done("/v1/agent/check/warn/service:web-2")
    assert short(bottle.dig("web.service.consul")) == ["10.1.2.3"]
    bottle = settled()
    bottle.done("/v1/agent/check/register", {"Name": "c", "TTL": "1m", "ServiceID": "web-1", "Status": "warning"})
    assert short(bottle.dig("v1.web.service.consul", "SRV")) == ["1 2 8001 0a010203.addr.dc1.consul."]


def test_instances_of_other_protocols(bottle):
    bottle.foreign(service="com.foo.Bar", host="10.3.0.1", port=20880)
    bottle.foreign(service="g__s", key="k2", host="2001:db8::5", port=1)
    bottle.foreign(service="named", key="k3", host="db.example.org", port=5432)
    assert short(bottle.dig("com-foo-bar.service.consul", "SRV")) == ["1 1 20880 0a030001.addr.dc1.consul."]
    assert short(bottle.dig("g__s.service.consul", "AAAA")) == ["2001:db8::5"]
    assert short(bottle.dig("g--s.service.consul", "AAAA")) == ["2001:db8::5"]
    assert short(bottle.dig("named.service.consul", "A")) == ["db.example.org."]
    assert short(bottle.dig("named.service.consul", "SRV")) == ["1 1 5432 db.example.org."]
    assert short(bottle.dig("1.0.3.10.in-addr.arpa", "PTR")) == ["com-foo-bar.service.dc1.consul."]
    bottle.foreign(service="late", key="k4", host="10.3.0.9")
    assert short(bottle.dig("9.0.3.10.in-addr.arpa", "PTR")) == ["late.service.dc1.consul."]


def test_an_address_that_is_one_of_our_names(bottle):
    bottle.register("alias", Address="web.service.consul", Port=1)
    assert lines(bottle.dig("alias.service.consul", "A").answer) == [
        "alias.service.consul. 0 IN CNAME web.service.consul.",
        "web.service.consul. 0 IN A 10.1.2.3",
    ]
    bottle.register("loop", Address="loop.service.consul", Port=1)
    assert bottle.dig("loop.service.consul", "A").rcode() == dns.rcode.NOERROR


def test_another_domain_and_ttls():
    bottle = settled(alt_domain="mesh.", node_ttl_s=5, service_ttl_s={"*": 7, "we*": 9, "api": 11})
    assert lines(bottle.dig("web.service.mesh", "A").answer) == ["web.service.mesh. 9 IN A 10.1.2.3"]
    assert short(bottle.dig("api.service.mesh", "SRV")) == ["1 1 9001 n1.node.dc1.mesh."]
    assert lines(bottle.dig("api.service.consul", "A").answer) == ["api.service.consul. 11 IN A 10.0.0.9"]
    assert lines(bottle.dig("n1.node.consul", "A").answer) == ["n1.node.consul. 5 IN A 10.0.0.9"]
    assert lines(bottle.dig("nosuch.service.mesh", "A").authority)[0].startswith("mesh. 0 IN SOA ns.mesh.")


def test_many_instances_fit_into_what_the_client_can_take(bottle):
    for number in range(100):
        bottle.foreign(service="many", key=f"k{number}", host=f"10.4.0.{number}", port=80, liveness=Checks({}))
    assert len(bottle.dig("many.service.consul", "A").answer) == 3
    plain = bottle.dig("many.service.consul", "SRV")
    assert len(plain.answer) == 3
    assert not plain.flags & dns.flags.TC
    wide = bottle.dig("many.service.consul", "SRV", use_edns=0, payload=1232)
    assert 5 < len(wide.answer) < 30
    assert len(wide.to_wire()) <= 1232
    assert len(bottle.dig("many.service.consul", "A", use_edns=0, payload=65535).answer) == 100
    assert len(bottle.dig("many.service.consul", "SRV", tcp=True).answer) == 100
    limited = settled(a_record_limit=1, enable_truncate=True)
    limited.done("/v1/agent/check/pass/service:web-2")
    assert len(limited.dig("web.service.consul", "A").answer) == 1


def test_truncation_is_told_when_asked_for():
    bottle = settled(enable_truncate=True)
    for number in range(5):
        bottle.foreign(service="many", key=f"k{number}", host=f"10.4.0.{number}", port=80, liveness=Checks({}))
    message = bottle.dig("many.service.consul", "A")
    assert len(message.answer) == 3
    assert message.flags & dns.flags.TC
    assert not bottle.dig("many.service.consul", "A", tcp=True).flags & dns.flags.TC


def test_transfers_and_other_classes_are_refused(bottle):
    assert bottle.dig("consul", "AXFR").rcode() == dns.rcode.NOTIMP
    assert bottle.dig("web.service.consul", "A", rdclass="CH").rcode() == dns.rcode.REFUSED


LABELS = st.lists(
    st.sampled_from(
        [
            "web",
            "service",
            "consul",
            "node",
            "n1",
            "dc1",
            "dc",
            "addr",
            "query",
            "_web",
            "_tcp",
            "0a010203",
            "arpa",
            "x",
            "in-addr",
        ]
    ),
    max_size=7,
)
BOTTLE: list[NamesBottle] = []


@given(LABELS, st.sampled_from(["A", "AAAA", "SRV", "TXT", "ANY", "SOA", "NS", "PTR", "MX", "CNAME"]))
def test_any_name_is_answered(labels, type):
    if not BOTTLE:
        BOTTLE.append(settled())
    message = BOTTLE[0].dig(".".join(labels) or ".", type)
    assert message.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN, dns.rcode.REFUSED)


@given(st.binary(max_size=100))
def test_any_packet_is_answered_or_dropped(data):
    if not BOTTLE:
        BOTTLE.append(settled())
    found = BOTTLE[0].resolver().resolve(data, "127.0.0.1", False)
    assert found is None or not isinstance(found, bytes) or len(found) <= 512


def test_names_of_nobody_leave_nothing(bottle):
    bottle.dig("n1.node.consul")
    kept = len(bottle.service.view._kept)
    for n in range(50):
        bottle.dig(f"no-{n}.node.consul")
        bottle.dig(f"no-{n}.service.consul")
    assert len(bottle.service.view._kept) == kept
    assert not any(key.name.startswith("no-") for key in bottle.service.view._services)
