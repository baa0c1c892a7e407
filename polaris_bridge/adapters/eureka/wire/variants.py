"""The four forms of a list, as fragments to keep and frames to put around them.

An instance is rendered once per form (``fragment``) and every list is a join of kept bytes:

    applications_open  application_open fragment separator fragment … application_close
                       application_separator  application_open …  applications_close

XML fragments are laid out for their place inside ``applications``; the document of a single application is the same bytes moved
one level out. Order, indentation and number forms are those of Netflix servers 1.10 and 2.0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal

from msgspec import Struct

from .json_out import dump, json_compact, json_full
from .messages import Format, InstanceInfo
from .xml_out import xml_compact, xml_full
from .xml_text import escape_text

Detail = Literal["full", "compact"]


class Variant(Struct, frozen=True, gc=False):
    """One form of a list. All parts are bytes that may be kept and joined in any number of documents."""

    format: Format
    detail: Detail
    content_type: str
    fragment: Callable[[InstanceInfo], bytes]
    """One instance inside a list."""
    separator: bytes
    """Between two fragments of one application."""
    application_open: Callable[[str], bytes]
    application_close: bytes
    application_separator: bytes
    applications_open: Callable[[int, str], bytes]
    """Head of all applications, from ``versions__delta`` and ``apps__hashcode``."""
    applications_close: Callable[[int, str], bytes]
    single_open: bytes
    """Around the only application of a document."""
    single_close: bytes
    indent: bytes
    """What every line of an application is indented by inside a list, and not as a document of its own."""
    instance_document: Callable[[InstanceInfo], bytes]
    """Document of one instance. By-id answers have no compact form on a real server: use a full variant's."""

    def application(self, name: str, fragments: Iterable[bytes]) -> bytes:
        """One application's part of a list."""
        return _framed(self.application_open(name), self.separator, fragments, self.application_close)

    def application_document(self, name: str, fragments: Iterable[bytes]) -> bytes:
        """The answer of ``GET apps/{app}``."""
        head = self.single_open + self.application_open(name).removeprefix(b"\n" + self.indent)
        document = _framed(head, self.separator, fragments, self.application_close + self.single_close)
        return document.replace(b"\n" + self.indent, b"\n") if self.indent else document

    def applications_document(self, applications: Iterable[bytes], version: int, hash_code: str) -> bytes:
        """The answer of ``GET apps`` and its like, from the applications' parts."""
        head, tail = self.applications_open(version, hash_code), self.applications_close(version, hash_code)
        return _framed(head, self.application_separator, applications, tail)


def _framed(head: bytes, separator: bytes, parts: Iterable[bytes], tail: bytes) -> bytes:
    """Parts joined between head and tail in one go: a second allocation of that size costs more than the copying."""
    members = list(parts)
    if not members:
        return head + tail
    chunks = [separator] * (2 * len(members) + 1)
    chunks[0], chunks[1::2], chunks[-1] = head, members, tail
    return b"".join(chunks)


def _json_versions(version: int, hash_code: str) -> bytes:
    return b'"versions__delta":"%d","apps__hashcode":%b' % (version, dump(hash_code))


def _xml_versions(version: int, hash_code: str, indent: str) -> bytes:
    return (
        f"{indent}<versions__delta>{version}</versions__delta>"
        f"{indent}<apps__hashcode>{escape_text(hash_code)}</apps__hashcode>"
    ).encode()


def _json_instance_full(info: InstanceInfo) -> bytes:
    return b'{"instance":%b}' % json_full(info)


def _json_instance_compact(info: InstanceInfo) -> bytes:
    return b'{"instance":%b}' % json_compact(info)


def _json_application_open(name: str) -> bytes:
    return b'{"name":%b,"instance":[' % dump(name)


JSON_FULL: Final = Variant(
    format="json",
    detail="full",
    content_type="application/json",
    fragment=json_full,
    separator=b",",
    application_open=_json_application_open,
    application_close=b"]}",
    application_separator=b",",
    applications_open=lambda version, hash_code: (
        b'{"applications":{%b,"application":[' % _json_versions(version, hash_code)
    ),
    applications_close=lambda _version, _hash_code: b"]}}",
    single_open=b'{"application":',
    single_close=b"}",
    indent=b"",
    instance_document=_json_instance_full,
)

JSON_COMPACT: Final = Variant(
    format="json",
    detail="compact",
    content_type="application/json",
    fragment=json_compact,
    separator=b",",
    application_open=_json_application_open,
    application_close=b"]}",
    application_separator=b",",
    applications_open=lambda _version, _hash_code: b'{"applications":{"application":[',
    applications_close=lambda version, hash_code: b"],%b}}" % _json_versions(version, hash_code),
    single_open=b'{"application":',
    single_close=b"}",
    indent=b"",
    instance_document=_json_instance_compact,
)

XML_FULL: Final = Variant(
    format="xml",
    detail="full",
    content_type="application/xml",
    fragment=xml_full,
    separator=b"",
    application_open=lambda name: f"\n  <application>\n    <name>{escape_text(name)}</name>".encode(),
    application_close=b"\n  </application>",
    application_separator=b"",
    applications_open=lambda version, hash_code: b"<applications>" + _xml_versions(version, hash_code, "\n  "),
    applications_close=lambda _version, _hash_code: b"\n</applications>",
    single_open=b"",
    single_close=b"",
    indent=b"  ",
    instance_document=lambda info: xml_full(info, "\n")[1:],
)

XML_COMPACT: Final = Variant(
    format="xml",
    detail="compact",
    content_type="application/xml",
    fragment=xml_compact,
    separator=b"",
    application_open=lambda name: f"<application><name>{escape_text(name)}</name>".encode(),
    application_close=b"</application>",
    application_separator=b"",
    applications_open=lambda _version, _hash_code: b"<applications>",
    applications_close=lambda version, hash_code: _xml_versions(version, hash_code, "") + b"</applications>",
    single_open=b"",
    single_close=b"",
    indent=b"",
    instance_document=xml_compact,
)

VARIANTS: Final[Mapping[tuple[Format, Detail], Variant]] = {
    (variant.format, variant.detail): variant for variant in (JSON_FULL, JSON_COMPACT, XML_FULL, XML_COMPACT)
}
