"""`platform.yaml` as it was read, with its faults, and the fields that are unknown due to them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tenantry.declared import external_names, policy_reserved, rules, warnings
from tenantry.declared.faults import Document, Place
from tenantry.declared.files import check_folder, read_document
from tenantry.declared.platform import Platform
from tenantry.declared.salvage import is_consequence, original_place, read_model
from tenantry.declared.state import Documents
from tenantry.errors import DeclarationError

NAME = "platform.yaml"


@dataclass
class PlatformFile:
    """`platform.yaml`, and what is wrong with it."""

    document: Document = field(default_factory=lambda: Document(NAME, {}))
    platform: Platform | None = None
    """The platform without its faulty fields; None if it cannot be read."""
    left_out: frozenset[Place] = frozenset()
    """The faulty fields."""
    faults: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def is_left_out(self, place: Place) -> bool:
        """Return whether a part of the platform is unknown, or partly unknown, due to faults."""
        return any(
            gone[: len(place)] == place or place[: len(gone)] == gone for gone in self.left_out
        )

    def defaults_left_out(self, profile: str | None) -> Iterator[Place]:
        """Return the team fields whose defaults are faulty.

        Args:
            profile: the team's profile.
        """
        for layer in (("defaults",), ("profiles", profile)):
            for gone in self.left_out:
                if gone[: len(layer)] == layer:
                    yield gone[len(layer) :]
        if self.is_left_out(("mesh", "route_kind")):
            yield ("mesh", "route_kind")

    def blame(self, place: Place, text: str, document: Document, profile: str | None) -> str:
        """Return a fault of a team located in the file that the field's value comes from.

        Args:
            place: the field of the team.
            text: the fault.
            document: the team's file.
            profile: the team's profile.
        """
        found, at = Documents(self.document, {}).layer(document, place, profile)
        if found is self.document:
            text = f"{text} (value used by team file {document.name})"
        return found.fault(at, text)


def read_platform(folder: Path) -> PlatformFile:
    """Read and check the `platform.yaml` of a folder."""
    file = PlatformFile(faults=check_folder(folder))
    try:
        file.document = read_document(folder, folder / NAME)
    except DeclarationError as error:
        file.faults += error.faults
        return file
    found = read_model(file.document, Platform)
    file.platform, file.left_out = found.content, found.left_out
    file.faults += found.faults
    if file.platform is None:
        return file
    faults = [*rules.check_platform(file.platform), *policy_reserved.check_platform(file.platform)]
    if not file.is_left_out(("keycloak",)):
        faults += external_names.check_platform(file.platform)
    for place, text in faults:
        place = original_place(place, file.document.data, file.left_out)
        if not is_consequence(place, file.left_out):
            file.faults.append(file.document.fault(place, text))
    for place, text in warnings.check_platform(file.platform):
        file.warnings.append(file.document.fault(place, text))
    return file
