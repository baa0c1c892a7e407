"""Tags of the form ``key=value`` for readers that know metadata alone."""

from __future__ import annotations

import pytest

from polaris_bridge.adapters._shared.tags import metadata_of
from polaris_bridge.adapters.eureka import translate as eureka
from polaris_bridge.adapters.eureka.settings import EurekaSettings
from polaris_bridge.adapters.nacos.translate import instances as nacos
from polaris_bridge.core.model import UP, Address, Registration
from polaris_bridge.core.views import shown


@pytest.mark.parametrize(
    ("tags", "metadata", "read"),
    [
        ((), {"a": "1"}, {"a": "1"}),
        (("plain", "=x"), {"a": "1"}, {"a": "1"}),
        (("b=2", "c=3=4", "b=9"), {"a": "1"}, {"a": "1", "b": "2", "c": "3=4"}),
        (("a=tag",), {"a": "1"}, {"a": "1"}),
    ],
)
def test_what_is_read(tags, metadata, read):
    r = Registration("consul", "default", "n|web", "web", "10.0.0.1", 80, tags=tags, metadata=metadata)
    assert metadata_of(r) == read
    (one,) = shown(Address("10.0.0.1", 80, "", (r,)), "nacos")
    assert nacos._foreign_host(one, Address("10.0.0.1", 80, "", (r,)), "DEFAULT_GROUP@@web", None).metadata == read
    assert r.metadata == metadata, "nothing is stored of it"


def test_eureka_reads_them_too():
    r = Registration("consul", "default", "n|web", "web", "10.0.0.1", 80, tags=("zone=z1",))
    assert eureka.render_foreign(r, "id", UP, "ADDED", EurekaSettings()).metadata == {"zone": "z1"}
