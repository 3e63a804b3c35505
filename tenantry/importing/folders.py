"""The files of a declared state that an import reads, and the policy that they need."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from tenantry import declared
from tenantry.declared import Declaration, Platform
from tenantry.declared.files import team_files
from tenantry.errors import DeclarationError

PLATFORM_FILE = "platform.yaml"


def check_arguments(realm: str | None, parent_group: str | None, id: str | None) -> None:
    """Check the arguments that become fields of `platform.yaml`.

    Raises:
        DeclarationError: one is not valid; with all faults.
    """
    keycloak = {"realm": realm, "parent_group": parent_group}
    given = {key: value for key, value in keycloak.items() if value is not None}
    try:
        Platform.model_validate({"keycloak": given, "id": id})
    except ValidationError as error:
        faults = [
            f"{detail['loc'][-1]}: '{detail['input']}': {detail['msg'].removeprefix('Value error, ')}"
            for detail in error.errors()
        ]
        raise DeclarationError(faults) from None


def read_existing(folder: Path | None) -> Declaration | None:
    """Return the declared state in a folder; None if it has no `platform.yaml`.

    Raises:
        DeclarationError: it is faulty, or team files exist without `platform.yaml`.
    """
    if folder is None or not folder.exists():
        return None
    if not (folder / PLATFORM_FILE).exists():
        if folder.is_dir() and team_files(folder):
            raise DeclarationError(
                [f"{folder}: has team files, and no platform.yaml. Import into an empty folder"]
            )
        if not folder.is_dir():
            raise DeclarationError([f"{folder}: is not a folder"])
        return None
    return declared.read(folder)


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
