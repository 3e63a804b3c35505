"""The JSON Schema of the drift report's JSON.

`python -m tenantry.drift.reports.schema DIR` writes it into a folder.
"""

import json
import sys
from pathlib import Path

from tenantry.drift.reports.document import Document

FILE = "drift-report.schema.json"


def text() -> str:
    """Return the content of the schema file."""
    content = Document.model_json_schema(by_alias=True, mode="serialization")
    draft = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps(draft | content, indent=2) + "\n"


if __name__ == "__main__":
    (Path(sys.argv[1]) / FILE).write_text(text(), encoding="utf-8")
