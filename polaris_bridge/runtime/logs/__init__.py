"""Log files by scope, written by one thread of their own so that no request waits for a disk.

``options`` says what can be set, ``rotation`` is one file, ``writer`` the thread, ``setup`` ties loggers to files.
"""

from .options import SCOPES, LoggerOptions
from .setup import ROOT, Logs, scope

__all__ = ["ROOT", "SCOPES", "LoggerOptions", "Logs", "scope"]
