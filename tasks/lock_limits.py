"""Prefect's side of the locks: a client, the concurrency limits, and the events that name the holders."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.client.schemas.responses import GlobalConcurrencyLimitResponse
from prefect.events.filters import EventAnyResourceFilter, EventFilter, EventNameFilter
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from tasks.events import LOCK_TAKEN
from tasks.prefect_api import emit
from tenantry.plan import describe_owner
from tenantry.resources import PLATFORM

_PAGE = 200
_RELATED = 50  # an event has room for 100 resources, including those of the run


def limit_name(team: str) -> str:
    """Return the name of the concurrency limit of a team, or of the platform."""
    return "platform" if team == PLATFORM else f"team-{team}"


def describe_owners(teams: Sequence[str]) -> str:
    """Return the owners of locks for messages, such as "teams data, shop and 3 more"."""
    if len(teams) == 1:
        return describe_owner(teams[0])
    if len(teams) <= 3:
        return f"teams {', '.join(teams)}"
    return f"teams {', '.join(teams[:2])} and {len(teams) - 2} more"


def quick_client() -> SyncPrefectClient:
    """Return a client of Prefect's API that waits an eighth of the usual time after a 503.

    The server answers 503, and does nothing, where SQLite is locked for a moment: it reads the limits
    before it writes them, which SQLite refuses while another connection writes. Prefect's client then
    waits 2, 4, 8 and more seconds: a batch of 300 teams stood still for a third of its time.
    """
    settings = {"event_hooks": {"response": [_shorten_retry]}}
    return get_client(httpx_settings=settings, sync_client=True)


def _shorten_retry(response: httpx.Response) -> None:
    """Add the header that Prefect's client waits by, unless the server has sent it."""
    if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        tries = response.request.extensions.get("tries", 0) + 1
        response.request.extensions["tries"] = tries
        response.headers.setdefault("Retry-After", str(2**tries / 8))


def find_limits(
    client: SyncPrefectClient, names: Collection[str]
) -> Iterator[GlobalConcurrencyLimitResponse]:
    """Yield the existing limits of these names: one is read by its name, more from the list of all."""
    if len(names) == 1:
        try:
            yield client.read_global_concurrency_limit_by_name(next(iter(names)))
        except ObjectNotFound:
            return
        return
    wanted = set(names)
    offset = 0
    while True:
        page = client.read_global_concurrency_limits(limit=_PAGE, offset=offset)
        yield from (limit for limit in page if limit.name in wanted)
        if len(page) < _PAGE:
            return
        offset += _PAGE


def create_limit(client: SyncPrefectClient, name: str) -> None:
    """Create a limit of 1, unless another run has created it."""
    with suppress(ObjectAlreadyExists):
        client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=1))


def emit_taken(teams: Sequence[str], lease: UUID) -> None:
    """Emit the event that these locks are taken; Prefect adds the run."""
    names = [limit_name(team) for team in teams]
    resource = {
        "prefect.resource.id": f"tenantry.lock.{lease}",
        "prefect.resource.name": describe_owners(teams),
    }
    for first in range(0, len(names), _RELATED):
        related = [
            {
                "prefect.resource.id": f"tenantry.{name}",
                "prefect.resource.role": "lock",
                "prefect.resource.name": name,
            }
            for name in names[first : first + _RELATED]
        ]
        emit(LOCK_TAKEN, resource, related=related)


def describe_holders(client: SyncPrefectClient, teams: Sequence[str]) -> str:
    """Return the runs that hold the locks of these teams, for messages."""
    found = {_holder(client, limit_name(team)) for team in teams[:3]} - {""}
    return " and ".join(sorted(found)) or "another run"


def _holder(client: SyncPrefectClient, name: str) -> str:
    """Return the run that holds a lock; empty until Prefect has stored the event."""
    page = client.read_events(
        EventFilter(
            event=EventNameFilter(name=[LOCK_TAKEN]),
            any_resource=EventAnyResourceFilter(id=[f"tenantry.{name}"]),
        ),
        limit=1,
    )
    for event in page.events:
        for resource in event.related:
            if resource.role == "flow-run":
                return f"run '{resource.name}' ({resource.id.removeprefix('prefect.flow-run.')})"
    return ""
