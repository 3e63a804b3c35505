"""Keycloak: groups, clients, identity providers, the realm."""
