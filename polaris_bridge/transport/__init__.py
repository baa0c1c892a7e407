"""gRPC without a word of registries: what handlers see of calls, and the servers that carry them."""
