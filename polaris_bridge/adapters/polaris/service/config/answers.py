"""The shapes of what clients of the configuration centre are answered: a code, its text, and a file or a list."""

from __future__ import annotations

from typing import Final

from polaris_bridge.adapters.polaris.answers import bare, text
from polaris_bridge.adapters.polaris.view import field
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.config.model import FileKey

OK: Final[int] = v1.ExecuteSuccess
UNCHANGED: Final[int] = v1.DataNoChange
NOT_FOUND: Final[int] = v1.NotFoundResource

FILE: Final[int] = v1.ConfigClientResponse.DESCRIPTOR.fields_by_name["configFile"].number
SILENCE: Final = v1.ConfigClientResponse(code={"value": UNCHANGED}).SerializeToString()
"""What ends a watch of which nothing came: a code without its text, as on the real server."""


def client(code: int, info: str | None = None, file: v1.ClientConfigFileInfo | None = None) -> v1.ConfigClientResponse:
    """An answer with the code's own text, or another one."""
    answer = v1.ConfigClientResponse.FromString(bare(code))
    if info is not None:
        answer.info.value = info
    if file is not None:
        answer.configFile.CopyFrom(file)
    return answer


def with_file(code: int, file: v1.ClientConfigFileInfo) -> bytes:
    """An encoded answer about a file."""
    return bare(code) + field(FILE, file.SerializeToString())


def files(code: int, info: str | None = None) -> v1.ConfigClientListResponse:
    """A list without files."""
    answer = v1.ConfigClientListResponse.FromString(bare(code))
    if info is not None:
        answer.info.value = info
    return answer


def discovered(code: int, type: int, info: str | None = None) -> v1.ConfigDiscoverResponse:
    """An answer of a stream, without content."""
    return v1.ConfigDiscoverResponse(code=code, info=text(code) if info is None else info, type=type)


def unnamed(key: FileKey) -> str:
    """What a question does not name, in the words of the real server; empty when it names everything."""
    return next((_UNNAMED[at] for at, name in enumerate(key) if not name), "")


_UNNAMED: Final = ("namespace is empty", "file group is empty", "filename is empty")
NO_NAMESPACE, NO_GROUP, _ = _UNNAMED
