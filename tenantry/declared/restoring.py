"""Teams that are being offboarded or were removed: when they may be onboarded again."""

from dataclasses import replace

from tenantry.calls import utc_now
from tenantry.declared.merge import Data
from tenantry.declared.offboarding import KEY
from tenantry.declared.state import Declaration, LeftOut
from tenantry.errors import DeclarationError


def without_record(declaration: Declaration, name: str, file: str, before: Data) -> Data:
    """Return the content of a team's file without the record of an offboarding, if it has one.

    Raises:
        DeclarationError: the grace period of the team is over, or its file is faulty.
    """
    if KEY not in before:
        return before
    team = declaration.offboarding.get(name)
    if team is None or team.offboarding is None:
        faults = [
            fault for each in declaration.left_out if each.file == file for fault in each.faults
        ]
        text = f"team {name}: is being offboarded, and {file} is faulty. Correct it first:"
        raise DeclarationError([text, *faults])
    record = team.offboarding
    if record.is_over(utc_now().date()):
        text = (
            f"team {name}: its grace period ended on {record.remove_after}, so parts of it may be "
            f"removed. Nothing was changed. To restore what is left, set '{KEY}.remove_after' in "
            f"{file} to a later day and run this again; or wait until remove-offboarded-teams has "
            "removed the team, and onboard a new one."
        )
        raise DeclarationError([text])
    return {key: value for key, value in before.items() if key != KEY}


def check_not_recorded(declaration: Declaration, name: str, file: str) -> None:
    """Check that an unreadable file, which a call would overwrite, has no record of an offboarding.

    Raises:
        DeclarationError: it has one.
    """
    if any(each.file == file and each.is_offboarding for each in declaration.left_out):
        text = (
            f"team {name}: {file} has the record of an offboarding and cannot be read. Correct it "
            "before the team is onboarded again."
        )
        raise DeclarationError([text])


def without_ended(older: Declaration, latest: Declaration) -> Declaration:
    """Return an older declared state, in which no team is active that has been offboarded since.

    Otherwise a run for an older commit would restore what was revoked or removed.

    Args:
        older: the declared state of an older commit.
        latest: the declared state at the branch's head.
    """
    ended = dict.fromkeys(latest.offboarding, "is being offboarded")
    for each in latest.left_out:
        if each.is_offboarding:
            ended |= dict.fromkeys(each.names, "is being offboarded")
    for gone in latest.archive:
        if gone.name not in latest.names:
            ended[gone.name] = f"was removed ({gone.file})"
    files = older.documents.teams if older.documents else {}
    added = [
        LeftOut(
            file := files[name].name if name in files else f"teams/{name}.yaml",
            (f"{file}:1: team '{name}' {ended[name]} at the head of the branch",),
            (),
            (name,),
            team,
            is_whole=True,
            is_offboarding=True,
        )
        for name, team in older.teams.items()
        if name in ended and name not in latest.offboarding
    ]
    return replace(
        older,
        teams={name: team for name, team in older.teams.items() if name not in ended},
        offboarding={**older.offboarding, **latest.offboarding},
        left_out=tuple(
            replace(
                each, is_offboarding=each.is_offboarding or not ended.keys().isdisjoint(each.names)
            )
            for each in (*older.left_out, *added)
        ),
        archive=latest.archive,
    )
