"""Mallory: a team that attacks, another team, and the resources that must not change.

Her role allows her to write everything in her namespaces except NetworkPolicies, quotas and role
bindings, but not the namespaces themselves. With projectAdmin she can also change the robots of her
project.
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
"""Robots. The first never expires in Harbor, so only rotation limits its lifetime."""
MALLORY: Data = {"name": "mallory", "robots": ROBOTS}
SHOP: Data = {"name": "shop", "robots": ROBOTS}
SLUG = "team-mallory"


def begin(bench: Bench, mallory: Data = MALLORY, *others: Data) -> None:
    """Onboard Mallory's team and others."""
    bench.declare(mallory, *(others or (SHOP,)))
    for team in bench.teams:
        bench.onboard(team.name)


def secret(bench: Bench, name: str = "harbor-pull") -> dict[str, Any]:
    """Return one of her Secrets from the cluster."""
    found = bench.sandbox.kubernetes.get("Secret", name, SLUG)
    assert found is not None
    return found


def annotate(bench: Bench, name: str = "harbor-pull", **values: str) -> None:
    """Set annotations of a Secret. Their names have no domain, and `_` instead of `-`."""
    found = secret(bench, name)
    found["metadata"]["annotations"] |= {
        f"tenantry.io/{key.replace('_', '-')}": value for key, value in values.items()
    }
    bench.sandbox.kubernetes.put(found, "mallory")


def restore_secret(bench: Bench, old: dict[str, Any]) -> None:
    """Write the earlier content and annotations of a Secret."""
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
    """Return the content of the systems that does not belong to Mallory."""
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
            "projects": {name: vars(project) for name, project in projects.items() if name != slug},
            "groups": groups,
        }
    )
