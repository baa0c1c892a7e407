"""Governance rules as parts of resources. Pure: rules in, parts and what cannot be expressed out."""
