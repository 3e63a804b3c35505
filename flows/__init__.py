"""Prefect flows: each reads like the runbook it replaces."""

from tasks.run_log import filter_run_logs

filter_run_logs()
