"""Where Nacos calls come in: gRPC methods, HTTP routes, UDP pushes."""
