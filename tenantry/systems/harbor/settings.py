"""Harbor's configuration, as its API shows it."""

from typing import Any

from tenantry.answers import Answer
from tenantry.errors import InvalidResponse


class Settings(dict[str, Any]):
    """Harbor's settings by name, except those whose value Harbor does not show.

    Harbor shows no secrets, and an empty `{}` for some settings, such as `scan_all_policy`.

    Attributes:
        locked: the settings that Harbor reports as read-only.
    """

    def __init__(self, values: dict[str, Any], locked: frozenset[str], call: str) -> None:
        super().__init__(values)
        self.locked = locked
        self._call = call

    @classmethod
    def of(cls, shown: Answer, call: str) -> "Settings":
        """Return the settings that Harbor shows in the answer to a call."""
        entries = {name: entry for name, entry in shown.items() if isinstance(entry, Answer)}
        values = {name: entry.get("value") for name, entry in entries.items() if "value" in entry}
        locked = frozenset(name for name in values if entries[name].get("editable") is False)
        return cls(values, locked, call)

    def __missing__(self, name: str) -> Any:
        raise InvalidResponse("harbor", self._call, f"the answer lacks the setting '{name}'")

    def text(self, name: str) -> str:
        """Return a setting that must be text."""
        return str(self._of(name, str, "text"))

    def number(self, name: str) -> int:
        """Return a setting that must be a number."""
        return int(self._of(name, int, "a number"))

    def _of(self, name: str, kind: type, described: str) -> Any:
        value = self[name]
        if not isinstance(value, kind) or isinstance(value, bool):
            reason = f"the setting '{name}' is not {described}"
            raise InvalidResponse("harbor", self._call, reason)
        return value
