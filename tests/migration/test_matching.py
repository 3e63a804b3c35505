"""Each way of naming the new provider's people, from the file through the end of each situation."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tenantry.migration.identities_file import from_file
from tenantry.migration.options import Options
from tenantry.migration.snapshot import Identity, Situation
from tests.support import issuer_harness, migration_harness
from tests.support.harness import REALM
from tests.support.issuer_harness import TO, IssuerBench
from tests.support.migration_harness import NEW, OLD, MigrationBench
from tests.support.migration_sources import Source, every_source


def read(source: Source, there: list[Identity]) -> list[Identity]:
    """Return the people as a source lists them."""
    if not source.file:
        return there
    return from_file(source.file, source.content(there), source.match)


@pytest.mark.demand("migrate", "matched and moved to the end: {id}")
@every_source
@pytest.mark.parametrize(
    "options", [migration_harness.OPTIONS, migration_harness.RECREATE], ids=["A", "B"]
)
def test_a_provider_is_replaced_to_the_end(
    options: Options,
    source: Source,
    provider_platform: Callable[[], MigrationBench],
    no_waiting: None,
) -> None:
    made = provider_platform()
    there = made.identities()
    before = made.rights_by_name()
    options = replace(options, match=source.match)
    found = made.inspect(options, read(source, there), "people")
    with made.process() as migration:
        situation: Situation = "users" if options.recreate else "provider"
        plan = migration.export(found, OLD, NEW, options, situation)
        migration.approve(plan, "Ann")
        migration.move()
        migration.switch()
    assert made.links(NEW) == {each.external_username: each.external_id for each in there}
    for user in made.users():
        made.log_in(user.username)
    with made.process() as migration:
        migration.follow_up()
    made.finish()
    assert made.rights_by_name() == before


@pytest.mark.demand("migrate", "matched and moved to the end: C-{id}")
@every_source
def test_the_issuer_is_changed_to_the_end(
    source: Source,
    issuer_platform: Callable[[], IssuerBench],
    no_waiting: None,
) -> None:
    made = issuer_platform()
    there = made.identities()
    before = made.rights()
    options = replace(issuer_harness.OPTIONS, match=source.match)
    found = made.inspect(options, read(source, there))
    with made.process() as migration:
        old, new = made.issuer(REALM), made.issuer(TO)
        migration.approve(migration.export(found, old, new, options, "issuer"), "Ann")
        migration.switch()
        migration.move()
    made.log_in_again(TO)
    made.sandbox.clock.move(25 * 3600)
    with made.process() as migration:
        migration.follow_up()
        migration.finish()
    assert made.rights() == before
