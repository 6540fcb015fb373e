"""Any order of what clients, runs and the dispatcher do to a few jobs keeps the invariants of a job's life."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from storage import dispatching, jobs, removal
from storage.attempts import Attempt, AttemptLost, claim, record_end
from storage.database import Database
from storage.dispatching import OpenJob
from storage.jobs import JobMissing, WrongState
from storage.tables import DELETE, FAILED, FINISHED, LOST, QUEUED, START, Job
from tests.support.databases import FILES, new_account, outbox, submitted

MAX_JOBS = 3
PICK = st.integers(0, 1000)
HIDDEN = {
    "lease_token",
    "lease_beat",
    "run_id",
    "crashes",
    "attempt",
    "revision",
    "step_done",
    "step_total",
    "deleted_at",
}
TERMINAL = (FINISHED, FAILED, LOST)


class JobLife(RuleBasedStateMachine):
    """Everything may come late: attempts are kept after they ended, and the dispatcher acts on what it saw before."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="splatflow-life-"))
        self.database = Database(f"sqlite:///{self.folder / 'x.db'}")
        self.database.migrate()
        self.jobs: list[UUID] = []
        self.runs: list[tuple[UUID, UUID, int]] = []  # job, run, attempt
        self.attempts: list[Attempt] = []
        self.looks: list[OpenJob] = []
        self.before: dict[UUID, Job] = {}
        self.retried = False

    def teardown(self) -> None:
        self.database.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    @initialize()
    def begin(self) -> None:
        self.account = new_account(self.database)
        self.submit()

    @rule()
    def submit(self) -> None:
        if len(self.jobs) < MAX_JOBS:
            self.jobs.append(submitted(self.database, self.account))

    @rule(pick=PICK, act=st.sampled_from([jobs.cancel, jobs.remove]))
    def client_ends(self, pick: int, act: Callable[..., Any]) -> None:
        self.client(act, pick)

    @rule(pick=PICK)
    def client_retries(self, pick: int) -> None:
        self.retried = True
        self.client(jobs.retry, pick)

    @rule(pick=PICK, title=st.text("ab", min_size=1, max_size=3))
    def client_changes(self, pick: int, title: str) -> None:
        self.client(jobs.change, pick, {"title": title})

    def client(self, act: Callable[..., Any], pick: int, *more: Any) -> None:
        try:
            act(self.database, self.account, self.jobs[pick % len(self.jobs)], *more)
        except (JobMissing, WrongState):
            return

    @rule(pick=PICK, heard=st.booleans())
    def dispatcher_makes_a_run(self, pick: int, heard: bool) -> None:
        entries = outbox(self.database, START)
        if not entries:
            return
        entry = entries[pick % len(entries)]
        job = dispatching.job_to_start(self.database, entry)
        if job is None:
            dispatching.done(self.database, entry)
            return
        known = [run for of, run, attempt in self.runs if (of, attempt) == (job.id, job.attempt)]
        run_id = known[0] if known else uuid4()  # Prefect makes one run for one idempotency key
        self.runs.append((job.id, run_id, job.attempt))
        if heard:
            dispatching.started(self.database, entry, run_id)

    @rule(pick=PICK)
    def a_run_claims(self, pick: int) -> None:
        if not self.runs:
            return
        job_id, run_id, attempt = self.runs[pick % len(self.runs)]
        try:
            self.attempts.append(claim(self.database, job_id, run_id, attempt))
        except AttemptLost:
            return

    @rule(
        pick=PICK,
        write=st.sampled_from(
            [
                lambda attempt: attempt.beat(),
                lambda attempt: attempt.begin_step("train"),
                lambda attempt: attempt.progress(1, 2, 10),
                lambda attempt: attempt.progress(2, 2, 20),
                lambda attempt: attempt.end_step("train", 1.0, made=True),
                lambda attempt: attempt.preview(f"p{uuid4()}"),
                lambda attempt: attempt.warn([{"code": "w"}]),
                lambda attempt: attempt.take_slot(["cpu"]),
                lambda attempt: attempt.give_back(),
                lambda attempt: attempt.finish(files=FILES, quality={}, scale=None),
                lambda attempt: attempt.fail(error_code="x", error_message="X."),
            ]
        ),
    )
    def an_attempt_writes(self, pick: int, write: Callable[[Attempt], Any]) -> None:
        if not self.attempts:
            return
        try:
            write(self.attempts[pick % len(self.attempts)])
        except AttemptLost:
            return

    @rule(pick=PICK)
    def a_hook_records_an_end(self, pick: int) -> None:
        if self.runs:
            job_id, run_id, _ = self.runs[pick % len(self.runs)]
            record_end(self.database, job_id, run_id, error_code="x", error_message="X.")

    @rule()
    def the_dispatcher_looks(self) -> None:
        self.looks += dispatching.open_jobs(self.database)

    @rule(pick=PICK, how=st.sampled_from(["died", "lost", "cancelled"]))
    def the_dispatcher_settles_what_it_saw(self, pick: int, how: str) -> None:
        if not self.looks:
            return
        seen = self.looks[pick % len(self.looks)]
        if how == "died":
            dispatching.attempt_died(self.database, seen, max_attempts=2, reason="test")
        elif seen.run_id is not None:  # the dispatcher asks Prefect about runs only
            (dispatching.run_lost if how == "lost" else dispatching.run_cancelled)(self.database, seen)

    @rule()
    def the_dispatcher_removes(self) -> None:
        for entry in outbox(self.database, DELETE):
            removal.forget_job(self.database, entry)
            self.before.pop(entry.job_id)
            self.jobs.remove(entry.job_id)
        if not self.jobs:
            self.submit()

    @invariant()
    def all_holds(self) -> None:
        with self.database.read() as session:  # one read for all: it comes after every step
            rows = [job for job_id in self.jobs if (job := session.get(Job, job_id)) is not None]
        wishes = {(entry.job_id, entry.attempt) for entry in outbox(self.database, START)}
        holders = [attempt.job_id for attempt in self.attempts if _holds(attempt)]
        assert len(holders) == len(set(holders)), "at most one attempt holds a job"
        assert len(rows) == len(self.jobs)
        for job in rows:
            if job.state == QUEUED and job.run_id is None and job.deleted_at is None:
                assert (job.id, job.attempt) in wishes, "a waiting job will be started"
            self.ends_are_whole(job)
            self.the_change_was_allowed(self.before.get(job.id, job), job)
            self.before[job.id] = job
        self.retried = False

    def ends_are_whole(self, job: Job) -> None:
        assert (job.finished_at is not None) == (job.state in TERMINAL)
        if job.state in TERMINAL:
            assert job.lease_token is None
        if job.state == FINISHED:
            assert job.files
            assert job.percent == 100
        if job.state == FAILED:
            assert job.error_code
            assert job.error_message

    def the_change_was_allowed(self, before: Job, job: Job) -> None:
        if before.state in TERMINAL and job.state != before.state:
            assert self.retried
            assert before.state != FINISHED
        if before.model_dump(exclude=HIDDEN) != job.model_dump(exclude=HIDDEN):
            assert job.revision > before.revision
        assert job.attempt in (before.attempt, before.attempt + 1)
        assert job.revision >= before.revision
        assert job.lease_beat >= before.lease_beat


def _holds(attempt: Attempt) -> bool:
    try:
        attempt.job()
    except AttemptLost:
        return False
    return True


TestJobLife = JobLife.TestCase
TestJobLife.settings = settings(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
