"""Whether a content is what its format says: the first place where it is not, by the parser of that format.

Parsers only: what a document means (schemas, keys that stand twice in YAML) is for its readers. HTML and plain text have no
wrong documents but those that are not UTF-8. Measured on one core: JSON 85 MB/s, XML 130, YAML 4, TOML 3; of the slow ones a
document above ``LARGEST`` is refused unread, because nobody else is served meanwhile. They need the square of its depth for what
is nested, so that ends at ``DEEPEST``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from polaris_bridge.core.config.ports import Defect

LARGEST: Final = {"yaml": 1024 * 1024, "toml": 512 * 1024}
"""Bytes of a document that can be checked, where that is slow."""
DEEPEST: Final = 100
"""Levels of a YAML document, parts of a TOML key."""

_AT: Final = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_LONG_KEY: Final = re.compile(
    rf"""(?<![\w.\-"'])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){{{DEEPEST}}}""", re.ASCII
)
_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})?|.|$)", re.DOTALL)


class Parsers:
    """``core.config.ports.Formats``."""

    def defect(self, format: str, content: bytes) -> Defect | None:
        """What is wrong with a content; None: nothing, or the format is not known."""
        check = _CHECKS.get(format)
        if check is None:
            return None
        most = LARGEST.get(format)
        if most is not None and len(content) > most:
            return Defect(0, 0, f"above {most} bytes it cannot be checked")
        return check(content)


def _text(content: bytes) -> Defect | None:
    """The first byte that is not UTF-8."""
    try:
        content.decode()
    except UnicodeDecodeError as error:
        return _after(content[: error.start].decode(), "not UTF-8")
    return None


def _after(before: str, text: str) -> Defect:
    """The place after a text."""
    return Defect(before.count("\n") + 1, len(before) - before.rfind("\n"), text)


def _json(content: bytes) -> Defect | None:
    import orjson

    try:
        orjson.loads(content)
    except orjson.JSONDecodeError as error:
        return Defect(error.lineno, error.colno, error.msg)
    return None


def _yaml(content: bytes) -> Defect | None:
    """Any number of documents. An alias has to have its anchor."""
    import yaml

    wrong = _text(content)
    if wrong is not None:
        return wrong
    kind: type[yaml.SafeLoader | yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    anchors: set[str] = set()
    depth = 0
    try:
        loader = kind(content)
        while loader.check_event():
            event = loader.get_event()
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > DEEPEST:
                    return Defect(*_place(event.start_mark), f"nested deeper than {DEEPEST} levels")
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if isinstance(event, yaml.DocumentStartEvent):
                anchors.clear()
            elif isinstance(event, yaml.AliasEvent):
                if event.anchor not in anchors:
                    return Defect(*_place(event.start_mark), f"there is no anchor {event.anchor!r}")
            elif isinstance(event, yaml.NodeEvent) and event.anchor is not None:
                anchors.add(event.anchor)
    except yaml.MarkedYAMLError as error:
        return Defect(*_place(error.problem_mark or error.context_mark), error.problem or "not YAML")
    except yaml.reader.ReaderError as error:
        return _after(content.decode()[: error.position], error.reason)
    except RecursionError:
        return Defect(0, 0, "nested too deeply")
    return None


def _place(mark: Any) -> tuple[int, int]:
    """Line and column of a mark of PyYAML, which counts from 0."""
    return (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)


def _toml(content: bytes) -> Defect | None:
    import tomllib

    wrong = _text(content)
    if wrong is not None:
        return wrong
    text = content.decode()
    long = _LONG_KEY.search(text)
    if long is not None:
        return _after(text[: long.start()], f"a key of more than {DEEPEST} parts")
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        said = str(error)
        found = _AT.search(said)
        if found is None or found[1] is None:
            return _after(text, _AT.sub("", said))
        return Defect(int(found[1]), int(found[2]), said[: found.start()])
    except RecursionError:
        return Defect(0, 0, "nested too deeply")
    except ValueError as error:  # a number that Python takes too long to read; it does not say where
        return Defect(0, 0, str(error).partition(";")[0])
    return None


def _xml(content: bytes) -> Defect | None:
    """Well-formed, in any encoding that expat reads. Nothing outside is fetched, and expat bounds what entities become."""
    from xml.parsers import expat

    try:
        expat.ParserCreate().Parse(content, True)
    except expat.ExpatError as error:
        return Defect(error.lineno, error.offset + 1, expat.ErrorString(error.code))
    except (ValueError, LookupError) as error:  # an encoding that it does not read
        return Defect(1, 1, str(error))
    return None


def _properties(content: bytes) -> Defect | None:
    r"""As java.util.Properties reads: the one thing it refuses is ``\u`` without four hexadecimal digits."""
    wrong = _text(content)
    if wrong is not None or b"\\u" not in content:
        return wrong
    continued = False
    for number, line in enumerate(re.split(r"\r\n|\r|\n", content.decode()), 1):
        if not continued and line.lstrip(" \t\f")[:1] in ("#", "!"):
            continue
        last = None
        for last in _ESCAPE.finditer(line):
            if last[0] == "\\u":
                return Defect(number, last.start() + 1, "\\u without four hexadecimal digits")
        continued = last is not None and last[0] == "\\"
    return None


_CHECKS: Final[dict[str, Callable[[bytes], Defect | None]]] = {
    "json": _json,
    "yaml": _yaml,
    "xml": _xml,
    "properties": _properties,
    "toml": _toml,
    "html": _text,
    "text": _text,
}
