"""What an import has to say about what it wrote, and about what it could not write."""

import json
from dataclasses import dataclass
from typing import Any, Literal

from tenantry.declared.faults import Place
from tenantry.text import one_line

Sort = Literal["not expressed", "suggestion", "also planned", "decided", "lost"]
"""`not expressed`: live state that no field can declare, and that is left as it is. `suggestion`:
something that a person may declare, after a review. `also planned`: what the next plan does beyond
adoption. `decided`: a field that has no exact counterpart in the live state. `lost`: settings of a lost
declaration that no system shows."""

_LONGEST = 300


@dataclass(frozen=True)
class Note:
    """A statement about a place of a file."""

    sort: Sort
    place: Place
    text: str

    @property
    def line(self) -> str:
        """The statement as one visible line."""
        return one_line(self.text)


def quoted(value: Any) -> str:
    """Return a live value for a note, on one line and bounded. It may be a tenant's text."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    text = json.dumps(text) if isinstance(value, str) else text
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
