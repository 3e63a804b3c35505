"""What counts as an error in the log of a process."""

from pathlib import Path

import pytest

from demo.logs import LogReader, errors

pytestmark = pytest.mark.demand(
    "reality", "the flows: no traceback, no ERROR in the logs of server and serving process"
)

INFO = "12:00:00.123 | INFO    | prefect.server - Started.\n"
ERROR = "12:00:01.123 | ERROR   | prefect.server.services.scheduler - Unexpected error\n"
TRACEBACK = 'Traceback (most recent call last):\n  File "a.py", line 1, in run\nKeyError: 1\n'
STOPPED = (
    "12:00:01.123 | ERROR   | prefect.engine - Crash detected! Execution was aborted by a termination "
    "signal.\n"
)
HEARTBEAT = (
    "12:00:01.123 | ERROR   | prefect.server.utilities.worker_channel - Worker channel heartbeat "
    "persistence failed: work_pool=tenantry worker_name=a\n"
)
MONITOR = "12:00:01.123 | ERROR   | docket.dependencies - ↩ [    41ms] monitor_worker_health(){monitor-a}\n"
LOCKED = (
    TRACEBACK + "sqlalchemy.exc.OperationalError: (sqlite3.OperationalError) database is locked\n"
)
RUN = "12:00:02.123 | ERROR   | Flow run 'onboard shop' - Finished in state Failed('No.')\n"


@pytest.mark.parametrize(
    ("log", "count"),
    [
        ("", 0),
        (INFO * 3, 0),
        (INFO + ERROR + INFO, 1),
        (INFO + ERROR + TRACEBACK + INFO, 1),
        (ERROR + TRACEBACK + ERROR, 2),
        (INFO + TRACEBACK, 1),
        (TRACEBACK, 1),
        ("ERROR:    Application startup failed. Exiting.\n" + INFO, 1),
        ("12:00:01.123 | CRITICAL | prefect - Stopped.\n", 1),
        (INFO + RUN + INFO, 0),
        (INFO + STOPPED + INFO, 0),
        (INFO + HEARTBEAT + LOCKED + INFO, 0),
        (INFO + HEARTBEAT + TRACEBACK, 1),
        (INFO + MONITOR + LOCKED + INFO, 0),
        (INFO + MONITOR + TRACEBACK, 1),
        (INFO + MONITOR.replace("monitor_worker_health", "schedule_deployments") + LOCKED, 1),
        (INFO + STOPPED + TRACEBACK, 1),
        (INFO + RUN.replace("'onboard shop'", '"read the provider\'s users"') + INFO, 0),
        (INFO + RUN.rstrip() + "\n" + TRACEBACK, 1),
        ("+ Exception Group Traceback (most recent call last):\n", 1),
        ("12:00:02.123 | INFO    | Task run 'a' - 2 ERROR lines\n", 0),
    ],
)
def test_errors_and_tracebacks_are_found(log: str, count: int) -> None:
    assert len(list(errors(log))) == count


def test_each_error_is_reported_once_with_the_name_of_its_log(tmp_path: Path) -> None:
    log = tmp_path / "the-server.log"
    log.write_text(INFO + ERROR)
    reader = LogReader()

    (first,) = reader.errors([log])
    assert first.startswith("the-server.log: 12:00:01.123 | ERROR")
    assert reader.errors([log]) == []

    with log.open("a") as file:
        file.write(INFO + ERROR + TRACEBACK)
    (second,) = reader.errors([log])
    assert "KeyError" in second
