"""Protobuf messages in a descriptor pool of our own.

Generated modules of protoc register themselves in the process's default pool, where a second declaration of the same
package (that of a client library in a user's test process) is an error. Ours are built from a descriptor set instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

__all__ = ["DecodeError", "Message", "Messages"]


class Messages:
    """The message classes of one descriptor set."""

    def __init__(self, descriptor_set: Path) -> None:
        """Reads a file that ``make protos`` wrote."""
        self.pool = DescriptorPool()
        self.files: Final = {
            file.name: file for file in map(self.pool.AddSerializedFile, _files(descriptor_set.read_bytes()))
        }
        """The descriptors of the .proto files by name, those of the well-known types included."""

    def message(self, full_name: str) -> Any:
        """The class of a message. KeyError when there is none."""
        return GetMessageClass(self.pool.FindMessageTypeByName(full_name))

    def enum(self, full_name: str) -> dict[str, int]:
        """The numbers of an enum by name. KeyError when there is none."""
        values = self.pool.FindEnumTypeByName(full_name).values
        return {value.name: value.number for value in values}


def _files(descriptor_set: bytes) -> Iterator[bytes]:
    """The files of a serialized FileDescriptorSet, which is one repeated field of them.

    Its own class is not asked: the module that has it takes longer to load than all that is needed here.
    """
    at = 0
    while at < len(descriptor_set):
        length, shift = 0, 0
        at += 1  # the field's tag
        while True:
            digit = descriptor_set[at]
            length |= (digit & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if digit < 0x80:
                break
        yield descriptor_set[at : at + length]
        at += length
