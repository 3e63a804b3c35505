"""The place of the declared state."""

from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.blocks.core import Block
from pydantic import Field, SecretStr, ValidationError

from tenantry import declared
from tenantry.declared import Declaration, IfDeclared, Proposal, Team
from tenantry.declared.edit import Edit, edit
from tenantry.declared.ended import find_ended
from tenantry.declared.faults import Document
from tenantry.declared.offboarding import Offboarding
from tenantry.declared.offboarding_edits import archive_team
from tenantry.errors import DeclarationError, TenantryError
from tenantry.wording import count

if TYPE_CHECKING:  # the Git modules are imported on use: they slow down the start of a run
    from collections.abc import Callable

    from tenantry.declared.repository import Repository
    from tenantry.importing import Imported


class DeclaredState(Block):
    """The folder or Git repository that holds `platform.yaml` and `teams/*.yaml`.

    Example:
        ```python
        from blocks import DeclaredState

        declaration = DeclaredState.load("BLOCK_NAME").read()
        print(list(declaration.teams))
        ```
    """

    _block_type_name = "Declared State"
    _block_type_slug = "declared-state"

    folder: str | None = Field(
        default=None,
        description="The absolute path of a folder on the machine that runs the flows. Fill in either "
        "this field or the repository.",
    )
    repository: str | None = Field(
        default=None,
        description="The address of a Git repository, such as "
        "https://git.example.com/platform/tenants.git or git@git.example.com:platform/tenants.git. "
        "No password in it.",
    )
    branch: str = Field(default="main", description="The branch that Tenantry reads and pushes to.")
    path: str = Field(
        default="",
        description="The folder in the repository that contains platform.yaml. Leave it empty for the "
        "root folder.",
    )
    username: str = Field(
        default="git",
        description="For https://, the account that the token belongs to. Most hosts accept any name with "
        "a token.",
    )
    token: SecretStr | None = Field(
        default=None,
        description="For https://, a token or password with the right to read and push.",
    )
    ssh_key: SecretStr | None = Field(
        default=None,
        description="For SSH, a private key (Ed25519, ECDSA or RSA) without a passphrase that has the right to read and push: "
        "the content of the file, or its base64 (base64 -w0 FILE) if the form loses line breaks.",
    )
    known_hosts: str | None = Field(
        default=None,
        description="For SSH, the public keys of the server, as ssh-keyscan prints them, or base64 of "
        "that. Tenantry connects to no other server.",
    )
    verify: bool | str = Field(
        default=True,
        description="Check the server's certificate: true, false, or the path of a CA bundle.",
    )
    author: str = Field(
        default="Tenantry <tenantry@localhost>",
        description="The author of the commits, as Name <name@example.com>.",
    )

    def read(self, commit: str | None = None) -> Declaration:
        """Return the declared state, without the teams whose files are faulty.

        Args:
            commit: the full hash of a commit of the branch; its latest if not given.

        Raises:
            DeclarationError: platform.yaml is faulty; with all faults.
            TenantryError: the declared state cannot be read, and why.
        """
        if repository := self._repository():
            from tenantry.declared import git

            return git.load_commit(repository, commit)
        if commit:
            text = (
                f"The Declared State block names the folder {self.folder}, which has no commits, "
                f"but the run's parameter 'commit' is {commit}. Leave out the parameter, or name a "
                "repository in the block."
            )
            raise TenantryError(text)
        return declared.read(self._folder())

    def propose(
        self, team: Team, if_declared: IfDeclared, form: Document | None = None
    ) -> Proposal:
        """Return how a team would be declared, checked together with all other teams.

        Args:
            team: the team, with only the fields that were given.
            if_declared: whether the given fields are merged into the file of a declared team, or
                replace it.
            form: the source of the team's fields, for messages.

        Raises:
            DeclarationError: the team is faulty; with all faults.
            TenantryError: the declared state cannot be read, and why.
        """
        if repository := self._repository():
            from tenantry.declared import git

            return git.propose_commit(repository, team, if_declared, form)
        return declared.propose(self._folder(), team, if_declared, form)

    def save_team(self, proposal: Proposal) -> Declaration:
        """Write a team's file, unless it already has this content.

        Returns:
            The declared state with the team.

        Raises:
            TenantryError: the team was changed since the proposal, or the file cannot be saved,
                and why.
        """
        if repository := self._repository():
            from tenantry.declared import git

            return git.push_proposal(repository, proposal)
        return declared.save(self._folder(), proposal)

    def edit(self, change: Edit, message: str) -> Declaration:
        """Change files of the declared state, all of them or none.

        Args:
            change: changes each file; a second call must have no further effect.
            message: the message of the commit, a sentence.

        Raises:
            DeclarationError: the declared state is faulty, or would be after the change.
            TenantryError: the declared state cannot be read or saved, and why.
        """
        if repository := self._repository():
            from tenantry.declared import git

            return git.push_edit(repository, change, message)
        return edit(self._folder(), change)[0]

    def find_ended(self, names: Collection[str]) -> list[str]:
        """Return those of these teams that are being offboarded, or were removed, by now.

        Raises:
            TenantryError: the declared state cannot be read, and why.
        """
        if repository := self._repository():
            from tenantry.declared import git

            return git.find_ended_teams(repository, names)
        return find_ended(self._folder(), names)

    def archive_team(
        self,
        name: str,
        record: Offboarding,
        removed: datetime,
        kept: Mapping[str, str],
        projects: Mapping[str, int],
    ) -> None:
        """Move the file of a removed team to the archive, in one commit.

        Args:
            name: the team's name.
            record: the record of its offboarding, as the run has read it.
            removed: the time of the removal.
            kept: the kept resources, with the reasons.
            projects: the numbers of the projects that were kept because of their images, by name.

        Raises:
            TenantryError: the record was changed, or the file cannot be moved, and why.
        """
        if repository := self._repository():
            from tenantry.declared import git

            git.push_archive(repository, name, record, removed, kept, projects)
        else:
            archive_team(self._folder(), name, record, removed, kept, projects)

    def import_into(
        self, make: "Callable[[Path], Imported]", branch: str, message: str
    ) -> "tuple[Imported, str]":
        """Write an import: into the folder, or into a new branch of the repository.

        Args:
            make: imports, given a folder with the declared state.
            branch: the name of the new branch.
            message: the message of the commit, a sentence.

        Returns:
            The import, and the place that was written to; an empty text if nothing was written.

        Raises:
            TenantryError: a system cannot be read, the branch exists, or a file cannot be saved.
        """
        if repository := self._repository():
            from tenantry.importing.git import push_import

            return push_import(repository, branch, make, message)
        from tenantry import importing

        imported = make(self._folder())
        return imported, str(self._folder()) if importing.write(imported, self._folder()) else ""

    def check(self) -> str:
        """Return a sentence that confirms that the declared state is readable and valid.

        Raises:
            DeclarationError: files are faulty; with all faults.
            TenantryError: the declared state cannot be read, and why.
        """
        declaration = self.read()
        origin = declaration.origin
        if faults := declaration.faults:
            raise DeclarationError([f"{origin} is faulty:", *faults])
        return f"{origin} declares {count(len(declaration.teams), 'team')} and is valid."

    def _folder(self) -> Path:
        return Path(self.folder or "")

    def _repository(self) -> "Repository | None":
        """Return the repository; None if the block names a folder."""
        if bool(self.folder) == bool(self.repository):
            given = "both 'folder' and" if self.folder else "neither 'folder' nor"
            text = f"The Declared State block sets {given} 'repository'. Set exactly one of them."
            raise TenantryError(text)
        if not self.repository:
            return None
        from tenantry.declared.repository import Repository

        try:
            return Repository(
                url=self.repository.strip(),
                branch=self.branch,
                path=self.path,
                username=self.username,
                token=self.token,
                ssh_key=self.ssh_key,
                known_hosts=self.known_hosts,
                verify=self.verify,
                author=self.author,
            )
        except ValidationError as error:
            names = {"url": "repository"}
            faults = "; ".join(
                ": ".join([*(names.get(str(loc), str(loc)) for loc in fault["loc"]), fault["msg"]])
                for fault in error.errors(include_input=False)
            ).replace("Value error, ", "")
            text = f"The Declared State block is faulty: {faults}. Correct the block."
            raise TenantryError(text) from None
