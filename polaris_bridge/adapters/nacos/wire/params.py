"""Parameters of HTTP calls, from the query and the form body alike, and the rules that names and numbers must keep.

The rules are functions from a value to the text of the objection, or None; HTTP and gRPC both ask them. Texts and bounds are
those of Nacos 2.5.1.
"""

from __future__ import annotations

import re
from binascii import a2b_qp
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from polaris_bridge.adapters._shared.multipart import BrokenForm, NoForm, Part, is_form, parts

from . import codes
from .messages import Refused

FORM: Final = "application/x-www-form-urlencoded"
MAX_PAIRS: Final = 10_000
"""Of one call; what comes after them is dropped, as Tomcat does it."""

_BROKEN: Final = re.compile(r"%(?![0-9A-Fa-f]{2})").search
_TRUE: Final = frozenset({"y", "yes", "on", "true", "t"})
_BOOLEANS: Final = {
    "true": True,
    "on": True,
    "yes": True,
    "1": True,
    "false": False,
    "off": False,
    "no": False,
    "0": False,
}
"""As the framework of the real server reads them where a parameter is declared as a boolean."""


def pairs(text: str) -> dict[str, str]:
    """A query or a form, decoded as UTF-8; the first value of a repeated name counts. A pair with a broken escape is passed over,
    as by the real server's container."""
    found: dict[str, str] = {}
    if not text:
        return found
    parts = text.split("&")
    name: str | None
    value: str | None
    for part in parts if len(parts) <= MAX_PAIRS else parts[:MAX_PAIRS]:
        name, _, value = part.partition("=")
        if not name:
            continue
        if "%" in name or "+" in name:
            name = unquoted(name)
        if "%" in value or "+" in value:
            value = unquoted(value)
        if name is not None and value is not None:
            found.setdefault(name, value)
    return found


def unquoted(text: str) -> str | None:
    """What ``urllib.parse.unquote_plus`` makes of it, in C: with ``=`` for ``%`` it is quoted-printable. None when an escape is
    broken.

    However much there is of whatever, it costs some nanoseconds a character, and a few times its size.
    """
    if "%" not in text:
        return text.replace("+", " ")
    if _BROKEN(text):
        return None
    data = text.encode("utf-8", "replace").replace(b"=", b"=3D").replace(b"+", b" ").replace(b"%", b"=")
    return a2b_qp(data).decode("utf-8", "replace")


class Params:
    """The parameters of one call. A getter's default stands for an absent and for a blank value; values are stripped.

    The getters raise ``Refused`` in the words of the call's generation: 1 is the v1 naming API, 2 and 3 have the envelope.
    """

    __slots__ = ("_files", "_generation", "_values")

    def __init__(self, values: dict[str, str], generation: int = 1, files: dict[str, bytes] | None = None) -> None:
        self._values = values
        self._generation = generation
        self._files = files

    @classmethod
    def of(cls, query: str, body: bytes = b"", content_type: str = "", generation: int = 1) -> Params:
        """From a raw query string and, when it is a form, the body; the query's values win. Raises ``Refused`` for a form of
        several parts that cannot be read."""
        values = pairs(query)
        if body and is_form(content_type):
            files: dict[str, bytes] = {}
            for part in _parts(content_type, body):
                if part.filename is None:
                    values.setdefault(part.name, part.content.decode("utf-8", "replace"))
                else:
                    files.setdefault(part.name, part.content)
            return cls(values, generation, files)
        if body and content_type[:33].lower() == FORM:
            for name, value in pairs(body.decode("utf-8", "replace").rstrip("\r\n")).items():
                values.setdefault(name, value)
        return cls(values, generation)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def raw(self, name: str) -> str | None:
        """As it came, None when absent."""
        return self._values.get(name)

    def file(self, name: str) -> bytes | None:
        """An uploaded file; None: there is none of that name."""
        return None if self._files is None else self._files.get(name)

    def items(self) -> Mapping[str, str]:
        """All of them, as they came."""
        return self._values

    def text(self, name: str, default: str = "") -> str:
        """A text."""
        value = self._values.get(name)
        return default if not value else value.strip() or default

    def first(self, names: Iterable[str], default: str = "") -> str:
        """The first of several names that has a value."""
        for name in names:
            value = self.text(name)
            if value:
                return value
        return default

    def required(self, name: str, kind: str = "String") -> str:
        """A text that must be there. ``kind``: the Java type that the second generation's objection names."""
        value = self._values.get(name)
        if not value:
            raise missing(name, kind, self._generation)
        return value.strip()

    def integer(self, name: str, default: int | None = None) -> int:
        """A whole number of 32 bits; without a default it must be there."""
        value = self.required(name, "Integer") if default is None else self.text(name)
        if not value:
            return default or 0
        if len(value) <= 11 and value.isascii():
            try:
                number = int(value) if "_" not in value else None
            except ValueError:
                number = None
            if number is not None and -(2**31) <= number < 2**31:
                return number
        raise Refused(400, codes.PARAMETER_VALIDATE, f'For input string: "{value}"')

    def number(self, name: str, default: float) -> float:
        """A decimal number."""
        return decimal(self.text(name)) if self.text(name) else default

    def boolean(self, name: str, default: bool) -> bool:
        """Python's ``True`` and ``False`` are read too, for case does not matter.

        In v1 ``y yes on true t`` are true and all else is false; v2 and v3 know ``true on yes 1``, ``false off no 0``, and
        refuse the rest.
        """
        value = self.text(name)
        if not value:
            return default
        if self._generation == 1:
            return value.lower() in _TRUE
        found = _BOOLEANS.get(value.lower())
        if found is None:
            raise Refused(400, codes.PARAMETER_VALIDATE, f"Invalid boolean value [{value}]")
        return found


def _parts(content_type: str, body: bytes) -> list[Part]:
    try:
        return parts(content_type, body)
    except (NoForm, BrokenForm) as error:
        raise Refused(400, codes.PARAMETER_VALIDATE, f"Failed to parse multipart servlet request: {error}") from None


def decimal(value: str) -> float:
    """A number as Java's ``Double`` reads it; raises ``Refused``."""
    try:
        if "_" in value or len(value) > 400:
            raise ValueError
        return float(value)
    except ValueError:
        raise Refused(400, codes.PARAMETER_VALIDATE, f'For input string: "{value}"') from None


def missing(name: str, kind: str = "String", generation: int = 1) -> Refused:
    """The objection to an absent parameter."""
    if generation == 1:
        return Refused(400, codes.PARAMETER_MISSING, f"Param '{name}' is required.")
    return Refused(400, codes.PARAMETER_MISSING, f"Required parameter '{name}' type {kind} is not present")


class IllegalParam(Refused):
    """A parameter against the rules; HTTP says it as plain text with an end of line whatever the generation."""

    def __init__(self, text: str) -> None:
        super().__init__(400, codes.PARAMETER_VALIDATE, text)


# ---------------------------------------------------------------------- the rules

_NAMESPACE_ID: Final = re.compile(r"[\w-]+", re.ASCII)
_NAMESPACE_NAME: Final = re.compile(r"[^@#$%^&*]+")
_WORDS: Final = re.compile(r"[a-zA-Z0-9\-_:.]*")
_SERVICE: Final = re.compile(r"(?!@).(?:(?!@@)[^\u4e00-\u9fa5\s])*")
"""Whatever is not an ``@`` may be the first character, on the real server too."""
_CLUSTER: Final = re.compile(r"[0-9a-zA-Z\-_]+")
_IP: Final = re.compile(r"[^\u4e00-\u9fa5\s]*")

MAX_METADATA: Final = 1024
"""Characters of all keys and values of an instance's metadata."""


MAX_METADATA_TEXT: Final = 64 * 1024
"""Characters of the text that they are written in; more is not read. ``MAX_METADATA`` fit in a quarter of it, each escaped."""
_TOO_MUCH_METADATA: Final = f"Param 'Metadata' is illegal, the param length should not exceed {MAX_METADATA}."


def _rule(name: str, longest: int, allowed: re.Pattern[str]) -> Callable[[str | None], str | None]:
    too_long = f"Param '{name}' is illegal, the param length should not exceed {longest}."
    strange = f"Param '{name}' is illegal, illegal characters should not appear in the param."

    def objection(value: str | None) -> str | None:
        if not value or value.isspace():
            return None
        if len(value) > longest:
            return too_long
        return None if allowed.fullmatch(value) else strange

    objection.__doc__ = f"The objection to a {name}, or None; blank is not objected to."
    return objection


namespace_objection: Final = _rule("namespaceId/tenant", 64, _NAMESPACE_ID)
namespace_name_objection: Final = _rule("namespaceShowName", 256, _NAMESPACE_NAME)
data_id_objection: Final = _rule("dataId", 256, _WORDS)
service_objection: Final = _rule("serviceName", 512, _SERVICE)
group_objection: Final = _rule("group", 128, _WORDS)
cluster_objection: Final = _rule("cluster", 64, _CLUSTER)
ip_objection: Final = _rule("ip", 128, _IP)


def clusters_objection(value: str | None) -> str | None:
    """To a comma list of clusters."""
    for name in value.split(",") if value else ():
        text = cluster_objection(name)
        if text is not None:
            return text
    return None


def port_objection(value: str | int | None) -> str | None:
    """To a port; blank is not objected to."""
    if value is None or value == "" or (isinstance(value, str) and value.isspace()):
        return None
    if isinstance(value, str):
        value = int(value) if value.lstrip("+-").isdecimal() and value.isascii() and len(value) < 12 else -1
    return None if 0 <= value <= 65535 else "Param 'port' is illegal, the value should be between 0 and 65535."


def metadata_objection(metadata: Mapping[str, str] | None) -> str | None:
    """To an instance's metadata: all keys and values together may have ``MAX_METADATA`` characters."""
    if not metadata:
        return None
    size = sum(map(len, metadata)) + sum(map(len, metadata.values()))
    if size <= MAX_METADATA:
        return None
    return _TOO_MUCH_METADATA


def metadata_text_objection(text: str) -> str | None:
    """To the text of an instance's metadata, before it is read: hundreds of thousands of pairs take half a second to read."""
    return _TOO_MUCH_METADATA if len(text) > MAX_METADATA_TEXT else None


def naming_objection(
    namespace_id: str | None = None,
    service: str | None = None,
    group: str | None = None,
    *,
    clusters: str | None = None,
    cluster: str | None = None,
    ip: str | None = None,
    port: str | int | None = None,
    metadata: Mapping[str, str] | None = None,
) -> str | None:
    """The first objection to what a naming call says, in the order in which the real server looks. ``service`` has no group."""
    return (
        namespace_objection(namespace_id)
        or service_objection(service)
        or group_objection(group)
        or clusters_objection(clusters)
        or cluster_objection(cluster)
        or ip_objection(ip)
        or port_objection(port)
        or metadata_objection(metadata)
    )


def check(objection: str | None) -> None:
    """Raise ``IllegalParam`` when there is an objection."""
    if objection is not None:
        raise IllegalParam(objection)
