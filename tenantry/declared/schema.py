"""The JSON Schemas of the declared state's files, for editors and other tools.

`python -m tenantry.declared.schema DIR` writes them into a folder.
"""

import json
import sys
from pathlib import Path
from typing import Any

from tenantry.declared.platform import Platform
from tenantry.declared.team import Team
from tenantry.declared.types import Model

FILES: dict[str, type[Model]] = {"platform.schema.json": Platform, "team.schema.json": Team}


def texts() -> dict[str, str]:
    """Return the contents of the schema files by file name."""
    return {
        name: json.dumps(
            {"$schema": "https://json-schema.org/draft/2020-12/schema"} | content(model), indent=2
        )
        + "\n"
        for name, model in FILES.items()
    }


def content(model: type[Model]) -> dict[str, Any]:
    """Return the JSON Schema of a model."""
    found = model.model_json_schema()
    _close(found)
    return found


def _close(node: Any) -> None:
    """Forbid keys that do not match the pattern of a mapping's keys."""
    if isinstance(node, dict):
        if "patternProperties" in node:
            node.setdefault("additionalProperties", False)
        for below in node.values():
            _close(below)
    elif isinstance(node, list):
        for below in node:
            _close(below)


if __name__ == "__main__":
    for name, text in texts().items():
        (Path(sys.argv[1]) / name).write_text(text, encoding="utf-8")
