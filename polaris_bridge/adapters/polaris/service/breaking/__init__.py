"""Circuit breaking for whoever has no SDK: what callers tell, what the server probes itself, and what everybody sees of it."""
