"""A background task that runs `onboard-team` in a process that stays: Prefect's only warm one.

    python -m tests.speed.warm serve
    python -m tests.speed.warm call '{"team": {"name": "shop"}, "platform": "default"}'

The second command starts a run, and prints the time before the call.
"""

import json
import sys
from datetime import UTC, datetime
from typing import Any

from prefect import task
from prefect.task_worker import serve

from flows.onboard import onboard_team


@task(name="onboard-team-warm")
def onboard(parameters: dict[str, Any]) -> None:
    """Run the flow in this process."""
    onboard_team(**parameters)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(onboard)
    else:
        began = datetime.now(UTC)
        onboard.delay(json.loads(sys.argv[2]))
        print(began.isoformat())
