"""Who starts when, with a worker that takes what Prefect gives it: accounts take turns, and batch waits but never starves."""

from uuid import UUID

import pytest

from api.dispatch.outbox import start_due, stop_due
from api.dispatch.watch import Patience, Watch
from storage import waiting
from storage.admission import Rules
from storage.attempts import Attempt, claim
from storage.database import Database
from storage.tables import BATCH, INTERACTIVE
from tests.api.dispatch.fake_runs import FakeRuns
from tests.support.databases import FILES, job_row, new_account, submitted

RULES = Rules(batch_every=3, release_ahead=3, release_per_account=3)


class Worker:
    """As many jobs at a time as it has slots; the dispatcher acts before each that it takes."""

    def __init__(self, database: Database, runs: FakeRuns, slots: int = 1, rules: Rules = RULES) -> None:
        self.database, self.runs, self.slots, self.rules = database, runs, slots, rules
        self.at_work: list[Attempt] = []
        self.started: list[UUID] = []

    def turn(self, limit: int | None = None) -> None:
        """The oldest job ends if all slots are taken, and others begin."""
        if len(self.at_work) == self.slots:
            self.at_work.pop(0).finish(files=FILES, quality={}, scale=None)
        start_due(self.database, self.runs, self.rules, lambda _: limit)
        for run in self.runs.waiting()[: self.slots - len(self.at_work)]:
            made = self.runs.runs[run.id]
            assert made.job_id is not None
            made.state = "RUNNING"
            self.at_work.append(claim(self.database, made.job_id, run.id, made.attempt))
            self.started.append(made.job_id)

    def turns(self, count: int) -> list[UUID]:
        """So many turns; the jobs that began in them, in order."""
        before = len(self.started)
        for _ in range(count):
            self.turn()
        return self.started[before:]


@pytest.fixture
def worker(database: Database, runs: FakeRuns) -> Worker:
    return Worker(database, runs)


def test_the_first_job_of_another_account_waits_for_one_job_at_most(database: Database, worker: Worker):
    crowd, other = new_account(database), new_account(database)
    many = [submitted(database, crowd) for _ in range(30)]
    assert worker.turns(3) == many[:3]
    late = [submitted(database, other) for _ in range(2)]
    assert worker.turns(5) == [late[0], many[3], late[1], many[4], many[5]]
    assert len(worker.runs.waiting()) <= RULES.release_ahead + worker.slots, "the rest is ours"


def test_slots_are_shared_by_those_who_wait(database: Database, runs: FakeRuns):
    worker = Worker(database, runs, slots=4)
    accounts = [new_account(database) for _ in range(2)]
    for account in accounts:
        for _ in range(12):
            submitted(database, account)
    worker.turns(12)
    owners = [job_row(database, job).account_id for job in worker.started]
    assert [owners.count(account) for account in accounts] == [len(owners) // 2, len(owners) - len(owners) // 2]
    assert {job_row(database, attempt.job_id).account_id for attempt in worker.at_work} == set(accounts)


def test_interactive_before_batch_and_one_of_three_is_batch(database: Database, worker: Worker):
    nightly, people = new_account(database), new_account(database)
    batch = [submitted(database, nightly, priority=BATCH) for _ in range(6)]
    assert worker.turns(1) == batch[:1]
    start_due(database, worker.runs, RULES)  # the next ones wait at Prefect already
    asked = [submitted(database, people) for _ in range(12)]
    started = worker.turns(9)
    kinds = [INTERACTIVE if job in asked else BATCH for job in started]
    assert kinds[:2] == [INTERACTIVE, INTERACTIVE]
    assert 2 <= kinds.count(BATCH) <= 3
    assert [job for job in started if job in asked] == asked[: kinds.count(INTERACTIVE)]
    assert [job for job in started if job in batch] == batch[1 : 1 + kinds.count(BATCH)]


def test_batch_is_in_the_queue_that_starts_last_unless_it_is_its_turn(database: Database, runs: FakeRuns):
    account = new_account(database)
    first = submitted(database, account, priority=BATCH)
    start_due(database, runs, RULES)
    assert list(runs.queues.values()) == ["low"]
    runs.runs[runs.only()].state = "RUNNING"
    claim(database, first, runs.only(), 1)
    for priority in (BATCH, INTERACTIVE, INTERACTIVE, INTERACTIVE, BATCH):
        submitted(database, account, priority=priority)
    start_due(database, runs, Rules(batch_every=3, release_ahead=9, release_per_account=9))
    assert [runs.queues[run.id] for run in runs.waiting()] == ["default"] * 4 + ["low"]


def test_a_batch_job_that_waits_where_workers_look_last_is_moved_when_its_turn_comes(
    database: Database, runs: FakeRuns
):
    account = new_account(database)
    first = submitted(database, account, priority=BATCH)
    start_due(database, runs, RULES)
    for _ in range(5):
        submitted(database, account)
    for _ in range(2):
        start_due(database, runs, RULES)
        stop_due(database, runs)
    assert [runs.queues[run.id] for run in runs.waiting()] == ["default"] * 3
    assert [runs.runs[run.id].job_id for run in runs.waiting()][2] == first
    assert sorted(run.state for run in runs.runs.values()).count("CANCELLED") == 1
    assert job_row(database, first).attempt == 2


def test_no_account_has_more_at_work_than_it_may(database: Database, runs: FakeRuns):
    worker = Worker(database, runs, slots=4)
    account, other = new_account(database), new_account(database)
    for _ in range(8):
        submitted(database, account)
    for _ in range(3):
        worker.turn(limit=2)
    assert len(worker.at_work) == 2
    job = submitted(database, other)
    worker.turn(limit=2)
    assert job in worker.started


def test_an_account_at_its_limit_holds_up_nobody(database: Database, runs: FakeRuns):
    many, other = new_account(database), new_account(database)
    for _ in range(10):
        submitted(database, many)
    job = submitted(database, other)
    start_due(database, runs, RULES, lambda account: 0 if account == many else None)
    assert [run.job_id for run in runs.runs.values()] == [job]


def test_the_place_told_is_the_place_at_which_a_job_starts(database: Database, worker: Worker, runs: FakeRuns):
    accounts = [new_account(database) for _ in range(3)]
    for number in range(14):
        priority = BATCH if number % 4 == 3 else INTERACTIVE
        submitted(database, accounts[number % 5 % 3], priority=priority)
    worker.turn()
    start_due(database, runs, RULES)
    watch = Watch(database, Patience(beat_seconds=2, dead_after_seconds=45, max_attempts=3), rules=RULES)
    watch.places(runs)
    told = {job: place for job, place in waiting.read(database).places.items() if place is not None}
    assert sorted(told.values()) == list(range(1, 14))
    assert worker.turns(13) == sorted(told, key=lambda job: told[job])
