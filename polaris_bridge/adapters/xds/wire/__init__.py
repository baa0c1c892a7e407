"""Bytes and messages of xDS. Pure."""
