"""Which keys are files of the configuration centre, and under which keys a file is found.

``config/<group>/<file>`` is a file, ``config/<file>`` one of group ``default``. With Spring Cloud Consul's layout
``config/<application>[,<profile>]/data`` is the file ``<application>[,<profile>]/data`` of group ``config``. Every other key,
directory markers (a slash at the end) and names too long for a file included, has nothing to do with files.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from polaris_bridge.core.config.model import FileKey

PREFIX: Final = "config/"
DEFAULT_GROUP: Final = "default"
SPRING_GROUP: Final = "config"
SPRING_DATA: Final = "/data"

LONGEST_GROUP: Final = 128
LONGEST_FILE: Final = 256

_FORMATS: Final = {
    "json": "json", "xml": "xml", "yaml": "yaml", "yml": "yaml", "html": "html", "htm": "html", "toml": "toml",
    "properties": "properties",
}  # fmt: skip


class KeyRule(Struct, frozen=True):
    """The rule of one listener."""

    spring: bool = False
    """Whether Spring's layout counts."""

    def file(self, namespace: str, key: str) -> FileKey | None:
        """The file that a key is; None: it is plain."""
        if not key.startswith(PREFIX):
            return None
        rest = key[len(PREFIX) :]
        if self.spring and _is_spring(rest):
            return FileKey(namespace, SPRING_GROUP, rest) if len(rest) <= LONGEST_FILE else None
        group, slash, name = rest.partition("/")
        if not slash:
            group, name = DEFAULT_GROUP, rest
        if not group or not name or name.endswith("/") or len(group) > LONGEST_GROUP or len(name) > LONGEST_FILE:
            return None
        return FileKey(namespace, group, name)

    def key(self, file: FileKey) -> str | None:
        """The key of a file; None: no key means it."""
        if self.spring and file.group == SPRING_GROUP and _is_spring(file.name):
            found = PREFIX + file.name
        else:
            found = f"{PREFIX}{file.group}/{file.name}"
        return found if self.file(file.namespace, found) == file else None

    def short(self, file: FileKey) -> str | None:
        """The key without a group; None: the file has no such."""
        found = PREFIX + file.name
        return found if file.group == DEFAULT_GROUP and self.file(file.namespace, found) == file else None

    def others(self, file: FileKey) -> tuple[str, ...]:
        """Every further key that means a file, besides ``key``."""
        found = [self.short(file), f"{PREFIX}{file.group}/{file.name}"]
        own = self.key(file)
        return tuple(k for k in found if k is not None and k != own and self.file(file.namespace, k) == file)

    def groups(self, prefix: str) -> tuple[str, ...] | None:
        """The groups whose files may have keys below a prefix; None: all of them."""
        if not prefix.startswith(PREFIX):
            return None if PREFIX.startswith(prefix) else ()
        group, slash, _ = prefix[len(PREFIX) :].partition("/")
        if not slash:
            return None
        return (group, SPRING_GROUP) if self.spring and group != SPRING_GROUP else (group,)


def _is_spring(rest: str) -> bool:
    application = rest.removesuffix(SPRING_DATA)
    return application != rest and bool(application) and "/" not in application


def format_of(name: str) -> str:
    """The format that the end of a file's name speaks of."""
    return _FORMATS.get(name.rpartition(".")[2].lower(), "text") if "." in name else "text"
