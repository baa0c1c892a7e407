"""Eureka: how its recordings are driven, how answers are read, and every deliberate difference as one named line.

Recorded servers: S1 = eureka-core 1.10.18 (Spring Cloud Netflix 3.1.8), S2 = eureka-core 2.0.5 (4.2.2). Their read-only response
cache was off, so reads show the current state there as here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Iterator
from typing import Any

from .compare import Reading
from .history_eureka import registrations, subject_of
from .invariants_eureka import INVARIANTS as INVARIANTS
from .plan import Late, Plan
from .rules import Rule, Seen, Verdict

BASE = "/eureka"
SHAPE, MOMENT, DIFFERS = Verdict.SHAPE, Verdict.MOMENT, Verdict.DIFFERS


def key_of(path: str, item: Any) -> str | None:
    """Applications and instances are sets: by name, and by id (an instance without one is known by its host)."""
    if not isinstance(item, dict):
        return None
    if path.endswith(".application"):
        return str(item["name"])
    if path.endswith(".instance"):
        return str(item.get("instanceId") or item.get("hostName"))
    return None


READING = Reading(
    headers=("content-type", "content-encoding", "allow"),
    key_of=key_of,
    lists=frozenset({("applications", "application"), ("application", "instance")}),
)

PLAN = Plan(
    late=(
        Late(
            "first-register-took-effect-at-its-end",
            method="POST",
            target=r"/eureka/apps/[^/]+",
            took_s=1.0,
            reason="the recorded server was still loading classes: reads that began meanwhile do not show the instance yet",
        ),
        Late(
            "first-read-took-effect-at-its-end",
            method="GET",
            target=r"/eureka/apps/JAVA-PROVIDER-[^/]+/.*",
            took_s=0.3,
            reason="it began while the first registrations ran, ended after them and shows the instance",
        ),
        Late(
            "register-overtaken-by-delta",
            method="POST",
            target=r"/eureka/apps/PY-PROVIDER-[^/]+",
            took_s=0.1,
            reason="a delta that began while it ran does not show it yet",
        ),
    ),
)
"""No gap is kept: no recorded lease runs out (renewals come every 2 to 5 s, the shortest lease never renewed is 15 s in a
recording where it is read within 15 s), and deltas are kept for 180 s, longer than any recording."""


# ---------------------------------------------------------------- conditions
def nothing_in_either_body(seen: Seen) -> bool:
    """The live answer is empty, so there is no content whose type could be told."""
    return not seen.exchange.got.body


def boot_page_against_nothing(seen: Seen) -> bool:
    """Spring Boot's error document or page (JSON with these four members, or HTML) there, no body here."""
    recorded = seen.expected
    page = isinstance(recorded, dict) and {"timestamp", "status", "error", "path"} <= recorded.keys()
    html = isinstance(recorded, str) and recorded.lstrip().lower().startswith("<html")
    return (page or html) and not seen.exchange.got.body


def became_modified(seen: Seen) -> bool:
    """ADDED there, MODIFIED here, and only for an instance that had been registered before and not left since."""
    if (seen.difference.expected, seen.difference.got) != ("ADDED", "MODIFIED"):
        return False
    return registrations(seen.story.earlier, *subject_of(seen)) > 1


def renewal_time(seen: Seen) -> bool:
    """Ours has passed when it is read, and in reads of a single instance, which are never cached, it does not fall."""
    live = int(seen.difference.got)
    if not 0 < live <= seen.exchange.answered_ms:
        return False
    if not seen.difference.path.startswith("body.instance."):
        return True
    slot = ("renewed", *subject_of(seen))
    before = seen.story.notes.get(slot, 0)
    seen.story.notes[slot] = live
    return bool(live >= before)


def real_status(seen: Seen) -> bool:
    """A single instance in XML: DOWN there, here the word that the recorded JSON of the same moment has."""
    return seen.difference.expected == "DOWN" and seen.difference.got in ("OUT_OF_SERVICE", "UNKNOWN")


def instance_subject(seen: Seen) -> Hashable:
    """A time belongs to one field of one instance, wherever it is shown."""
    return (*subject_of(seen), seen.difference.path.rsplit(".", 1)[1])


def grown_number(seen: Seen) -> bool:
    """A positive whole number as text; that it grows is an invariant."""
    return isinstance(seen.difference.got, str) and re.fullmatch(r"[1-9]\d*", seen.difference.got) is not None


def same_methods_but_head(seen: Seen) -> bool:
    """Allow lists the same methods; S1 names HEAD also, S2 does not."""
    sides = [
        {part.strip() for part in str(side).split(",")} for side in (seen.difference.expected, seen.difference.got)
    ]
    return sides[0] - {"HEAD"} == sides[1] - {"HEAD"}


def json_labelled_json(seen: Seen) -> bool:
    """The body is JSON on both sides and ours says so."""
    return isinstance(seen.got, dict) and seen.difference.got == "application/json"


def found_by_folding(seen: Seen) -> bool:
    """The list holds exactly instances whose vip equals the asked one when case is ignored."""
    asked = seen.exchange.request.target.rsplit("/", 1)[1].lower()
    field = "secureVipAddress" if "/svips/" in seen.exchange.request.target else "vipAddress"
    found = [str(instance.get(field, "")).lower() for instance in instances(seen.got)]
    return bool(found) and all(asked in vip.split(",") for vip in found)


def entity_before_the_rest(seen: Seen) -> bool:
    """There the entity of a refused heartbeat shows what later items of the same batch did to it, here it does not."""
    asked = json.loads(seen.exchange.request.body)["replicationList"]
    later = {item["action"]: item.get("lastDirtyTimestamp") for item in asked}
    if seen.difference.path.endswith("actionType"):
        return seen.difference.expected == "DELETED" and seen.difference.got == "ADDED" and "Cancel" in later
    return seen.difference.expected == str(later.get("DeleteStatusOverride")) and int(seen.difference.got) < int(
        seen.difference.expected
    )


def one_of_that_id(seen: Seen) -> bool:
    """A single instance document with the asked id."""
    found = list(instances(seen.got))
    return len(found) == 1 and found[0]["instanceId"] == seen.exchange.request.target.rsplit("/", 1)[1]


def served(seen: Seen) -> bool:
    """We answer the application document."""
    return (
        seen.exchange.got.status == "200" and isinstance(seen.got, dict) and seen.got["application"]["name"] == "APP2"
    )


def instances(tree: Any) -> Iterator[dict[str, Any]]:
    """All instance documents of a body."""
    if isinstance(tree, dict):
        if "ipAddr" in tree:
            yield tree
        for value in tree.values():
            yield from instances(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from instances(value)


# ---------------------------------------------------------------- the table
_FIELD = r"body\..*"
_LEASE = r"body\..*leaseInfo\."

RULES = (
    Rule(
        "v2-path-served-everywhere",
        path=".*",
        target=r"/eureka/v2/.*",
        status="404",
        verdict=DIFFERS,
        allows=served,
        reason="S1 knows /eureka only; S2 and the stand-alone server serve /eureka/v2, and so do we",
        source="raw-http-edge-cases-s1 against -s2",
    ),
    Rule(
        "id-in-several-apps",
        path=r"body\..*",
        method="GET",
        target=r"/eureka/instances/i1",
        verdict=DIFFERS,
        allows=one_of_that_id,
        reason="which application's instance is first depends on a hash map; the recorded servers disagree with each other",
        source="raw-http-edge-cases-s1 against -s2",
    ),
    Rule(
        "vip-found-ignoring-case",
        path=r"body\.applications\..*",
        method="GET",
        target=r"/eureka/s?vips/s?vip-APP2",
        verdict=DIFFERS,
        allows=found_by_folding,
        reason="an exact match wins, else case is ignored: clients fold vip names, the recorded servers then find nothing",
        source="raw-http-edge-cases-s1, -s2 (vip registered as vip-app2)",
    ),
    Rule(
        "entity-of-its-own-moment",
        path=r"body\.responseList\[\d+\]\.responseEntity\.(actionType|lastDirtyTimestamp)",
        method="POST",
        target=r"/eureka/peerreplication/batch/",
        verdict=DIFFERS,
        allows=entity_before_the_rest,
        reason="the recorded server writes the entity of a 409 after the whole batch ran; ours is the one that won the conflict",
        source="raw-http-edge-cases-s1, -s2",
    ),
    Rule(
        "error-page-not-sent",
        path=r"format",
        status=r"4\d\d|500",
        verdict=DIFFERS,
        allows=boot_page_against_nothing,
        reason="the framework's error document makes 1.x clients take a 404 for an instance; an empty body never does",
        source="S2, and S1 for an uncaught exception",
    ),
    Rule(
        "empty-answer-untyped",
        path=r"header\.content-type",
        verdict=DIFFERS,
        allows=nothing_in_either_body,
        reason="S1 labels empty answers, S2 does not, both label its error document; no client reads the type of nothing",
        source="raw-http-edge-cases-s1 against -s2",
    ),
    Rule(
        "json-labelled-json",
        path=r"header\.content-type",
        method="GET",
        target=r"/eureka/apps/[^/]+",
        verdict=DIFFERS,
        allows=json_labelled_json,
        reason="Accept 'application/xml, application/json' gets JSON labelled as XML there",
        source="raw-http-edge-cases-s1",
    ),
    Rule(
        "allow-names-head",
        path=r"header\.allow",
        status="405",
        verdict=DIFFERS,
        allows=same_methods_but_head,
        reason="order of the list, and whether HEAD is named, differ between S1 and S2",
        source="raw-http-edge-cases-s1 against -s2",
    ),
    Rule(
        "known-instance-modified",
        path=r"body\..*\.actionType",
        verdict=DIFFERS,
        allows=became_modified,
        reason="a registration of a known instance is ADDED there; JS clients ignore ADDED for an instance they have",
        source="eureka-js-client in delta mode",
    ),
    Rule(
        "xml-shows-real-status",
        path=r"body\.instance\.status",
        verdict=DIFFERS,
        allows=real_status,
        reason="XML of a single instance shows every status but UP, DOWN and STARTING as DOWN there; JSON shows the real one",
        source="py-eureka-client-0.13.3-full-story",
    ),
    Rule(
        "lease-counted-once",
        path=_LEASE + "lastRenewalTimestamp",
        verdict=SHAPE,
        allows=renewal_time,
        reason="a renewal writes now + duration there, which doubles the lease; ours is the time of the renewal",
        source="all recordings with renewals",
    ),
    Rule(
        "lease-times-ours",
        path=_LEASE + "(registrationTimestamp|serviceUpTimestamp|evictionTimestamp)",
        verdict=MOMENT,
        subject=instance_subject,
        reason="the server's clock",
        source="all recordings",
    ),
    Rule(
        "last-updated-ours",
        path=_FIELD + r"\.lastUpdatedTimestamp",
        verdict=MOMENT,
        subject=instance_subject,
        reason="the server's clock",
        source="all recordings",
    ),
    Rule(
        "dirty-timestamp-made-up",
        path=_FIELD + r"\.lastDirtyTimestamp",
        verdict=MOMENT,
        subject=instance_subject,
        allows=lambda seen: subject_of(seen) in (("APPM", "m-lastDirtyTimestamp"), ("APPX", "x1")),
        reason="the two registrations that bring none get the server's time",
        source="raw-http-edge-cases-s1, -s2",
    ),
    Rule(
        "delta-version-ours",
        path=r"body\.applications\.versions__delta",
        target=r"/eureka/apps/?(delta)?(\?.*)?",
        verdict=SHAPE,
        allows=grown_number,
        reason="a counter of the server; clients look whether it changes",
        source="all recordings with deltas",
    ),
)
