"""Section ``migration``: copying between this server and registries elsewhere."""

from .fields import Section, key


class Migration(Section):
    """How this server is known to others that copy."""

    id: str = key(
        "here",
        "What this server is called in the marks of copies. Give each of several servers that copy from one another the id by "
        "which the others know it: then no instance comes back to where it registered.",
        pattern="[a-z0-9][a-z0-9_.-]{0,31}",
    )
