"""How large and how complex the code is: `python -m tests.structure.size [FOLDER]` prints it as JSON."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PRODUCT = ("tenantry", "flows", "tasks", "blocks")
TESTS = ("tests",)
LONG = 350
"""The lines above which a product file is listed."""
COMPLEX = 11
"""The McCabe complexity from which on a product function is listed; ruff counts it (C901)."""


def measure(root: Path) -> dict[str, Any]:
    """Return the lines of product and tests, and the long files and complex functions of the product."""
    product = {str(path.relative_to(root)): _lines(path) for path in _files(root, PRODUCT)}
    return {
        "product_lines": sum(product.values()),
        "test_lines": sum(_lines(path) for path in _files(root, TESTS)),
        "long_files": {path: lines for path, lines in sorted(product.items()) if lines > LONG},
        "complex_functions": _complex_functions(root),
    }


def _files(root: Path, folders: tuple[str, ...]) -> Iterator[Path]:
    for folder in folders:
        yield from (root / folder).rglob("*.py")


def _lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def _complex_functions(root: Path) -> dict[str, int]:
    limit = f"lint.mccabe.max-complexity={COMPLEX - 1}"
    words = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--select", "C901"]
    words += ["--config", limit, "--output-format", "json", *PRODUCT]
    done = subprocess.run(words, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise RuntimeError(done.stderr)
    found: dict[str, int] = {}
    for each in json.loads(done.stdout):
        # `name` is too complex (23 > 18)
        function = each["message"].split("`")[1]
        number = int(each["message"].rpartition("(")[2].partition(" ")[0])
        path = Path(each["filename"]).resolve().relative_to(root.resolve())
        found[f"{path}:{function}"] = number
    return dict(sorted(found.items()))


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1] if sys.argv[1:] else ".")), indent=2))
