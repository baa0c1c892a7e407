"""Calls about accounts: users, groups, policies, roles, and logging in."""
