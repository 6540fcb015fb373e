"""Housekeeping, by schedule: removes what is past its time or belongs to nothing, holds the store against the rows, and shows both, and
what the dispatcher did, in Prefect's pages. A part that can't be done says so, and the rest is done. Everything may be interrupted and
repeated.
"""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.states import Completed, Failed

from flows import hooks, round_report
from flows.clearing import MIN_AGE, PARTS, Cleared, Round
from storage import actions, ledger
from storage.database import database
from storage.ledger import Ledger
from storage.objects import open_store
from storage.settings import settings
from storage.tables import Action, now
from tasks.errors import SplatflowError

LAST_DAY = timedelta(days=1)
RETRY: dict[str, Any] = {"retries": 1, "retry_delay_seconds": 10, "persist_result": False}
T = TypeVar("T")


@task(task_run_name="{part}", **RETRY)
def clear(part: str, dry_run: bool, min_age_seconds: float) -> list[Cleared]:
    """One of `flows.clearing.PARTS`."""
    return PARTS[part](_round(dry_run, min_age_seconds))


@task(task_run_name="store against rows", **RETRY)
def balance(dry_run: bool) -> Ledger:
    """Holds the store against the rows, and tells `/metrics` what there is."""
    found = ledger.read(database(), open_store(settings()))
    if not dry_run:
        ledger.tell(database(), found)
    return found


@task(task_run_name="what the dispatcher did", **RETRY)
def acted() -> list[Action]:
    """The newest of what the dispatcher did about jobs in the last day."""
    return list(actions.newest(database(), limit=round_report.SHOWN_ACTIONS, within=LAST_DAY))


@flow(name="maintain", persist_result=False, on_completion=[hooks.on_completion])
def maintain(dry_run: bool = False, min_age_seconds: float = MIN_AGE.total_seconds()) -> Any:
    """One round of housekeeping; its artifacts are `housekeeping`, `store` and `dispatcher`.

    Args:
        dry_run: removes nothing, and tells what would be removed.
        min_age_seconds: objects that were written later stay.

    Returns the report (`flows.round_report.report`) as the data of the run's state, which is Failed when a part has a defect.
    """
    log, began_at, began = get_run_logger(), now(), time.monotonic()
    problems: dict[str, str] = {}
    defects: list[str] = []

    def tried(part: str, act: Callable[[], Any], otherwise: T) -> T:
        state = act()
        if not state.is_failed():
            return state.result(raise_on_failure=False)
        error = state.result(raise_on_failure=False)
        told = str(error) if isinstance(error, SplatflowError) else f"{type(error).__name__}; see the log of its task"
        if not isinstance(error, SplatflowError):
            defects.append(part)
        problems[part] = told
        log.warning("%s: not done: %s", part, told)
        return otherwise

    nothing: list[Cleared] = []
    cleared: list[Cleared] = []
    for part in PARTS:
        cleared += tried(part, lambda part=part: clear(part, dry_run, min_age_seconds, return_state=True), nothing)
    none: Ledger | None = None
    balanced = tried("store against rows", lambda: balance(dry_run, return_state=True), none)
    done: list[Action] = tried("what the dispatcher did", lambda: acted(return_state=True), [])
    found = round_report.report(
        dry_run=dry_run,
        began_at=began_at,
        seconds=time.monotonic() - began,
        cleared=cleared,
        problems=problems,
        ledger=balanced,
        actions=done,
    )
    show(found, log)
    if defects:
        return Failed(message=f"Not done, by a defect: {', '.join(defects)}.", data=found)
    told = f"{found['bytes']:,} bytes {'would be ' if dry_run else ''}removed"
    return Completed(message=told + (f"; not done: {', '.join(problems)}" if problems else ""), data=found)


def show(found: dict[str, Any], log: Any) -> None:
    """Makes the artifacts and writes the log; nothing that goes wrong here fails anything."""
    log.info("%s", round_report.text(found))
    what = "What would be removed" if found["dry_run"] else "What was removed"
    tables = (
        ("housekeeping", what, round_report.removed_table(found)),
        ("store", "Bytes in the object store, against what rows say", round_report.store_table(found)),
        ("dispatcher", "What the dispatcher did in the last day", round_report.action_table(found)),
    )
    for key, description, rows in tables:
        try:
            if rows:
                create_table_artifact(table=rows, key=key, description=f"{description}, {found['began_at']}")
        except Exception as error:
            log.warning("The artifact %s could not be made: %s", key, error)


def _round(dry_run: bool, min_age_seconds: float) -> Round:
    return Round(
        database=database(),
        objects=open_store(settings()),
        settings=settings(),
        dry_run=dry_run,
        min_age=timedelta(seconds=min_age_seconds),
    )
