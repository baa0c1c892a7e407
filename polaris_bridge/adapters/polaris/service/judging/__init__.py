"""Rate limits decided here, for callers that have no SDK to count: over HTTP, and for Envoy."""
