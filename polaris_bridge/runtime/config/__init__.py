"""The configuration file ``polaris-server.yaml``: PolarisMesh's format, checked, with a place for every error.

``load`` reads a file, ``check`` lists its errors; sections live in one module a family, ``shape`` walks them beside the tree.
"""

from .bootstrap import LogScope, StartInOrder
from .eureka import EurekaOptions
from .listener_options import ConnLimit, ListenerOptions, Tls
from .listeners import EurekaListener, HttpListener, HttpOptions, Listener
from .loader import Loaded, check, load, loads, shipped_file
from .maintain import CleanDeletedInstances, DeleteEmptyAutoCreatedService, DeleteUnHealthyInstance, Job
from .naming import Batch, SelfProtection
from .plugin import Plugins
from .problems import ConfigError, Place, Problem
from .root import Config
from .store import BoltStore, MemoryStore, SqliteStore

__all__ = [
    "Batch",
    "BoltStore",
    "CleanDeletedInstances",
    "Config",
    "ConfigError",
    "ConnLimit",
    "DeleteEmptyAutoCreatedService",
    "DeleteUnHealthyInstance",
    "EurekaListener",
    "EurekaOptions",
    "HttpListener",
    "HttpOptions",
    "Job",
    "Listener",
    "ListenerOptions",
    "Loaded",
    "LogScope",
    "MemoryStore",
    "Place",
    "Plugins",
    "Problem",
    "SelfProtection",
    "SqliteStore",
    "StartInOrder",
    "Tls",
    "check",
    "load",
    "loads",
    "shipped_file",
]
