"""Batches: finished jobs that are made again with other options, or by a newer pipeline, a few at a time, by night if so wished.

A run with a batch's id advances that batch. A run without one makes a batch of its parameters first, the same one when it is run
again. Either way it takes up all other open batches too, so that any number of them needs one process. All state is in our database:
a run may be killed at any moment, and the dispatcher makes another one when there is something to do.
"""

import time
from typing import Any
from uuid import UUID, uuid5

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.runtime import flow_run as this_run
from pydantic import ValidationError

from flows import hooks, request
from flows.artifacts import escaped
from storage import accounts, batch_work, batches
from storage.batch_spec import BatchSpec
from storage.batch_work import Progress
from storage.database import Database, database
from storage.jobs import WrongState
from storage.objects import open_store
from storage.settings import settings
from storage.tables import Batch, BatchItem, now
from tasks.errors import BadOption
from tasks.process import digest
from tasks.service.patience import patiently

LOOK_SECONDS = 3.0
MADE_HERE = UUID("6d0f3f0e-53a5-4c0b-9d53-0c5f6f3f2a10")  # of batches that are named by the flow run that made them
CURRENT = "current"
MAX_ROWS = 1_000  # of a table for people, in Prefect's database


def cancelled(flow: Any, flow_run: Any, state: Any) -> None:
    """Somebody cancelled the run in Prefect: that is the end of its batch."""
    named = str((flow_run.parameters or {}).get("batch_id") or "")
    try:
        batches.cancel(database(), UUID(named) if named else _own_id(flow_run.id))
    except (batches.BatchMissing, WrongState):
        return


@flow(
    name=request.BATCH_FLOW,
    persist_result=False,
    on_completion=[hooks.on_completion],
    on_cancellation=[cancelled],
)
def reprocess(
    batch_id: str = "",
    status: str = "finished",
    older_than_days: float | None = None,
    title: str | None = None,
    job_ids: list[str] | None = None,
    pipeline: list[str] | None = None,
    not_pipeline: list[str] | None = None,
    account: str | None = None,
    options: dict[str, Any] | None = None,
    at_once: int = 1,
    priority: str = "batch",
    hours: str | None = None,
    time_zone: str = "UTC",
    rule: str = "better",
    epsilon_db: float = 0.0,
) -> None:
    """Advances a batch to its end, or to the end of its hours; see docs/reprocessing.md.

    Args:
        batch_id: a batch that exists; the other parameters then say nothing.
        status: of the jobs: "finished" or "failed".
        older_than_days: submitted so long ago.
        title: pattern of the whole title: * any text, ? any character.
        job_ids: these jobs only.
        pipeline, not_pipeline: made by one, or by none, of these versions; "current" is this one.
        account: name of an account; everybody's jobs when empty.
        options: of the jobs that change, such as {"training_num_steps": 30000}.
        at_once: so many jobs at a time.
        priority: "batch" or "interactive".
        hours: when jobs may begin, such as "22:00-06:00".
        time_zone: of the hours.
        rule: "better", "always" or "never": when a new result replaces the old one.
        epsilon_db: better by so much at least.
    """
    log = get_run_logger()
    if batch_id:
        own = UUID(batch_id)
        batches.get(database(), own)
    else:
        own = _own_id(UUID(str(this_run.id)))
        wanted = {
            "jobs": {
                "status": status,
                "older_than_days": older_than_days,
                "title": title or None,
                "job_ids": job_ids or None,
                "pipeline": _versions(pipeline),
                "not_pipeline": _versions(not_pipeline),
            },
            "set": options or {},
            "at_once": at_once,
            "priority": priority,
            "hours": hours or None,
            "time_zone": time_zone,
            "rule": rule,
            "epsilon_db": epsilon_db,
        }
        _, is_new = make(database(), own, wanted, account or None)
        log.info("batch %s %s", own, "made" if is_new else "goes on")
    followed: dict[UUID, dict[str, int]] = {}
    while True:
        busy = False
        for open_id in {own, *(batch.id for batch in patiently(lambda: batches.open_batches(database()), log))}:
            progress = patiently(lambda open_id=open_id: _advance(open_id), log)
            if progress.counts != followed.get(open_id):
                log.info("batch %s: %s", open_id, told(progress))
                if progress.state != batches.RUNNING:
                    show(database(), open_id, log)
            followed[open_id] = progress.counts
            busy = busy or can_go_on(progress)
        if not busy:
            break
        pause()
    for open_id in followed:  # the others were shown when they ended
        if batches.get(database(), open_id)[0].state == batches.RUNNING:
            show(database(), open_id, log)


def pause() -> None:
    """Between two looks."""
    time.sleep(LOOK_SECONDS)


def make(database: Database, batch_id: UUID, wanted: dict[str, Any], account: str | None) -> tuple[Any, bool]:
    """Makes a batch of a run's parameters, unless there is one of this id; returns its counts and whether it is new.

    Raises:
        BadOption: a parameter can't be used, or there is no such account.
    """
    try:
        spec = BatchSpec.model_validate(wanted)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise BadOption(f"{'.'.join(map(str, first['loc'])) or 'The parameters'}: {first['msg']}.") from None
    account_id = None
    if account is not None and (account_id := accounts.named(database, account)) is None:
        raise BadOption(f"There is no account {account!r}; `splatflow keys list` names them.")
    batch = Batch(id=batch_id, account_id=account_id, spec=spec.row())
    return batches.create(database, batch, lambda _, counts: counts)


def can_go_on(progress: Progress) -> bool:
    """Whether there is something to wait for now: jobs at work, or some that may begin."""
    counts = progress.counts
    return progress.state == batches.RUNNING and (counts["running"] > 0 or progress.opens_at <= now())


def told(progress: Progress) -> str:
    """How far a batch is, in a line."""
    counts = ", ".join(f"{count} {state}" for state, count in progress.counts.items() if count)
    waits = progress.state == batches.RUNNING and progress.opens_at > now()
    return f"{progress.state}: {counts or 'no jobs'}" + (f"; goes on at {progress.opens_at:%F %R %Z}" if waits else "")


def show(database: Database, batch_id: UUID, log: Any) -> None:
    """Makes the batch's artifact; nothing that goes wrong here fails anything."""
    try:
        batch, counts = batches.get(database, batch_id)
        items = batches.items(database, batch_id, limit=MAX_ROWS)
        create_markdown_artifact(
            markdown=summary(batch, counts, items), key=f"batch-{batch_id}", description=f"Batch {batch_id}"
        )
    except Exception as error:
        log.warning("The batch's artifact could not be made: %s", error)


def summary(batch: Batch, counts: dict[str, int], items: list[tuple[BatchItem, str | None]]) -> str:
    """What became of a batch's jobs as Markdown; titles can't bring any of their own."""
    changes = ", ".join(f"{name}={value}" for name, value in batch.spec["set"].items()) or "no option"
    lines = [
        f"## Batch {batch.id}: {batch.state}",
        "",
        f"{escaped(changes)} changed; rule: {batch.spec['rule']}. "
        + ", ".join(f"{count} {state}" for state, count in counts.items() if count),
        "",
        "| job | result | PSNR before | PSNR after | SSIM before | SSIM after | |",
        "|---|---|---|---|---|---|---|",
    ]
    for item, title in items:
        before, after = item.before or {}, item.after or {}
        cells = [escaped(title or str(item.job_id)), item.state]
        cells += [_number(part.get("psnr_db"), 2) for part in (before, after)]
        cells += [_number(part.get("ssim"), 4) for part in (before, after)]
        lines.append(f"| {' | '.join(cells)} | {escaped(item.reason or '')} |")
    if sum(counts.values()) > len(items):
        lines += ["", f"The first {len(items)} of {sum(counts.values())}; `GET /api/v1/batches/{batch.id}/` has all."]
    return "\n".join(lines)


def _advance(batch_id: UUID) -> Progress:
    return batch_work.advance(database(), open_store(settings()), batch_id)


def _own_id(run_id: UUID) -> UUID:
    return uuid5(MADE_HERE, str(run_id))


def _versions(names: list[str] | None) -> list[str] | None:
    current = digest.of_pipeline()
    return [current if name == CURRENT else name for name in names] if names else None


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
