"""What is known of Consul, as cases, told to our server or to the one that COMPAT_CONSUL names; and recordings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from . import rules_consul
from .cases_consul import Case, CaseError, GivenServers, Servers, Story, files, read, tell
from .recording import recordings
from .rules import RuleBook
from .server import given_target, spawned_consul
from .suite import RECORDINGS, Suite, given

CASES = {path.stem: read(path) for path in files()}
NAMED = [case for cases in CASES.values() for case in cases if "name" in case.step]
PREPARING = {file: [case for case in cases if "name" not in case.step] for file, cases in CASES.items()}
NAMES = [path.stem for path in recordings(RECORDINGS / "consul")]


class Stories:
    """Each file is told once, when the first of its cases is asked for."""

    def __init__(self, work: Path) -> None:
        self._work = work
        self._told: dict[str, Story] = {}

    def of(self, file: str) -> Story:
        if file not in self._told:
            with ExitStack() as stack:
                self._told[file] = tell(CASES[file], self._servers(stack, file))
        return self._told[file]

    def _servers(self, stack: ExitStack, file: str) -> Servers:
        other = given_target("COMPAT_CONSUL", "")
        if other is None:
            folder = self._work / file
            folder.mkdir()
            return stack.enter_context(spawned_consul(folder))
        host, _, port = os.environ.get("COMPAT_CONSUL_DNS", "").rpartition(":")
        return GivenServers(other, (host, int(port)) if host else None)


@pytest.fixture(scope="module")
def stories(tmp_path_factory: pytest.TempPathFactory) -> Stories:
    return Stories(tmp_path_factory.mktemp("consul-cases"))


@pytest.mark.parametrize("case", NAMED, ids=[case.name for case in NAMED])
def test_case(stories: Stories, case: Case) -> None:
    wrong = stories.of(case.file).wrong
    assert case.number not in wrong, wrong[case.number]


@pytest.mark.parametrize("file", CASES)
def test_what_prepares_succeeds(stories: Stories, file: str) -> None:
    wrong = stories.of(file).wrong
    failed = [wrong[case.number] for case in PREPARING[file] if case.number in wrong]
    assert not failed, "\n\n".join(failed)


def test_a_step_of_unknown_form_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "odd.yaml"
    path.write_text("steps:\n  - {name: one, ask: GET /, statsu: 200}\n")
    with pytest.raises(CaseError, match="statsu"):
        read(path)


def test_what_differs_is_found(tmp_path: Path) -> None:
    """The suite's own teeth: each kind of expectation fails when it is not met."""
    path = tmp_path / "wrong.yaml"
    path.write_text(
        "steps:\n"
        "  - {do: PUT /v1/kv/a, body: x}\n"
        "  - {name: status, ask: GET /v1/kv/a, status: 404}\n"
        "  - {name: header, ask: GET /v1/kv/a, headers: {X-Consul-Index: '0'}}\n"
        "  - {name: absent header, ask: GET /v1/kv/a, headers: {X-Consul-Index: null}}\n"
        "  - {name: text, ask: 'GET /v1/kv/a?raw', text: y}\n"
        "  - {name: pattern, ask: 'GET /v1/kv/a?raw', matches: y+}\n"
        "  - {name: missing member, ask: GET /v1/kv/a, json: [{'...': 1, Nothing: 1}]}\n"
        "  - {name: further member, ask: GET /v1/kv/a, json: [{Key: a}]}\n"
        "  - {name: value, ask: GET /v1/kv/a, json: [{'...': 1, Value: eQ==}]}\n"
        "  - {name: items, ask: GET /v1/kv/a, json: []}\n"
        "  - {name: time, ask: GET /v1/kv/a, took: [5, 6]}\n"
        "  - {name: rcode, dns: n1.node.consul A, rcode: NXDOMAIN, answer: [n1.node.consul. 0 A 127.0.0.1]}\n"
        "  - {name: answer, dns: n1.node.consul A}\n"
        "  - {name: authority, dns: no.node.consul A, rcode: NXDOMAIN}\n"
    )
    cases = read(path)
    (tmp_path / "server").mkdir()
    with spawned_consul(tmp_path / "server") as servers:
        wrong = tell(cases, servers).wrong
    assert sorted(wrong) == [case.number for case in cases if "name" in case.step]


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    return suite_of("consul", tmp_path_factory.mktemp("consul"))


def suite_of(folder: str, work: Path) -> Suite:
    """``folder`` of recordings: below ``recordings``, or anywhere."""
    other = given_target("COMPAT_CONSUL", "")
    start = given(other) if other else rules_consul.fresh
    return Suite(folder, rules_consul.PLAN, rules_consul.READING, RuleBook(rules_consul.RULES), start, work)


if NAMES:

    @pytest.mark.parametrize("name", NAMES)
    def test_answers_as_recorded(suite: Suite, name: str) -> None:
        report = suite.report(name)
        assert report.exchanges > 0
        assert not report.failures, str(report)


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[Path]:
    """A folder with what the recorder wrote of a short story with our own server."""
    with rules_consul.recorded(tmp_path) as folder:
        yield folder


def test_what_the_recorder_writes_can_be_replayed(recorded: Path, tmp_path: Path) -> None:
    """So a recording of a real agent will be too: another server with other ids and indexes answers the same."""
    report = suite_of(str(recorded), tmp_path).report("own-story")
    assert report.exchanges >= 10
    assert not report.failures, str(report)


def test_a_recording_of_other_answers_fails(recorded: Path, tmp_path: Path) -> None:
    path = recorded / "own-story.jsonl"
    text = path.read_text("utf-8")
    for before, after in (
        ("critical", "passing"),
        ('\\"Port\\":8001', '\\"Port\\":8002'),
        ('"status": 404', '"status": 200'),
    ):
        assert before in text
        path.write_text(text.replace(before, after), "utf-8")
        assert suite_of(str(recorded), tmp_path).report("own-story").failures, before
