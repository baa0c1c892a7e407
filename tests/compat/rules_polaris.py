"""Native PolarisMesh: how its recordings are driven, how answers are read, and every deliberate difference as one named line.

Recorded server: polaris-server 1.19.0-alpha.0. What it answers comes from tables that it reads again every second.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

from polaris_bridge.adapters.polaris.wire import v1

from . import wire_polaris
from .compare import Reading
from .history_polaris import question_of, soon, text
from .plan import Capture, KeptGap, Plan
from .rules import MISSING, Rule, Seen, Verdict

SHAPE, DIFFERS = Verdict.SHAPE, Verdict.DIFFERS
SUCCESS, NO_CHANGE = 200000, 200001


def key_of(path: str, item: Any) -> str | None:
    """Instances, services and rules are sets: the recorded server lists them in any order."""
    if not isinstance(item, dict):
        return None
    if path.endswith(".instances"):
        return f"{item['host']}:{item['port']}"
    if path.endswith(".services"):
        return f"{item['namespace']}/{item['name']}"
    if path.endswith(".namespaces"):
        return str(item["name"])
    if path.endswith(".config_file_groups"):
        return f"{item['namespace']}/{item['name']}"
    if path.endswith(".tags"):
        return str(item["key"])
    if path == "body" and "Level" in item:
        return str(item["Name"])
    return None


READING = Reading(
    headers=("content-type", "x-polaris-code", "x-polaris-message", "request-id"),
    key_of=key_of,
    decode=wire_polaris.read,
)

PLAN = Plan(
    captures=(
        Capture("revision", r"body\.service\.revision", "the server's own; later questions repeat it"),
        Capture(
            "list-revision",
            r"body\.revision",
            "the server's own, of a list of files; later questions repeat it",
            value=r"[0-9a-f]{40}",
        ),
        Capture(
            "rule-id",
            r"body\.responses\[\d+\]\.(data|rateLimit)\.id",
            "made by the server; later requests name the rule by it",
        ),
        Capture(
            "user-id", r"body\.responses\[\d+\]\.user\.id", "made by the server; later requests name the user by it"
        ),
        Capture("user-token", r"body\.loginResponse\.token", "made by the server; later requests show it"),
    ),
    kept=(
        KeptGap(
            "limiter-window",
            method="grpc",
            target=r"/polaris\.metric\.v2\.RateLimitGRPCV2/Service",
            at_least_s=0.9,
            reason="a window of a second passes",
        ),
    ),
    paired=r"/v1\.Polaris(Config)?GRPC/Discover|/v1\.PolarisHeartbeatGRPC/BatchHeartbeat",
    rewrite=wire_polaris.rewrite,
)


# ---------------------------------------------------------------- conditions
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
_DRAWN = re.compile(r"[0-9a-f]{32}|[0-9a-f]{40}")
_NUMBER = re.compile(r"[1-9][0-9]*")
_RELEASE = re.compile(r"(.+)-\d{10}-\d+")


def newer_type_served(seen: Seen) -> bool:
    """There «invalid resource» of type ROUTING for a type from 100 on, here success, or 400002 without a service."""
    asked = v1.DiscoverRequest.FromString(seen.exchange.request.body)
    named = asked.HasField("service")
    expected = {"code": SUCCESS, "info": "execute success"} if named else {"code": 400002, "info": "empty request"}
    kind = v1.DiscoverResponse.DiscoverResponseType.Name(asked.type)
    return (
        100 <= asked.type <= 106
        and seen.expected["code"] == 400004
        and seen.expected["type"] == "ROUTING"
        and expected.items() <= seen.got.items()
        and seen.got["type"] == kind
    )


def both(pattern: re.Pattern[str]) -> Callable[[Seen], bool]:
    """Both sides have the form."""

    def allows(seen: Seen) -> bool:
        sides = (seen.difference.expected, seen.difference.got)
        return all(isinstance(side, str) and pattern.fullmatch(side) for side in sides)

    return allows


def said_soon(seen: Seen) -> bool:
    """Everything that we answer is what the recorded server answered to the same question within its cache's age.

    «No change» tells nothing, so it is not taken for an answer here.
    """
    if isinstance(seen.got, dict) and seen.got.get("code") == NO_CHANGE:
        return False
    return text(seen.got) in soon(seen.recording, seen.exchange)


def told_before(seen: Seen) -> bool:
    """We say «no change», and what the recorded server says only now we had said to this question before."""
    return _told_before(seen, text(seen.expected))


def lease_ran_out(seen: Seen) -> bool:
    """As told_before, for an answer that shows an instance whose beats were missing in the time that is left out here."""
    lost = [one for one in seen.expected.get("instances", ()) if not one.get("healthy")]
    alive = copy.deepcopy(seen.expected)
    for one in alive.get("instances", ()):
        one["healthy"] = True
        one.get("metadata", {}).pop("internal-lastheartbeat", None)
    return bool(lost) and _told_before(seen, text(alive))


def _told_before(seen: Seen, now: str) -> bool:
    got = seen.got
    if not isinstance(got, dict) or got.get("code") != NO_CHANGE or "service" not in got:
        return False
    question = question_of(seen.exchange.request)
    return any(
        question_of(earlier.request) == question and text(wire_polaris.read(earlier, earlier.got)[1]) == now
        for earlier in seen.story.earlier
        if earlier.request.method == "grpc" and earlier.request.target.endswith("/Discover")
    )


def emptied(seen: Seen) -> bool:
    """There «no change», here no instance any more, after instances of that service have left."""
    if seen.expected.get("code") != NO_CHANGE or seen.got.get("code") != SUCCESS or "instances" in seen.got:
        return False
    name = seen.got["service"]["name"]
    left = [one for one in seen.story.earlier if one.request.target == "/v1.PolarisGRPC/DeregisterInstance"]
    return any(v1.Instance.FromString(one.request.body).service.value == name for one in left)


def same_ports(seen: Seen) -> bool:
    """The same ports in numeric order."""
    recorded, live = (str(side).split(",") for side in (seen.difference.expected, seen.difference.got))
    return sorted(recorded) == sorted(live) and live == sorted(live, key=lambda port: port.zfill(5))


def ports_shown(seen: Seen) -> bool:
    """Exactly the ports of the instances in the same answer."""
    ports = sorted({one["port"] for one in seen.got.get("instances", ())})
    return bool(seen.difference.got == ",".join(map(str, ports)))


def never_mentioned(seen: Seen) -> bool:
    """Something recorded that we do not have, and that nobody in this recording has spoken of."""
    if seen.difference.got is not MISSING or not isinstance(seen.difference.expected, dict | list):
        return False
    missing = seen.difference.expected
    names = [one.get("service") or one["name"] for one in (missing if isinstance(missing, list) else [missing])]
    spoken = b"".join(earlier.request.body for earlier in seen.story.earlier)
    return not any(str(name).encode() in spoken for name in names)


def counts_fewer(seen: Seen) -> bool:
    """Of a list that holds fewer: each number is smaller by at least what is missing in the list."""
    recorded, live = seen.difference.expected, seen.difference.got
    return isinstance(live, int) and 0 <= live < recorded


def lists_less(seen: Seen) -> bool:
    """The revision of a list of services in which some are missing."""
    asked = v1.DiscoverRequest.FromString(seen.exchange.request.body)
    if asked.type != v1.DiscoverRequest.SERVICES:
        return False
    recorded, live = (side.get("services", ()) for side in (seen.expected, seen.got))
    return len(recorded) > len(live) and (live != () or seen.difference.got is MISSING)


def asked_for_more(seen: Seen) -> bool:
    """5 there and 60 here for an instance that was registered with more than 60."""
    if (seen.difference.expected, seen.difference.got) != (5, 60):
        return False
    for earlier in seen.story.earlier:
        if earlier.request.target == "/v1.PolarisGRPC/RegisterInstance":
            asked = v1.Instance.FromString(earlier.request.body)
            if asked.health_check.heartbeat.ttl.value > 60 and f"[{asked.host.value}:" in seen.difference.path:
                return True
    return False


def namespaces_served(seen: Seen) -> bool:
    """There an unknown type, here the list of namespaces."""
    asked = v1.DiscoverRequest.FromString(seen.exchange.request.body)
    return (
        asked.type == v1.DiscoverRequest.NAMESPACES
        and seen.expected["code"] == 400004
        and seen.got["code"] == SUCCESS
        and {"Polaris", "default"} <= {one["name"] for one in seen.got["namespaces"]}
    )


def lane_over_http(seen: Seen) -> bool:
    """The same as gRPC answers to a newer type."""
    return b"LANE" in seen.exchange.request.body and (seen.got["code"], seen.got["type"]) == (SUCCESS, "LANE")


def scope_of_our_own(seen: Seen) -> bool:
    """A scope of a plugin that is not here, or the level of «config», which the newer shipped file sets to debug."""
    if seen.difference.got is MISSING:
        return seen.difference.expected["Name"] in {"discoverLocal", "nacos-trace", "sysop"}
    return (seen.difference.path, seen.difference.got) == ("body[config].Level", "debug")


def own_client(seen: Seen) -> bool:
    """Another port of the loopback, another id of the same length."""
    recorded, live = str(seen.difference.expected), str(seen.difference.got)
    if seen.difference.path.endswith("client_id"):
        return len(recorded) == len(live) and _DRAWN.fullmatch(live) is not None
    return recorded.rpartition(":")[0] == live.rpartition(":")[0] == "127.0.0.1"


def unknown_contract(seen: Seen) -> bool:
    """There success with an empty contract, here the code that says so."""
    recorded = seen.expected.get("serviceContract", {})
    return (
        seen.expected["code"] == SUCCESS
        and recorded.keys() <= {"ctime", "mtime"}
        and seen.got["code"] == 400202
        and "serviceContract" not in seen.got
    )


def password_kept_quiet(seen: Seen) -> bool:
    """The password that was sent, and nothing here."""
    sent = f'"password": "{seen.difference.expected}"'.encode()
    return seen.difference.got is None and sent in seen.exchange.request.body


def not_json(seen: Seen) -> bool:
    """The same beginning, and after it the words of another reader of JSON."""
    begin = "request decode failed:"
    sides = (seen.difference.expected, seen.difference.got)
    return all(isinstance(side, str) and side.startswith(begin) and side != begin for side in sides)


def named_by_time(seen: Seen) -> bool:
    """The same file's name with a time and a number behind it."""
    sides = [_RELEASE.fullmatch(str(side)) for side in (seen.difference.expected, seen.difference.got)]
    return all(sides) and len({side[1] for side in sides if side}) == 1


def file_over_grpc(seen: Seen) -> bool:
    """There «bad request», here the file that the same stream of questions has published."""
    asked = v1.ConfigDiscoverRequest.FromString(seen.exchange.request.body)
    file = seen.got.get("config_file", {})
    return (
        asked.type == v1.ConfigDiscoverRequest.CONFIG_FILE
        and seen.expected["code"] == 400000
        and seen.got["code"] == SUCCESS
        and (file["file_name"], file["content"], seen.got["revision"])
        == (asked.config_file.file_name.value, "2", file["version"])
    )


def one_counter(seen: Seen) -> bool:
    """A later version, of a file that had a gray release before."""
    gray = b'"releaseType": "gray"'
    recorded, live = int(seen.difference.expected), int(seen.difference.got)
    return live > recorded and any(gray in earlier.request.body for earlier in seen.story.earlier)


def another_key(seen: Seen) -> bool:
    """Another ciphertext of the same length, with its md5, and another key; of a file that is encrypted on both sides."""
    sides = (seen.difference.expected, seen.difference.got)
    encrypted = all(side["configFile"].get("encrypted") is True for side in (seen.expected, seen.got))
    return encrypted and all(isinstance(side, str) for side in sides) and len(sides[0]) == len(sides[1])


def told_who(seen: Seen) -> bool:
    """Nobody there, here who did it: the recording's one account."""
    return (seen.difference.expected, seen.difference.got) == ("", "polaris")


def never_released(seen: Seen) -> bool:
    """There what Go makes of no time, here nothing."""
    return (seen.difference.expected, seen.difference.got) == ("1754-08-30 22:43:41", "")


# ---------------------------------------------------------------- the table
_DISCOVER = r"/v1\.PolarisGRPC/Discover"
_CONFIG = r"/(v1\.PolarisConfigGRPC|config/v1)/.*"

_LIMITER = r"/polaris\.metric\.v2\.RateLimitGRPCV2/.*"

RULES = (
    Rule(
        "limiter-clock",
        path=r"body\.(.*\.timestamp|serverTimestamp)",
        target=_LIMITER,
        verdict=SHAPE,
        allows=both(_NUMBER),
        reason="the server's clock",
        source="limiter recording",
    ),
    Rule(
        "limiter-slides",
        path=r"body\..*\.slideCount",
        target=_LIMITER,
        verdict=DIFFERS,
        allows=lambda seen: (seen.difference.expected, seen.difference.got) == (1, 10),
        reason="windows slide by tenths unless a client asks otherwise; the recorded server's begin anew all at once, "
        "which lets twice the limit through at the border",
        source="limiter.md section 1.7; option limiter.slideCount",
    ),
    Rule(
        "visible-at-once",
        path=r"body(\..*)?",
        verdict=DIFFERS,
        allows=said_soon,
        reason="the recorded server reads its store once a second and answers what was a moment ago; we answer what is",
        source="all recordings; polaris.md section 2",
    ),
    Rule(
        "told-before",
        path=r"body\..*",
        target=_DISCOVER,
        verdict=DIFFERS,
        allows=told_before,
        reason="having told a change at once, there is none to tell when the recorded server notices it",
        source="polaris-java recording",
    ),
    Rule(
        "gone-at-once",
        path=r"body\..*",
        target=_DISCOVER,
        verdict=DIFFERS,
        allows=emptied,
        reason="as visible-at-once; the recording ends before the recorded server notices",
        source="polaris-go recording",
    ),
    Rule(
        "lease-ran-out",
        path=r"body\..*",
        target=_DISCOVER,
        verdict=DIFFERS,
        allows=lease_ran_out,
        reason="pauses are shortened, so the ten seconds without beats do not pass; the live tests wait for them",
        source="polaris-go recording",
    ),
    Rule(
        "times-of-our-own",
        path=r"body\..*\.[cme]time",
        verdict=SHAPE,
        allows=both(_MOMENT),
        reason="the server's clock",
        source="all recordings",
    ),
    Rule(
        "drawn-by-the-server",
        path=r"body\..*\.(id|revision|service_token|token)",
        verdict=SHAPE,
        allows=both(_DRAWN),
        reason="ids of services and revisions are drawn; clients compare revisions for equality only",
        source="all recordings",
    ),
    Rule(
        "ports-in-order",
        path=r"body\..*\.ports",
        verdict=DIFFERS,
        allows=same_ports,
        reason="the recorded server lists them in the order of a hash map",
        source="polaris-go recording",
    ),
    Rule(
        "deleteable-renumbered",
        path=r"body\..*\.deleteable",
        method="grpc",
        verdict=DIFFERS,
        allows=lambda seen: seen.difference.expected is MISSING and seen.difference.got is True,
        reason="the recorded server is built on an older specification, where the field has another number",
        source="polaris.md, spec facts",
    ),
    Rule(
        "newer-types-served",
        path=r"body\..*",
        target=_DISCOVER,
        verdict=DIFFERS,
        allows=newer_type_served,
        reason="polaris-go from 1.7 on cannot use a server without them",
        source="polaris.md section 2, [P]",
    ),
    Rule(
        "newer-types-over-http",
        path=r"status|header\..*|body\..*",
        target=r"/v1/Discover",
        verdict=DIFFERS,
        allows=lane_over_http,
        reason="as over gRPC",
        source="polaris.md section 2, [P]",
    ),
    Rule(
        "namespaces-served",
        path=r"body\..*",
        target=_DISCOVER,
        verdict=DIFFERS,
        allows=namespaces_served,
        reason="every type of the specification is served",
        source="issue 4, point 2",
    ),
    Rule(
        "ports-of-now",
        path=r"body\.(service|aliasFor)\.ports",
        target=_DISCOVER,
        verdict=DIFFERS,
        allows=ports_shown,
        reason="the recorded server gathers the ports of a service late and never forgets one",
        source="polaris-go recording, grpc-probe",
    ),
    Rule(
        "left-from-before",
        path=r"body\.(services|data|config_file_groups)(\[.*\])?",
        verdict=DIFFERS,
        allows=never_mentioned,
        reason="services, contracts and groups of files of runs before the recording, on a server that was not empty",
        source="grpc-probe, polaris-go and http-probe recordings",
    ),
    Rule(
        "revision-of-a-longer-list",
        path=r"body\.service\.revision",
        target=_DISCOVER,
        verdict=DIFFERS,
        allows=lists_less,
        reason="the list held services of runs before the recording",
        source="grpc-probe",
    ),
    Rule(
        "ttl-kept-as-sixty",
        path=r"body\..*\.health_check\.heartbeat\.ttl",
        verdict=DIFFERS,
        allows=asked_for_more,
        reason="a ttl above 60 becomes 5 there, which loses slow clients; it is kept as 60 here",
        source="issue 4, point 4",
    ),
    Rule(
        "beats-exist",
        path=r"body\.records\[\d+\]\.exist",
        target=r"/v1\.PolarisHeartbeatGRPC/BatchGetHeartbeat",
        verdict=DIFFERS,
        allows=lambda seen: seen.difference.expected is MISSING and seen.difference.got is True,
        reason="the recorded memory checker never says that a beat exists",
        source="polaris.md section 1",
    ),
    Rule(
        "time-of-the-beat",
        path=r"body\.records\[\d+\]\.lastHeartbeatSec",
        target=r"/v1\.PolarisHeartbeatGRPC/BatchGetHeartbeat",
        verdict=SHAPE,
        allows=lambda seen: len(seen.difference.got) == 10,
        reason="the server's clock, in seconds",
        source="grpc-probe",
    ),
    Rule(
        "unknown-contract-said-so",
        path=r"body\..*",
        target=r"/v1\.PolarisServiceContractGRPC/GetServiceContract",
        verdict=DIFFERS,
        allows=unknown_contract,
        reason="the recorded server means to answer 400202 and sends an empty contract",
        source="polaris.md section 1",
    ),
    Rule(
        "metrics-of-our-own",
        path=r"body",
        target=r"/metrics",
        verdict=DIFFERS,
        allows=lambda seen: str(seen.difference.got).startswith("# HELP polaris_bridge_"),
        reason="names and subjects of metrics are ours; docs/operations.md lists them",
        source="http-probe",
    ),
    Rule(
        "password-kept-quiet",
        path=r"body\.responses\[\d+\]\.user\.password",
        target=r"/core/v1/users",
        verdict=DIFFERS,
        allows=password_kept_quiet,
        reason="a password is never said back",
        source="issue 5, point 5",
    ),
    Rule(
        "reader-of-json",
        path=r"body\.info",
        target=r"/core/v1/user/login",
        status="400",
        verdict=DIFFERS,
        allows=not_json,
        reason="where a text stops being JSON is said in the words of the library that reads it",
        source="http-probe",
    ),
    Rule(
        "counts-of-before",
        path=r"body\.(amount|size)",
        target=r"/naming/v1/((instances|services)/count|service/contracts.*)",
        verdict=DIFFERS,
        allows=counts_fewer,
        reason="instances, services and contracts of runs before the recording are counted there",
        source="http-probe",
    ),
    Rule(
        "metadata-stays",
        path=r"body\..*\.metadata\.a",
        verdict=DIFFERS,
        allows=lambda seen: seen.difference.expected is MISSING and seen.difference.got == "b",
        reason="an update that does not speak of metadata removes them there; here only an empty object does",
        source="http-probe",
    ),
    Rule(
        "log-scopes-of-our-own",
        path=r"body\[(.*)\](\.Level)?",
        target=r"/maintain/v1/log/outputlevel",
        verdict=DIFFERS,
        allows=scope_of_our_own,
        reason="scopes of plugins that are not here, and levels as the shipped file sets them",
        source="http-probe",
    ),
    Rule(
        "own-client-listed",
        path=r"body\.Response\[0\]\.(targets\[0\]|labels\.__meta_polaris_client_id)",
        target=r"/maintain/v1/report/clients",
        verdict=DIFFERS,
        allows=own_client,
        reason="the server lists itself: the address it listens on, and an id that is made of it",
        source="http-probe",
    ),
    Rule(
        "releases-named-by-time",
        path=r"body\..*name",
        target=_CONFIG,
        verdict=SHAPE,
        allows=named_by_time,
        reason="a release without a name is called by its file, the second and a number",
        source="polaris-go recording; grpc-probe",
    ),
    Rule(
        "config-times",
        path=r"body\..*\.(release_time|createTime|modifyTime|releaseTime)",
        target=_CONFIG,
        verdict=SHAPE,
        allows=both(_MOMENT),
        reason="the server's clock",
        source="polaris-go recording; probes",
    ),
    Rule(
        "config-ids",
        path=r"body\..*\.id",
        target=r"/config/v1/.*",
        verdict=SHAPE,
        allows=both(_NUMBER),
        reason="numbers that the server counts",
        source="http-probe",
    ),
    Rule(
        "file-over-grpc",
        path=r"body\..*",
        target=r"/v1\.PolarisConfigGRPC/Discover",
        verdict=DIFFERS,
        allows=file_over_grpc,
        reason="the recorded server does not look at which file is meant",
        source="polaris.md section 6, [P]",
    ),
    Rule(
        "one-counter",
        path=r"body\.(configFile\.version|config_file\.version|revision)",
        target=r"/config/v1/.*",
        verdict=DIFFERS,
        allows=one_counter,
        reason="gray and full releases count versions together, so that clients are told of either",
        source="polaris.md section 6, [P]",
    ),
    Rule(
        "keys-drawn",
        path=r"body\.configFile\.(content|md5|tags\[internal-datakey\]\.value)",
        target=r"/v1\.PolarisConfigGRPC/GetConfigFile",
        verdict=DIFFERS,
        allows=another_key,
        reason="every encrypted file has a key that was drawn for it",
        source="grpc-probe",
    ),
    Rule(
        "who-changed-it",
        path=r"body\..*\.modifyBy",
        target=r"/config/v1/.*",
        verdict=DIFFERS,
        allows=told_who,
        reason="the recorded server does not keep who changed a file",
        source="http-probe",
    ),
    Rule(
        "never-released",
        path=r"body\..*\.releaseTime",
        target=r"/config/v1/.*",
        verdict=DIFFERS,
        allows=never_released,
        reason="a time that there is none of is shown as the year 1754 there",
        source="http-probe",
    ),
)
