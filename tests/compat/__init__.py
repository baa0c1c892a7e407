"""Compatibility suite: recorded conversations of real clients with real servers, replayed against ours."""
