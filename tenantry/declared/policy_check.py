"""Checks a team's declaration against the policy, for files, API calls and the form alike.

Only the team's own values are checked. A value that `platform.yaml` gives, by its defaults or by a
profile that the team may use, needs no exception.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from tenantry.declared import policy_hosts, policy_reserved, policy_rules
from tenantry.declared.adopt import (
    NEVER,
    SYSTEMS,
    AdoptBySystem,
    adopt_text,
    least_strict,
    shortest,
    strictest,
)
from tenantry.declared.claims import LIMITS as NAMES
from tenantry.declared.claims import Granted
from tenantry.declared.faults import Document, Place
from tenantry.declared.merge import complete
from tenantry.declared.platform import Platform
from tenantry.declared.policy import Limits, Policy, allows_more, extended, overridden
from tenantry.declared.policy_rules import Breach, Case
from tenantry.declared.policy_source import NAME, EvaluatedTeam, PolicySource, Violation
from tenantry.declared.policy_text import grant_text, printable, renaming
from tenantry.declared.team import Team, TeamSettings

NAME_LIMITS = frozenset(NAMES.values())
"""The limits with the names of a team's objects."""

_ANY = "{team}"
"""The team name used to check a profile. It is not a valid name, so that it equals no team's."""


class PolicyEvaluator:
    """Checks teams against a policy.

    Args:
        platform: the platform that gives the teams their defaults.
        document: the file that the policy was read from.
        policy: the policy.
        platforms: the platforms whose groups and hosts are reserved.
    """

    def __init__(
        self, platform: Platform, document: Document, policy: Policy, platforms: Sequence[Platform]
    ) -> None:
        self.platform = platform
        self.document = document
        self.policy = policy
        self._platforms = tuple(platforms)
        self._bases: dict[str | None, Team] = {}
        self._limits: dict[tuple[str | None, tuple[int, ...]], Limits] = {}
        self._profiles: dict[str, list[Breach]] = {}
        self._grants: dict[str, list[int]] = {}
        for index, grant in enumerate(self.policy.grants):
            for name in grant.teams:
                self._grants.setdefault(name, []).append(index)

    # A single team

    def check(self, given: Team, team: Team, file: str | None = None) -> list[Violation]:
        """Return a team's violations of the policy.

        Args:
            given: the team with only its own fields.
            team: the same team with all defaults.
            file: the name of its file in `teams/`; None for an API call.
        """
        found = [*self._check_file(team, file), *self._check_profile(team, file)]
        case = Case(
            given,
            team,
            self._base(team.profile),
            self.limits_of(team, file),
            self.reserved_groups,
            policy_reserved.names(self.policy),
            self.platform.kubernetes.group_prefix,
            self.platform.mesh.gateway,
        )
        breaches = [
            *policy_rules.check(case),
            *policy_hosts.check(case, self.reserved_hosts),
        ]
        return [*found, *(self._explain(breach, team, file) for breach in breaches)]

    def limits_of(self, team: Team, file: str | None = None) -> Limits:
        """Return a team's limits: the general limits, overridden by its profile's, plus its grants."""
        grants = tuple(self._grants_of(team.name, file))
        profile = team.profile if team.profile in self.policy.profiles else None
        if profile is not None and not self._may_use(team, profile, file):
            profile = None
        key = (profile, grants)
        if key not in self._limits:
            limits = self.policy.limits
            if profile is not None:
                limits = overridden(limits, self.policy.profiles[profile])
            self._limits[key] = extended(limits, (self.policy.grants[each] for each in grants))
        return self._limits[key]

    def granted_hosts(self, team: Team) -> frozenset[str]:
        """Return the hosts that the policy grants to a team."""
        grants = (self.policy.grants[index] for index in self._grants_of(team.name, None))
        return frozenset(host for grant in grants for host in grant.further_hosts)

    def granted_names(self, team: Team) -> frozenset[Granted]:
        """Return the names of a team's objects that the policy grants to this team, in full."""
        grants = [self.policy.grants[index] for index in self._grants_of(team.name, None)]
        limits = {limit for grant in grants for limit in NAME_LIMITS & grant.model_fields_set}
        return frozenset(
            (limit, name) for grant in grants for limit in limits for name in getattr(grant, limit)
        )

    def _grants_of(self, name: str, file: str | None) -> Iterator[int]:
        for index in self._grants.get(name, ()):
            if file is None or _is_own(name, file) or file in self.policy.grants[index].files:
                yield index

    def _may_declare(self, file: str | None, name: str) -> bool:
        """Return whether a file is named after the team, or is listed in one of its grants."""
        return file is None or _is_own(name, file) or bool([*self._grants_of(name, file)])

    def adopt_of(self, given: Team, team: Team, file: str | None = None) -> Team:
        """Return the team with `adopt` reduced to the value that the policy allows."""
        base = self._base(team.profile).adopt
        granted = strictest(team.adopt, self.limits_of(team, file).adopt)
        allowed = least_strict(base, granted)
        if "adopt" not in given.model_fields_set or allowed == team.adopt:
            return team
        return team.model_copy(update={"adopt": allowed})

    def refused_adopt(self, team: Team, allowed: Team) -> str | dict[str, str]:
        """Return a team's declared `adopt`, as far as the policy does not allow it.

        Args:
            team: the team as it is declared.
            allowed: the team with the `adopt` that the policy allows.
        """
        modes = {s: team.adopt.of(s) for s in SYSTEMS if team.adopt.of(s) != allowed.adopt.of(s)}
        return shortest(AdoptBySystem.model_validate(modes))

    def adopt_text(self, team: Team, refused: str | dict[str, str], file: str | None) -> str:
        """Return the warning for a team whose `adopt` has no effect, or only in some systems."""
        return (
            f"'{adopt_text(refused)}' has no effect: the policy does not let {team.label} adopt resources "
            f"that Tenantry did not create{self._limit_text(('adopt',), team)}. Remove it if "
            "nothing is left to adopt; otherwise "
            f"{self._remedy(team.name, {'adopt': refused}, file)}"
        )

    def _base(self, profile: str | None) -> Team:
        """Return a team of a profile without own fields: only the platform's values."""
        if profile not in self._bases:
            given = Team(name="a") if profile is None else Team(name="a", profile=profile)
            self._bases[profile] = complete(self.platform, given)
        return self._bases[profile]

    # Profiles

    def _check_profile(self, team: Team, file: str | None) -> Iterator[Violation]:
        profile = team.profile
        if profile is None or self._may_use(team, profile, file):
            return
        listed = self.policy.profiles.get(profile)
        if listed is not None and listed.teams is not None:
            place: Place = ("policy", "profiles", profile, "teams")
            why = f"is for the teams in policy.profiles.{profile}.teams{self._at(place)}"
        else:
            breach = self.profile_breaches(profile)[0]
            why = (
                f"gives more than the policy allows to all teams ({_field(breach.place)}: "
                f"{breach.text}), so the policy must name its teams"
            )
        text = (
            f"'{profile}' {why}. Choose another profile, or add '{team.name}' to "
            f"policy.profiles.{profile}.teams in {self.document.name}"
        )
        yield Violation(("profile",), text, {}, profile)

    def _may_use(self, team: Team, profile: str, file: str | None) -> bool:
        listed = self.policy.profiles.get(profile)
        if listed is not None and listed.teams is not None:
            return team.name in listed.teams and self._may_declare(file, team.name)
        return not self.profile_breaches(profile)

    def profile_breaches(self, profile: str) -> list[Breach]:
        """Return a profile's values that the policy does not allow to all teams."""
        if profile not in self._profiles:
            settings = self.platform.profiles.get(profile, TeamSettings())
            data = settings.model_dump(mode="json", exclude_unset=True)
            given = Team.model_validate({"name": "a", **data})
            limits = self.policy.limits
            case = Case(
                given.model_copy(update={"name": _ANY}),
                complete(self.platform, given).model_copy(update={"name": _ANY}),
                self._base(None),
                limits,
                self.reserved_groups,
                policy_reserved.names(self.policy),
                self.platform.kubernetes.group_prefix,
                self.platform.mesh.gateway,
            )
            found = [*policy_rules.check(case), *policy_hosts.check(case, self.reserved_hosts)]
            if (
                allows_more("adopt", settings.adopt, NEVER)
                and allows_more("adopt", settings.adopt, limits.adopt)
                and allows_more("adopt", settings.adopt, self._base(None).adopt)
            ):
                adopt = shortest(settings.adopt)
                text = f"'{adopt_text(adopt)}' adopts resources that Tenantry did not create"
                found.append(Breach(("adopt",), text, {"adopt": adopt}))
            self._profiles[profile] = found
        return self._profiles[profile]

    # Names and hosts of the platform

    @cached_property
    def reserved_groups(self) -> frozenset[str]:
        """The folded names of the groups that no team may use."""
        return policy_reserved.groups(self.policy, self._platforms)

    @cached_property
    def reserved_hosts(self) -> policy_hosts.Reserved:
        """The hosts that no team may use."""
        return policy_reserved.hosts(self.policy, self._platforms)

    def check_systems(
        self, team: Team, hosts: Mapping[str, str], file: str | None = None
    ) -> Iterator[Violation]:
        """Return the routes and addresses of a team whose host is one of the systems' own hosts.

        Args:
            team: the team with all defaults.
            hosts: the system of each host at which Tenantry calls a system.
            file: the name of the team file in `teams/`.
        """
        limits = self.limits_of(team, file)
        for use in policy_hosts.uses(team, self._base(team.profile)):
            if use.host in hosts and use.value not in getattr(limits, use.limit):
                text = f"'{use.host}' is the host of {hosts[use.host]}"
                breach = Breach(use.place, text, {use.limit: [use.value]})
                yield self._explain(breach, team, file)

    # All teams together

    def check_together(
        self, evaluated: Sequence[EvaluatedTeam]
    ) -> Iterator[tuple[Team, Violation, str | None]]:
        """Return the declarations that belong to other teams by the policy.

        Returns:
            The team, the violation, and the name of the dispute if the live systems decide it;
            None if the policy decides it.
        """
        limits = {id(each.team): self.limits_of(each.team, each.file) for each in evaluated}
        owners = policy_hosts.Owners(evaluated, limits)
        names = policy_hosts.Names(each.team.name for each in evaluated if not each.refuses(NAME))
        for each in evaluated:
            team, own = each.team, limits[id(each.team)]
            base = self._base(team.profile)
            for breach in policy_hosts.check_among(team, base, own, owners, names):
                if breach.place not in each.refused:
                    yield team, self._explain(breach, team, each.file), None
            for host, use in owners.disputed(each, base, own):
                for route in owners.routes[host]:
                    if route.team.name == team.name:
                        continue
                    dispute = f"{host}/{team.name}"
                    text = (
                        f"logins return to '{host}', for which team '{route.team.name}' has a route"
                    )
                    breach = Breach(use.place, text, {"addresses": [use.value]})
                    yield team, self._explain(breach, team, each.file), dispute
                    text = f"logins of team '{team.name}' return to '{host}'"
                    breach = Breach(route.place, text, {"further_hosts": [host]})
                    yield route.team, self._explain(breach, route.team, route.file), dispute

    # Messages

    def _check_file(self, team: Team, file: str | None) -> Iterator[Violation]:
        """Check that a file declares the team that it is named after, or is listed in a grant."""
        name = team.name
        if self._may_declare(file, name):
            return
        text = (
            f"team '{name}' must be declared in teams/{name}.yaml{self._limit_text((), team)}. "
            f"{renaming(name)}. If only its file has the wrong name, rename the file, or "
            f"{self._remedy(name, {}, file)}"
        )
        yield Violation(NAME, text, {})

    def _explain(self, breach: Breach, team: Team, file: str | None) -> Violation:
        remedy = self._remedy(team.name, breach.allows, file)
        where = self._limit_text(tuple(breach.allows), team)
        text = f"{printable(breach.text)}{where}. Change it, or {remedy}"
        return Violation(breach.place, text, breach.allows)

    def _remedy(self, name: str, allows: Mapping[str, Any], file: str | None) -> str:
        files = None if file is None or _is_own(name, file) else file
        text = grant_text([name], allows, files=files)
        return f"add to policy.grants in {self.document.name}: {text}"

    def _limit_text(self, names: Iterable[str], team: Team) -> str:
        """Return the location of the limits that a team exceeds, for messages."""
        for name in names:
            for layer in (("profiles", team.profile or ""), ("limits",)):
                place = ("policy", *layer, name)
                if self.document.has(place):
                    return f" ({'.'.join(place)}{self._at(place)})"
        place = ("policy",) if self.document.has(("policy",)) else ()
        return f" (a rule of the policy that always applies{self._at(place)})"

    def _at(self, place: Place) -> str:
        return f", {self.document.name}:{self.document.line(place)}"


def evaluator_for(
    platform: Platform, document: Document, source: PolicySource | None = None
) -> PolicyEvaluator:
    """Return the policy evaluator for the teams of a platform.

    Args:
        platform: the platform.
        document: the platform's file.
        source: the source of the policy, if it is not the platform itself.
    """
    if source is None:
        return PolicyEvaluator(platform, document, platform.policy, [platform])
    return PolicyEvaluator(
        platform, source.document, source.platform.policy, [platform, source.platform]
    )


def _is_own(name: str, file: str) -> bool:
    return file.rpartition(".")[0] == name


def _field(place: Place) -> str:
    return ".".join(map(str, place))
