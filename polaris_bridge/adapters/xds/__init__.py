"""xDS v3: gRPC's own clients and Envoy, over ADS, the services of single types, and polling."""
