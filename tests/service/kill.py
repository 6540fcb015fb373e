"""`kill -9` of a part of the group while a job is at a step, and what must hold of the job afterwards."""

import time
from dataclasses import dataclass

from tests.service import processes
from tests.service.watched import STEPS, Watched, as_json
from tests.support.group import Group

PARTS = ("worker", "prefect", "api", "dispatcher")
NOTICED_WITHIN_SECONDS = 120


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a job.

    Attributes:
        noticed: seconds until a new attempt, or until the part was there again.
        again: finished steps that were done once more.
        went_on: percentage at which the last attempt went on with the training.
        seconds: from the kill to the job's end.
    """

    status: str
    noticed: float
    attempts: int
    again: list[str]
    went_on: int | None
    seconds: float


def kill(group: Group, job: Watched, target: str) -> float:
    """Kills `flow`, `worker`, `host` (worker, flow and step at once), `prefect`, `api` or `dispatcher`; returns how long it took
    until the job had a new attempt, or the part was there again."""
    begun = time.monotonic()
    run = processes.of_run(group, job.run_id)
    attempt = job.row()["attempt"]
    if target == "flow":
        processes.send(run[:1])
    elif target == "host":
        processes.send([processes.part(group, "worker"), *run])
    else:
        killed = processes.part(group, target)
        processes.send([killed])
        processes.wait_for_another(group, target, killed.pid)
        return time.monotonic() - begun
    job.until_attempt(attempt + 1, NOTICED_WITHIN_SECONDS)
    return time.monotonic() - begun


def carried_out(group: Group, job: Watched, target: str) -> Outcome:
    """Kills, waits for the job's end, and asserts that nothing finished was done again and one attempt made the files."""
    before, made = job.objects(), job.made()
    begun = time.monotonic()
    noticed = kill(group, job, target)
    processes.wait_for(lambda: answers(job), processes.READY, "the API did not come back")
    detail = job.ended()
    seconds = time.monotonic() - begun
    assert detail["status"] == "Finished", as_json(detail) + group.log_tail()
    check_files(job)
    kept = {key: stamp for key, stamp in before.items() if key.startswith("steps/")}
    assert kept.items() <= job.objects().items(), "a stored step was written again"
    again = [step for step in STEPS if made[step] and job.made()[step] > made[step]]
    assert not again, job.log()
    row = job.row()
    return Outcome(
        status=detail["status"],
        noticed=noticed,
        attempts=row["attempt"],
        again=again,
        went_on=job.training_began_at(row["attempt"]),
        seconds=seconds,
    )


def check_files(job: Watched) -> None:
    """The files are of one attempt, and no other attempt has left any."""
    import json

    keys = {file["key"].removeprefix(f"jobs/{job.id}/") for file in json.loads(job.row()["files"]).values()}
    assert len({key.split("/")[1] for key in keys}) == 1, keys

    def shown() -> set[str]:
        return {key for key in job.objects() if key.startswith(("outputs/", "previews/"))}

    preview = {key.rsplit("/", 1)[0] + "/preview.jpg" for key in keys}
    # What earlier attempts left is removed in the moment after the job's end.
    processes.wait_for(lambda: shown() == keys | preview, 15, lambda: f"{shown()} instead of {keys | preview}")


def answers(job: Watched) -> bool:
    """Whether the API tells of the job now."""
    import httpx

    try:
        return job.api.get(f"jobs/{job.id}/").status_code == 200
    except httpx.HTTPError:
        return False
