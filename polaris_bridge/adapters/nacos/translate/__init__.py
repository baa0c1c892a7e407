"""Nacos messages to core values and back: pure, the tables of the mapping in code."""
