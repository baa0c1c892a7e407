"""The plugins of the configuration file: operation records, instance events, call statistics, allowed addresses.

Each is a plain object that the wiring builds from its options and hands to whoever has something to tell it. Sinks are
called on the event loop: they put an immutable value into the log queue and go on; the log thread makes the text.
"""

from .discover_event import DiscoverEventLog
from .history import HistoryLog
from .statis import DiscoverStat, LocalStatis
from .whitelist import Whitelist

__all__ = ["DiscoverEventLog", "DiscoverStat", "HistoryLog", "LocalStatis", "Whitelist"]
