"""Leniency of reading, as tables: what clients get wrong and what a real server makes of it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from polaris_bridge.adapters.eureka.wire import (
    AMAZON_CLASS,
    MY_OWN,
    OWN_DATA_CENTER_CLASS,
    DataCenterInfo,
    InstanceInfo,
    LeaseInfo,
    Malformed,
    Port,
    decode_applications,
    decode_instance,
    first_defect,
)

JSON, XML = "application/json", "application/xml"
BASE: dict[str, Any] = {
    "instanceId": "i1",
    "hostName": "h",
    "app": "shop",
    "ipAddr": "10.0.0.1",
    "dataCenterInfo": {"@class": OWN_DATA_CENTER_CLASS, "name": "MyOwn"},
}


def read(**members: Any) -> InstanceInfo:
    """The base document with some members replaced (``...`` removes one)."""
    document = {name: value for name, value in (BASE | members).items() if value is not ...}
    return decode_instance(orjson.dumps({"instance": document}), JSON)


def read_text(members: str) -> InstanceInfo:
    """The base document followed by members as JSON text."""
    return decode_instance(orjson.dumps({"instance": BASE})[:-2] + b"," + members.encode() + b"}}", JSON)


def read_xml(members: str) -> InstanceInfo:
    return decode_instance(f"<instance><app>shop</app>{members}</instance>".encode(), XML)


def test_defaults() -> None:
    info = read()
    assert info == InstanceInfo(app="SHOP", instance_id="i1", host_name="h", ip_addr="10.0.0.1", data_center=MY_OWN)
    assert (info.port, info.secure_port) == (Port(7001, True), Port(7002, False))
    assert (info.status, info.overridden_status, info.country_id) == ("UP", "UNKNOWN", 1)
    assert info.lease == LeaseInfo(30, 90, 0, 0, 0, 0)
    assert (info.last_dirty_ms, info.last_updated_ms, info.action_type) == (None, None, None)


@pytest.mark.parametrize(
    ("members", "attribute", "expected"),
    [
        ({"status": "DOWN"}, "status", "DOWN"),
        ({"status": "down"}, "status", "UNKNOWN"),
        ({"status": "WEIRD"}, "status", "UNKNOWN"),
        ({"status": None}, "status", "UP"),
        ({"status": 7}, "status", "UNKNOWN"),
        ({"overriddenStatus": "DOWN"}, "overridden_status", "DOWN"),
        ({"overriddenstatus": "OUT_OF_SERVICE"}, "overridden_status", "OUT_OF_SERVICE"),
        ({"overriddenStatus": None, "overriddenstatus": "DOWN"}, "overridden_status", "DOWN"),
        ({"overriddenStatus": "x"}, "overridden_status", "UNKNOWN"),
        ({"port": {"$": "8081", "@enabled": True}}, "port", Port(8081, True)),
        ({"port": {"$": 8082}}, "port", Port(8082, True)),
        ({"port": {"$": 8082.0, "@enabled": "false"}}, "port", Port(8082, False)),
        ({"port": {"@enabled": "false"}}, "port", Port(7001, False)),
        ({"port": {"$": "web", "@enabled": "yes"}}, "port", Port(0, False)),
        ({"port": {"$": 1, "@enabled": 1}}, "port", Port(1, True)),
        ({"port": {"$": 1, "other": [1]}}, "port", Port(1, True)),
        ({"port": None}, "port", Port(7001, True)),
        ({"securePort": {"$": 443}}, "secure_port", Port(443, False)),
        ({"countryId": "49"}, "country_id", 49),
        ({"countryId": "x"}, "country_id", 0),
        ({"countryId": True}, "country_id", 1),
        ({"lastDirtyTimestamp": 1795356816981}, "last_dirty_ms", 1795356816981),
        ({"lastDirtyTimestamp": "1795356816981"}, "last_dirty_ms", 1795356816981),
        ({"lastDirtyTimestamp": " 1e3 "}, "last_dirty_ms", 1000),
        ({"lastDirtyTimestamp": "later"}, "last_dirty_ms", 0),
        ({"lastDirtyTimestamp": "9" * 19}, "last_dirty_ms", 0),
        ({"lastDirtyTimestamp": "9" * 5000}, "last_dirty_ms", 0),
        ({"lastDirtyTimestamp": 12.75}, "last_dirty_ms", 12),
        ({"lastDirtyTimestamp": None}, "last_dirty_ms", None),
        ({"isCoordinatingDiscoveryServer": True}, "is_coordinating_discovery_server", True),
        ({"isCoordinatingDiscoveryServer": "true"}, "is_coordinating_discovery_server", True),
        ({"isCoordinatingDiscoveryServer": "false"}, "is_coordinating_discovery_server", False),
        ({"isCoordinatingDiscoveryServer": 1}, "is_coordinating_discovery_server", True),
        ({"leaseInfo": {"renewalIntervalInSecs": 0, "durationInSecs": -1}}, "lease", LeaseInfo()),
        ({"leaseInfo": {"renewalIntervalInSecs": "5", "durationInSecs": 15.5, "x": {}}}, "lease", LeaseInfo(5, 15)),
        (
            {"leaseInfo": {"registrationTimestamp": "7", "serviceUpTimestamp": 8}},
            "lease",
            LeaseInfo(30, 90, 7, 0, 0, 8),
        ),
        ({"leaseInfo": None}, "lease", LeaseInfo()),
        (
            {"metadata": {"a": 1, "b": True, "c": None, "d": "x", "e": {"f": [1, None]}}},
            "metadata",
            {"a": "1", "b": "true", "c": "null", "d": "x", "e": '{"f":[1,null]}'},
        ),
        ({"metadata": {"@class": "java.util.Collections$EmptyMap"}}, "metadata", {}),
        ({"metadata": {"@class": 5, "": ""}}, "metadata", {"": ""}),
        ({"metadata": None}, "metadata", {}),
        ({"sid": "na"}, "sid", None),
        ({"sid": "unknown"}, "sid", None),
        ({"sid": "s-1"}, "sid", "s-1"),
        ({"appGroupName": "grp"}, "app_group_name", "GRP"),
        ({"app": 5}, "app", "5"),
        ({"hostName": ""}, "host_name", None),
        ({"hostName": 10}, "host_name", "10"),
        ({"vipAddress": ""}, "vip_address", ""),
        ({"actionType": "MODIFIED"}, "action_type", "MODIFIED"),
        ({"actionType": "OTHER"}, "action_type", None),
        ({"unknown": {"deep": [[1, {"x": None}]]}}, "app", "SHOP"),
        ({"dataCenterInfo": {"@class": OWN_DATA_CENTER_CLASS}}, "data_center", DataCenterInfo(None)),
        (
            {"dataCenterInfo": {"@class": "com.netflix.appinfo.MyDataCenterInfo", "name": "MyOwn"}},
            "data_center",
            MY_OWN,
        ),
        (
            {"dataCenterInfo": {"@class": AMAZON_CLASS, "name": "Amazon", "metadata": {"instance-id": "i-1", "n": 1}}},
            "data_center",
            DataCenterInfo("Amazon", AMAZON_CLASS, {"instance-id": "i-1", "n": "1"}),
        ),
        ({"dataCenterInfo": None}, "data_center", None),
    ],
)
def test_lenient_members(members: dict[str, Any], attribute: str, expected: object) -> None:
    assert getattr(read(**members), attribute) == expected
    tolerant = read(**members, asgName=1.5)  # a member that the quick path refuses
    assert tolerant.asg_name == "1.5"
    assert getattr(tolerant, attribute) == expected


def test_numbers_become_text_as_they_are_spelt() -> None:
    assert read_text('"metadata":{"a":1.50,"b":-0,"c":1E5}').metadata == {"a": "1.50", "b": "-0", "c": "1E5"}


@pytest.mark.parametrize(
    "members",
    [
        {"app": ...},
        {"app": None},
        {"port": 8080},
        {"port": "8080"},
        {"port": [8080]},
        {"port": {"$": [1]}},
        {"port": {"$": 2**31}},
        {"countryId": 2**31},
        {"countryId": {}},
        {"hostName": {}},
        {"hostName": ["h"]},
        {"leaseInfo": 5},
        {"leaseInfo": {"durationInSecs": 2**31}},
        {"metadata": "x"},
        {"metadata": []},
        {"metadata": {"a": [1]}},
        {"metadata": {str(n): "" for n in range(10_001)}},
        {"metadata": {str(n): n for n in range(10_001)}},
        {"metadata": {"a": ["b"]}},
        {"dataCenterInfo": {"name": "MyOwn"}},
        {"dataCenterInfo": {"@class": "x.Y", "name": "MyOwn"}},
        {"dataCenterInfo": {"@class": OWN_DATA_CENTER_CLASS, "name": "Mine"}},
        {"dataCenterInfo": "MyOwn"},
    ],
)
def test_refused_members(members: dict[str, Any]) -> None:
    with pytest.raises(Malformed) as caught:
        read(**members)
    assert caught.value.where
    assert caught.value.why


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"instance"',
        b"{}",
        b'{"instance":null}',
        b'{"instance":[]}',
        b'{"instance":{"app":"A"}} x',
        b'{"instance":{"app":"A","countryId":NaN}}',
        b'{"instance":{"app":"A","countryId":Infinity}}',
        b'{"instance":{"app":"A","countryId":1e999}}',
        b'{"instance":{"app":"A","lastDirtyTimestamp":' + b"9" * 19 + b"}}",
        b'{"instance":{"app":"A","lastDirtyTimestamp":' + b"9" * 5000 + b"}}",
        b'{"instance":{"app":"\xff"}}',
        b'{"instance":{"app":"A","metadata":{"\xed\xa0\x80":"x"}}}',
        b'{"instance":{"app":"\\ud800"}}',
        b'{"instance":{"app":"A","hostName":"\\udc00x"}}',
        b'{"instance":{"app":"A\x00"}}',
        b'{"instance":{"app":"A","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
        b'{"instance":{"app":"A","metadata":{"x":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}}}",
        b'{"instance":{"app":"A","hostName":1,"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
        '{"instance":{"app":"A"}}'.encode("utf-16"),
    ],
    ids=lambda body: repr(body[:60]),
)
def test_malformed_json(body: bytes) -> None:
    with pytest.raises(Malformed):
        decode_instance(body, JSON)


def test_of_doubled_members_the_last_wins() -> None:
    info = read_text('"app":"a","app":"b","metadata":{"k":"1"},"metadata":{"l":"1","l":"2"}')
    assert (info.app, info.metadata) == ("B", {"l": "2"})
    assert read_text('"app":"a","app":"b","hostName":1').app == "B"


def test_a_byte_order_mark_is_skipped() -> None:
    assert decode_instance(b'\xef\xbb\xbf{"instance":{"app":"a"}}', JSON).app == "A"


@pytest.mark.parametrize("content_type", ["text/plain", "application/json;charset=utf-16", ""])
def test_other_content_types_are_malformed(content_type: str) -> None:
    for decode in (decode_instance, decode_applications):
        with pytest.raises(Malformed):
            decode(b'{"instance":{"app":"a"}}', content_type)


DEFECTS = [
    ({"instanceId": ..., "hostName": ...}, "Missing instanceId"),
    ({"instanceId": "", "hostName": ""}, "Missing instanceId"),
    ({"hostName": ...}, "Missing hostname"),
    ({"hostName": "", "ipAddr": ""}, "Missing hostname"),
    ({"ipAddr": ...}, "Missing ip address"),
    ({"ipAddr": "", "app": ""}, "Missing ip address"),
    ({"app": ""}, "Missing appName"),
    ({"app": "other", "dataCenterInfo": ...}, "Mismatched appName, expecting SHOP but was OTHER"),
    ({"dataCenterInfo": ...}, "Missing dataCenterInfo"),
    ({"dataCenterInfo": {"@class": OWN_DATA_CENTER_CLASS}}, "Missing dataCenterInfo Name"),
    ({"instanceId": ...}, None),
    ({}, None),
]


@pytest.mark.parametrize(("members", "expected"), DEFECTS)
def test_first_defect(members: dict[str, Any], expected: str | None) -> None:
    assert first_defect(read(**members), "Shop") == expected


def test_the_id_falls_back_to_amazons_and_then_to_the_host() -> None:
    amazon = {"@class": AMAZON_CLASS, "name": "Amazon", "metadata": {"instance-id": "i-0abc"}}
    assert read(dataCenterInfo=amazon).id == "i1"
    assert read(dataCenterInfo=amazon, instanceId="").id == "i-0abc"
    assert read(dataCenterInfo={**amazon, "metadata": {}}, instanceId=...).id == "h"
    assert read(instanceId=...).id == "h"


@pytest.mark.parametrize(
    ("members", "attribute", "expected"),
    [
        ("<status>out_of_service</status>", "status", "OUT_OF_SERVICE"),
        ("<status>x</status>", "status", "UNKNOWN"),
        ("", "status", "UP"),
        ("<overriddenstatus>DOWN</overriddenstatus>", "overridden_status", "DOWN"),
        ("<overriddenStatus>DOWN</overriddenStatus>", "overridden_status", "DOWN"),
        ("<port>80</port>", "port", Port(80, True)),
        ('<port enabled="false"> 80\n</port>', "port", Port(80, False)),
        ('<securePort enabled="true">443</securePort>', "secure_port", Port(443, True)),
        ("<securePort>443</securePort>", "secure_port", Port(443, False)),
        ("<lastDirtyTimestamp>x</lastDirtyTimestamp>", "last_dirty_ms", None),
        ("<lastDirtyTimestamp>7</lastDirtyTimestamp>", "last_dirty_ms", 7),
        (
            "<isCoordinatingDiscoveryServer>TRUE</isCoordinatingDiscoveryServer>",
            "is_coordinating_discovery_server",
            True,
        ),
        (
            "<leaseInfo><durationInSecs>9</durationInSecs><evictionTimestamp>x</evictionTimestamp></leaseInfo>",
            "lease",
            LeaseInfo(30, 9),
        ),
        ("<leaseInfo><durationInSecs>99999999999</durationInSecs></leaseInfo>", "lease", LeaseInfo()),
        ("<dataCenterInfo/>", "data_center", None),
        ("<dataCenterInfo><name>MyOwn</name></dataCenterInfo>", "data_center", MY_OWN),
        ("<dataCenterInfo class='x.Y'><name>Netflix</name></dataCenterInfo>", "data_center", DataCenterInfo("Netflix")),
        (
            "<dataCenterInfo><metadata><local-ipv4>1</local-ipv4></metadata><name>amazon</name></dataCenterInfo>",
            "data_center",
            DataCenterInfo("Amazon", AMAZON_CLASS, {"local-ipv4": "1"}),
        ),
        ('<metadata class="java.util.Collections$EmptyMap"/>', "metadata", {}),
        (
            "<metadata><a__b>1</a__b><_-x>2</_-x><_.0031n>3</_.0031n><x:y>4</x:y><with_.0020s_.002f>5</with_.0020s_.002f></metadata>",
            "metadata",
            {"a_b": "1", "$x": "2", "1n": "3", "x:y": "4", "with s/": "5"},
        ),
        (
            "<metadata><_.0040class>x</_.0040class><k><![CDATA[<v>]]>&amp;<!-- c --></k></metadata>",
            "metadata",
            {"k": "<v>&"},
        ),
        (
            "<metadata><k>out<deep>in</deep></k><instance>i</instance></metadata>",
            "metadata",
            {"k": "out", "instance": "i"},
        ),
        ("<metadata><odd_name_.00zz/></metadata>", "metadata", {"odd_name_.00zz": ""}),
        ("<unknown><a><b/></a></unknown>", "app", "SHOP"),
        ("<app>last</app>", "app", "LAST"),
    ],
)
def test_lenient_xml(members: str, attribute: str, expected: object) -> None:
    assert getattr(read_xml(members), attribute) == expected


@pytest.mark.parametrize(
    "members",
    [
        "<port>x</port>",
        "<port/>",
        "<port>2147483648</port>",
        "<countryId>x</countryId>",
        "<dataCenterInfo><name>Mine</name></dataCenterInfo>",
        "<status>&undefined;</status>",
        "<a",
        "<a></b>",
        "<a b='1' b='2'/>",
        "\x01",
    ],
)
def test_refused_xml(members: str) -> None:
    with pytest.raises(Malformed):
        read_xml(members)


BILLION_LAUGHS = (
    b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + b"".join(b'<!ENTITY %c "%b">' % (c, b"&%c;" % (c - 1) * 10) for c in range(ord("b"), ord("k")))
    + b"]><instance><app>&j;</app></instance>"
)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{}",
        b"<instance/>",
        b"<other><app>a</app></other>",
        b"<applications><application><instance><app>a</app></instance></application></applications>",
        BILLION_LAUGHS,
        b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><instance><app>a</app></instance>',
        b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><instance><app>&e;</app></instance>',
        b"<!DOCTYPE instance><instance><app>a</app></instance>",
        b'<?xml version="1.0" encoding="utf-7"?><instance><app>a</app></instance>',
        b'<?xml version="1.0" encoding="cp037"?><instance><app>a</app></instance>',
        b'<?xml version="1.0" encoding="hex"?><instance><app>a</app></instance>',
        b"<instance><app>\xff</app></instance>",
        b"<instance><app>a</app>" + b"<x>" * 17 + b"</x>" * 17 + b"</instance>",
        b"<instance><app>a</app>" + b"<x/>" * 10_001 + b"</instance>",
        b"<x/>" * 100_000,
        b"<instance><app>a</app><x " + b" ".join(b'a%d=""' % n for n in range(17)) + b"/></instance>",
        b"<instance><app>a</app><x " + b'a=">" ' * 100_000,
        b"<instance><app>a</app><!--" + b"x" * 500_000 + b"--></instance>",
        b"<instance><app>a</app></instance><instance/>",
    ],
    ids=lambda body: repr(body[:70]),
)
def test_malformed_xml(body: bytes) -> None:
    with pytest.raises(Malformed):
        decode_instance(body, XML)


def test_long_text_and_comments_are_no_bombs() -> None:
    text = "x" * 300_000
    info = read_xml(f"<metadata><k>{text}</k></metadata>" + "<!-- c -->" * 30_000)
    assert info.metadata == {"k": text}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1"])
def test_declared_encodings(encoding: str) -> None:
    body = f'<?xml version="1.0" encoding="{encoding}"?><instance><app>a</app><sid>é</sid></instance>'.encode(encoding)
    assert decode_instance(body, XML).sid == "é"


def test_lone_objects_of_old_servers_are_lists_of_one() -> None:
    instance = '{"hostName":"h","port":{"$":1,"@enabled":"true"}}'
    body = '{"applications":{"versions__delta":3,"apps__hashcode":"UP_1_","application":{"name":"a","instance":%s}}}'
    read = decode_applications((body % instance).encode(), JSON)
    assert [(i.app, i.host_name, i.port) for i in read.instances] == [("A", "h", Port(1, True))]
    assert (read.version, read.hash_code) == (3, "UP_1_")
    empty = decode_applications(b'{"applications":{"versions__delta":"1","apps__hashcode":"","application":""}}', JSON)
    assert (empty.instances, empty.version, empty.hash_code) == ([], 1, "")


def test_servers_may_name_data_centres_that_clients_may_not() -> None:
    center = {"@class": "my.Own", "name": "Mine"}
    body = orjson.dumps({"application": {"name": "A", "instance": [{**BASE, "dataCenterInfo": center}]}})
    assert decode_applications(body, JSON).instances[0].data_center == DataCenterInfo("Mine", "my.Own")
    xml = b'<instance><app>a</app><dataCenterInfo class="my.Own"><name>Mine</name></dataCenterInfo></instance>'
    assert decode_applications(xml, XML).instances[0].data_center == DataCenterInfo("Mine", "my.Own")
    compact = xml.replace(b"my.Own", b"com.netflix.appinfo.InstanceInfo..DefaultDataCenterInfo").replace(
        b"Mine", b"MyOwn"
    )
    assert decode_applications(compact, XML).instances[0].data_center == MY_OWN


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (JSON, b"{}"),
        (JSON, b'{"applications":5}'),
        (JSON, b'{"applications":{"application":5}}'),
        (JSON, b'{"applications":{"application":[5]}}'),
        (JSON, b'{"application":{"name":"a","instance":[null]}}'),
        (JSON, b'{"application":{"instance":[{}]}}'),
        (XML, b"<error/>"),
        (XML, b"<application><instance/></application>"),
    ],
)
def test_malformed_lists(content_type: str, body: bytes) -> None:
    with pytest.raises(Malformed):
        decode_applications(body, content_type)
