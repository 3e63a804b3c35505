"""Rotation on a bench whose clock is moved, and assertions about rotated robots."""

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from tenantry.locks import Lock, NoLock
from tenantry.plan import Plan
from tenantry.rotation import Outcome, RotationRequest, rotate
from tenantry.sandbox.harbor.model import Robot
from tenantry.systems.credentials.pairs import ROBOT
from tenantry.systems.credentials.places import places
from tenantry.systems.harbor.robots import robot_id
from tenantry.systems.systems import Systems
from tenantry.walk import observe_owners
from tests.sandbox.calls import Caller
from tests.support.harness import Bench, Data, granted
from tests.support.images import image, push

ROTATED: Data = {"max_age_days": 20}
SHOP: Data = {
    "name": "shop",
    "robots": {
        "pull": {"expiry_days": 30, "rotation": ROTATED},
        "ci": {"expiry_days": 30, "rotation": ROTATED},
    },
}
"""A team whose credentials are due between 15 and 20 days after they were published."""
PULL: Data = {**SHOP, "robots": {"pull": SHOP["robots"]["pull"], "ci": None}}
"""A team with one such credential."""


def pass_time(bench: Bench, **much: float) -> None:
    """Move the sandbox's clock, without waiting."""
    bench.sandbox.clock.move(timedelta(**much).total_seconds())


def order(bench: Bench, **asked: Any) -> RotationRequest:
    """Return an order that is given now."""
    return RotationRequest(bench.sandbox.clock.now(), **asked)


def run(
    bench: Bench,
    asked: RotationRequest | None = None,
    *,
    systems: Systems | None = None,
    purposes: Sequence[str] | None = None,
    lock: Lock | None = None,
) -> dict[str, Outcome]:
    """Run rotation over all teams, and return the outcomes by team and purpose."""
    found = rotate(
        systems or bench.systems,
        bench.teams,
        asked or order(bench),
        bench.sandbox.clock.now(),
        lock or NoLock(),
        purposes=purposes,
    )
    return {outcome.name: outcome for outcome in found}


def robots(bench: Bench, slug: str = "team-shop") -> dict[str, Robot]:
    """Return a project's robots by their short names."""
    project = bench.sandbox.harbor.projects[slug]
    found = bench.sandbox.harbor.robots.values()
    return {robot.name: robot for robot in found if robot.project_id == project.id}


def enabled(bench: Bench, slug: str = "team-shop") -> set[str]:
    """Return the names of a project's robots that are neither disabled nor expired."""
    now = bench.sandbox.clock.now().timestamp()
    return {
        name
        for name, robot in robots(bench, slug).items()
        if not robot.disabled and (robot.expires_at < 0 or robot.expires_at > now)
    }


def published(
    bench: Bench, purpose: str = "pull", namespace: str = "team-shop", secret: str = ""
) -> str:
    """Return the name of the robot whose credential a Secret holds."""
    name = secret or f"harbor-{purpose}"
    held = bench.sandbox.kubernetes.get("Secret", name, namespace)
    assert held is not None
    return str(held["metadata"]["annotations"][ROBOT])


SPREAD_OUT: Data = {
    "name": "shop",
    "further_namespaces": {"jobs": {}},
    "robots": {
        "pull": {
            "expiry_days": 30,
            "rotation": ROTATED,
            "sinks": [
                {"namespace": "pipelines", "name": "pull-{team}", "format": "basic"},
                {"namespace": "pipelines", "name": "kaniko-{team}", "format": "config.json"},
            ],
        },
        "ci": None,
    },
}
"""A team with one credential in four Secrets, two of which are in a foreign namespace."""

SPREADING = granted("shop", "data", sinks=["pipelines/pull-{team}", "pipelines/kaniko-{team}"])
"""The platform whose policy allows that."""


def add_namespace(bench: Bench, name: str = "pipelines") -> None:
    """Create a namespace that does not belong to a team."""
    bench.sandbox.kubernetes.put(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    )


def logins(bench: Bench) -> dict[str, tuple[str, str]]:
    """Return the user name and the password in each Secret that holds a robot's credential."""
    found: dict[str, tuple[str, str]] = {}
    for team in bench.teams:
        for purpose in team.active_robots:
            for place in places(team, purpose):
                held = bench.secret(place.name, place.namespace)
                if place.format == "basic":
                    login = held["username"], held["password"]
                else:
                    (text,) = held.values()
                    (entry,) = json.loads(text)["auths"].values()
                    login = entry["username"], entry["password"]
                found[f"{place.namespace}/{place.name}"] = login
    return found


def all_work(bench: Bench, credentials: Mapping[str, tuple[str, str]]) -> bool:
    """Return whether Harbor accepts all of these credentials."""
    return all(bench.systems.harbor_client.accepts(*login) for login in set(credentials.values()))


def none_works(bench: Bench, credentials: Mapping[str, tuple[str, str]]) -> bool:
    """Return whether Harbor rejects all of these credentials."""
    return not any(
        bench.systems.harbor_client.accepts(*login) for login in set(credentials.values())
    )


def pairs_are_in_order(bench: Bench) -> None:
    """Assert that all Secrets of a pair hold one working credential, and that no robot is extra."""
    found = logins(bench)
    assert all_work(bench, found)
    observed = observe_owners(bench.systems.team_adapters, bench.teams)
    for team in bench.teams:
        for purpose in team.active_robots:
            own = places(team, purpose)
            assert len({found[f"{place.namespace}/{place.name}"] for place in own}) == 1
            live = published(bench, purpose, team.home_namespace, team.secret_name(purpose))
            assert found[f"{team.home_namespace}/{team.secret_name(purpose)}"][0].endswith(
                f"+{live}"
            )
            others = {n for n in robots(bench, team.project) if n.startswith(f"{purpose}-")} - {
                live
            }
            for name in others:
                id = robot_id(team.project, name)
                assert not bench.systems.credentials.is_past_retirement(team, id, observed), name
        assert bench.systems.plan(team, observed) == Plan(team.name)


def push_image(bench: Bench, team: str = "shop", repository: str = "web") -> None:
    """Push an image with the team's own credential."""
    url = bench.sandbox.addresses()["harbor"]["url"]
    caller = Caller(url, *bench.login("harbor-ci", f"team-{team}"))
    answer = push(caller, f"team-{team}/{repository}", image())
    assert answer.status_code == 201, answer.text


def secret(bench: Bench, name: str = "harbor-pull", namespace: str = "team-shop") -> dict[str, Any]:
    """Return a Secret as the cluster stores it."""
    held = bench.sandbox.kubernetes.get("Secret", name, namespace)
    assert held is not None
    return held


def change_secret(bench: Bench, **changes: Any) -> None:
    """Change the Secret of the pull credential by hand."""
    bench.sandbox.kubernetes.put({**secret(bench), **changes})


def inject_fault(bench: Bench, method: str, part: str, answer: Any) -> None:
    """Inject a fault into each request with this method whose path contains `part`."""
    bench.sandbox.fault_for = lambda system, asked, path: (
        answer if asked == method and part in path else None
    )


def clear_faults(bench: Bench) -> None:
    """Inject no more faults."""
    bench.sandbox.fault_for = lambda system, method, path: None


def only(outcomes: dict[str, Outcome]) -> Outcome:
    """Return the only outcome of a run."""
    (outcome,) = outcomes.values()
    return outcome
