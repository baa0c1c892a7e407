"""Eureka's wire codec: bytes and header values to typed messages and back. Pure: no clock, no socket, no core."""

from .decoding import decode_applications, decode_instance
from .json_out import json_compact, json_full
from .messages import (
    AMAZON_CLASS,
    MY_OWN,
    OWN_DATA_CENTER_CLASS,
    STATUSES,
    Applications,
    DataCenterInfo,
    Format,
    InstanceInfo,
    LeaseInfo,
    Malformed,
    Port,
    ReplicationAnswer,
    ReplicationItem,
    ReplicationList,
    count_statuses,
    first_defect,
    hash_code,
)
from .negotiation import (
    accepts_gzip,
    body_format,
    entity_format,
    list_format,
    list_variant,
    parse_error,
    wants_compact,
)
from .replication import decode_batch, encode_answers, gunzip
from .variants import VARIANTS, Detail, Variant
from .xml_out import xml_compact, xml_full

__all__ = [
    "AMAZON_CLASS",
    "MY_OWN",
    "OWN_DATA_CENTER_CLASS",
    "STATUSES",
    "VARIANTS",
    "Applications",
    "DataCenterInfo",
    "Detail",
    "Format",
    "InstanceInfo",
    "LeaseInfo",
    "Malformed",
    "Port",
    "ReplicationAnswer",
    "ReplicationItem",
    "ReplicationList",
    "Variant",
    "accepts_gzip",
    "body_format",
    "count_statuses",
    "decode_applications",
    "decode_batch",
    "decode_instance",
    "encode_answers",
    "entity_format",
    "first_defect",
    "gunzip",
    "hash_code",
    "json_compact",
    "json_full",
    "list_format",
    "list_variant",
    "parse_error",
    "wants_compact",
    "xml_compact",
    "xml_full",
]
