"""The command `tenantry validate`."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from tenantry import declared, sarif
from tenantry.commands.exit_status import FAILED, NOTHING_TO_DO
from tenantry.commands.output import give, say, say_skipped, warn
from tenantry.errors import DeclarationError
from tenantry.text import json_text, sarif_text
from tenantry.wording import count

Form = Literal["text", "json", "sarif"]
_PLACED = re.compile(r"(?P<file>[^:]+\.ya?ml):(?P<line>\d+): (?P<text>.*)", re.DOTALL)


def run(folder: Path, form: Form) -> int:
    """Validate the declared state, print the faults and the warnings, and return the exit status.

    Args:
        folder: the declared state.
        form: text for people, JSON, or SARIF, which code hosts show on the lines of the files.

    Raises:
        DeclarationError: the declared state cannot be read; or, as text, it is faulty: all faults.
    """
    warnings: Sequence[str] = ()
    try:
        state = declared.read(folder)
    except DeclarationError as error:
        if form == "text" or not folder.is_dir():
            raise
        faults = str(error).splitlines()
    else:
        faults, warnings = list(state.faults), state.warnings
        if form == "text":
            for warning in warnings:
                warn(f"warning: {warning}")
            say_skipped(state, None)
            if faults:
                raise DeclarationError(faults)
            say(f"{folder}: {count(len(state.teams), 'team')} and the platform are valid.")
    if form != "text":
        rows = [_placed(fault, "error") for fault in faults]
        rows += [_placed(warning, "warning") for warning in warnings]
        give(json_text(rows if form == "json" else _sarif(folder, rows)))
    return FAILED if faults else NOTHING_TO_DO


def _placed(text: str, level: str) -> dict[str, Any]:
    found = _PLACED.fullmatch(text)
    if found is None:
        return {"level": level, "file": None, "line": None, "message": text}
    line = int(found["line"])
    return {"level": level, "file": found["file"], "line": line, "message": found["text"]}


def _sarif(folder: Path, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    rule = {
        "id": "declared-state",
        "shortDescription": {"text": "The declared state has a fault"},
    }
    return sarif.document("validate", [rule], [_result(folder, row) for row in rows])


def _result(folder: Path, row: dict[str, Any]) -> dict[str, Any]:
    # Code hosts resolve paths from the repository's root, where CI usually runs.
    file = row["file"] or "platform.yaml"
    path = file if folder.is_absolute() else (folder / file).as_posix()
    return {
        "ruleId": "declared-state",
        "ruleIndex": 0,
        "level": row["level"],
        "message": {"text": sarif_text(row["message"])},
        "locations": sarif.locations(path, row["line"] or 1),
    }
