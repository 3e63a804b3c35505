"""The JSON Schemas of the declared state's files, for editors and for whoever writes them.

`python -m tenantry.declared.schema DIR` writes them into a folder.
"""

import json
import sys
from pathlib import Path

from tenantry.declared.platform import Platform
from tenantry.declared.team import Team
from tenantry.declared.types import Model

FILES: dict[str, type[Model]] = {"platform.schema.json": Platform, "team.schema.json": Team}


def texts() -> dict[str, str]:
    """The schema files' contents by file name."""
    return {
        name: json.dumps(
            {"$schema": "https://json-schema.org/draft/2020-12/schema"} | model.model_json_schema(),
            indent=2,
        )
        + "\n"
        for name, model in FILES.items()
    }


if __name__ == "__main__":
    for name, text in texts().items():
        (Path(sys.argv[1]) / name).write_text(text, encoding="utf-8")
