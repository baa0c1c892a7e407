"""The decisions of migration, as pure functions: what is copied, what differs, what may be removed, which stage comes next."""
