"""System endpoints of Harbor 2.15.2: health, systeminfo, permissions, statistics, audit log.

Not simulated: log entries about images.
"""

from starlette.responses import Response

from tenantry.sandbox.harbor import access
from tenantry.sandbox.harbor.grants import CATALOGUE, PROJECT_ADMIN
from tenantry.sandbox.harbor.routing import Call, routes
from tenantry.sandbox.harbor.wire import Refusal, answer, stamp

VERSION = "v2.15.2-5f0cd1e5"
_COMPONENTS = ("core", "database", "jobservice", "portal", "redis", "registry", "registryctl")


@routes.api("GET", "/ping")
def ping(call: Call) -> Response:
    """Return a fixed text."""
    return Response("Pong", headers={"content-type": "text/plain"})


@routes.api("GET", "/health")
def health(call: Call) -> Response:
    """Return the health of the components, always with status 200."""
    unhealthy = call.harbor.unhealthy
    components = [
        {"name": name, "status": "unhealthy", "error": unhealthy[name]}
        if name in unhealthy
        else {"name": name, "status": "healthy"}
        for name in _COMPONENTS
    ]
    return answer({"components": components, "status": "unhealthy" if unhealthy else "healthy"})


@routes.api("GET", "/systeminfo")
def systeminfo(call: Call) -> Response:
    """Return five keys to all callers, and the others to authenticated ones.

    A wrong password is not an error.
    """
    harbor, settings = call.harbor, call.harbor.configuration
    oidc = settings["auth_mode"] == "oidc_auth"
    info = {
        "auth_mode": settings["auth_mode"],
        "banner_message": settings["banner_message"],
        "oidc_provider_name": settings["oidc_name"] if oidc else "",
        "primary_auth_mode": settings["primary_auth_mode"],
        "self_registration": settings["self_registration"],
    }
    if call.caller.known:
        info |= {
            "current_time": stamp(harbor.clock.now()),
            "external_url": harbor.ext_endpoint,
            "harbor_version": harbor.version,
            "has_ca_root": False,
            "notification_enable": settings["notification_enable"],
            "project_creation_restriction": settings["project_creation_restriction"],
            "read_only": settings["read_only"],
            "registry_storage_provider_name": "filesystem",
            "registry_url": harbor.ext_endpoint.partition("://")[2],
        }
    return answer(info)


@routes.api("GET", "/statistics")
def statistics(call: Call) -> Response:
    """Return the numbers of projects and repositories. Only the caller's private ones count."""
    access.require_known(call.caller)
    user, harbor = call.caller.user, call.harbor
    public = [p for p in harbor.projects.values() if p.public]
    private = [
        p
        for p in harbor.projects.values()
        if not p.public and user and access.roles(harbor, user, p)
    ]
    counts = {"private": private, "public": public}
    if call.caller.admin:
        counts["total"] = [*private, *public]
    counted: dict[str, int] = {}
    for kind, found in counts.items():
        counted[f"{kind}_project_count"] = len(found)
        counted[f"{kind}_repo_count"] = sum(len(p.repositories) for p in found)
    if call.caller.admin:
        used = [p.quota.used for p in harbor.projects.values() if p.quota]
        counted["total_storage_consumption"] = sum(used)
    return answer(counted)


@routes.api("GET", "/audit-logs")
def former_audit_log(call: Call) -> Response:
    """Return the log of versions before 2.13, which gets no new entries."""
    listing = call.listing
    call.require("list", "audit-log")
    return listing.answer([], lambda row: row)


@routes.api("GET", "/auditlog-exts")
def audit_log(call: Call) -> Response:
    """Return the creations and deletions of projects, latest first."""
    listing = call.listing
    call.require("list", "audit-log")
    rows = list(reversed(call.harbor.state.audit))
    fields = {
        key: (lambda row, key=key: row[key])
        for key in ("operation", "resource", "resource_type", "username", "op_time")
    }
    return listing.answer(listing.select(rows, fields), lambda row: row)


@routes.api("GET", "/permissions")
def permissions(call: Call) -> Response:
    """Return the permissions that robots can be granted."""
    access.require_known(call.caller)
    user, harbor = call.caller.user, call.harbor
    administers = user is not None and any(
        PROJECT_ADMIN in access.roles(harbor, user, p) for p in harbor.projects.values()
    )
    if not (call.caller.admin or administers):
        raise Refusal(403, "forbidden: only admins(system and project) can access permissions")
    return answer(
        {
            kind: [
                {"resource": resource, "action": action}
                for resource, actions in grantable.items()
                for action in actions
            ]
            for kind, grantable in CATALOGUE.items()
        }
    )
