"""Mallory: a team that attacks, a team beside hers, and what must stay as it was.

She writes what her role lets her write: everything in her namespaces but the namespaces themselves,
NetworkPolicies, quotas and role bindings; with projectAdmin also the robots of her project.
"""

import base64
import copy
import json
from typing import Any

from tests.support.harness import Bench, Data

ROTATED: Data = {"max_age_days": 20}
ROBOTS: Data = {
    "pull": {"expiry_days": "never", "rotation": ROTATED},
    "ci": None,
}
"""A robot that Harbor itself never ends: its life is bounded by rotation only."""
MALLORY: Data = {"name": "mallory", "robots": ROBOTS}
SHOP: Data = {"name": "shop", "robots": ROBOTS}
SLUG = "team-mallory"


def begin(bench: Bench, mallory: Data = MALLORY, *others: Data) -> None:
    """Onboard Mallory's team and others."""
    bench.declare(mallory, *(others or (SHOP,)))
    for team in bench.teams:
        bench.onboard(team.name)


def secret(bench: Bench, name: str = "harbor-pull") -> dict[str, Any]:
    """Return one of her Secrets as the cluster holds it."""
    found = bench.sandbox.kubernetes.get("Secret", name, SLUG)
    assert found is not None
    return found


def annotate(bench: Bench, name: str = "harbor-pull", **values: str) -> None:
    """Set annotations of a Secret, named without their domain, `_` for `-`."""
    found = secret(bench, name)
    found["metadata"]["annotations"] |= {
        f"tenantry.io/{key.replace('_', '-')}": value for key, value in values.items()
    }
    bench.sandbox.kubernetes.put(found, "mallory")


def put_back(bench: Bench, old: dict[str, Any]) -> None:
    """Write the content and the annotations that a Secret had before."""
    now = bench.sandbox.kubernetes.get("Secret", "harbor-pull", SLUG)
    if now is None:
        bench.sandbox.kubernetes.put(copy.deepcopy(old), "mallory")
        return
    now["data"] = old["data"]
    now["metadata"]["annotations"] = copy.deepcopy(old["metadata"]["annotations"])
    bench.sandbox.kubernetes.put(now, "mallory")


def docker(bench: Bench, username: str, password: str) -> dict[str, str]:
    """Return the data of a Secret with a credential."""
    auth = base64.b64encode(f"{username}:{password}".encode()).decode()
    entry = {"username": username, "password": password, "auth": auth}
    text = json.dumps({"auths": {bench.systems.credentials.registry: entry}})
    return {".dockerconfigjson": base64.b64encode(text.encode()).decode()}


def others(bench: Bench, slug: str = SLUG) -> dict[str, Any]:
    """Return all that the systems hold that is not Mallory's."""
    sandbox, team = bench.sandbox, slug.removeprefix("team-")
    projects = sandbox.harbor.projects
    hers = projects[slug].id if slug in projects else None
    kubernetes = [
        found
        for found in sandbox.kubernetes.dump()["objects"]
        if not str(found["metadata"].get("namespace", found["metadata"]["name"])).startswith(slug)
    ]
    robots = [vars(r) for r in sandbox.harbor.robots.values() if r.project_id != hers]
    realms = json.loads(json.dumps(sandbox.keycloak.dump()))["realms"]
    groups = [
        group
        for realm in (realms.values() if isinstance(realms, dict) else realms)
        for group in (realm.get("groups") or {}).values()
        if team not in json.dumps(group)
    ]
    return copy.deepcopy(
        {
            "objects": kubernetes,
            "robots": robots,
            "projects": {name: vars(each) for name, each in projects.items() if name != slug},
            "groups": groups,
        }
    )
