"""The files of a declared state that an import reads, and the policy that they need."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from tenantry import declared
from tenantry.declared.files import team_files

PLATFORM_FILE = "platform.yaml"


def texts_in(folder: Path | None) -> dict[str, str]:
    """Return the texts of all files of a declared state."""
    if folder is None:
        return {}
    paths = [folder / PLATFORM_FILE, *team_files(folder)]
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8-sig") for path in paths
    }


def propose_policy(texts: Mapping[str, str]) -> str:
    """Return the policy that admits all teams of a declared state."""
    with tempfile.TemporaryDirectory(prefix="tenantry-") as name:
        trial = Path(name)
        (trial / "teams").mkdir()
        for file, text in texts.items():
            (trial / file).write_text(text, encoding="utf-8")
        return declared.propose_policy(trial)
