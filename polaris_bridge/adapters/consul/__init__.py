"""Consul: HTTP API v1 and DNS, as one agent in server mode gives them."""
