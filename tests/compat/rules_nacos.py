"""Nacos: how its recordings are driven, how answers are read, and every deliberate difference as one named line.

Recorded servers: Nacos 2.5.1, and 3.0.3 where a recording's name says ``server3``. They gather changes for half a second before
they tell of them, and a read may lag behind a write.
"""

from __future__ import annotations

import json
import re
from typing import Any

from polaris_bridge.adapters.nacos.wire.payload import decode

from . import wire_nacos
from .compare import Reading
from .history_nacos import hosts_of, removals, service_of, soon, time_of
from .plan import Capture, LeftOut, Plan
from .rules import MISSING, Rule, Seen, Verdict
from .wire_nacos import list_in

SHAPE, MOMENT, DIFFERS = Verdict.SHAPE, Verdict.MOMENT, Verdict.DIFFERS
UNARY, STREAM = r"/Request/request", r"/BiRequestStream/requestBiStream"


def key_of(path: str, item: Any) -> str | None:
    """Instances and names are sets: the recorded servers list them in the order of a hash map."""
    if isinstance(item, dict) and path.endswith(".hosts"):
        return f"{item['ip']}:{item['port']}:{item['clusterName']}"
    if isinstance(item, str) and path in ("body.doms", "body.serviceNames"):
        return item
    return None


READING = Reading(headers=("content-type",), key_of=key_of, decode=wire_nacos.read)

PLAN = Plan(
    captures=(Capture("access-token", r"body\.accessToken", "made by the server; later requests show it"),),
    left_out=(
        LeftOut(
            "half-a-minute-without-news",
            r"/nacos/v1/cs/configs/listener",
            "a long poll to its end; tests with a clock of their own measure it",
            took_s=20.0,
        ),
        LeftOut(
            "pushes-to-those-before",
            r"44263|47080|53294",
            "subscribers of the recordings before, to a server that was not started anew",
            method="udp",
            recording=r"nacos-client-java-1\.4\.8-(config|errors|idle|persistent)\.http",
        ),
    ),
    message_key=wire_nacos.message_key,
    lasting=STREAM,
    rewrite=wire_nacos.rewrite,
    kind_of=wire_nacos.kind_of,
    answering=wire_nacos.answering,
    told_within_s=10.0,
)


# ---------------------------------------------------------------- conditions
def said_soon(seen: Seen) -> bool:
    """Our list is what the recorded server says of the same service within its lag."""
    listed = list_in(seen.got)
    if listed is None:
        return False
    return hosts_of(listed) in soon(seen.recording, seen.exchange, service_of(listed))


def gone_at_once(seen: Seen) -> bool:
    """There nothing, here an empty list, and the last that this recording did to the service was to deregister."""
    listed = list_in(seen.got)
    if seen.exchange.expected.status != "nothing" or listed is None or listed["hosts"]:
        return False
    asked = [e.request for e in seen.story.earlier if e.request.target == f"{UNARY}#InstanceRequest"]
    done = [json.loads(decode(request.body).body) for request in asked]
    here = [
        one["type"] for one in done if (one["groupName"], one["serviceName"]) == (listed["groupName"], listed["name"])
    ]
    return bool(here) and here[-1] == "deregisterInstance"


def never_mentioned(seen: Seen) -> bool:
    """A name that nobody in this recording has spoken of."""
    name = seen.difference.expected
    spoken = b"".join(e.request.body + e.request.target.encode() for e in seen.story.earlier)
    return seen.difference.got is MISSING and str(name).encode() + b'"' not in spoken


def being_removed(seen: Seen) -> bool:
    """There a removal is under way, here it is done."""
    if seen.difference.expected is not MISSING:
        return False
    at, data_id = time_of(seen.recording, seen.exchange), seen.difference.got["dataId"]
    return any(began <= at <= ended and one == data_id for began, ended, one in removals(seen.recording))


def counts_what_it_lists(seen: Seen) -> bool:
    """Fewer than there, and as many as there are names on the only page."""
    names = seen.got.get("serviceNames", ())
    return len(names) < seen.difference.expected and bool(seen.difference.got == len(names))


RULES = (
    Rule(
        "silence-left-out",
        path=r"body\.hosts\[.*\]\.healthy",
        recording=r"nacos-sdk-python-1\.0\.0-beat-lapse\.http",
        verdict=DIFFERS,
        allows=lambda seen: (seen.difference.expected, seen.difference.got) == (False, True),
        reason="pauses are shortened, so the time without beats does not pass; the live tests wait for it",
        source="nacos-sdk-python-1.0.0-beat-lapse",
    ),
    Rule(
        "visible-at-once",
        path=r"body\..*\.hosts\[.*\].*|body\.hosts\[.*\].*",
        verdict=DIFFERS,
        allows=said_soon,
        reason="there a read lags behind a write; here it never does",
        source="nacos.md section 3, reads are eventual; all recordings",
    ),
    Rule(
        "gone-at-once",
        path=r"status|format",
        target=STREAM + "#.*",
        status="nothing",
        verdict=DIFFERS,
        allows=gone_at_once,
        reason="there the client had left before it was told",
        source="idle and reset-redo recordings",
    ),
    Rule(
        "removed-at-once",
        path=r"body\.changedConfigs\[0\]",
        target=UNARY + "#ConfigBatchListenRequest",
        verdict=DIFFERS,
        allows=being_removed,
        reason="there a read lags behind a write; here it never does",
        source="nacos-client-java-2.5.1-config",
    ),
    Rule(
        "names-from-before",
        path=r"body\.serviceNames\[.*\]",
        verdict=DIFFERS,
        allows=never_mentioned,
        reason="services of runs before the recording, on a server that was not empty",
        source="nacos-sdk-python-3.2.0-naming",
    ),
    Rule(
        "counted-without-those-before",
        path=r"body\.count",
        target=UNARY + "#ServiceListRequest",
        verdict=DIFFERS,
        allows=counts_what_it_lists,
        reason="as names-from-before",
        source="nacos-sdk-python-3.2.0-naming",
    ),
    Rule(
        "number-of-a-packet",
        path=r"body\.lastRefTime",
        method="udp",
        verdict=MOMENT,
        reason="nanoseconds of a clock of the server's own",
        source="nacos.md section 3, UDP push",
    ),
    Rule(
        "number-of-a-configuration",
        path=r"body\.pageItems\[.*\]\.id",
        verdict=SHAPE,
        reason="counted by the server",
        source="nacos.md section 4, search",
    ),
    Rule(
        "time-of-a-list",
        path=r"body(\.serviceInfo|\.data)?\.lastRefTime",
        verdict=MOMENT,
        subject=lambda seen: service_of(list_in(seen.expected) or {}),
        reason="the server's clock; here it is when the list was made, and stays while nothing in it changes",
        source="all recordings",
    ),
    Rule(
        "time-of-a-content",
        path=r"body\.lastModified",
        target=UNARY + "#ConfigQueryRequest",
        verdict=MOMENT,
        subject=lambda seen: f"{seen.expected.get('md5')}",
        reason="when the content was published",
        source="config recordings",
    ),
    Rule(
        "connection-of-our-own",
        path=r"body\.connectionId",
        verdict=DIFFERS,
        allows=lambda seen: bool(re.fullmatch(r"\d{13}_127\.0\.0\.1_\d+", str(seen.difference.got))),
        reason="made of the time and the client's address",
        source="nacos.md section 7.1",
    ),
    Rule(
        "number-of-a-request",
        path=r"body\.requestId",
        target=STREAM + ".*",
        verdict=SHAPE,
        reason="counted by the server",
        source="nacos.md section 7.1",
    ),
    Rule(
        "address-of-our-own",
        path=r"body\.payload\.clientIp",
        target=STREAM + ".*",
        verdict=SHAPE,
        reason="the server's own address",
        source="all recordings",
    ),
    Rule(
        "abilities-of-3.x",
        path=r"body\.abilityTable\..*",
        verdict=DIFFERS,
        allows=lambda seen: seen.difference.expected is MISSING and seen.difference.got is True,
        reason="clients of 3.x are served too: fuzzy watch and locks",
        source="nacos.md section 7.1",
    ),
    Rule(
        "no-registry-of-mcp-servers",
        path=r"body\.abilityTable\.mcp",
        recording=r".*-server3-.*",
        verdict=DIFFERS,
        allows=lambda seen: seen.difference.got is MISSING,
        reason="not there; clients are not told that it is",
        source="issue 7, point 2",
    ),
    Rule(
        "spelt-as-in-2.x",
        path=r"body\.serviceInfo\.allI(P|p)s",
        recording=r".*-server3-.*",
        verdict=DIFFERS,
        allows=lambda seen: seen.got["serviceInfo"]["allIPs"] is False,
        reason="one spelling for all; no client reads it",
        source="nacos.md section 3, ServiceInfo",
    ),
    Rule(
        "not-the-administrator",
        path=r"body\.globalAdmin",
        verdict=DIFFERS,
        allows=lambda seen: (seen.difference.expected, seen.difference.got) == (True, False),
        reason="the first administrator has another name here, and the recorded account is made by it",
        source="auth-register recordings",
    ),
)
