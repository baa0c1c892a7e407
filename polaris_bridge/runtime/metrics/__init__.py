"""What the server counts and measures, and how ``/metrics`` shows it.

Hot paths touch plain dicts only (``calls``, ``tallies``); prometheus_client is imported at the first scrape, which turns them
into its text. ``names`` lists every metric there is; ``census`` is what the wiring has to say at a scrape.
"""

from .calls import CallStats, CallWindow
from .census import Census, ServiceCount, SourceCount
from .exposition import CONTENT_TYPE, Metrics
from .lag import LoopLag
from .tallies import Spread, Tally

__all__ = [
    "CONTENT_TYPE",
    "CallStats",
    "CallWindow",
    "Census",
    "LoopLag",
    "Metrics",
    "ServiceCount",
    "SourceCount",
    "Spread",
    "Tally",
]
