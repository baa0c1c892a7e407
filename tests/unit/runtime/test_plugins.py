"""Plugins: what each writes for what it is told."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable

import pytest

from polaris_bridge.core import events
from polaris_bridge.core.events import InstanceEvent, OperationRecord
from polaris_bridge.core.model import Caller
from polaris_bridge.runtime.metrics import CallWindow
from polaris_bridge.runtime.plugins import DiscoverEventLog, DiscoverStat, HistoryLog, LocalStatis, Whitelist

WALL_MS = 1_800_000_000_123
NOW = "2027-01-15T08:00:00.123Z"


class Collected(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@pytest.fixture
def collected() -> Collected:
    return Collected()


@pytest.fixture
def logger(collected: Collected) -> logging.Logger:
    made = logging.Logger("test", logging.INFO)
    made.addHandler(collected)
    return made


def operation(**changes: object) -> OperationRecord:
    values: dict[str, object] = {
        "wall_ms": WALL_MS, "resource": "instance", "name": "foo", "namespace": "default", "operation": "register",
        "caller": Caller("eureka", "10.0.0.7", "alice", client="foo-1"), "detail": "10.0.0.7:80", "result": "ok",
    }  # fmt: skip
    return OperationRecord(**(values | changes))  # type: ignore[arg-type]


def test_operations_on_configuration_have_the_words_of_the_original(
    collected: Collected, logger: logging.Logger
) -> None:
    log = HistoryLog("10.0.0.1", logger)
    detail = "release=r1 version=3 md5=900150983cd24fb0d6963f7d28e17f72"
    log(operation(resource="config-release", name="g/app.yaml", operation="publish", detail=detail))
    log(operation(resource="config-release", name="g/app.yaml", operation="gray", detail="release=r2 gray=beta"))
    log(operation(resource="config-group", name="g", operation="create", detail=""))
    assert [line.split("|")[1:5] for line in collected.lines] == [
        ["ConfigFileRelease", "g/app.yaml", "default", "Publish"],
        ["ConfigFileRelease", "g/app.yaml", "default", "PublishGray"],
        ["ConfigGroup", "g", "default", "Create"],
    ]
    assert collected.lines[0].split("|")[6].startswith(detail + " protocol=")


def event(kind: str) -> InstanceEvent:
    return InstanceEvent(WALL_MS, kind, "default", "foo", "10.0.0.7", 80, "eureka", "FOO/foo-1", 42)


def test_an_operation_is_one_line_of_eight_fields(collected: Collected, logger: logging.Logger) -> None:
    HistoryLog("10.0.0.1", logger)(operation())
    assert collected.lines == [
        f"{NOW}|Instance|foo|default|Create|alice|"
        "10.0.0.7:80 protocol=eureka address=10.0.0.7 client=foo-1 result=ok|10.0.0.1"
    ]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("register", "Create"), ("deregister", "Delete"), ("isolate", "UpdateIsolate"), ("update", "Update")],
)
def test_operations_have_the_words_of_polaris(
    collected: Collected, logger: logging.Logger, ours: str, theirs: str
) -> None:
    HistoryLog("s", logger)(operation(operation=ours))
    assert collected.lines[0].split("|")[4] == theirs


@pytest.mark.parametrize(
    ("caller", "operator"),
    [
        (Caller("eureka", "10.0.0.7", "alice"), "alice"),
        (Caller("eureka", "10.0.0.7"), "10.0.0.7"),
        (Caller("system"), "system"),
    ],
)
def test_the_operator_is_the_best_known_name(
    collected: Collected, logger: logging.Logger, caller: Caller, operator: str
) -> None:
    HistoryLog("s", logger)(operation(caller=caller))
    assert collected.lines[0].split("|")[5] == operator


def test_names_cannot_forge_fields_or_lines(collected: Collected, logger: logging.Logger) -> None:
    HistoryLog("s", logger)(operation(name="a|b\nc\\d"))
    (line,) = collected.lines
    assert len(re.split(r"(?<!\\)\|", line)) == 8
    assert "a\\|b\\nc\\\\d" in line


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (events.ONLINE, "InstanceOnline"),
        (events.OFFLINE, "InstanceOffline"),
        (events.TURN_HEALTHY, "InstanceTurnHealth"),
        (events.TURN_UNHEALTHY, "InstanceTurnUnHealth"),
        (events.ISOLATE_ON, "InstanceOpenIsolate"),
        (events.ISOLATE_OFF, "InstanceCloseIsolate"),
    ],
)
def test_an_event_is_one_line(collected: Collected, logger: logging.Logger, kind: str, word: str) -> None:
    DiscoverEventLog(logger)(event(kind))
    assert collected.lines == [f"{NOW}|{word}|default|foo|10.0.0.7|80|eureka|FOO/foo-1|42"]


def test_an_update_is_no_event(collected: Collected, logger: logging.Logger) -> None:
    DiscoverEventLog(logger)(event(events.UPDATE))
    assert collected.lines == []


def test_statistics_are_one_line_a_kind_of_call(collected: Collected, logger: logging.Logger) -> None:
    LocalStatis(lambda: WALL_MS, logger)([CallWindow("eureka", "renew", "200", 3, 0.001, 0.002, 0.0015)])
    assert collected.lines == [f"{NOW}|renew|eureka|200|3|1.000|2.000|1.500"]


def test_look_ups_are_counted_by_service_and_begin_anew(collected: Collected, logger: logging.Logger) -> None:
    stat = DiscoverStat(lambda: WALL_MS, logger)
    for _ in range(2):
        stat.observe("eureka", "default", "foo")
    stat([])
    stat([])
    assert collected.lines == [f"{NOW}|default|foo|eureka|2"]


def test_look_ups_of_too_many_services_share_a_line(
    collected: Collected, logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("polaris_bridge.runtime.plugins.statis.SERVICES", 2)
    stat = DiscoverStat(lambda: WALL_MS, logger)
    for name in ("a", "b", "c", "d", "a"):
        stat.observe("eureka", "default", name)
    stat([])
    assert collected.lines == [
        f"{NOW}|default|a|eureka|2", f"{NOW}|default|b|eureka|1", f"{NOW}|*|*|eureka|2"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("ip", "allowed"),
    [
        ("127.0.0.1", True),
        ("127.0.0.2", False),
        ("10.200.3.4", True),
        ("11.0.0.1", False),
        ("::ffff:10.0.0.1", True),
        ("fd00::7", True),
        ("fe80::7", False),
        ("no address", False),
        ("", False),
    ],
)
def test_whitelist(ip: str, allowed: bool) -> None:
    whitelist = Whitelist(["127.0.0.1", "10.0.0.0/8", "fd00::/8"])
    assert whitelist.allow(ip) is allowed
    assert whitelist.allow(ip) is allowed


def test_an_empty_whitelist_allows_nobody() -> None:
    assert not Whitelist([]).allow("127.0.0.1")


def test_a_wrong_whitelist_entry_is_named() -> None:
    with pytest.raises(ValueError, match=r"'10\.0\.0' is neither an address"):
        Whitelist(["127.0.0.1", "10.0.0"])


@pytest.mark.parametrize("make", [lambda log: (HistoryLog("s", log), operation()),
                                  lambda log: (DiscoverEventLog(log), event(events.ONLINE))])  # fmt: skip
def test_a_sink_formats_nothing_on_the_calling_thread(
    make: Callable[[logging.Logger], tuple[Callable[[object], None], object]],
) -> None:
    """10 µs are allowed on the event loop; ten times that here, because this machine may be busy."""
    logger = logging.Logger("test", logging.INFO)
    seen: list[object] = []

    class Keep(logging.Handler):
        def handle(self, record: logging.LogRecord) -> bool:
            seen.append(record.msg)
            return True

    logger.addHandler(Keep())
    sink, record = make(logger)
    best = float("inf")
    for _ in range(5):
        start = time.thread_time()
        for _ in range(1000):
            sink(record)
        best = min(best, (time.thread_time() - start) / 1000)
    assert not isinstance(seen[0], str)
    assert best < 100e-6
