"""Native messages to core values and back. Pure."""
