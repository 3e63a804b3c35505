"""The Secrets that a team no longer declares."""

from tenantry.declared import Team
from tenantry.marks import Marks
from tenantry.resources import Observed
from tenantry.systems.credentials.accounts import secret_id
from tenantry.systems.credentials.places import places
from tenantry.systems.kubernetes import objects
from tenantry.systems.kubernetes.clusters import Clusters
from tenantry.systems.kubernetes.kinds import SECRET
from tenantry.systems.kubernetes.record import recorded


def observe_left(
    clusters: Clusters, marks: Marks, team: Team, observed: Observed, seen: Observed
) -> None:
    """Add the Secrets that a team no longer declares to what was observed, without their content.

    They are on the record of the team's first namespace.

    Args:
        clusters: the connections to the clusters.
        marks: the platform's marks.
        team: the team.
        observed: its namespaces.
        seen: receives the Secrets.
    """
    declared = {place.id.key for purpose in team.active_robots for place in places(team, purpose)}
    home = team.home_namespace
    declared |= {f"{home}/{team.client_secret_name(name)}" for name in team.oidc_clients}
    for key in sorted(recorded(team, observed, SECRET) - declared):
        namespace, _, name = key.partition("/")
        id = secret_id(namespace, name)
        with seen.capture_errors(id, team.name):
            found = clusters.of(id).get("Secret", name, namespace)
            if found is None:
                continue
            found = {key: found[key] for key in ("metadata", "type")}
            if namespace in team.namespaces:
                seen.live[id] = objects.live_in(found, team.name)
            else:
                foreign = marks.foreign(objects.mark_of(found), team.name)
                seen.live[id] = objects.live(found, foreign)
