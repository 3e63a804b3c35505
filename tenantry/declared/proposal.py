"""The declaration of a team that is checked and not saved yet, compared with the team's file."""

from typing import Any, Literal

from pydantic import ValidationError

from tenantry.declared.changes import FieldChange, differences
from tenantry.declared.file_states import FolderState
from tenantry.declared.merge import Data
from tenantry.declared.offboarding import KEY
from tenantry.declared.state import Declaration
from tenantry.declared.team import Identity, Team, TeamSettings
from tenantry.errors import TenantryError
from tenantry.wording import NONE

IfDeclared = Literal["refuse", "merge", "replace"]
"""How to handle a team whose file exists and declares it differently."""

DECIDE = "Decide which declaration is right, and declare the team again."
_SHOWN = 10


class AlreadyDeclared(TenantryError):
    """The team is already declared, and the call declares it differently."""


class ChangedSince(TenantryError):
    """Another process changed or removed the team file after this run had read it.

    Attributes:
        action: `changed` or `removed`.
        fields: the fields that differ, with their values in the file and in this call.
    """

    def __init__(self, proposal: "Proposal", theirs: Data | None, action: str) -> None:
        self.action = action
        self.fields = "; ".join(
            f"{each.field}: {_or_nothing(each.declared)} in the file, "
            f"{_or_nothing(each.given)} in this call"
            for each in [each.cut for each in differences(theirs or {}, proposal.content)][:5]
        )
        super().__init__(
            f"Team '{proposal.content['name']}' was {self.action} in {proposal.file} by another "
            f"process after this run had read it: {self.fields}. Nothing was written. {DECIDE}"
        )


class Proposal:
    """A team's declaration that was checked and is not saved yet.

    It is deliberately not a dataclass: Prefect would traverse it, including all teams in it.

    Attributes:
        declaration: the declared state with the team.
        content: the new content of the team file.
        before: the current content of the team file; None if the team is not declared.
        file: the team file, relative to the folder of the declared state.
        overwrites: whether the save replaces a file that cannot be read.
        commit: the commit that was read, if the declared state is in Git.
        base: the declared state without the proposal, as it was read.
        seen: the states of the files when `base` was read; None if they are not known.
    """

    def __init__(
        self,
        declaration: Declaration,
        content: Data,
        before: Data | None,
        file: str,
        *,
        base: Declaration,
        seen: FolderState | None = None,
    ) -> None:
        self.declaration = declaration
        self.base = base
        self.seen = seen
        self.content = content
        self.before = before
        self.file = file
        self.overwrites = False
        self.commit = ""

    @property
    def team(self) -> Team:
        """The team with all defaults."""
        name, state = self.content["name"], self.declaration
        return state.teams[name] if name in state.teams else state.offboarding[name]

    @property
    def restores(self) -> bool:
        """Whether the save takes away the record of an offboarding."""
        return KEY in (self.before or {}) and KEY not in self.content

    @property
    def changes(self) -> list[FieldChange]:
        """The fields that the save changes in the file of an already declared team."""
        if self.before is None or is_same(self.before, self.content):
            return []
        return list(differences(normalize(self.before), normalize(self.content)))

    @property
    def writes(self) -> bool:
        """Whether the save writes the team file: it is new, unreadable, or changes."""
        return self.before is None or bool(self.changes)

    @property
    def step(self) -> str:
        """The change of the team file as one line with complete values, for comparison."""
        return repr([self.file, self.before, self.content])

    def refuse(self) -> None:
        """Check that the call does not change the file of an already declared team.

        Raises:
            AlreadyDeclared: the call changes the file; lists the fields that differ.
        """
        if changes := [each for each in self.changes if each.field != KEY]:
            shown = [each.cut for each in changes[:_SHOWN]]
            lines = [f"  {each.field}: {each.declared} → {each.given}" for each in shown]
            if len(changes) > _SHOWN:
                lines.append(f"  and {len(changes) - _SHOWN} more")
            raise AlreadyDeclared(
                f"Team '{self.content['name']}' is already declared in {self.file}, and this call "
                "declares it differently (declared → this call):\n" + "\n".join(lines) + "\n"
                "Nothing was changed. Send if_declared = 'merge' to merge the given fields into "
                "the file, 'replace' to replace the file by the given fields, or choose another "
                "name."
            )


def file_content(team: Team) -> Data:
    """Return the content of the team file: the given fields, identity first."""
    given = team.model_dump(mode="json", exclude_unset=True)
    return dict(sorted(given.items(), key=lambda item: item[0] in TeamSettings.model_fields))


def is_same(before: Any, after: Any) -> bool:
    """Return whether two contents declare the same team: the quotas `4` and `"4"` are equal."""
    return bool(normalize(before) == normalize(after))


def normalize(content: Any) -> Any:
    """Return a content for comparison: in the form that `file_content` writes, without nulls."""
    try:
        given = file_content(Team.model_validate(content))
    except ValidationError:
        return content
    # null is the default of the identity fields. In a team's settings it overrides a profile.
    return {k: v for k, v in given.items() if v is not None or k not in Identity.model_fields}


def _or_nothing(value: str) -> str:
    return "nothing" if value == NONE else value
