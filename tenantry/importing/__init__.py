"""Import: the walk backwards. Live resources become declared state.

    imported = import_state(connections, Recognition(patterns=("team-{team}",)))
    write(imported, folder)

An import reads the systems, and writes `platform.yaml` and `teams/*.yaml`. The plan of the written
state adopts what exists, and changes nothing else. What no field can express is a comment in the file
and a line in the report.
"""

from tenantry.importing.importer import Imported, import_state
from tenantry.importing.recognition import DEFAULT_PATTERN, Recognition
from tenantry.importing.report import Report
from tenantry.importing.writer import write

__all__ = ["DEFAULT_PATTERN", "Imported", "Recognition", "Report", "import_state", "write"]
