"""What Consul calls decide, on decoded values."""
