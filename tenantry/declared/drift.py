"""What the drift report leaves out: differences that are known, and wanted for the time being."""

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tenantry.declared.types import Model

SystemName = Literal["harbor", "keycloak", "kubernetes", "istio"]


class IgnoreRule(Model):
    """Silences findings in the report. What is applied stays the same."""

    system: SystemName | None = None
    """The system; any if not given."""
    kind: str | None = None
    """The kind of resource as the report names it, such as `member` or `NetworkPolicy`; any if not
    given."""
    key: str = "*"
    """The resource's key as a glob, such as `team-shop/*`."""
    field: str = "*"
    """The field's path as a glob, such as `spec.hard.*`; with it, only these fields are left out
    of a finding."""
    until: date | None = None
    """The last day on which the rule counts; always if not given. After it, the rule is a finding
    itself."""
    reason: Annotated[str, Field(min_length=1)]
    """Why it is known and wanted. It stands in the report."""

    @model_validator(mode="after")
    def _check_narrow(self) -> Self:
        if self.system is None and self.kind is None and self.key == "*" and self.field == "*":
            raise ValueError(
                "would ignore everything; give at least one of system, kind, key, field"
            )
        return self


class Drift(Model):
    """What is looked for as drift."""

    ignore: list[IgnoreRule] = []
    """Findings that are left out of the report, each with a reason."""
