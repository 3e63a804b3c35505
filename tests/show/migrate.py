"""What a migration to another identity provider must show, measured: `make show-migrate`."""

import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tenantry import declared
from tenantry.connections import Connections
from tenantry.files import FolderStore
from tenantry.migration import identities, inspect_issuer, report
from tenantry.migration.inspect_provider import inspect
from tenantry.migration.issuer import IssuerMigration
from tenantry.migration.options import Options
from tenantry.migration.provider import ProviderMigration
from tenantry.systems.systems import Systems
from tests.show.report import Report, Shown
from tests.show.results import Case, run_tests
from tests.support.addresses import given
from tests.support.harness import Bench, FaultySandbox, connections, prepare
from tests.support.issuer_harness import TO, IssuerBench
from tests.support.migration_harness import NEW, OLD, MigrationBench
from tests.support.migration_store import begin

PEOPLE, TEAMS = 5000, 6
_MEGABYTE = 1024


def main() -> int:
    report = Report("Migration of identity providers")
    for measure in MEASURES:
        report.show(measure)
    return report.close()


def crash() -> list[Shown]:
    """A crash at each request, before and after, of each step of a migration"""
    found = run_tests("--whole", "--timeout=1800", "tests/migration/test_crash.py")
    ways = found.each(
        "test_killed_at_any_request_the_next_run_goes_on",
        "{}, 5 people: killed before and after each request, its answer lost too; nobody is lost, "
        "nobody linked twice, all rights as before",
        lambda case: f"{case.told.get('crashes')} crashes, all finished by the next run",
    )
    return [
        *ways,
        found.named("test_the_run_that_goes_on_may_be_killed_too").line(
            "the runs that go on are killed too, seeded", "crashes"
        ),
        found.named("test_what_a_person_more_costs").line("requests a person, exactly"),
        found.named("test_what_a_person_more_costs_who_is_made_anew").line(
            "requests a person, exactly, who is made anew"
        ),
        found.named("test_what_a_person_more_costs_where_the_issuer_changes").line(
            "requests a person, exactly, where the issuer changes"
        ),
        found.line("all of tests/migration/test_crash.py"),
    ]


DEMANDS = {
    "test_everybody_is_linked_ahead_and_nobodys_ids_or_rights_change": "users are linked ahead; no "
    "id changes, in Keycloak nor in Harbor",
    "test_it_is_undone_from_any_phase": "rolled back from every phase",
    "test_a_link_that_was_there_before_stays_when_it_is_undone": "what was there before stays",
    "test_what_a_migration_has_in_hand_is_not_mended": "configure-platform and drift mend nothing "
    "that a migration has in hand",
    "test_the_follow_up_links_again_whoever_lost_the_link": "the hourly run links again whoever "
    "lost the link",
    "test_whoever_comes_by_the_old_one_after_the_export_stops_the_switch": "late arrivals are not "
    "locked out",
    "test_a_second_migration_is_refused_while_one_is_on": "a second migration is refused",
    "test_only_the_plan_that_was_looked_at_is_approved": "the approval is for one plan, by hash",
    "test_whoever_could_be_two_stops_it": "ambiguous and unmatched people stop it; no name is told",
    "test_all_faults_are_listed_with_their_rows": "a mapping file: all faults with their rows",
    "test_another_encoding_is_told": "a mapping file of another encoding",
    "test_users_whom_the_realm_does_not_have_are_told_by_their_rows": "a mapping file with unknown "
    "users: nothing touched",
    "test_a_snapshot_that_is_not_whole_is_refused": "a snapshot cut short, altered or gone is "
    "refused",
    "test_the_snapshot_is_private_holds_no_secret_and_is_deleted_in_its_time": "the snapshot: its "
    "owner's only, no secret, deleted in its time",
    "test_a_user_made_anew_by_hand_is_refused_by_harbor": "made anew by hand: 409",
    "test_everybody_has_another_id_and_all_that_they_had": "made anew: another id, and all rights at "
    "once or after the next login",
    "test_whoever_does_not_come_back_is_waited_for_until_let_go": "made anew: whoever does not come "
    "back is waited for, until let go by name",
    "test_nobody_is_deleted_while_importing_is_not_allowed": "made anew: nobody is deleted before it "
    "is sure that importing is allowed",
    "test_a_group_that_is_gone_meanwhile_locks_nobody_out": "made anew: a group that is gone "
    "meanwhile locks nobody out",
    "test_whoever_cannot_be_linked_is_imported_with_the_same_id": "the fallback: deleted and imported "
    "with the same id; Harbor needs nothing",
    "test_the_naive_switch_is_refused_and_ends_in_409": "another issuer: the naive switch is refused "
    "by configure-platform, and by hand ends in 409",
    "test_everybody_comes_back_with_all_that_they_had": "another issuer: everybody comes back with "
    "memberships, roles and the administrator's flag",
    "test_whoever_does_not_come_back_is_pending_until_let_go": "whoever does not come back is "
    "pending, until let go by name",
    "test_nobody_is_deleted_before_the_switch_nor_without_being_exported": "nobody is deleted before "
    "the switch, nor without being in the snapshot",
    "test_what_is_given_back_is_given_once": "what is given back is given once",
    "test_a_wave_that_is_too_large_needs_a_further_word": "no more than the declared share is deleted "
    "at once without a further word",
    "test_a_rule_that_takes_the_old_issuers_tokens_only_stops_it": "both issuers in the mesh first",
    "test_old_systems_are_refused_by_name": "floors: Harbor 2.4, Keycloak 26.7",
    "test_silently_wrong_match_of_two_names_that_only_look_alike_is_none": "different names are "
    "never merged, such as two that differ in one letter",
    "test_silently_wrong_row_with_shifted_columns_is_a_fault": "a file with shifted columns is "
    "refused with its row",
    "test_silently_wrong_row_whose_cells_were_moved_in_a_spreadsheet_is_a_fault": "a file whose "
    "cells were moved in a spreadsheet is refused with its row",
    "test_an_edited_copy_of_the_inspections_file_is_a_mapping": "an edited copy of the inspection's "
    "file is a mapping: commas, semicolons, Excel",
    "test_rights_given_since_a_return_are_kept_where_the_issuer_changes": "rights given meanwhile "
    "survive a roll back: another issuer",
    "test_rights_given_since_a_return_are_kept_where_users_are_made_anew": "rights given meanwhile "
    "survive a roll back: users with other ids",
    "test_an_admin_flag_given_meanwhile_is_kept": "an administrator's flag given meanwhile survives "
    "a roll back",
    "test_the_way_back_ends_without_people_who_are_excluded": "a roll back ends although a person "
    "is absent: another issuer",
    "test_the_way_back_ends_without_people_who_are_excluded_where_users_are_made_anew": "a roll back "
    "ends although a person is absent: users with other ids",
    "test_the_store_names_who_is_awaited_by_team": "the store names the people who are awaited, by "
    "team",
    "test_nothing_is_inspected_or_planned_on_the_way_back": "no plan is made during a roll back",
    "test_the_teams_of_people_are_known_before_their_first_login": "another issuer: reports know the "
    "teams before the first login",
}


def cases() -> list[Shown]:
    """All of tests/migration"""
    found = run_tests("tests/migration")
    lines = [found.named(name).line(demand) for name, demand in DEMANDS.items()]
    replaced = found.each(
        "test_a_provider_is_replaced_to_the_end", "matched and moved to the end: {}", _passed
    )
    changed = found.each(
        "test_the_issuer_is_changed_to_the_end", "matched and moved to the end: C-{}", _passed
    )
    named = "the approvals name the numbers of people, and hold for no more of them"
    return [
        *(*lines, *replaced, *changed, *_matched_through_the_flows()),
        found.of("tests/migration/test_consequences.py").line(named),
        found.of("tests/migration/test_storing.py").line(
            "what the store keeps is compared, and a failed export leaves no personal data"
        ),
        found.line(f"all of these tests, {found.seconds:.0f} s"),
    ]


def _matched_through_the_flows() -> list[Shown]:
    found = run_tests("tests/e2e/test_migration_matching.py")
    situations = {
        "test_a_provider_is_replaced_through_the_flows": "A",
        "test_users_are_re_created_through_the_flows": "B",
        "test_the_issuer_is_changed_through_the_flows": "C",
    }
    return [
        line
        for name, situation in situations.items()
        for line in found.each(
            name, f"matched and moved to the end through the flows: {situation}-{{}}", _passed
        )
    ]


def _passed(case: Case) -> str:
    return "passed" if case.passed else "FAILED"


def flow() -> list[Shown]:
    """The flow through a real Prefect server"""
    found = run_tests("tests/e2e/test_migration.py")
    approved = "test_a_person_approves_a_plan_for_days_and_the_run_goes_on"
    return [
        found.named(approved).line(
            "a suspended run holds no process, is resumed by a form, and goes on to the end"
        ),
        found.named("test_the_approvals_of_another_issuer_say_whom_they_lock_out_and_delete").line(
            "the approval of another issuer says who is deleted and locked out; a roll back deletes "
            "only after an approval that named the number"
        ),
        found.named("test_an_approval_does_not_hold_for_more_people_than_it_named").line(
            "an approval does not hold for more people than it named"
        ),
        found.named("test_a_person_reads_the_approval_of_another_issuer_in_the_ui").line(
            "the approvals' texts in a browser"
        ),
        found.named("test_what_stops_a_migration_is_shown_with_its_remedy").line(
            "what stops a migration is shown with its remedy, not cut off, in a browser"
        ),
        found.line("all of tests/e2e/test_migration.py"),
    ]


RUNBOOK = {
    "test_the_runbook_replaces_a_provider_though_a_run_is_killed_between_waves": "situation A, with "
    "a SIGKILL between waves",
    "test_the_runbook_changes_the_issuer_though_a_run_is_killed_between_waves": "situation C, with "
    "a SIGKILL between waves",
    "test_the_runbook_goes_back_to_the_old_issuer": "situation C, rolled back",
}


def runbook() -> list[Shown]:
    """The runbook of docs/migrate.md, carried out step by step from its own text"""
    said = run_tests("tests/docs/test_runbook.py")
    sandbox = run_tests("tests/e2e/test_runbook.py")
    real = run_tests("-m", "real", "--target", "real", "tests/real/test_runbook.py")
    chosen = given().harbor
    harbor = "a given" if chosen and chosen.sign_on else "the sandbox's"
    return [
        said.named("test_each_quoted_message_is_the_codes").line(
            "each message that the page quotes is the code's, word by word"
        ),
        said.named("test_every_notice_that_stops_a_migration_is_explained").line(
            "the page explains every notice that stops a migration"
        ),
        said.line("all of tests/docs/test_runbook.py"),
        *(sandbox.named(name).line(f"sandbox: {told}") for name, told in RUNBOOK.items()),
        *(
            real.named(name).line(f"real Keycloak, {harbor} Harbor: {told}")
            for name, told in RUNBOOK.items()
        ),
    ]


def logins() -> list[Shown]:
    """Fifty people on a real Keycloak, with their logins through Harbor"""
    places = ("tests/real/test_migration.py", "tests/real/test_issuer_migration.py")
    found = run_tests("-m", "real", "--target", "real", *places)
    fifty = found.named("test_fifty_people_are_moved_and_everybodys_first_login_is_right")
    back = found.named("test_fifty_people_come_back_with_all_that_they_had")
    anew = found.named("test_fifty_people_are_made_anew_and_come_back_with_all_that_they_had")
    return [
        fifty.line("before: the naive switch ends in", "naive"),
        fifty.line(
            "another provider, 50 people in 6 groups, an ambiguous pair, two who never come back: "
            "everybody else's first login works, no Harbor id changes, right by right equal",
            "people",
            "rights",
        ),
        back.line("another issuer: the naive switch ends in", "naive"),
        back.line(
            "another issuer, the same people: everybody else's first login works, all rights are "
            "back but a project's ownership, for which Harbor has no call",
            "people",
            "rights",
        ),
        anew.line("made anew: somebody who is made anew by hand ends in", "naive"),
        anew.line(
            "made anew, the same people: everybody else's first login works, all rights are back but "
            "a project's ownership",
            "people",
            "rights",
        ),
        found.named("test_whoever_is_imported_with_the_same_id_is_the_same_to_harbor").line(
            "imported with the same id: no Harbor id changes"
        ),
        found.named("test_after_a_roll_back_everybody_logs_in_as_before").line(
            "rolled back from every phase, with logins proven afterwards"
        ),
        found.named("test_a_pilot_logs_in_by_the_printed_links_though_harbor_sends_a_hint").line(
            "a pilot logs in by the printed links, though Harbor sends a hint"
        ),
        found.named("test_those_who_were_made_anew_get_their_ids_back").line(
            "rolled back from every phase where people were made anew: the former ids, and logins"
        ),
    ]


# Five thousand


def five_thousand() -> list[Shown]:
    """Five thousand people in the sandbox, moved by a process of its own"""
    with (
        FaultySandbox() as sandbox,
        tempfile.TemporaryDirectory() as folder,
        Bench(prepare(sandbox), Path(folder) / "state") as bench,
    ):
        made = MigrationBench(bench, people=PEOPLE, teams=TEAMS)
        sandbox.requests.reset()
        context = multiprocessing.get_context("spawn")
        with context.Pool(1) as pool:
            steps = pool.apply(_migrate, (connections(sandbox), bench.folder, made.issuer))
        total = sandbox.requests.total()
        linked = len(made.links(NEW))
    return _figures("linked", linked, total, steps)


def _figures(what: str, through: int, total: int, steps: list[dict[str, Any]]) -> list[Shown]:
    minutes = sum(step["seconds"] for step in steps) / 60
    first, last = steps[0]["memory"], steps[-1]["memory"]
    told = ", ".join(f"{step['name']} {step['seconds']:.0f} s" for step in steps)
    return [
        Shown(f"{PEOPLE} people: minutes, not hours", f"{minutes:.1f} min ({told})", minutes < 60),
        Shown(
            f"all of them are {what}",
            f"{through} of {PEOPLE}; {total / PEOPLE:.1f} requests a person in all",
            through == PEOPLE,
        ),
        Shown(
            "memory is flat once everybody is read",
            f"peak {first} MB after the look, {last} MB at the end",
            last - first < 100,
        ),
    ]


def _migrate(given: Connections, folder: Path, issuer: str) -> list[dict[str, Any]]:
    """From the look to the end; how long each step took, and the process's peak of memory."""
    steps: list[dict[str, Any]] = []
    options = Options(soak_hours=0, wave_percent=25)
    there = identities.from_keycloak(given.keycloak, issuer.replace("/platform", "/corp-new"))
    with Systems(given, declared.load(folder)) as systems:
        store = FolderStore(folder.parent / "store")
        migration = begin(ProviderMigration, systems, store, folder)

        def look() -> None:
            found = inspect(systems, OLD, NEW, there, options)
            migration.approve(migration.export(found, OLD, NEW, options, "provider"), "Ann")

        _time(
            steps,
            look=look,
            link=migration.move,
            switch=migration.switch,
            compare=lambda: report.compare(migration),
            finish=migration.finish,
        )
    return steps


def _time(steps: list[dict[str, Any]], **work: Callable[[], object]) -> None:
    """Does one after the other; how long each took, and the process's peak of memory."""
    for name, step in work.items():
        began = time.monotonic()
        step()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // _MEGABYTE
        steps.append({"name": name, "seconds": time.monotonic() - began, "memory": peak})


def five_thousand_made_anew() -> list[Shown]:
    """Five thousand people in the sandbox who are made anew, and who all come back"""
    with (
        FaultySandbox() as sandbox,
        tempfile.TemporaryDirectory() as folder,
        Bench(prepare(sandbox), Path(folder) / "state") as bench,
    ):
        made = MigrationBench(bench, people=PEOPLE, teams=TEAMS)
        before = {user.id for user in made.users()}
        sandbox.requests.reset()
        context = multiprocessing.get_context("spawn")
        with context.Pool(1) as pool:
            given = (connections(sandbox), bench.folder, made.issuer)
            steps = pool.apply(_remake, (*given, False))
            for user in made.users():
                made.log_in(user.username)
            steps += pool.apply(_remake, (*given, True))
        total = sandbox.requests.total()
        anew = {user.id for user in made.users()} - before
        known = {user.subiss.removesuffix(made.issuer) for user in sandbox.harbor.users.values()}
    return _figures("made anew, and back", len(anew & known), total, steps)


def _remake(given: Connections, folder: Path, issuer: str, back: bool) -> list[dict[str, Any]]:
    """Up to the switch, or what comes after the logins."""
    steps: list[dict[str, Any]] = []
    options = Options(soak_hours=0, wave_percent=25, recreate=True)
    with Systems(given, declared.load(folder)) as systems:
        store = FolderStore(folder.parent / "store")
        migration = begin(ProviderMigration, systems, store, folder)

        def look() -> None:
            there = identities.from_keycloak(
                given.keycloak, issuer.replace("/platform", "/corp-new")
            )
            found = inspect(systems, OLD, NEW, there, options)
            migration.approve(migration.export(found, OLD, NEW, options, "users"), "Ann")

        if back:
            _time(
                steps,
                restore=migration.follow_up,
                compare=lambda: report.compare(migration),
                finish=migration.finish,
            )
        else:
            _time(steps, look=look, remake=migration.move, switch=migration.switch)
    return steps


def five_thousand_come_back() -> list[Shown]:
    """Five thousand people in the sandbox whose issuer changes, and who all come back"""
    with (
        FaultySandbox() as sandbox,
        tempfile.TemporaryDirectory() as folder,
        Bench(prepare(sandbox), Path(folder) / "state") as bench,
    ):
        made = IssuerBench(bench, people=PEOPLE, teams=TEAMS)
        sandbox.requests.reset()
        context = multiprocessing.get_context("spawn")
        with context.Pool(1) as pool:
            given = (connections(sandbox), bench.folder)
            steps = pool.apply(_reissue, (*given, False))
            made.log_in_again(TO)
            steps += pool.apply(_reissue, (*given, True))
        total = sandbox.requests.total()
        back = len({*made.names} & {*made.rights()["people"]})
    return _figures("back", back, total, steps)


def _reissue(given: Connections, folder: Path, back: bool) -> list[dict[str, Any]]:
    """Up to the last wave, or what comes after the logins."""
    steps: list[dict[str, Any]] = []
    options = Options(soak_hours=0, wave_percent=25)
    with Systems(given, declared.load(folder)) as systems:
        store = FolderStore(folder.parent / "store")
        migration = begin(IssuerMigration, systems, store, folder)

        def look() -> None:
            there = identities.from_realm(systems.keycloak_client)
            old, new = inspect_issuer.find_issuers(systems)
            found = inspect_issuer.inspect(systems, old, new, there, options)
            plan = migration.export(found, old, new, options, "issuer")
            migration.approve(plan, "Ann")

        if back:
            _time(steps, restore=migration.follow_up, finish=migration.finish)
        else:
            _time(steps, look=look, switch=migration.switch, delete=migration.move)
    return steps


MEASURES = (
    *(crash, cases, flow, runbook, logins),
    *(five_thousand, five_thousand_made_anew, five_thousand_come_back),
)

if __name__ == "__main__":
    sys.exit(main())
