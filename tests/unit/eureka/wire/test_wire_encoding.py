"""Writing: round trips of any instance in every form, well-formed XML whatever metadata holds, and frames around fragments."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire_instances import as_xml_keeps_it, instances

from polaris_bridge.adapters.eureka.wire import (
    AMAZON_CLASS,
    MY_OWN,
    VARIANTS,
    DataCenterInfo,
    InstanceInfo,
    LeaseInfo,
    Port,
    decode_applications,
    decode_instance,
    json_full,
    xml_compact,
    xml_full,
)
from polaris_bridge.adapters.eureka.wire.xml_text import element_name, escape_text, key_of_element

INFO = InstanceInfo(
    app="SHOP",
    instance_id="h:shop:80",
    host_name="h",
    ip_addr="10.0.0.1",
    sid="s",
    data_center=DataCenterInfo("Amazon", AMAZON_CLASS, {"instance-id": "i", "ami-id": "a", "public-hostname": "p"}),
    port=Port(80, True),
    secure_port=Port(443, False),
    lease=LeaseInfo(30, 90, 1, 2, 3, 4),
    home_page_url="http://h/?a=1&b=2",
    vip_address="shop",
    last_updated_ms=7,
    last_dirty_ms=8,
    action_type="ADDED",
    asg_name="asg",
)


@given(instances)
def test_json_round_trip(info: InstanceInfo) -> None:
    assert decode_instance(VARIANTS["json", "full"].instance_document(info), "application/json") == info


@given(instances)
def test_xml_round_trip(info: InstanceInfo) -> None:
    """Losses: ``as_xml_keeps_it``."""
    document = VARIANTS["xml", "full"].instance_document(info)
    assert decode_instance(document, "application/xml") == as_xml_keeps_it(info)


COMPACT_FIELDS = (
    *("app", "instance_id", "host_name", "ip_addr", "status", "port", "secure_port"),
    *("vip_address", "secure_vip_address", "last_updated_ms", "action_type", "asg_name"),
)


@given(instances)
def test_compact_round_trip(info: InstanceInfo) -> None:
    """The compact forms keep their fields and nothing else; both say the same."""
    document = VARIANTS["json", "compact"].instance_document(info)
    (kept,) = decode_applications(document, "application/json").instances
    expected = InstanceInfo(**{name: getattr(info, name) for name in COMPACT_FIELDS})
    assert msgspec.structs.replace(kept, data_center=None) == expected
    (of_xml,) = decode_applications(xml_compact(info), "application/xml").instances
    assert of_xml == as_xml_keeps_it(kept)


@given(st.lists(instances, max_size=3), st.text(max_size=5), st.integers(-1, 2**40))
def test_every_list_is_well_formed(members: list[InstanceInfo], name: str, version: int) -> None:
    """Each form: parsed by a strict parser (namespace-aware for XML), the instances come back in order."""
    for (format_, detail), variant in VARIANTS.items():
        fragments = [variant.fragment(info) for info in members]
        single = variant.application_document(name, fragments)
        part = variant.application(name, fragments)
        whole = variant.applications_document([part, part], version, "UP_1_")
        if format_ == "json":
            assert len(orjson.loads(whole)["applications"]["application"]) == 2
            assert [i["app"] for i in orjson.loads(single)["application"]["instance"]] == [i.app for i in members]
        else:
            assert len(ElementTree.fromstring(whole).findall("application")) == 2
            assert len(ElementTree.fromstring(single).findall("instance")) == len(members)
        read = decode_applications(whole, variant.content_type)
        assert (read.version, read.hash_code) == (version, "UP_1_")
        assert read.instances == decode_applications(single, variant.content_type).instances * 2
        if (format_, detail) == ("json", "full"):
            assert read.instances == members * 2


@given(st.text(), st.text())
def test_moving_a_fragment_out_of_a_list_changes_its_layout_only(key: str, value: str) -> None:
    """The document of one application equals one written for that depth, also when values end like a line start."""
    info = msgspec.structs.replace(INFO, metadata={key: value, "k": f"{value}\n    "})
    variant = VARIANTS["xml", "full"]
    expected = b"<application>\n  <name>A</name>" + xml_full(info, "\n  ") + b"\n</application>"
    assert variant.application_document("A", [variant.fragment(info)]) == expected


def test_compact_json() -> None:
    document = orjson.loads(VARIANTS["json", "compact"].fragment(INFO))
    assert list(document) == [
        *("instanceId", "app", "ipAddr", "vipAddress", "dataCenterInfo", "hostName", "status"),
        *("lastUpdatedTimestamp", "actionType", "asgName", "port", "securePort"),
    ]
    assert document["lastUpdatedTimestamp"] == 7
    assert document["dataCenterInfo"]["metadata"] == {"instance-id": "i", "public-hostname": "p"}


def test_compact_xml() -> None:
    assert VARIANTS["xml", "compact"].fragment(INFO).decode() == (
        "<instance><instanceId>h:shop:80</instanceId><app>SHOP</app><ipAddr>10.0.0.1</ipAddr><vipAddress>shop</vipAddress>"
        f'<dataCenterInfo class="{AMAZON_CLASS}"><name>Amazon</name><metadata><instance-id>i</instance-id>'
        "<public-hostname>p</public-hostname></metadata></dataCenterInfo><hostName>h</hostName><status>UP</status>"
        "<lastUpdatedTimestamp>7</lastUpdatedTimestamp><actionType>ADDED</actionType><asgName>asg</asgName>"
        '<port enabled="true">80</port><securePort enabled="false">443</securePort></instance>'
    )
    variant = VARIANTS["xml", "compact"]
    whole = variant.applications_document([variant.application("A", [])], 2, "UP_1_")
    assert whole == (
        b"<applications><application><name>A</name></application>"
        b"<versions__delta>2</versions__delta><apps__hashcode>UP_1_</apps__hashcode></applications>"
    )


def test_empty_metadata() -> None:
    info = InstanceInfo(app="A", data_center=DataCenterInfo("Amazon", AMAZON_CLASS))
    document = orjson.loads(json_full(info))
    assert document["metadata"] == {"@class": "java.util.Collections$EmptyMap"}
    assert document["dataCenterInfo"]["metadata"] == {}
    assert xml_full(info).count(b'<metadata class="java.util.Collections$EmptyMap"/>') == 2


def test_the_data_centre_is_written_as_it_is_held() -> None:
    own = msgspec.structs.replace(INFO, data_center=DataCenterInfo("Mine", 'my."Own'))
    assert orjson.loads(json_full(own))["dataCenterInfo"] == {"@class": 'my."Own', "name": "Mine"}
    assert b'<dataCenterInfo class="my.&quot;Own">' in xml_full(own)
    assert b"dataCenterInfo" not in xml_full(msgspec.structs.replace(own, data_center=None))
    assert b"dataCenterInfo" not in json_full(msgspec.structs.replace(own, data_center=None))


def test_lone_surrogates_spoil_no_list() -> None:
    info = InstanceInfo(app="A", metadata={"k\ud800": "v\udfff"}, data_center=MY_OWN)
    assert orjson.loads(json_full(info))["metadata"] == {"k?": "v?"}
    (read,) = decode_applications(xml_full(info), "application/xml").instances
    assert read.metadata == {"k\ufffd": "v\ufffd"}


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("zone", "zone"),
        ("management.port", "management.port"),
        ("a-b", "a-b"),
        ("a_b", "a__b"),
        ("_", "__"),
        ("$x", "_-x"),
        ("with space", "with_.0020space"),
        ("1num", "_.0031num"),
        (".x", "_.002ex"),
        ("-x", "_.002dx"),
        ("/", "_.002f"),
        ("x:y", "x_.003ay"),
        ("é", "é"),
        ("名前", "名前"),
        ("\U0001f600", "_.d83d_.de00"),
        ("a\u0660", "a_.0660"),
        ("\x00", "_.0000"),
        ("", "_"),
        ("k" * 100 + " ", "k" * 100 + "_.0020"),
    ],
)
def test_element_names(key: str, name: str) -> None:
    assert element_name(key) == name
    assert key_of_element(name) == key


@given(st.text(st.characters(exclude_categories=("Cs",))))
def test_any_key_becomes_a_name_and_back(key: str) -> None:
    name = element_name(key)
    root = ElementTree.fromstring(f"<{name}/>")
    assert root.tag == name
    assert key_of_element(name) == key


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain é 名 \t/", "plain é 名 \t/"),
        ("a&b<c>d\"e'", "a&amp;b&lt;c&gt;d&quot;e&apos;"),
        ("a\r\nb", "a&#xd;&#xa;b"),
        ("\x00\x1f\ufffe\ud800", "\ufffd" * 4),
        ("\x85\x7f", "&#x85;&#x7f;"),
    ],
)
def test_escaped_text(text: str, escaped: str) -> None:
    assert escape_text(text) == escaped
