"""The permissions of Harbor 2.15.2: those that robots can be granted, and those of the roles.

The roles have only the permissions that the simulation checks.
"""

PROJECT_ADMIN, DEVELOPER, GUEST, MAINTAINER, LIMITED_GUEST = 1, 2, 3, 4, 5
ROLE_NAMES = {
    PROJECT_ADMIN: "projectAdmin",
    DEVELOPER: "developer",
    GUEST: "guest",
    MAINTAINER: "maintainer",
    LIMITED_GUEST: "limitedGuest",
}

_CRUDL = ("create", "read", "update", "delete", "list")
_CRDL = ("create", "read", "delete", "list")
_CUDL = ("create", "update", "delete", "list")

# The permissions that robots can be granted. robot:update is in neither scope, so a robot can never
# change another robot.
CATALOGUE: dict[str, dict[str, tuple[str, ...]]] = {
    "system": {
        "audit-log": ("list",),
        "catalog": ("read",),
        "export-cve": ("create", "read"),
        "garbage-collection": ("create", "read", "update", "delete", "list", "stop"),
        "jobservice-monitor": ("list", "stop"),
        "label": ("create", "read", "update", "delete"),
        "ldap-user": ("create", "list"),
        "preheat-instance": _CRUDL,
        "project": ("create", "list"),
        "purge-audit": ("create", "read", "update", "delete", "list", "stop"),
        "quota": ("read", "update", "list"),
        "registry": _CRUDL,
        "replication": ("create", "read", "list"),
        "replication-adapter": ("list",),
        "replication-policy": _CRUDL,
        "robot": _CRDL,
        "scan-all": ("create", "read", "update", "stop"),
        "scanner": _CRUDL,
        "security-hub": ("read", "list"),
        "system-volumes": ("read",),
        "user": _CRDL,
        "user-group": _CRUDL,
    },
    "project": {
        "accessory": ("list",),
        "artifact": _CRDL,
        "artifact-addition": ("read",),
        "artifact-label": ("create", "delete"),
        "export-cve": ("create", "read"),
        "immutable-tag": _CUDL,
        "label": _CRUDL,
        "log": ("list",),
        "member": _CRUDL,
        "metadata": _CRUDL,
        "notification-policy": _CRUDL,
        "preheat-policy": _CRUDL,
        "project": ("read", "update", "delete"),
        "quota": ("read",),
        "repository": ("read", "update", "delete", "list", "pull", "push"),
        "robot": _CRDL,
        "sbom": ("create", "read", "stop"),
        "scan": ("create", "read", "stop"),
        "scanner": ("create", "read"),
        "tag": ("create", "delete", "list"),
        "tag-retention": _CRUDL,
    },
}

_RETENTION = (*_CRUDL, "operate")
# The permissions of the roles, as far as the simulation checks them.
ROLES: dict[int, dict[str, tuple[str, ...]]] = {
    PROJECT_ADMIN: {
        "project": ("read", "update", "delete"),
        "artifact": _CRDL,
        "label": _CRUDL,
        "member": _CRUDL,
        "metadata": _CRUDL,
        "notification-policy": _CRUDL,
        "quota": ("read",),
        "repository": ("read", "update", "delete", "list", "pull", "push"),
        "robot": _CRUDL,
        "tag": ("create", "delete", "list"),
        "tag-retention": _RETENTION,
        "immutable-tag": _CUDL,
    },
    MAINTAINER: {
        "project": ("read",),
        "artifact": _CRDL,
        "label": _CRUDL,
        "member": ("read", "list"),
        "metadata": _CRUDL,
        "tag": ("create", "delete", "list"),
        "quota": ("read",),
        "repository": ("read", "update", "delete", "list", "pull", "push"),
        "robot": ("read", "list"),
        "tag-retention": _RETENTION,
        "immutable-tag": _CUDL,
    },
    DEVELOPER: {
        "project": ("read",),
        "artifact": ("create", "read", "list"),
        "label": ("read", "list"),
        "member": ("read", "list"),
        "quota": ("read",),
        "repository": ("read", "update", "list", "pull", "push"),
        "robot": ("read", "list"),
        "tag-retention": _RETENTION,
    },
    GUEST: {
        "project": ("read",),
        "artifact": ("read", "list"),
        "label": ("read", "list"),
        "member": ("read", "list"),
        "quota": ("read",),
        "repository": ("read", "list", "pull"),
        "robot": ("read", "list"),
    },
    LIMITED_GUEST: {
        "project": ("read",),
        "quota": ("read",),
        "repository": ("list", "pull"),
        "artifact": ("read", "list"),
    },
}
PUBLIC: dict[str, tuple[str, ...]] = {
    "project": ("read",),
    "repository": ("read", "list", "pull"),
    "artifact": ("read", "list"),
}
