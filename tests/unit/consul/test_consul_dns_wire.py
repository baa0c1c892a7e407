"""The DNS codec, judged by dnspython."""

from __future__ import annotations

import string

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polaris_bridge.adapters.consul.wire import dns as wire

LABEL = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=20)
NAME = st.lists(LABEL, min_size=1, max_size=5).map(".".join)
TYPES = st.sampled_from([wire.A, wire.AAAA, wire.SRV, wire.TXT, wire.ANY, wire.SOA, wire.NS, wire.PTR, wire.MX])


def ask(name="web.service.consul", type=wire.A, **options):
    return dns.message.make_query(name, dns.rdatatype.to_text(type), **options).to_wire()


@given(NAME, TYPES, st.booleans(), st.integers(0, 65535), st.one_of(st.none(), st.integers(0, 65535)))
def test_a_question_is_read(name, type, recursion, id, size):
    message = dns.message.make_query(name, type, use_edns=False if size is None else 0, payload=size or 0)
    message.id = id
    message.flags = dns.flags.RD if recursion else 0
    question = wire.read(message.to_wire())
    assert (question.id, question.type, question.class_, question.recursion) == (id, type, 1, recursion)
    assert question.name == name.lower() + "."
    assert question.size == (0 if size is None else max(512, size))
    assert question.error == wire.NOERROR


RECORD = st.one_of(
    st.builds(lambda ip, ttl: wire.Record(wire.A, ip.packed, ttl), st.ip_addresses(v=4), st.integers(0, 2**31 - 1)),
    st.builds(lambda ip: wire.Record(wire.AAAA, ip.packed), st.ip_addresses(v=6)),
    st.builds(
        lambda weight, port, target: wire.Record(wire.SRV, wire.srv(1, weight, port, wire.name_wire(target))),
        st.integers(0, 65535),
        st.integers(0, 65535),
        NAME,
    ),
    st.builds(lambda text: wire.Record(wire.TXT, wire.txt(text)), st.text(max_size=600)),
    st.builds(lambda name: wire.Record(wire.PTR, wire.name_wire(name)), NAME),
)
OWNED = st.builds(
    lambda record, owner: wire.Record(record.type, record.data, record.ttl, wire.name_wire(owner)), RECORD, NAME
)


@given(
    NAME,
    st.lists(RECORD, max_size=6),
    st.lists(OWNED, max_size=2),
    st.lists(OWNED, max_size=6),
    st.booleans(),
    st.sampled_from([0, 3, 16]),
)
def test_an_answer_is_what_it_says(name, answers, authority, additional, edns, rcode):
    query = dns.message.make_query(name, "SRV", use_edns=0 if edns else False, payload=4096)
    question = wire.read(query.to_wire())
    if rcode == 16 and not edns:
        rcode = 0
    message = dns.message.from_wire(
        wire.write(question, wire.Answer(rcode, answers, authority, additional), recursors=True),
        one_rr_per_rrset=True,
    )
    assert query.is_response(message)
    assert message.question[0].name.to_text() == name + "."
    assert message.rcode() == rcode
    assert message.flags & dns.flags.AA
    assert message.flags & dns.flags.RA
    for part, records in ((message.answer, answers), (message.authority, authority), (message.additional, additional)):
        found = [(s.name.to_wire().lower(), s.rdtype, s.ttl, next(iter(s)).to_wire()) for s in part]
        asked = wire.name_wire(name).lower()
        assert found == [((r.owner or asked).lower(), r.type, r.ttl, r.data) for r in records]
    assert (message.edns >= 0) == edns


@given(
    st.lists(RECORD, min_size=1, max_size=60),
    st.sampled_from([0, 512, 800, 1232, 4096]),
    st.integers(1, 100),
    st.booleans(),
)
def test_what_is_sent_over_udp_fits_and_is_not_empty(answers, size, most, mark):
    query = dns.message.make_query("web.service.consul", "ANY", use_edns=0 if size else False, payload=size)
    question = wire.read(query.to_wire())
    targets = {r.data[6:] for r in answers if r.type == wire.SRV}
    additional = [wire.Record(wire.A, b"\n\0\0\1", 0, target) for target in sorted(targets)]
    bound = size or 512
    sent = wire.fitted(
        question, wire.Answer(0, answers, (), additional), most_answers=most, most_bytes=bound, mark=mark
    )
    assert len(sent) <= bound
    message = dns.message.from_wire(sent, one_rr_per_rrset=True)
    assert len(message.answer) <= min(most, len(answers))
    cut = bool(message.flags & dns.flags.TC)
    if not message.answer:
        assert cut, "no room at all"
    else:
        assert cut == (mark and len(message.answer) < len(answers))
        left = {next(iter(s)).to_wire()[6:] for s in message.answer if s.rdtype == wire.SRV}
        assert {s.name.to_wire() for s in message.additional} <= left


def test_sizes_are_measured_as_the_agent_does():
    question = wire.read(ask(type=wire.SRV))
    target = wire.name_wire("0a010203.addr.dc1.consul.")
    answers = [wire.Record(wire.SRV, wire.srv(1, 1, 8000 + i, target)) for i in range(3)]
    sent = wire.fitted(question, wire.Answer(0, answers), most_answers=3, most_bytes=512, mark=False)
    assert len(dns.message.from_wire(sent, one_rr_per_rrset=True).answer) == 3


@pytest.mark.parametrize("data", [b"", b"\0" * 11, b"\0\1\x80\0\0\1\0\0\0\0\0\0"])
def test_what_is_dropped(data):
    with pytest.raises(wire.Malformed):
        wire.read(data)


HEAD = b"\x12\x34\1\0\0\1\0\0\0\0\0\0"


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"\x12\x34\1\0\0\0\0\0\0\0\0\0", wire.FORMERR),
        (b"\x12\x34\1\0\0\2\0\0\0\0\0\0" + b"\1a\0\0\1\0\1" * 2, wire.FORMERR),
        (HEAD, wire.FORMERR),
        (HEAD + b"\3ab", wire.FORMERR),
        (HEAD + b"\xc0\x0c\0\1\0\1", wire.FORMERR),
        (HEAD + b"\x40a\0\0\1\0\1", wire.FORMERR),
        (HEAD + b"\1a\0\0\1", wire.FORMERR),
        (HEAD + b"\1\xff\0\0\1\0\1", wire.FORMERR),
        (HEAD + b"\x3f" + b"a" * 63 + (b"\x3f" + b"a" * 63) * 4 + b"\0\0\1\0\1", wire.FORMERR),
        (b"\x12\x34\x28\0\0\1\0\0\0\0\0\0\1a\0\0\1\0\1", wire.NOTIMP),
        (b"\x12\x34\1\0\0\1\0\0\0\0\0\1\1a\0\0\1\0\1" + b"\0\0\x29\x10\0\0\1\0\0\0\0", wire.BADVERS),
        (b"\x12\x34\1\0\0\1\0\0\0\0\0\2\1a\0\0\1\0\1" + b"\0\0\x29\x10\0\0\0\0\0\0\0" * 2, wire.FORMERR),
        (b"\x12\x34\1\0\0\1\0\0\0\0\0\1\1a\0\0\1\0\1" + b"\0\0\x29\x10\0\0\0\0\0\0\4\0\x08\0\x09", wire.FORMERR),
    ],
)
def test_what_cannot_be_answered(data, error):
    question = wire.read(data)
    assert question.error == error
    message = dns.message.from_wire(wire.write(question, wire.Answer(error, authoritative=False)))
    assert message.id == 0x1234
    assert message.rcode() == error


def test_the_client_subnet_comes_back_with_scope_0():
    option = dns.edns.ECSOption("10.1.2.0", 24)
    query = dns.message.make_query("web.service.consul", "A", use_edns=0, payload=1232, options=[option])
    message = dns.message.from_wire(wire.write(wire.read(query.to_wire()), wire.Answer()))
    assert message.payload == 1232
    assert [(o.address, o.srclen, o.scopelen) for o in message.options] == [("10.1.2.0", 24, 0)]


def test_names_that_are_none():
    for name in ("a..b", "a" * 64, ".".join(["a" * 60] * 5)):
        with pytest.raises(ValueError):
            wire.name_wire(name)
    assert wire.name_wire("a.B.") == wire.name_wire("a.B") == b"\1a\1B\0"
    assert wire.read(HEAD + b"\3a.b\0\0\1\0\1").name == "a\\.b."


@given(st.binary(max_size=80), st.integers(0, 3), st.integers(0, 3))
def test_anything_is_read_dropped_or_refused(tail, questions, additional):
    data = b"\x12\x34\1\0" + bytes([0, questions, 0, 0, 0, 0, 0, additional]) + tail
    question = wire.read(data)
    sent = wire.fitted(question, wire.Answer(question.error), most_answers=3, most_bytes=512, mark=False)
    assert len(sent) <= 512
