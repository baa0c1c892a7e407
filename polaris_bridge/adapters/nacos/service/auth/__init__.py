"""Accounts for Nacos clients: logins and access tokens, and the directory in the shape of users, roles and permissions."""
