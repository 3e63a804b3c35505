"""Tenantry's core: the tenants of a Kubernetes platform, kept as declared.

    declared state ──▶ desired ──┐
                                 ├──▶ plan ──▶ apply, or report
    live systems  ──▶ observed ──┘

Plain Python: Prefect is met in `flows/`, `tasks/` and `blocks/` only.
"""
