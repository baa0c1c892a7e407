"""Protobuf messages in a descriptor pool of our own.

Generated modules of protoc register themselves in the process's default pool, where a second declaration of the same
package (that of a client library in a user's test process) is an error. Ours are built from a descriptor set instead.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

__all__ = ["DecodeError", "Message", "Messages"]


class Messages:
    """The message classes of one descriptor set."""

    def __init__(self, descriptor_set: Path) -> None:
        """Reads a file that ``make protos`` wrote."""
        self.pool = DescriptorPool()
        for file in FileDescriptorSet.FromString(descriptor_set.read_bytes()).file:
            self.pool.Add(file)

    def message(self, full_name: str) -> Any:
        """The class of a message. KeyError when there is none."""
        return GetMessageClass(self.pool.FindMessageTypeByName(full_name))

    def enum(self, full_name: str) -> dict[str, int]:
        """The numbers of an enum by name. KeyError when there is none."""
        values = self.pool.FindEnumTypeByName(full_name).values
        return {value.name: value.number for value in values}
