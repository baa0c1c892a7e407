"""What a Eureka conversation has done to one instance so far, read from the requests that were answered with success."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import unquote, urlsplit

from .bodies import decode
from .exchange import Exchange
from .rules import Seen

_APP = re.compile(r"/eureka(?:/v2)?/apps/([^/]+)/?")
_ONE = re.compile(r"/eureka(?:/v2)?/apps/([^/]+)/([^/]+)(/metadata)?/?")
_BATCH = re.compile(r"/eureka(?:/v2)?/peerreplication/batch/?")
_SUBJECT = re.compile(r"\.application(?:\[(?P<app>[^\]]+)\])?\.instance\[(?P<id>[^\]]+)\]")

Step = tuple[str, str, str]
"""(register or leave, APP, instance id)"""


def registrations(earlier: Iterable[Exchange], app: str, instance: str) -> int:
    """How often the instance was registered (a change of its metadata counts: it registers again) since it last left."""
    count = 0
    for exchange in earlier:
        for step, step_app, step_id in _steps(exchange):
            if (step_app, step_id) == (app, instance):
                count = count + 1 if step == "register" else 0
    return count


def subject_of(seen: Seen) -> tuple[str, str]:
    """(APP, instance id) of the instance document that a difference lies in."""
    found = _SUBJECT.search(seen.difference.path)
    if found is None:
        inner = seen.expected
        if "responseList" in inner:
            index = re.search(r"responseList\[(\d+)\]", seen.difference.path)
            assert index is not None
            inner = {"instance": inner["responseList"][int(index[1])]["responseEntity"]}
        return str(inner["instance"]["app"]), str(inner["instance"]["instanceId"])
    return found["app"] or str(seen.expected["application"]["name"]), found["id"]


def _steps(exchange: Exchange) -> Iterator[Step]:
    asked, path = exchange.request, urlsplit(exchange.request.target).path
    if exchange.expected.status not in ("200", "204"):
        return
    if _BATCH.fullmatch(path):
        yield from _batch(asked.body)
    elif asked.method == "POST" and (match := _APP.fullmatch(path)):
        yield "register", match[1].upper(), _registered_id(asked.body)
    elif match := _ONE.fullmatch(path):
        app, instance = match[1].upper(), unquote(match[2])
        if asked.method == "PUT" and match[3]:
            yield "register", app, instance
        elif asked.method == "DELETE" and not match[3]:
            yield "leave", app, instance


def _batch(body: bytes) -> Iterator[Step]:
    for item in json.loads(body)["replicationList"]:
        if item["action"] == "Register":
            yield "register", item["appName"], item["id"]
        elif item["action"] == "Cancel":
            yield "leave", item["appName"], item["id"]


def _registered_id(body: bytes) -> str:
    instance = decode(body, None)[1]["instance"]
    return str(instance.get("instanceId") or instance["hostName"])
