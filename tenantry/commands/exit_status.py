"""The exit statuses of the commands."""

FAILED = 1
"""Exit status of every command after an error."""
USAGE = 64
"""Exit status of every command that is called wrongly, such as with an unknown option (EX_USAGE)."""
NOTHING_TO_DO, CHANGES = 0, 2
"""Exit statuses of `plan`."""
IN_SYNC, FOUND, UNREADABLE = 0, 2, 3
"""Exit statuses of `drift` and `check`."""
