"""Checks that the systems work together: from a user's login to an image pull, through the mesh.

Each check only reads. Its findings are configurations that exist but do not work. Drift, in
contrast, is a difference from the declared state.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial

from tenantry.answers import understood
from tenantry.checks import groups, login, mesh, ports, pull_secrets, reach, robots, tokens
from tenantry.checks.catalogue import CHECKS
from tenantry.checks.login import Login
from tenantry.checks.mesh import Mesh
from tenantry.checks.view import View
from tenantry.drift.findings import SYSTEMS, Finding, Report, Scope
from tenantry.drift.left_out import left_out
from tenantry.errors import TenantryError, as_tenantry_error
from tenantry.kinds import Kind
from tenantry.resources import Id
from tenantry.systems.systems import Systems

__all__ = ["CHECKS", "check_all", "report"]

_Work = list[tuple[str, Callable[[], Iterator[Finding]]]]

_OF_LOGIN: dict[str, Callable[[Login], Iterator[Finding]]] = {
    "issuer": login.issuer,
    "client secret": login.client_secret,
    "redirect URI": login.redirect_uri,
    "PKCE": login.pkce,
    "scopes": login.scopes,
    "claims": login.claims,
    "group type": groups.group_type,
    "group filter": groups.group_filter,
    "admin group": groups.admin_group,
    "robots": robots.robots,
    "robot prefix": robots.robot_prefix,
    "pull secrets": pull_secrets.pull_secrets,
    "keys": reach.keys,
}
_OF_MESH: dict[str, Callable[[Mesh], Iterator[Finding]]] = {
    "issuers in the mesh": tokens.issuers,
    "port names": ports.port_names,
    "port protocols": ports.port_protocols,
    "sidecars": ports.sidecars,
    "route order": mesh.route_order,
    "hosts": mesh.hosts,
    "destinations": mesh.destinations,
    "docker tokens": tokens.docker_tokens,
}

LEFT_OUT = "team files"
"""The name of the check that reports faulty files of the declared state."""


def check_all(systems: Systems) -> list[Finding]:
    """Return the findings of all checks, the critical ones first, including unreadable parts.

    If single sign-on is not configured, that is one finding, and the other login checks are skipped.
    """
    chain, between = Login(systems), Mesh(systems)
    work: _Work = [(name, partial(check, between)) for name, check in _OF_MESH.items()]
    of_login = _OF_LOGIN
    try:
        with understood("harbor", "read the configuration"):
            without = list(login.single_sign_on(chain))
    except TenantryError as error:
        absent = left_out(systems.state, None, LEFT_OUT)
        return [*absent, _unreadable(chain, "single sign-on", error), *_flat(chain, work)]
    if without:
        of_login = {name: _OF_LOGIN[name] for name in ("robots", "robot prefix", "pull secrets")}
    work += [(name, partial(check, chain)) for name, check in of_login.items()]
    found = [*left_out(systems.state, None, LEFT_OUT), *without, *_flat(chain, work)]
    return sorted(
        found, key=lambda f: (f.severity != "critical", f.team, CHECKS.index(f.check), f.resource)
    )


def report(systems: Systems, found: Sequence[Finding]) -> Report:
    """Return the findings of the checks as a report."""
    state = systems.state
    return Report(
        platform=state.platform.name,
        origin=state.origin,
        base=state.base,
        time=datetime.now(UTC),
        scope=Scope(tuple(state.teams), SYSTEMS, all_teams=True, credentials=True),
        resources=0,
        findings=tuple(found),
        checks=CHECKS,
    )


def _flat(view: View, work: _Work) -> list[Finding]:
    # The checks run sequentially, because they share cached reads.
    found: list[Finding] = []
    for name, check in work:
        try:
            with understood("harbor", f"check {name}"):
                found += check()
        except Exception as error:  # noqa: BLE001 any error fails this one check only
            found.append(_unreadable(view, name, as_tenantry_error(error, f"checking {name}")))
    return found


def _unreadable(view: View, check: str, error: TenantryError) -> Finding:
    known = {"robots": "robot expiry", "issuers in the mesh": "issuer"}.get(check, check)
    id = Id(Kind(getattr(error, "system", "harbor"), "check"), known)
    advice = "Restore the system, and run the checks again."
    return view.finding(known, "warning", id, str(error), advice, class_="unreadable")
