"""Native calls as gRPC methods and HTTP routes."""
