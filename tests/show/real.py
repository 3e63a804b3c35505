"""On how many cases the sandbox and the real servers agree: `make show-real`."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

from demo.processes import ROOT
from tests.show.report import Report, Shown

SYSTEMS = {"harbor": "Harbor", "keycloak": "Keycloak", "kubernetes": "Kubernetes"}


def main() -> int:
    report = Report("One suite, two targets")
    report.show(conformance)
    return report.close()


def conformance() -> list[Shown]:
    """The cases of tests/conformance, on the sandbox and on the real servers"""
    simulated, real = _run("sandbox"), _run("real")
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


def _run(target: str) -> dict[str, bool]:
    """Which cases passed."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.xml"
        words = ["-m", "pytest", "-q", "tests/conformance", "--target", target]
        command = [sys.executable, *words, f"--junitxml={results}"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if not results.exists():
            raise RuntimeError((done.stdout + done.stderr).strip().splitlines()[-1])
        cases = ElementTree.parse(results).iter("testcase")
        return {f"{each.get('classname')}::{each.get('name')}": len(each) == 0 for each in cases}


if __name__ == "__main__":
    sys.exit(main())
