"""Rules that make the drift report ignore known differences."""

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tenantry.declared.types import Model

SystemName = Literal["harbor", "keycloak", "kubernetes", "istio"]


class IgnoreRule(Model):
    """A rule that makes the report ignore findings. It does not change what Tenantry applies."""

    system: SystemName | None = None
    """The system; any if not given."""
    kind: str | None = None
    """The kind of resource as in the report, such as `member` or `NetworkPolicy`; any if not
    given."""
    key: str = "*"
    """The resource's key as a glob, such as `team-shop/*`."""
    field: str = "*"
    """The field's path as a glob, such as `spec.hard.*`. If given, the rule ignores only these
    fields of a finding."""
    until: date | None = None
    """The last day on which the rule applies; it never expires if not given. An expired rule is
    reported as a finding."""
    reason: Annotated[str, Field(min_length=1)]
    """The reason for the rule, which the report shows."""

    @model_validator(mode="after")
    def _check_narrow(self) -> Self:
        if self.system is None and self.kind is None and self.key == "*" and self.field == "*":
            raise ValueError(
                "would ignore everything; give at least one of system, kind, key, field"
            )
        return self


class Drift(Model):
    """The settings of drift detection."""

    ignore: list[IgnoreRule] = []
    """Rules for findings that the report ignores, each with a reason."""
