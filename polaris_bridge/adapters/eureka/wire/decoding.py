"""Decoding by content type: the entry points for bodies that may be JSON or XML."""

from __future__ import annotations

from .json_in import decode_applications_json, decode_instance_json
from .messages import Applications, InstanceInfo, Malformed
from .negotiation import body_format
from .xml_in import decode_applications_xml, decode_instance_xml


def decode_instance(body: bytes, content_type: str) -> InstanceInfo:
    """A registration body. Raises Malformed, also for a content type that ``body_format`` refuses."""
    format_ = body_format(content_type)
    if format_ is None:
        raise Malformed("content-type", "expected application/json or application/xml")
    return decode_instance_json(body) if format_ == "json" else decode_instance_xml(body)


def decode_applications(body: bytes, content_type: str) -> Applications:
    """A document that a server sent (applications, one application, one instance, full or compact). Raises Malformed."""
    format_ = body_format(content_type)
    if format_ is None:
        raise Malformed("content-type", "expected application/json or application/xml")
    return decode_applications_json(body) if format_ == "json" else decode_applications_xml(body)
