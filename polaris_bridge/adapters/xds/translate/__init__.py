"""Core values to xDS resources. Pure functions."""
