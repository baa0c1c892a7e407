"""Eureka REST: what Netflix and Spring Cloud clients of any version speak."""

from __future__ import annotations

from typing import Final

CLAIM: Final = "Eureka 2.0.5"
"""The server and version whose answers these are."""
