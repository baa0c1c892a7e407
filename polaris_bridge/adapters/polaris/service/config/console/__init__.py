"""What consoles and scripts do with the configuration centre (``/config/v1``)."""
