"""Circuit breaking: when calls to something stop, when they begin again, and which instances everybody leaves alone meanwhile."""
