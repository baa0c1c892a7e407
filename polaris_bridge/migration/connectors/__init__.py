"""What speaks to each kind of registry. Every one passes ``tests/unit/migration/test_connectors.py``."""
