"""Teeth of the native suite where configuration is concerned: each kind of altered answer fails by its rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from . import wire_polaris
from .recording import Answer
from .test_rules_polaris import GO, HTTP, judge, recorded

PROBE = "grpc-probe-1-config-edge-cases"
SERVICE = "/v1.PolarisConfigGRPC/"

Alter = Callable[[Any], None]


@pytest.mark.parametrize("name", [PROBE, GO])
def test_a_faithful_server_needs_no_rule(name: str) -> None:
    report = judge(*recorded(name))
    assert report.failures == []
    assert report.explained == {}


def set_to(path: str, value: object) -> Alter:
    """Give a wrapper of the answer's file another value."""

    def alter(answer: Any) -> None:
        getattr(answer.configFile, path).value = value

    return alter


def recode(answer: Any) -> None:
    answer.code.value = 200001


def drop_tag(answer: Any) -> None:
    del answer.configFile.tags[0]


def show_content(answer: Any) -> None:
    answer.configFile.content.value = "a: 1\n"


def drop_file(answer: Any) -> None:
    del answer.config_file_infos[0]


def older(answer: Any) -> None:
    answer.config_file_infos[0].version.value = 1


def another_release(answer: Any) -> None:
    answer.config_file_infos[0].name.value = "other.yaml-1795357866-33"


def no_revision(answer: Any) -> None:
    answer.ClearField("revision")


CASES: dict[str, tuple[str, str, Alter]] = {
    "content": (GO, "GetConfigFile", set_to("content", "a: 2")),
    "version": (GO, "GetConfigFile", set_to("version", 7)),
    "md5": (GO, "GetConfigFile", set_to("md5", "0" * 32)),
    "encrypted": (GO, "GetConfigFile", set_to("encrypted", True)),
    "code": (GO, "GetConfigFile", recode),
    "a watch with another version": (GO, "WatchConfigFiles", set_to("version", 9)),
    "a watch with another file's release": (GO, "WatchConfigFiles", set_to("name", "b-1795357866-33")),
    "a watch with the content": (GO, "WatchConfigFiles", show_content),
    "a file missing": (PROBE, "GetConfigFileMetadataList", drop_file),
    "an older version": (GO, "GetConfigFileMetadataList", older),
    "another release": (GO, "GetConfigFileMetadataList", another_release),
    "no revision": (GO, "GetConfigFileMetadataList", no_revision),
    "a conflict taken for success": (GO, "UpsertAndPublishConfigFile", recode),
}


@pytest.mark.parametrize("case", CASES)
def test_one_altered_answer_fails(case: str) -> None:
    name, method, alter = CASES[case]
    recording, exchanges = recorded(name)
    at = next(place for place, one in enumerate(exchanges) if one.request.target == SERVICE + method)
    message: Any = wire_polaris.MESSAGES[SERVICE + method][1].FromString(exchanges[at].expected.body)
    alter(message)
    exchanges[at] = replace(exchanges[at], got=Answer("message", (), message.SerializeToString()))
    assert judge(recording, exchanges).failures


@pytest.mark.parametrize("alter", [drop_tag, set_to("content", "secret"), set_to("encrypted", False)])
def test_an_altered_encrypted_file_fails(alter: Alter) -> None:
    recording, exchanges = recorded(PROBE)
    at = next(place for place, one in enumerate(exchanges) if b"internal-datakey" in one.expected.body)
    message: Any = wire_polaris.MESSAGES[SERVICE + "GetConfigFile"][1].FromString(exchanges[at].expected.body)
    alter(message)
    exchanges[at] = replace(exchanges[at], got=Answer("message", (), message.SerializeToString()))
    assert judge(recording, exchanges).failures


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"name": "hp5358537g"', '"name": "other"'),
        ('"status": "normal"', '"status": "betaing"'),
        ('"type": "normal"', '"type": "delete"'),
        ('"modifyBy": ""', '"modifyBy": "somebody"'),
        ('"releaseTime": "1754-08-30 22:43:41"', '"releaseTime": "never"'),
        ('"content": "a: 2"', '"content": "a: 1"'),
    ],
)
def test_an_altered_console_answer_fails(old: str, new: str) -> None:
    recording, exchanges = recorded(HTTP)
    at = next(
        place
        for place, one in enumerate(exchanges)
        if "/config/v1/" in one.request.target and old.encode() in one.got.body
    )
    body = exchanges[at].got.body.replace(old.encode(), new.encode())
    exchanges[at] = replace(exchanges[at], got=replace(exchanges[at].got, body=body))
    assert judge(recording, exchanges).failures


def test_a_version_that_grew_without_a_gray_release_fails() -> None:
    recording, exchanges = recorded(HTTP)
    gray = next(place for place, one in enumerate(exchanges) if b'"releaseType": "gray"' in one.request.body)
    at = next(
        place
        for place, one in enumerate(exchanges)
        if one.request.target.startswith("/config/v1/GetConfigFile") and place > gray
    )
    body = exchanges[at].got.body.replace(b'"version": "1"', b'"version": "9"')
    assert body != exchanges[at].got.body
    later = replace(exchanges[at], got=replace(exchanges[at].got, body=body))
    assert judge(recording, [*exchanges[:at], later, *exchanges[at + 1 :]]).failures == []
    assert judge(recording, [*exchanges[:gray], later, *exchanges[at + 1 :]]).failures
