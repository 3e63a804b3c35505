"""A simulated Keycloak 26.7: the token endpoint and the admin REST API that Tenantry uses.

It rejects and silently ignores the same requests as a real Keycloak, with the same status and body:
an unmanaged attribute is dropped, a PUT of a client does not change its scopes, a list ends after
100 items.

It does not simulate: logins through another identity provider and the effects of its mappers, admin
permissions other than those of the administrator, required actions and password policies, events,
organizations, components, authentication flows, authorization services, SAML, export, and import of
anything but users. Requests to those paths of the admin API get 501 and a message.
"""

from .server import SimulatedKeycloak
from .state import Group, Realm, User

__all__ = ["Group", "Realm", "SimulatedKeycloak", "User"]
