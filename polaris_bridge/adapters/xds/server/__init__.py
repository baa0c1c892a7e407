"""gRPC methods and HTTP routes: bytes to what ``service`` knows, and back."""
