"""Bytes and messages of Nacos: pure codecs, nothing of the core."""
