"""Templates: contents to begin a file with. One list for all namespaces."""

from __future__ import annotations

from ..batches import Commit
from ..errors import Conflict, Invalid
from ..model import Caller
from .desk import Desk
from .model import CREATE, DELETE, OPEN, UPDATE, Door, Template, Text
from .shelf import id_of


class Templates:
    """All templates."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def get(self, name: str) -> Template | None:
        """One template as readers see it."""
        return self._desk.templates.published(id_of(name))

    def all(self) -> list[Template]:
        """Every template, oldest first."""
        return list(self._desk.templates.all())

    def put(
        self,
        name: str,
        content: bytes,
        caller: Caller,
        *,
        format: str = "text",
        comment: str = "",
        fresh: bool = False,
        door: Door = OPEN,
    ) -> tuple[Template, Commit]:
        """Create or replace; ``fresh``: raise ``Conflict`` when it exists. Raises ``Invalid``."""
        desk = self._desk
        before = desk.templates.newest(id_of(name))
        if not name:
            raise Invalid("template", "is empty")
        if before is not None and fresh:
            raise Conflict(f"template {name} exists")
        desk.checked(Text(format=format), content, door)
        with desk.operation("config-template", name, "", UPDATE if before else CREATE, caller) as commit:
            stamp = desk.stamp(caller)
            id, created = (before.id, before.created) if before is not None else (desk.number(), stamp)
            template = Template(name, id, content, format, comment, created, stamp)
            desk.templates.put(id_of(name), "", name, template)
        return template, commit

    def delete(self, name: str, caller: Caller) -> Commit | None:
        """Delete. None when there is none."""
        if self._desk.templates.newest(id_of(name)) is None:
            return None
        with self._desk.operation("config-template", name, "", DELETE, caller) as commit:
            self._desk.templates.drop(id_of(name))
        return commit
