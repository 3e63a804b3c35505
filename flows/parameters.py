"""The types of the flows' parameters: Prefect's API and forms check them before a run starts."""

from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from tenantry.declared import form_schema

BlockName = Annotated[str, Field(min_length=1, pattern=r"^[a-z0-9-]+$")]
"""The name of a block, as Prefect allows it. A path in it would lead to other calls of its API."""
Storage = Annotated[str, Field(pattern=r"^[a-z0-9-]+/[a-z0-9-]+$")]
"""The type and name of a storage block."""
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
TeamForm = Annotated[Any, WithJsonSchema(form_schema())]
"""A team as the caller sends it. The schema is for the form; `read_form` reports the faults."""
Hash = Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]
"""The hash of a plan; empty if none is given."""
Percent = Annotated[int, Field(ge=1, le=100)]
Count = Annotated[int, Field(ge=0)]
PositiveCount = Annotated[int, Field(ge=1)]
OptionalBlockName = Annotated[str, Field(pattern=r"^[a-z0-9-]*$")]
TeamName = Annotated[str, Field(min_length=1, max_length=63)]
