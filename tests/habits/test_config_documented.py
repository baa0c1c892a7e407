"""Every key of the configuration file says what it does, and the page on it is that of the code."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic.fields import FieldInfo

from polaris_bridge.runtime.config import Config
from polaris_bridge.runtime.config.docs import render
from polaris_bridge.runtime.config.fields import HONOURED
from polaris_bridge.runtime.config.shape import Model, element, keys, sections

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def models(model: Model) -> Iterator[Model]:
    yield model
    for field in keys(model).values():
        inner = field.annotation
        while (item := element(inner)) is not None:
            inner = item
        for section in sections(inner):
            yield from models(section)


ALL = {model.__name__: model for model in models(Config)}


@pytest.mark.parametrize("name", sorted(ALL))
def test_every_key_is_described_and_declared(name):
    assert ALL[name].__doc__
    for key, field in keys(ALL[name]).items():
        assert isinstance(field, FieldInfo)
        assert len(field.description or "") > 4, f"{name}.{key} has no description"
        assert field.description.endswith((".", ")")), f"{name}.{key}: a description is a sentence"
        assert isinstance(field.json_schema_extra, dict), f"{name}.{key} does not say whether it works"
        assert isinstance(field.json_schema_extra[HONOURED], bool)


def test_the_page_is_that_of_the_code():
    remedy = "run: python -m polaris_bridge.runtime.config.docs"
    assert PAGE.read_text(encoding="utf-8") == render(), remedy
