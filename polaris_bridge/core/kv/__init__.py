"""Keys and values: entries with locks, the sessions that hold them, and who waits for which key.

Over the core's documents and ledger, so that one transaction may hold keys, registrations and configuration together.
"""
