"""HTTP routes and DNS ports: from requests to service calls and back."""
