"""Eureka REST: what Netflix and Spring Cloud clients of any version speak."""
