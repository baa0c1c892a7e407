"""Who may do what: accounts and policies as values, a directory of them, and decisions as pure functions over it."""
