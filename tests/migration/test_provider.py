"""An external provider is replaced: nobody's id changes, and nobody's rights."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tenantry.errors import TenantryError
from tenantry.migration import journal as journals
from tenantry.migration import snapshot as snapshots
from tenantry.migration.inspection import check_versions
from tests.support.migration_harness import NEW, OLD, OPTIONS, MigrationBench

Phases = pytest.mark.parametrize("until", ["exported", "approved", "moving", "moved", "switched"])


@pytest.fixture
def made(provider_platform: Callable[[], MigrationBench], no_waiting: None) -> MigrationBench:
    return provider_platform()


@pytest.mark.demand("migrate", "users are linked ahead; no id changes, in Keycloak nor in Harbor")
def test_all_users_are_linked_in_advance_and_keep_ids_and_rights(made: MigrationBench) -> None:
    before, links = made.rights(), made.links(OLD)

    made.migrate()

    assert made.hidden() == {OLD: True, NEW: False}
    there = {each.external_username: each.external_id for each in made.identities()}
    assert made.links(NEW) == {name: there[name] for name in links}
    assert made.links(OLD) == links, "the way back"
    assert made.rights() == before

    made.finish()

    assert made.hidden() == {NEW: False}
    assert made.links(OLD) == {}
    assert made.rights() == before


def test_the_pilot_is_first_and_the_switch_waits_for_all_waves(made: MigrationBench) -> None:
    made.migrate(until="moving")

    assert list(made.links(NEW)) == ["user00"]
    assert made.hidden() == {OLD: False, NEW: True}
    with made.process() as migration, pytest.raises(TenantryError, match="all waves must be done"):
        migration.switch()


def test_waves_by_group_and_by_percentage(made: MigrationBench) -> None:
    options = replace(OPTIONS, groups=("team-t1",), wave_percent=50, exclude_users=("user04",))
    found = made.inspect(options)

    assert found.waves == ["pilot", "team-t1", "the others"]
    waves = {person.username: person.wave for person in found.people}
    assert waves == {"user00": 0, "user01": 1, "user02": 2, "user03": 1, "user04": None}
    assert found.summary == "5 people: 5 matched, 0 unmatched, 0 ambiguous; 1 excluded; waves: 3."


def test_waves_of_the_same_size_are_numbered(made: MigrationBench) -> None:
    options = replace(OPTIONS, wave_percent=34)
    found = made.inspect(options)

    assert found.waves == ["pilot", "the others, part 1 of 2", "the others, part 2 of 2"]
    assert [len([p for p in found.people if p.wave == wave]) for wave in range(3)] == [1, 2, 2]


@pytest.mark.demand(
    "migrate", "configure-platform and drift remediate nothing that a migration is changing"
)
def test_settings_that_a_migration_changes_are_not_remediated(made: MigrationBench) -> None:
    made.migrate()
    assert made.configure() == []
    made.realm.providers[NEW]["hideOnLogin"] = True
    assert made.configure() == [], "shown and hidden is the migration's business"

    made.realm.providers[NEW]["hideOnLogin"] = False
    made.finish()
    assert made.configure() == []
    assert OLD not in (made.bench.folder / "platform.yaml").read_text().replace("corp-", "")
    made.realm.providers[NEW]["hideOnLogin"] = True
    assert made.configure() == [f"keycloak/identity provider/{NEW}"], "and then it is no more"


@pytest.mark.demand("migrate", "rolled back from every phase")
@Phases
def test_it_is_rolled_back_from_any_phase(until: str, made: MigrationBench) -> None:
    before, links, hidden = made.rights(), made.links(OLD), made.hidden()
    declared = made.bench.state.platform
    made.migrate(until=until)

    with made.process() as migration:
        migration.roll_back()

    assert made.rights() == before
    assert (made.links(OLD), made.links(NEW), made.hidden()) == (links, {}, hidden)
    assert made.configure() == []
    assert made.bench.state.platform == declared
    made.migrate()
    assert made.hidden() == {OLD: True, NEW: False}, "it may be begun anew"


def test_no_finish_before_the_soak_time_and_no_rollback_after_the_finish(
    made: MigrationBench,
) -> None:
    made.migrate()
    with made.process() as migration, pytest.raises(TenantryError, match="soak time"):
        migration.finish()
    made.finish()
    with (
        made.process() as migration,
        pytest.raises(TenantryError, match="No migration is in progress"),
    ):
        migration.roll_back()


@pytest.mark.demand("migrate", "a link that existed before the migration stays")
def test_a_rollback_keeps_links_that_existed_before(made: MigrationBench) -> None:
    there = {each.external_username: each.external_id for each in made.identities()}
    made.person("user01").links[NEW] = {"userId": there["user01"], "userName": "user01"}
    made.migrate()
    with made.process() as migration:
        migration.roll_back()

    assert made.links(NEW) == {"user01": there["user01"]}


@pytest.mark.demand("migrate", "the hourly run links users again who lost the link")
def test_the_follow_up_restores_lost_links(made: MigrationBench) -> None:
    made.migrate()
    links = made.links(NEW)
    del made.person("user02").links[NEW]
    made.sandbox.clock.move(25 * 3600)
    with (
        made.process() as migration,
        pytest.raises(TenantryError, match="lost their link to 'login': 1"),
    ):
        migration.finish()
    assert made.hidden()[OLD], "nothing was taken away"

    with made.process() as migration:
        assert str(migration.follow_up()) == "5 linked, 0 in later waves, 1 linked again"

    assert made.links(NEW) == links


@pytest.mark.demand("migrate", "late arrivals are not locked out")
def test_a_first_login_with_the_old_provider_after_the_export_blocks_the_switch(
    made: MigrationBench,
) -> None:
    made.migrate(until="moved")
    made.add_person("late")

    with made.process() as migration, pytest.raises(TenantryError, match="after the export: 1"):
        migration.switch()
    assert made.hidden() == {OLD: False, NEW: True}

    plan = made.plan()
    with made.process() as migration:
        migration.approve(plan, "Ann")
        migration.move()
        migration.switch()
    assert "late" in made.links(NEW)


@pytest.mark.demand("migrate", "a second migration is refused")
def test_a_second_migration_is_rejected_while_one_is_in_progress(made: MigrationBench) -> None:
    made.migrate(until="approved")

    with made.process() as migration, pytest.raises(TenantryError, match="is in progress"):
        migration.check_no_other(NEW, "other")


@pytest.mark.demand("migrate", "the approval is for one plan, by hash")
def test_only_the_current_plan_can_be_approved(made: MigrationBench) -> None:
    old = made.plan()
    made.plan()

    with made.process() as migration:
        with pytest.raises(TenantryError, match="the current plan is"):
            migration.approve(old, "Ann")
        with pytest.raises(TenantryError, match="not approved"):
            migration.move()
    assert made.links(NEW) == {}


# What stands in the way


@pytest.mark.demand(
    "migrate", "ambiguous and unmatched users stop a migration; no message has a name"
)
def test_ambiguous_and_unmatched_people_are_blocking(made: MigrationBench) -> None:
    made.add_person("twin")
    made.add_identity("twin2", "TWIN@corp.test")
    made.add_person("gone", there=False)

    found = made.inspect()

    with pytest.raises(TenantryError, match="Ambiguous at the new provider: 1") as raised:
        found.require_no_blocking()
    assert "Unmatched at the new provider: 1" in str(raised.value)
    assert "twin" not in str(raised.value), "names are for the file in the store"
    exclude_users = replace(OPTIONS, exclude_users=("twin", "gone"))
    made.inspect(exclude_users).require_no_blocking()


def test_a_reassigned_user_name_is_ambiguous(made: MigrationBench) -> None:
    made.add_person("eve", there=False)
    made.add_identity("eve", "another.eve@corp.test")

    found = made.inspect(replace(OPTIONS, match="username"))

    assert [each.who for each in found.blocking] == [("eve",)]
    assert found.matched[made.person("eve").id].why.endswith("reassigned")


def test_a_second_account_is_blocking(made: MigrationBench) -> None:
    there = {each.external_username: each.external_id for each in made.identities()}
    made.add_person("double", there=False).links[NEW] = {"userId": there["user01"]}

    found = made.inspect(replace(OPTIONS, exclude_users=("double",)))

    assert [each.what for each in found.blocking] == ["second account"]
    made.inspect(replace(OPTIONS, exclude_users=("double", "user01"))).require_no_blocking()


def hide_not(made: MigrationBench) -> None:
    made.realm.providers[NEW]["hideOnLogin"] = False


def forget_provider(made: MigrationBench) -> None:
    del made.realm.providers[NEW]


def forget_mappers(made: MigrationBench) -> None:
    made.realm.provider_mappers = {
        id: mapper
        for id, mapper in made.realm.provider_mappers.items()
        if mapper["identityProviderAlias"] == OLD or "group" not in mapper["config"]
    }


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (hide_not, "provider shown"),
        (forget_provider, "provider missing"),
        (forget_mappers, "mappers missing"),
    ],
)
def test_a_new_provider_that_is_not_ready_is_blocking(
    spoil: Callable[[MigrationBench], None], what: str, made: MigrationBench
) -> None:
    spoil(made)
    assert what in [each.what for each in made.inspect().blocking]


def test_all_unknown_names_are_reported_at_once(made: MigrationBench) -> None:
    with pytest.raises(TenantryError) as raised:
        made.inspect(
            replace(OPTIONS, pilot=("nobody",), exclude_users=("noone",), groups=("none",))
        )

    assert [line.split(":")[0] for line in str(raised.value).splitlines()] == [
        "pilot",
        "exclude_users",
        "groups",
    ]


# What is kept


@pytest.mark.demand(
    "migrate", "the snapshot: readable by its owner only, without secrets, deleted on time"
)
def test_the_snapshot_is_private_holds_no_secret_and_is_deleted_in_its_time(
    made: MigrationBench,
) -> None:
    made.migrate()
    journal = journals.read(made.store)
    assert journal is not None
    folder = made.bench.folder.parent / "store"
    path = folder / snapshots.snapshot_file(journal.id)
    assert path.stat().st_mode & 0o777 == 0o600
    kept = "".join(file.read_text() for file in folder.rglob("*.json"))
    secrets = [*made.sandbox.harbor.issued_secrets, "broker-secret"]
    assert not any(secret in kept for secret in secrets)
    assert "user01" not in (folder / "migration/journal-0.json").read_text()

    look = folder / snapshots.INSPECTION
    look.write_text("user01")
    made.finish()
    with made.process() as migration:
        assert not migration.delete_expired_snapshot()
    made.sandbox.clock.move(31 * 86400)
    with made.process() as migration:
        assert migration.delete_expired_snapshot()
        assert not migration.delete_expired_snapshot()
    assert "user01" not in path.read_text() + look.read_text()


def test_a_new_plan_deletes_the_snapshot_of_the_last_migration(made: MigrationBench) -> None:
    made.migrate()
    with made.process() as migration:
        kept = made.bench.folder.parent / "store" / snapshots.snapshot_file(migration.entry.id)
        migration.roll_back()
    assert "user01" in kept.read_text()
    made.plan()
    assert "user01" not in kept.read_text()


@pytest.mark.demand("migrate", "a snapshot that was cut short, altered or deleted is refused")
@pytest.mark.parametrize("spoil", ["cut", "altered", "gone"])
def test_a_corrupt_snapshot_is_rejected(spoil: str, made: MigrationBench) -> None:
    made.migrate(until="approved")
    journal = journals.read(made.store)
    assert journal is not None
    path = made.bench.folder.parent / "store" / snapshots.snapshot_file(journal.id)
    text = path.read_text()
    if spoil == "gone":
        path.unlink()
    else:
        path.write_text(text[:-200] if spoil == "cut" else text.replace("user01", "user09"))
    made.sandbox.requests.reset()

    with made.process() as migration, pytest.raises(TenantryError, match="snapshot"):
        migration.move()

    assert made.links(NEW) == {}


def test_a_truncated_journal_falls_back_to_the_entry_before(made: MigrationBench) -> None:
    made.migrate(until="moved")
    journal = journals.read(made.store)
    assert journal is not None
    newest = made.bench.folder.parent / f"store/migration/journal-{journal.number % 2}.json"
    newest.write_text(newest.read_text()[:100])

    made.migrate()

    assert made.hidden() == {OLD: True, NEW: False}


@pytest.mark.demand("migrate", "minimum versions: Harbor 2.4, Keycloak 26.7")
@pytest.mark.parametrize(
    ("harbor", "keycloak", "said"),
    [("v2.3.5-abc", "26.7.3", "needs 2.4"), ("v2.15.2-abc", "26.6.9", "tested with 26.7")],
)
def test_unsupported_versions_are_rejected(
    harbor: str, keycloak: str, said: str, made: MigrationBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with made.bench.process() as systems:
        told = {**systems.harbor_client.get("/systeminfo"), "harbor_version": harbor}
        monkeypatch.setattr(systems.harbor_client, "get", lambda path: told)
        monkeypatch.setattr(systems.keycloak_client, "version", lambda: keycloak)

        with pytest.raises(TenantryError, match=said):
            check_versions(systems)
