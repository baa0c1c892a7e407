"""Facts about Consul as files of cases: reads them, performs them in order, and says of each what is not as it should be.

A file is one story against one empty server. Its form is described in ``cases/README.md``.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import yaml

from .plan import Target

FOLDER = Path(__file__).parent / "cases" / "consul"
PATIENCE_S = 15.0
MARKS = {
    "<number>": r"\d+",
    "<uuid>": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "<text>": r"(?s).+",
    "<any>": r"(?s).*",
}
"""Stand for what a server chooses."""
LIST = "<list>"
"""Any list."""
REPEATED = {"repeat", "item"}
"""A body that is a list of so many of the same."""
MORE = "..."
"""A key that allows others beside those that are named."""
ASKED = {"ask", "do", "status", "headers", "text", "matches", "json", "body", "send", "keep", "took"}
DNS = {"dns", "rcode", "flags", "answer", "any_of", "count", "authority", "additional", "transport", "edns"}
ABOUT = {"name", "unsure"}


@dataclass(frozen=True)
class Case:
    """One step of a story. Without a name it only prepares, and has to succeed."""

    file: str
    number: int
    step: dict[str, Any]

    @property
    def name(self) -> str:
        """``U`` marks what nobody has looked up yet."""
        return f"{self.file}: {self.step['name']}" + (" [U]" if "unsure" in self.step else "")


class Servers(Protocol):
    """Where HTTP and DNS are answered; ``dns`` None: the cases about names are not asked."""

    @property
    def http(self) -> Target: ...

    @property
    def dns(self) -> tuple[str, int] | None: ...


@dataclass(frozen=True)
class GivenServers:
    """Somebody else's."""

    http: Target
    dns: tuple[str, int] | None


@dataclass
class Story:
    """What became of the steps of one file."""

    wrong: dict[int, str] = field(default_factory=dict)
    """By number; absent: as it should be."""
    known: dict[str, str] = field(default_factory=dict)
    """What earlier answers were kept for."""


class CaseError(Exception):
    """A file that cannot be read as cases."""


def files() -> list[Path]:
    """In order of their names."""
    return sorted(FOLDER.glob("*.yaml"))


def read(path: Path) -> list[Case]:
    """Raises CaseError for a step of unknown form."""
    document = yaml.safe_load(path.read_text("utf-8"))
    cases = []
    names = set()
    for number, step in enumerate(document["steps"]):
        strange = set(step) - ASKED - DNS - ABOUT
        if strange or len({"ask", "do", "dns"} & set(step)) != 1 or ("do" in step) == ("name" in step):
            raise CaseError(f"{path.name}, step {number}: {sorted(strange) or sorted(step)}")
        if step.get("name") in names:
            raise CaseError(f"{path.name}: two steps are called {step['name']!r}")
        names.add(step.get("name", number))
        cases.append(Case(path.stem, number, step))
    return cases


def tell(cases: list[Case], servers: Servers) -> Story:
    """Performs the steps in order. A step that goes wrong does not end the story."""
    story = Story()
    for case in cases:
        try:
            found = list(_perform(case.step, servers, story))
        except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
            found = [f"it broke: {error!r}"]
        if found:
            story.wrong[case.number] = "\n".join([json.dumps(case.step, default=str), *found])
    return story


def _perform(step: dict[str, Any], servers: Servers, story: Story) -> Iterator[str]:
    if "dns" in step:
        if servers.dns is not None:
            yield from _judge_names(step, _resolve(step, servers.dns, story), story)
        return
    method, _, target = story_text(step.get("ask") or step["do"], story).partition(" ")
    began = time.monotonic()
    status, headers, body = _send(servers, method, target, step, story)
    took = time.monotonic() - began
    for place, name in step.get("keep", {}).items():
        story.known[place] = headers[name.removeprefix("header ")] if name.startswith("header ") else _at(body, name)
    if status != step.get("status", 200):
        yield f"status {status}, {body[:300]!r}"
    for name, wanted in step.get("headers", {}).items():
        given = headers.get(name)
        if given is not None if wanted is None else not fits(wanted, given, story):
            yield f"header {name}: {given!r} in place of {wanted!r}"
    if "text" in step and body.decode() != story_text(step["text"], story):
        yield f"body {body[:500]!r}"
    if "matches" in step and not re.fullmatch(story_text(step["matches"], story), body.decode(), re.DOTALL):
        yield f"body {body[:500]!r}"
    if "json" in step:
        yield from differences("body", step["json"], json.loads(body or b"null"), story)
    if "took" in step and not step["took"][0] <= took <= step["took"][1]:
        yield f"it took {took:.2f} s"


def _send(
    servers: Servers, method: str, target: str, step: dict[str, Any], story: Story
) -> tuple[int, http.client.HTTPMessage, bytes]:
    assert servers.http.http is not None
    body = step.get("body")
    if isinstance(body, dict) and set(body) == REPEATED:
        body = [body["item"]] * body["repeat"]
    if body is not None and not isinstance(body, str):
        body = json.dumps(body)
    sent = None if body is None else story_text(body, story).encode()
    connection = http.client.HTTPConnection(*servers.http.http, timeout=PATIENCE_S)
    try:
        connection.request(method, target, sent, {k: story_text(v, story) for k, v in step.get("send", {}).items()})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def story_text(text: str, story: Story) -> str:
    """With what is known in the place of ``{{name}}``."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: story.known[match[1]], text)


def _at(body: bytes, path: str) -> str:
    """The value at a path such as ``0.Node.ID`` of a JSON body, as text."""
    value = json.loads(body)
    for part in path.split("."):
        value = value[int(part)] if isinstance(value, list) else value[part]
    return str(value)


def fits(wanted: Any, given: Any, story: Story) -> bool:
    """Whether a leaf is as it should be: equal, or of the form that a mark stands for."""
    if isinstance(wanted, str) and wanted in MARKS:
        if wanted == "<number>" and isinstance(given, int) and not isinstance(given, bool):
            return True
        return isinstance(given, str) and re.fullmatch(MARKS[wanted], given) is not None
    if isinstance(wanted, str) and isinstance(given, str):
        return story_text(wanted, story) == given
    return type(wanted) is type(given) and bool(wanted == given)


def differences(path: str, wanted: Any, given: Any, story: Story) -> Iterator[str]:
    """Objects have exactly the keys that are named, unless ``...`` is among them; lists are equal item by item."""
    if isinstance(wanted, dict) and isinstance(given, dict):
        for key, value in wanted.items():
            if key == MORE:
                continue
            name = story_text(key, story)
            if name not in given:
                yield f"{path}.{name} is absent"
            else:
                yield from differences(f"{path}.{name}", value, given[name], story)
        named = {story_text(key, story) for key in wanted}
        if MORE not in wanted and set(given) - named:
            yield f"{path} has {sorted(set(given) - named)} too"
    elif isinstance(wanted, list) and isinstance(given, list):
        if len(wanted) != len(given):
            yield f"{path}: {given!r} in place of {wanted!r}"
        else:
            for at, (left, right) in enumerate(zip(wanted, given, strict=True)):
                yield from differences(f"{path}[{at}]", left, right, story)
    elif not (wanted == LIST and isinstance(given, list)) and not fits(wanted, given, story):
        yield f"{path}: {given!r} in place of {wanted!r}"


def _resolve(step: dict[str, Any], server: tuple[str, int], story: Story) -> dns.message.Message:
    name, _, kind = story_text(step["dns"], story).rpartition(" ")
    edns = {"use_edns": 0, "payload": step["edns"]} if "edns" in step else {}
    query = dns.message.make_query(name, kind, **edns)
    host = socket.gethostbyname(server[0])
    if step.get("transport") == "tcp":
        return dns.query.tcp(query, host, PATIENCE_S, server[1])
    return dns.query.udp(query, host, PATIENCE_S, server[1])


def _judge_names(step: dict[str, Any], reply: dns.message.Message, story: Story) -> Iterator[str]:
    code = dns.rcode.to_text(reply.rcode())
    if code != step.get("rcode", "NOERROR"):
        yield f"rcode {code}"
    flags = set(dns.flags.to_text(reply.flags).split()) - {"QR", "RD"}
    if "flags" in step and flags != set(step["flags"]):
        yield f"flags {sorted(flags)}"
    answer = records(reply.answer)
    if "any_of" in step:
        allowed = {story_text(line, story) for line in step["any_of"]}
        if not set(answer) <= allowed or len(answer) != step["count"]:
            yield f"answer {answer}"
    elif not same(step.get("answer", []), answer, story):
        yield f"answer {answer}"
    if not same(step.get("authority", []), records(reply.authority), story):
        yield f"authority {records(reply.authority)}"
    if "additional" in step and not same(step["additional"], records(reply.additional), story):
        yield f"additional {records(reply.additional)}"


def records(section: Any) -> list[str]:
    """``owner ttl type data``, in order of the alphabet; of SOA records only what does not count the time."""
    lines = []
    for rrset in section:
        kind = dns.rdatatype.to_text(rrset.rdtype)
        for rdata in rrset:
            data = f"{rdata.mname} {rdata.rname}" if kind == "SOA" else rdata.to_text()
            lines.append(f"{rrset.name} {rrset.ttl} {kind} {data}")
    return sorted(lines)


def same(wanted: list[str], given: list[str], story: Story) -> bool:
    return sorted(story_text(line, story) for line in wanted) == given
