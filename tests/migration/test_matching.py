"""Each way of naming the new provider's people, from the file through the end of each situation."""

import csv
import io
from collections.abc import Callable
from dataclasses import replace

import pandas as pd
import pytest

from tenantry.connections import KeycloakAccount
from tenantry.migration import identities
from tenantry.migration.identities import Match, from_file
from tenantry.migration.order import Order
from tenantry.migration.snapshot import Identity, Situation
from tests import issuer_bench, migration_bench
from tests.bench import REALM
from tests.issuer_bench import TO, IssuerBench
from tests.migration_bench import NEW, OLD, MigrationBench

COLUMNS: dict[Match, tuple[str, ...]] = {
    "email": ("external_id", "external_username", "email"),
    "username": ("external_id", "external_username"),
    "mapping": ("external_id", "external_username", "username"),
}


def as_csv(people: list[Identity], columns: tuple[str, ...]) -> tuple[str, bytes]:
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, extrasaction="ignore")
    writer.writeheader()
    writer.writerows({**each.model_dump(), "username": each.external_username} for each in people)
    return "people.csv", out.getvalue().encode()


def as_excel(people: list[Identity], columns: tuple[str, ...]) -> tuple[str, bytes]:
    _, data = as_csv(people, columns)
    out = io.BytesIO()
    pd.read_csv(io.BytesIO(data), dtype=str).to_excel(out, index=False)
    return "people.xlsx", out.getvalue()


def in_file(
    match: Match, write: Callable[[list[Identity], tuple[str, ...]], tuple[str, bytes]]
) -> Callable[[list[Identity]], list[Identity]]:
    return lambda there: from_file(*write(there, COLUMNS[match]), match)


def as_asked(there: list[Identity]) -> list[Identity]:
    return there


SOURCES: dict[str, tuple[Match, Callable[[list[Identity]], list[Identity]]]] = {
    "CSV by e-mail": ("email", in_file("email", as_csv)),
    "CSV by user name": ("username", in_file("username", as_csv)),
    "CSV mapping": ("mapping", in_file("mapping", as_csv)),
    "Excel mapping": ("mapping", in_file("mapping", as_excel)),
    "another Keycloak": ("email", as_asked),
}
every_source = pytest.mark.parametrize(("match", "read"), SOURCES.values(), ids=SOURCES)


@every_source
@pytest.mark.parametrize("order", [migration_bench.ORDER, migration_bench.ANEW], ids=["A", "B"])
def test_a_provider_is_replaced_to_the_end(
    order: Order,
    match: Match,
    read: Callable[[list[Identity]], list[Identity]],
    provider_platform: Callable[[], MigrationBench],
    no_waiting: None,
) -> None:
    made = provider_platform()
    there = made.identities()
    before = made.rights_by_name()
    order = replace(order, match=match)
    found = made.inspect(order, read(there), "people")
    with made.process() as migration:
        situation: Situation = "users" if order.recreate else "provider"
        plan = migration.export(found, OLD, NEW, order, situation)
        migration.approve(plan, "Ann")
        migration.move()
        migration.switch()
    assert made.links(NEW) == {each.external_username: each.external_id for each in there}
    for user in made.everybody():
        made.log_in(user.username)
    with made.process() as migration:
        migration.follow_up()
    made.finish()
    assert made.rights_by_name() == before


@every_source
def test_the_issuer_is_changed_to_the_end(
    match: Match,
    read: Callable[[list[Identity]], list[Identity]],
    issuer_platform: Callable[[], IssuerBench],
    no_waiting: None,
) -> None:
    made = issuer_platform()
    account = KeycloakAccount.model_validate(made.sandbox.addresses()["keycloak"])
    there = identities.from_keycloak(account, made.issuer(TO))
    before = made.rights()
    order = replace(issuer_bench.ORDER, match=match)
    found = made.inspect(order, read(there))
    with made.process() as migration:
        old, new = made.issuer(REALM), made.issuer(TO)
        migration.approve(migration.export(found, old, new, order, "issuer"), "Ann")
        migration.switch()
        migration.move()
    made.come_back(TO)
    made.sandbox.clock.move(25 * 3600)
    with made.process() as migration:
        migration.follow_up()
        migration.finish()
    assert made.rights() == before
