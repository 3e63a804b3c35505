"""The end of a team: its access is revoked first, and its resources are removed later.

- `revoke(systems, team, step, lock)` disables, deletes or empties what gives access. Onboarding the
  team again restores it, with the same ids and secrets.
- `plan_removal(systems, team)` returns what a removal deletes and keeps, as a value.
- `remove(systems, plan, step, lock)` deletes what an approved plan contains.

All three write at most once to each resource, change only what carries Tenantry's mark for this team,
and can be run again after they were killed. Neither of them reads or writes the declared state.
"""

from tenantry.offboarding.plan import Blocked, Deletion, Kept, RemovalPlan, Removed, Revoked
from tenantry.offboarding.removal import remove
from tenantry.offboarding.removal_plan import plan_removal
from tenantry.offboarding.revocation import revoke

__all__ = [
    "Blocked",
    "Deletion",
    "Kept",
    "RemovalPlan",
    "Removed",
    "Revoked",
    "plan_removal",
    "remove",
    "revoke",
]
