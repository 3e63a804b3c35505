"""Measures the time and memory to load and check a declared state of many teams.

    python -m benchmarks.loading [--teams 1000 10000]

Each size is measured in its own process. The teams have quotas, robots, an OIDC client, routes and
retention rules. The names of their groups at an external identity provider follow a pattern.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

PLATFORM = """\
name: Benchmark
keycloak:
  external_providers:
    corp: {pattern: "k8s-{group}(-[a-z]+)?"}
    partner: {group_name: "/k8s/{group}"}
mesh: {gateway: istio-ingress/public}
defaults:
  harbor: {storage_quota: 10Gi, groups: {all-teams-admin: projectAdmin}}
  namespace:
    quota: {requests.cpu: 4, requests.memory: 8Gi, pods: 50}
    limits:
      default: {cpu: 500m, memory: 512Mi}
      default_request: {cpu: 100m, memory: 128Mi}
  robots:
    pull: {expiry_days: 90}
    ci: {expiry_days: 90}
policy:
  limits:
    hosts: ["{team}.example.com", "*.{team}.example.com"]
    max_quota: {pods: 200, requests.cpu: 32}
    max_storage: 100Gi
"""
TEAM = """\
# A team like many others
name: {name}
display_name: Team {name}
contact: "#{name}"
members: [user-1, user-2]
harbor:
  storage_quota: 50Gi
  retention:
    rules:
      - latest_pushed: 20
      - pulled_within_days: 30
        tags: v*
    schedule: 0 3 * * *
namespace:
  quota:
    requests.cpu: 16
    pods: 100
  labels:
    example.com/tier: gold
robots:
  ci:
    access: [repository:pull, repository:push]
    expiry_days: 30
oidc_clients:
  web:
    redirect_uris:
      - https://{name}.example.com/oauth2/callback
routes:
  web:
    host: {name}.example.com
    paths:
      - {{prefix: /api/, service: backend, port: 8080}}
      - {{prefix: /, service: frontend, port: 80}}
"""


class Loaded(NamedTuple):
    """The measurements of one load.

    Attributes:
        teams: the loaded teams.
        cpu: CPU seconds of the load alone.
        memory: the peak memory of the process, with all imports, in MiB.
    """

    teams: int
    cpu: float
    memory: float


def declare(folder: Path, teams: int) -> None:
    """Write a declared state of this many teams."""
    (folder / "teams").mkdir(parents=True)
    (folder / "platform.yaml").write_text(PLATFORM)
    for number in range(teams):
        name = f"team{number:05}"
        (folder / "teams" / f"{name}.yaml").write_text(TEAM.format(name=name))


def measure(teams: int) -> Loaded:
    """Return the measurements of a process that loads this many teams."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "state"
        declare(folder, teams)
        command = [sys.executable, "-m", "benchmarks.loading", "--load", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.stderr)
        return Loaded(*json.loads(done.stdout))


def _load(folder: Path) -> Loaded:
    from tenantry import declared

    began = time.process_time()
    state = declared.load(folder)
    cpu = time.process_time() - began
    return Loaded(len(state.teams), cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    """Measure each number of teams, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--teams", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--load", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.load:
        print(json.dumps(_load(given.load)))
        return
    table = Table("teams", "CPU", "CPU of 1,000 teams", "peak memory", title="Load and check")
    for teams in given.teams:
        found = measure(teams)
        table.add_row(
            f"{found.teams:,}",
            f"{found.cpu:.1f} s",
            f"{found.cpu * 1000 / found.teams:.2f} s",
            f"{found.memory:.0f} MiB",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
