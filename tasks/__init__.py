"""Prefect tasks: the unit of retry and of audit. What they do is the core's."""
