"""Bytes and text of Consul to values and back; knows nothing of the core."""
