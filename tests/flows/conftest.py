"""A job at work, for the tests of the flows and their hooks."""

from tests.support.databases import migrated_file, sqlite_database
from tests.support.job_runs import account_id, attempt, job_run, objects, service_settings

__all__ = ["account_id", "attempt", "job_run", "migrated_file", "objects", "service_settings", "sqlite_database"]
