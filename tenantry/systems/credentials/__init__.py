"""Credentials: robots of Harbor and clients of Keycloak, and the Secrets that hold theirs."""
