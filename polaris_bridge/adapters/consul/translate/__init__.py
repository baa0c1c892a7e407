"""Consul values to core values and back."""
