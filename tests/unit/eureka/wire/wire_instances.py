"""Hypothesis strategies: any instance that a client may register or a server may hold, and what XML loses of it."""

from __future__ import annotations

import re

import msgspec
from hypothesis import strategies as st

from polaris_bridge.adapters.eureka.wire import (
    AMAZON_CLASS,
    STATUSES,
    DataCenterInfo,
    InstanceInfo,
    LeaseInfo,
    Port,
)

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
optional_texts = st.none() | texts
longs = st.integers(-(2**63), 2**63 - 1)
ints = st.integers(-(2**31), 2**31 - 1)
seconds = st.integers(1, 2**31 - 1)
statuses = st.sampled_from(STATUSES)
keys = st.text(st.characters(exclude_categories=("Cs",)) | st.sampled_from("_$.-: 1/@<&"), max_size=8).filter(
    lambda key: key != "@class"
)
metadata = st.dictionaries(keys, texts, max_size=4)
upper_texts = texts.map(str.upper).filter(lambda text: text == text.upper())
centers = st.one_of(
    st.none(),
    st.sampled_from(("MyOwn", "Netflix", None)).map(DataCenterInfo),
    metadata.map(lambda pairs: DataCenterInfo("Amazon", AMAZON_CLASS, pairs)),
)
instances = st.builds(
    InstanceInfo,
    app=upper_texts,
    instance_id=optional_texts,
    host_name=st.none() | texts.filter(bool),
    ip_addr=optional_texts,
    sid=st.none() | texts.filter(lambda text: text not in ("na", "unknown")),
    status=statuses,
    overridden_status=statuses,
    port=st.builds(Port, ints, st.booleans()),
    secure_port=st.builds(Port, ints, st.booleans()),
    country_id=ints,
    data_center=centers,
    lease=st.builds(LeaseInfo, seconds, seconds, longs, longs, longs, longs),
    metadata=metadata,
    app_group_name=st.none() | upper_texts,
    home_page_url=optional_texts,
    status_page_url=optional_texts,
    health_check_url=optional_texts,
    secure_health_check_url=optional_texts,
    vip_address=optional_texts,
    secure_vip_address=optional_texts,
    is_coordinating_discovery_server=st.booleans(),
    last_updated_ms=st.none() | longs,
    last_dirty_ms=st.none() | longs,
    action_type=st.sampled_from((None, "ADDED", "MODIFIED", "DELETED")),
    asg_name=optional_texts,
)

_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def as_xml_keeps_it(info: InstanceInfo) -> InstanceInfo:
    """What XML can carry: characters that it forbids in text are replaced, a data centre without a name is none."""

    def kept(value: object) -> object:
        if isinstance(value, str):
            return _NOT_IN_XML.sub("\ufffd", value)
        if isinstance(value, dict):
            return {key: kept(item) for key, item in value.items()}
        return value

    center = info.data_center
    if center is not None:
        center = None if center.name is None else DataCenterInfo(center.name, center.cls, kept(center.metadata))
    fields = {name: kept(getattr(info, name)) for name in InstanceInfo.__struct_fields__}
    return msgspec.structs.replace(InstanceInfo(**fields), data_center=center)
