"""A simulated Keycloak 26.7: the token endpoint and the admin REST API that Tenantry uses.

What a real Keycloak refuses or silently ignores, this one refuses or ignores too, with the same
status and body: an unmanaged attribute that vanishes, a PUT of a client that leaves its scopes as
they were, a list that stops after a hundred.

It does not simulate: the login pages and the authorization code flow (`login` stands for them),
signing in through another identity provider and what its mappers would do, admin permissions finer
than "is an administrator or isn't", required actions and password policies, events, organizations,
components, authentication flows, authorization services, SAML, import and export, rotation of
client secrets. Of those paths of the admin API it answers 501 and says which one is missing.
"""

from .server import SimulatedKeycloak
from .state import Group, Realm, User

__all__ = ["Group", "Realm", "SimulatedKeycloak", "User"]
