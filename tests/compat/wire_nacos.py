"""Nacos messages as trees: payloads over gRPC, pushes over UDP, JSON and text over HTTP; and clients' answers to the server."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Sequence
from typing import Any

from polaris_bridge.adapters.nacos.wire.payload import Malformed, Payload, decode, encode

from . import bodies
from .bodies import Tree
from .exchange import Exchange
from .recording import Answer
from .substitution import Substitution


def kind_of(message: bytes) -> str:
    """The type that a payload names."""
    return decode(message).type


def read(exchange: Exchange, answer: Answer) -> tuple[str, Tree]:
    """Format and tree of an answer. A payload is its type, its members and what stands around them; a push over UDP is its
    list, with the number of the packet."""
    if exchange.request.method == "udp" and answer.body:
        return "push", pushed(answer.body)
    if exchange.request.method != "grpc" or answer.status != "message":
        return bodies.decode(answer.body, answer.header("content-encoding"))
    try:
        payload = decode(answer.body)
    except Malformed:
        return "bytes", answer.body.hex()
    around = {"type": payload.type, "clientIp": payload.client_ip, "headers": payload.headers}
    return "payload", {"payload": around, **json.loads(payload.body)}


def pushed(packet: bytes) -> dict[str, Any]:
    """A packet with the list in it unpacked."""
    tree: dict[str, Any] = json.loads(packet)
    return tree | {"data": json.loads(tree["data"])} if tree.get("data") else tree


def list_in(tree: Tree) -> dict[str, Any] | None:
    """The list of instances that an answer carries, with the service's plain name; None: it carries none."""
    if not isinstance(tree, dict):
        return None
    found = tree.get("serviceInfo") or tree.get("data") or tree
    if not isinstance(found, dict) or "hosts" not in found:
        return None
    group, grouped, name = found["name"].rpartition("@@")
    return found | {"name": name, "groupName": group if grouped else found["groupName"]}


def message_key(message: bytes) -> Hashable:
    """What the server says unasked finds its counterpart by what it tells; answers come in order."""
    if message[:1] == b"{":
        return "udp", _told(list_in(pushed(message)))
    payload = decode(message)
    if not payload.type.endswith("Request"):
        return None
    return payload.type, _told(list_in(json.loads(payload.body)))


def _told(listed: dict[str, Any] | None) -> str:
    if listed is None:
        return ""
    hosts = sorted((json.dumps(host, sort_keys=True) for host in listed["hosts"]), key=str)
    return json.dumps([listed["groupName"], listed["name"], listed["clusters"], hosts])


def rewrite(_method: str, message: bytes, known: Substitution) -> bytes:
    """A request with the live values in its headers and its body."""
    payload = decode(message)
    headers = {key: known.in_text(value) for key, value in payload.headers.items()}
    body = known.in_bytes(payload.body)
    if headers == payload.headers and body == payload.body:
        return message
    return encode(payload.type, body, headers.items(), payload.client_ip)


def answering(message: bytes, heard: Sequence[tuple[bytes, bytes]]) -> bytes | None:
    """A client's acknowledgement with the number under which the live server asked; None when it did not ask.

    What is no acknowledgement stays as it is.
    """
    if message[:1] == b"{":
        return _packet_answer(message, heard)
    payload = decode(message)
    if not payload.type.endswith("Response"):
        return message
    named = json.loads(payload.body)["requestId"]
    live = next((_request_id(decode(b)) for a, b in reversed(heard) if _request_id(decode(a)) == named), None)
    if live is None:
        return None
    body = re.sub(rb'("requestId": ?)"[^"]*"', rb'\1"' + live.encode() + b'"', payload.body)
    return encode(payload.type, body, payload.headers.items(), payload.client_ip)


def _request_id(asked: Payload) -> str | None:
    found = json.loads(asked.body).get("requestId")
    return found if isinstance(found, str) else None


def _packet_answer(message: bytes, heard: Sequence[tuple[bytes, bytes]]) -> bytes | None:
    named = str(json.loads(message)["lastRefTime"])
    live = next((b for a, b in reversed(heard) if str(json.loads(a)["lastRefTime"]) == named), None)
    if live is None:
        return None
    return message.replace(named.encode(), str(json.loads(live)["lastRefTime"]).encode())
