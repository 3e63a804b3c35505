"""The areas whose tests are measured: their code, their own tests and their share of the sample."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


class PathMoved(Exception):
    """Code was moved, and the table below still names its old path."""


@dataclass(frozen=True)
class Area:
    """A part of Tenantry and the tests that must notice a fault in it.

    Attributes:
        code: Files and folders whose statements are changed.
        tests: Files and folders whose tests run for each change.
        mutants: How many mutants the sample holds of this area.
    """

    name: str
    code: tuple[str, ...]
    tests: tuple[str, ...]
    mutants: int

    def modules(self, tree: Path) -> Iterator[str]:
        """Yield the paths of the area's modules, relative to `tree`, sorted within each entry of `code`.

        Raises:
            PathMoved: An entry of `code` does not exist.
        """
        for entry in self.code:
            path = tree / entry
            if not path.exists():
                raise PathMoved(
                    f"{entry} of area '{self.name}' does not exist in {tree}:"
                    " correct the paths in tests/mutants/areas.py"
                )
            for module in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
                yield module.relative_to(tree).as_posix()


# Change the paths here when code or tests move. Keep the names and the numbers of mutants: they make
# a sample comparable with the baseline.
AREAS = (
    Area(
        "planner",
        code=("tenantry/plan.py", "tenantry/planner.py", "tenantry/resources.py"),
        tests=(
            "tests/core/test_plan.py",
            "tests/core/test_explain.py",
            "tests/core/test_in_sync.py",
            "tests/core/test_left_out.py",
            # A finding is a planned change: these plan what the tests of the planner do not.
            "tests/drift/test_detect.py",
        ),
        mutants=30,
    ),
    Area("drift", code=("tenantry/drift",), tests=("tests/drift",), mutants=40),
    Area("rotation", code=("tenantry/rotation",), tests=("tests/rotation",), mutants=40),
    Area(
        "declared",
        code=("tenantry/declared",),
        tests=(
            "tests/declared",
            "tests/isolation/test_files.py",
            "tests/isolation/test_policy.py",
            "tests/isolation/test_policy_proposal.py",
        ),
        mutants=40,
    ),
)
