"""Tenantry's core: keep the tenants of a Kubernetes platform in sync with their declaration.

    declared state ──▶ desired ──┐
                                 ├──▶ plan ──▶ apply, or report
    live systems  ──▶ observed ──┘

Plain Python: only `flows/`, `tasks/` and `blocks/` import Prefect. The public API is `tenantry.api`.
"""
