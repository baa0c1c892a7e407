"""XML bytes to messages, as lenient as the Netflix server's reader.

The parser is expat. Document types are refused whole, and with them every entity, internal or external; depth, elements,
attributes, the length of a tag and the encodings are bounded. Differences to JSON that real servers have: status words in any
case; ``dataCenterInfo`` is decided by its name, not by its class, and without a name it counts as missing; timestamps that are no
numbers are ignored; a port or country that is no number is Malformed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from sys import intern
from typing import Final
from xml.parsers import expat

from msgspec import Struct

from .messages import (
    ACTION_TYPES,
    AMAZON_CLASS,
    CLASS_KEY,
    DATA_CENTER_CLASSES,
    DATA_CENTER_NAMES,
    DEFAULT_DURATION_S,
    DEFAULT_LEASE,
    DEFAULT_PORT,
    DEFAULT_RENEWAL_S,
    DEFAULT_SECURE_PORT,
    MAX_MEMBERS,
    MY_OWN,
    OWN_DATA_CENTER_CLASS,
    STATUS_WORDS,
    Applications,
    DataCenterInfo,
    InstanceInfo,
    LeaseInfo,
    Malformed,
    Port,
)
from .scalars import INT_MAX, LONG_MAX
from .xml_text import key_of_element

MAX_DEPTH: Final = 16
MAX_LIST_ELEMENTS: Final = 1_000_000
"""Elements of a server's list outside its instances: three for each application and what is unknown."""
MAX_ATTRIBUTES: Final = 16
CHUNK: Final = 65_536
"""Bytes given to expat at once. A chunk without any event lies within one tag or comment, which is refused before it grows."""
_ENCODINGS: Final = frozenset({"utf-8", "utf-16", "us-ascii", "iso-8859-1"})
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,19}")


class Element(Struct, gc=False):
    """One parsed element. ``name`` is un-escaped; ``text`` is its own text without that of its children."""

    name: str
    attributes: dict[str, str]
    children: list[Element]
    pieces: list[str]

    @property
    def text(self) -> str:
        """All text directly inside."""
        return "".join(self.pieces)

    def child(self, name: str) -> Element | None:
        """The last child of that name (of doubled members the last wins), or None."""
        for element in reversed(self.children):
            if element.name == name:
                return element
        return None


class _Builder:
    """Expat's handlers: builds elements, and hands every closed ``instance`` on instead of keeping it."""

    def __init__(self, on_instance: Callable[[Element, list[Element]], None], max_elements: int) -> None:
        self.on_instance = on_instance
        self.max_elements = max_elements
        self.open: list[Element] = []
        self.root: Element | None = None
        self.outside = 0
        self.inside = 0
        self.instance_depth = 0
        self.events = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.events += 1
        if len(self.open) >= MAX_DEPTH:
            raise Malformed("document", "nested too deeply")
        if len(attributes) > MAX_ATTRIBUTES:
            raise Malformed("document", "too many attributes")
        element = Element(key_of_element(name), attributes, [], [])
        self.open.append(element)
        if not self.instance_depth and element.name == "instance":
            self.instance_depth = len(self.open)
            self.inside = 0
        if self.instance_depth:
            self.inside += 1
        else:
            self.outside += 1
        if self.inside > MAX_MEMBERS or self.outside > self.max_elements:
            raise Malformed("document", "too many elements")

    def end(self, _name: str) -> None:
        self.events += 1
        element = self.open.pop()
        if self.instance_depth == len(self.open) + 1:
            self.instance_depth = 0
            self.on_instance(element, self.open)
        elif self.open:
            self.open[-1].children.append(element)
        if not self.open:
            self.root = element

    def characters(self, text: str) -> None:
        self.events += 1
        self.open[-1].pieces.append(text)

    def ignored(self, *_: object) -> None:
        """A comment or processing instruction."""
        self.events += 1

    def declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        if encoding is not None and encoding.lower() not in _ENCODINGS:
            raise Malformed("document", "unsupported encoding")

    def doctype(self, *_: object) -> None:
        raise Malformed("document", "document types are refused")


def _parse(
    body: bytes, on_instance: Callable[[Element, list[Element]], None], max_elements: int = MAX_MEMBERS
) -> Element:
    """Parse a document and return its root. Raises Malformed."""
    builder = _Builder(on_instance, max_elements)
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.characters
    parser.CommentHandler = parser.ProcessingInstructionHandler = builder.ignored
    parser.XmlDeclHandler = builder.declaration
    parser.StartDoctypeDeclHandler = builder.doctype
    try:
        for position in range(0, len(body), CHUNK):
            seen = builder.events
            parser.Parse(body[position : position + CHUNK], False)
            if builder.events == seen and len(body) > CHUNK:
                raise Malformed("document", "a tag or comment is too long")
        parser.Parse(b"", True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise Malformed("document", str(error)) from None
    if builder.root is None:
        raise Malformed("document", "no root element")
    return builder.root


def decode_instance_xml(body: bytes) -> InstanceInfo:
    """A registration body ``<instance>…</instance>``. Raises Malformed."""
    found: list[InstanceInfo] = []

    def root_only(element: Element, parents: list[Element]) -> None:
        if not parents:
            found.append(_instance(element, strict=True, app=None))

    _parse(body, root_only)
    if not found:
        raise Malformed("document", "expected an instance")
    return found[0]


def decode_applications_xml(body: bytes) -> Applications:
    """What a server sent: applications, one application or one instance."""
    found: list[InstanceInfo] = []

    def member(element: Element, parents: list[Element]) -> None:
        name = parents[-1].child("name") if parents else None
        found.append(_instance(element, strict=False, app=None if name is None else name.text))

    root = _parse(body, member, MAX_LIST_ELEMENTS)
    if root.name not in ("applications", "application", "instance"):
        raise Malformed("document", "expected applications, application or instance")
    version, code = root.child("versions_delta"), root.child("apps_hashcode")
    return Applications(
        found,
        None if version is None else _whole(version.text, LONG_MAX),
        None if code is None else code.text,
    )


def _instance(element: Element, *, strict: bool, app: str | None) -> InstanceInfo:
    members = {child.name: child for child in element.children}

    def text(name: str) -> str | None:
        member = members.get(name)
        return None if member is None else member.text

    app = _either(text("app"), app)
    if app is None:
        raise Malformed("instance.app", "missing")
    sid, group = text("sid"), text("appGroupName")
    center, metadata = members.get("dataCenterInfo"), members.get("metadata")
    return InstanceInfo(
        app=intern(app.upper()),
        instance_id=text("instanceId"),
        host_name=text("hostName") or None,
        ip_addr=text("ipAddr"),
        sid=None if sid in ("na", "unknown") else sid,
        status=_status(text("status"), "UP"),
        overridden_status=_status(_either(text("overriddenstatus"), text("overriddenStatus")), "UNKNOWN"),
        port=_port(members.get("port"), DEFAULT_PORT, True),
        secure_port=_port(members.get("securePort"), DEFAULT_SECURE_PORT, False),
        country_id=1 if "countryId" not in members else _required(members["countryId"]),
        data_center=None if center is None else _data_center(center, strict),
        lease=_lease(members.get("leaseInfo")),
        metadata={} if metadata is None else _map(metadata),
        app_group_name=None if group is None else intern(group.upper()),
        home_page_url=text("homePageUrl"),
        status_page_url=text("statusPageUrl"),
        health_check_url=text("healthCheckUrl"),
        secure_health_check_url=text("secureHealthCheckUrl"),
        vip_address=text("vipAddress"),
        secure_vip_address=text("secureVipAddress"),
        is_coordinating_discovery_server=(text("isCoordinatingDiscoveryServer") or "").strip().lower() == "true",
        last_updated_ms=_whole(text("lastUpdatedTimestamp"), LONG_MAX),
        last_dirty_ms=_whole(text("lastDirtyTimestamp"), LONG_MAX),
        action_type=ACTION_TYPES.get((text("actionType") or "").strip()),
        asg_name=text("asgName"),
    )


def _either(first: str | None, second: str | None) -> str | None:
    return second if first is None else first


def _status(text: str | None, absent: str) -> str:
    return absent if text is None else STATUS_WORDS.get(text.strip().upper(), "UNKNOWN")


def _whole(text: str | None, maximum: int) -> int | None:
    """A whole number within the Java type, else None."""
    if text is None or not _WHOLE.fullmatch(text.strip()):
        return None
    number = int(text)
    return number if -maximum - 1 <= number <= maximum else None


def _required(element: Element) -> int:
    number = _whole(element.text, INT_MAX)
    if number is None:
        raise Malformed(f"instance.{element.name}", "expected a number")
    return number


def _port(element: Element | None, number: int, enabled: bool) -> Port:
    """``<port enabled="true">80</port>``; a missing or strange flag leaves the default."""
    if element is None:
        return Port(number, enabled)
    flag = element.attributes.get("enabled")
    return Port(_required(element), {"true": True, "false": False}.get(flag or "", enabled))


def _lease(element: Element | None) -> LeaseInfo:
    if element is None:
        return DEFAULT_LEASE
    numbers = {child.name: _whole(child.text, LONG_MAX) or 0 for child in element.children}
    renewal_s, duration_s = numbers.get("renewalIntervalInSecs", 0), numbers.get("durationInSecs", 0)
    return LeaseInfo(
        renewal_s if 0 < renewal_s <= INT_MAX else DEFAULT_RENEWAL_S,
        duration_s if 0 < duration_s <= INT_MAX else DEFAULT_DURATION_S,
        numbers.get("registrationTimestamp", 0),
        numbers.get("lastRenewalTimestamp", 0),
        numbers.get("evictionTimestamp", 0),
        numbers.get("serviceUpTimestamp", 0),
    )


def _data_center(element: Element, strict: bool) -> DataCenterInfo | None:
    named = element.child("name")
    name = None if named is None else named.text.strip()
    if name is None:
        return None
    if name.lower() == "amazon":
        metadata = element.child("metadata")
        return DataCenterInfo("Amazon", AMAZON_CLASS, {} if metadata is None else _map(metadata))
    if strict:
        if name not in DATA_CENTER_NAMES:
            raise Malformed("instance.dataCenterInfo.name", "unknown name")
        return MY_OWN if name == "MyOwn" else DataCenterInfo(DATA_CENTER_NAMES[name])
    # Jackson's XML form, which compact answers have, writes the dollar of an inner class as two dots.
    given = element.attributes.get("class", OWN_DATA_CENTER_CLASS).replace("..", "$")
    cls = DATA_CENTER_CLASSES.get(given, given)
    return MY_OWN if name == "MyOwn" and cls == OWN_DATA_CENTER_CLASS else DataCenterInfo(name, cls)


def _map(element: Element) -> dict[str, str]:
    pairs = {intern(child.name): child.text for child in element.children}
    pairs.pop(CLASS_KEY, None)
    return pairs
