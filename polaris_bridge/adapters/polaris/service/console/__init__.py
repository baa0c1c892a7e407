"""The console API: what operators and their tools do with namespaces, services, aliases and instances."""
