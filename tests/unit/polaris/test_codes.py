"""Codes: the texts that a real server sends, the statuses, and the languages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from polaris_bridge.adapters.polaris.wire import codes, v1

TABLE = Path(__file__).parent / "data/polaris-codes.tsv"
ROWS = [tuple(row.split("\t")) for row in TABLE.read_text(encoding="utf-8").splitlines()[1:]]


@pytest.mark.parametrize(("code", "name", "status", "text", "since"), ROWS, ids=[row[0] for row in ROWS])
def test_a_code_is_that_of_the_table(code: str, name: str, status: str, text: str, since: str) -> None:
    number = int(code)
    assert getattr(v1, name) == number
    assert codes.name(number) == name
    assert codes.http_status(number) == int(status or 500)
    assert codes.info(number) == text if text else codes.info(number)


def test_every_code_of_the_specification_has_both_texts_and_no_other_has() -> None:
    assert set(codes.TEXTS) == set(v1.MESSAGES.enum("v1.Code").values()) == {int(row[0]) for row in ROWS}
    for english, chinese in codes.TEXTS.values():
        assert english.isascii()
        assert re.search("[一-鿿]", chinese)


def test_no_two_codes_share_a_text() -> None:
    for column in zip(*codes.TEXTS.values(), strict=True):
        assert len(set(column)) == len(column)


def test_a_number_that_is_no_code() -> None:
    assert (codes.info(1), codes.name(1), codes.http_status(1)) == ("", "1", 500)
    assert codes.translate(1, "", codes.CHINESE) == ""


def test_only_the_standard_text_is_translated() -> None:
    assert codes.translate(v1.NotFoundResource, "not found resource", codes.CHINESE) == "资源不存在"
    assert codes.translate(v1.NotFoundResource, "not found resource", codes.ENGLISH) == "not found resource"
    assert (
        codes.translate(v1.BadRequest, "bad request: service is alias", codes.CHINESE)
        == "bad request: service is alias"
    )


@pytest.mark.parametrize(
    ("lang", "accept", "language"),
    [
        ("", "", "en"),
        ("zh", "", "zh"),
        ("zh-CN", "en", "zh"),
        ("zh_CN", "en", "zh"),
        ("en", "zh", "en"),
        ("fr", "zh", "zh"),
        ("fr", "de", "en"),
        ("", "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("", "en;q=0.8, zh;q=0.9", "zh"),
        ("", "en-US,zh", "en"),
        ("", "zh;q=0, en;q=0.1", "en"),
        ("", "zh;q=0", "en"),
        ("", "zh;q=nan", "en"),
        ("", "zh;level=1", "zh"),
        ("", ";;,,q=", "en"),
        ("", "*", "en"),
    ],
)
def test_the_language_of_an_answer(lang: str, accept: str, language: str) -> None:
    assert codes.language(lang, accept) == language
