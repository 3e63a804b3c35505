"""The kinds of migration, by situation."""

from tenantry.migration.issuer import IssuerMigration
from tenantry.migration.provider import ProviderMigration
from tenantry.migration.snapshot import Situation

AnyMigration = IssuerMigration | ProviderMigration

MIGRATIONS: dict[Situation, type[AnyMigration]] = {
    "provider": ProviderMigration,
    "users": ProviderMigration,
    "issuer": IssuerMigration,
}
