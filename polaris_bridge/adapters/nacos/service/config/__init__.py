"""Configuration as Nacos clients, operators and consoles know it."""
