"""polaris-bridge: one service registry that every registry client already knows how to talk to."""

__version__ = "0.1.0"
