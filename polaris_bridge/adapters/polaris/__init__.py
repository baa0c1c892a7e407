"""Native PolarisMesh: gRPC and HTTP."""
