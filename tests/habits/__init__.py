"""Habits of the repository that no type checker sees: words, documents, names, traces of machines."""
