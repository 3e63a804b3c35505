"""The report of an import: what was written, what could not be, and what a person must review."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from tenantry.importing.notes import Note
from tenantry.text import Markdown, code, joined, markdown
from tenantry.wording import count

_TITLES = {
    "also planned": "The next plan also contains",
    "decided": "Decided by the import",
    "not expressed": "Not expressed, and left as it is",
    "suggestion": "Suggestions",
    "lost": "Lost with the declared state, if Tenantry has onboarded the teams before",
}
_GRANTS = (
    "Grants that the teams need. Until platform.yaml has them, plans refuse the teams. Review them, and "
    "add them"
)

_PROFILES = (
    "Profiles, each of which at least three teams share: review them, and give them names. Of a profile "
    "that gives more than the policy allows to all teams, policy.profiles names the teams"
)

_ADDITIONS = (
    "Lines that platform.yaml lacks. Teams depend on the file, so the import did not change it. Review "
    "them, and merge them into its sections. A part that you leave out stays as it is"
)


@dataclass
class Report:
    """The report of an import.

    Attributes:
        teams: the imported teams, with how each was recognized.
        declared: the teams that the folder declares already, whose files stay as they are.
        notes: statements by file.
        orphans: resources that belong to no imported team, each with a suggestion.
        grants: the section `policy` of `platform.yaml` that the teams need, as YAML; empty if they
            need none.
        defaults: the shared settings that need no grant, as YAML.
        profiles: what groups of teams share, as YAML.
        additions: what the systems have and the `platform.yaml` of declared teams lacks, as YAML.
        grants_written: whether the section is in `platform.yaml`.
    """

    teams: dict[str, str] = field(default_factory=dict)
    declared: tuple[str, ...] = ()
    notes: dict[str, list[Note]] = field(default_factory=dict)
    orphans: list[tuple[str, str]] = field(default_factory=list)
    grants: str = ""
    defaults: str = ""
    profiles: str = ""
    additions: str = ""
    grants_written: bool = False

    @property
    def summary(self) -> str:
        """The report in one sentence."""
        kept = f", {count(len(self.declared), 'team')} already declared" if self.declared else ""
        notes = sum(map(len, self.notes.values()))
        return (
            f"{count(len(self.teams), 'team')} imported{kept}; {count(notes, 'note')}, "
            f"{count(len(self.orphans), 'orphan')}."
        )

    def lines(self) -> list[str]:
        """Return the report as lines of plain text."""
        found = [self.summary]
        for title, items in self._sections():
            found += ["", f"{title}:", *(f"  {item}" for item in items)]
        for title, text in self._texts():
            found += ["", f"{title}:", *(f"  {line}" for line in text.splitlines())]
        return found

    def _sections(self) -> Iterator[tuple[str, list[str]]]:
        if self.teams:
            yield "Teams", [f"{name}: by {by}" for name, by in self.teams.items()]
        for sort, title in _TITLES.items():
            items = [
                f"{file}: {note.line}"
                for file, notes in self.notes.items()
                for note in notes
                if note.sort == sort
            ]
            if items:
                yield title, items
        if self.orphans:
            yield "Orphans", [f"{what}: {text}" for what, text in self.orphans]

    def _texts(self) -> Iterator[tuple[str, str]]:
        if self.defaults:
            yield "Defaults of all teams, which need no grant: review them", self.defaults
        if self.profiles:
            yield _PROFILES, self.profiles
        if self.additions:
            yield _ADDITIONS, self.additions
        if self.grants and not self.grants_written:
            yield _GRANTS, self.grants

    def markdown(self) -> Markdown:
        """Return the report as Markdown."""
        parts = [markdown("{}", self.summary)]
        for title, items in self._sections():
            parts.append(markdown("## {}", title))
            parts.append(joined("\n", (markdown("- {}", item) for item in items)))
        for title, text in self._texts():
            parts.append(markdown("## {}", title))
            parts.append(joined("\n\n", (code(line) for line in text.splitlines() if line)))
        return joined("\n\n", parts)
