"""On how many cases the sandbox and the real servers agree: `make show-real`."""

import os
import sys

from tests.show import cases
from tests.show.report import Report, Shown

SYSTEMS = {"harbor": "Harbor", "keycloak": "Keycloak", "kubernetes": "Kubernetes"}


def main() -> int:
    report = Report("One suite, two targets")
    report.show(conformance)
    return report.close()


def conformance() -> list[Shown]:
    """The cases of tests/conformance, on the sandbox and on the real servers"""
    simulated, real = (
        cases.run("tests/conformance", "--target", target) for target in ("sandbox", "real")
    )
    shown = []
    for name, system in SYSTEMS.items():
        here = {case: held for case, held in simulated.items() if f".test_{name}_" in case}
        there = {case: held for case, held in real.items() if f".test_{name}_" in case}
        differ = [case for case in here.keys() | there.keys() if here.get(case) != there.get(case)]
        failed = sum(not held for held in [*here.values(), *there.values()])
        where = "the real server"
        if name == "harbor" and not os.environ.get("TENANTRY_TEST_HARBOR_URL"):
            where = "a second run of the sandbox (no address of a real one is given)"
        figure = f"{sum(here.values())} on the sandbox, {sum(there.values())} on {where}"
        demand = f"{system}: every case passes on both"
        held = bool(here) and not failed and not differ
        shown.append(Shown(demand, f"{figure}, {len(differ) or 'no'} differences", held))
    return shown


if __name__ == "__main__":
    sys.exit(main())
