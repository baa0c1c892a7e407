"""Nacos naming for every client generation: 1.x over HTTP and UDP, 2.x and 3.x over gRPC, HTTP v1, v2 and v3 side by side."""
