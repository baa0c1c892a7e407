"""Where calls go: rules, a service at a revision and a caller in; ordered, weighted groups of instances out."""
