"""The recorded bytes of real clients and servers: every document is read and written back to the same bytes."""

from __future__ import annotations

from collections import Counter

import orjson
import pytest
from wire_recordings import ALL, BATCHES, DOCUMENTS, REGISTRATIONS, Exchange

from polaris_bridge.adapters.eureka.wire import (
    VARIANTS,
    Format,
    InstanceInfo,
    Malformed,
    ReplicationAnswer,
    body_format,
    count_statuses,
    decode_applications,
    decode_batch,
    decode_instance,
    encode_answers,
    entity_format,
    first_defect,
    hash_code,
    list_variant,
    parse_error,
)


def _format(body: bytes) -> Format:
    return "json" if body.startswith(b"{") else "xml"


def _written(exchange: Exchange) -> bytes:
    """The recorded answer after reading and writing it."""
    format_ = _format(exchange.response)
    compact = exchange.request_headers.get("x-eureka-accept") == "compact"
    variant = VARIANTS[format_, "compact" if compact else "full"]
    read = decode_applications(exchange.response, f"application/{format_}")
    root = exchange.response.lstrip(b'{"<').split(b'"')[0].split(b">")[0]
    if root == b"instance":
        return variant.instance_document(read.instances[0])
    applications: dict[str, list[InstanceInfo]] = {}
    for info in read.instances:
        applications.setdefault(info.app, []).append(info)
    if root == b"application":
        ((app, members),) = applications.items()
        return variant.application_document(app, map(variant.fragment, members))
    parts = [variant.application(app, map(variant.fragment, members)) for app, members in applications.items()]
    assert read.version is not None
    assert read.hash_code is not None
    return variant.applications_document(parts, read.version, read.hash_code)


@pytest.mark.parametrize("exchange", DOCUMENTS, ids=str)
def test_a_servers_document_is_written_back_to_the_same_bytes(exchange: Exchange) -> None:
    assert _written(exchange) == exchange.response


def test_the_recordings_cover_the_forms() -> None:
    roots = {(_format(e.response), e.request_headers.get("x-eureka-accept", "full")) for e in DOCUMENTS}
    assert roots == {("json", "full"), ("json", "compact"), ("xml", "full")}
    assert any(b"com.netflix.appinfo.AmazonInfo" in e.response and _format(e.response) == "xml" for e in DOCUMENTS)


@pytest.mark.parametrize("exchange", REGISTRATIONS, ids=str)
def test_a_registration_gets_the_recorded_verdict(exchange: Exchange) -> None:
    content_type = exchange.request_headers.get("content-type")
    if body_format(content_type) is None:
        assert exchange.status == 415
        return
    assert content_type is not None
    try:
        info = decode_instance(exchange.request, content_type)
    except Malformed:
        assert exchange.status == 400
        assert parse_error(_format(b"{")) == (exchange.response_headers["content-type"], exchange.response)
        return
    defect = first_defect(info, exchange.target.rpartition("/")[2])
    assert defect == (exchange.response.decode() if exchange.status == 400 else None)
    assert exchange.status == (204 if defect is None else 400)


def test_every_verdict_was_recorded() -> None:
    assert Counter(e.status for e in REGISTRATIONS) == {204: 25, 400: 12, 415: 2}


@pytest.mark.parametrize("exchange", BATCHES, ids=str)
def test_a_batch_answer_is_written_back_to_the_same_bytes(exchange: Exchange) -> None:
    format_ = _format(exchange.response)
    items = decode_batch(exchange.request).items
    if format_ == "xml":
        assert encode_answers([], "xml") == exchange.response
        return
    recorded = orjson.loads(exchange.response)["responseList"]
    assert len(recorded) == len(items)
    answers = []
    for answer in recorded:
        entity = answer.get("responseEntity")
        document = None if entity is None else orjson.dumps({"instance": entity})
        instance = None if document is None else decode_instance(document, "application/json")
        answers.append(ReplicationAnswer(answer["statusCode"], instance))
    assert encode_answers(answers) == exchange.response


def test_a_recorded_batch_is_read_in_full() -> None:
    calls = Counter((item.action, item.instance is not None) for e in BATCHES for item in decode_batch(e.request).items)
    assert {action for action, _ in calls} >= {
        "Register",
        "Heartbeat",
        "StatusUpdate",
        "DeleteStatusOverride",
        "Cancel",
    }
    assert all(has_instance == (action == "Register") for action, has_instance in calls)


LISTS = [e for e in ALL if e.method == "GET" and e.target.startswith("/eureka/apps") and e.target.count("/") == 3]


@pytest.mark.parametrize("exchange", LISTS, ids=str)
def test_the_format_of_a_list_is_the_recorded_one(exchange: Exchange) -> None:
    headers = exchange.request_headers
    variant = list_variant(headers.get("accept"), headers.get("x-eureka-accept"))
    if exchange.status == 406:
        assert variant is None
        return
    assert variant is not None
    assert variant.format == _format(exchange.response)
    mislabelled = headers.get("accept") == "application/xml, application/json"
    assert (variant.content_type == exchange.response_headers["content-type"]) is not mislabelled


def test_the_format_of_a_by_id_answer_is_the_recorded_one() -> None:
    by_id = [e for e in ALL if e.target.startswith("/eureka/apps/") and e.target.count("/") == 4 and e.response]
    assert {entity_format(e.request_headers.get("accept")) == _format(e.response) for e in by_id} == {True}
    assert {_format(e.response) for e in by_id} == {"json", "xml"}


def test_the_hash_code_is_that_of_the_listed_statuses() -> None:
    """Holds for full lists; a delta carries the hash of everything."""
    full = [e for e in DOCUMENTS if e.target in ("/eureka/apps", "/eureka/apps/")]
    assert full
    for exchange in full:
        read = decode_applications(exchange.response, f"application/{_format(exchange.response)}")
        assert hash_code(count_statuses(read.instances)) == read.hash_code
