"""The canonical core: one model of services, registrations and their liveness that every protocol is translated into.

Imports the standard library and msgspec only. No clock, no socket, no event loop: time, storage and scheduling come in
through ``core.ports``. ``core.registry.Registry`` is the door; ``core.model`` holds the values.
"""
