"""Governance rules as data: kept, checked, listed and delivered; evaluated by clients.

``kinds`` is the table of what there is; ``writing`` and ``listing`` work on any kind; ``delivery`` is what Discover says.
"""
