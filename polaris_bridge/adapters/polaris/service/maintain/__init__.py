"""The maintain API: what those who operate the server ask of it and do to it."""
