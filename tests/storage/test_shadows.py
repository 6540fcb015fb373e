"""Whatever happens to tries at better results, in whatever order: the job has one whole set of files, and its row says which."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from uuid import UUID, uuid4

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlmodel import col

from storage import batch_work, batches, dispatching, naming, shadows
from storage.attempts import Attempt, AttemptLost, claim
from storage.database import Database
from storage.jobs import WrongState
from storage.local import LocalStore
from storage.tables import OPEN_STATES, RUNNING, BatchItem, Job
from tests.storage.test_batches import QUALITY, finished, made
from tests.support.databases import job_row, new_account, seen


class World:
    """One job, its batches, and the attempts that were ever made at its tries, dead ones included."""

    def __init__(self, database: Database, objects: LocalStore) -> None:
        self.database, self.objects = database, objects
        self.account_id = new_account(database)
        self.job_id = finished(database, objects, self.account_id)
        self._store(self.job_id, 1, "before")
        self.batches: list[UUID] = []
        self.attempts: list[Attempt] = []
        self.stored: dict[UUID, dict[str, dict[str, object]]] = {}

    def ask(self) -> None:
        steps = 200 + len(self.batches)
        self.batches.append(made(self.database, self.account_id, set={"training_num_steps": steps}))

    def advance(self) -> None:
        for batch_id in self.batches:
            batch_work.advance(self.database, self.objects, batch_id)

    def claim(self) -> None:
        for shadow in self._open():
            if shadow.lease_token is None:
                self.attempts.append(claim(self.database, shadow.id, uuid4(), shadow.attempt))

    def store(self) -> None:
        """An attempt has put its files, and has not said so."""
        for attempt in self.attempts[-2:]:
            self._files(attempt)

    def finish(self, gain_db: float) -> None:
        for attempt in self.attempts[-2:]:
            try:
                attempt.finish(files=self._files(attempt), quality={**QUALITY, "psnr_db": 20 + gain_db}, scale=None)
            except AttemptLost:
                continue

    def die(self) -> None:
        for shadow in self._open():
            dispatching.attempt_died(self.database, seen(self.database, shadow.id), max_attempts=2, reason="killed")

    def fail(self) -> None:
        for attempt in self.attempts[-1:]:
            try:
                attempt.fail(error_code="internal", error_message="A defect.")
            except AttemptLost:
                continue

    def settle(self) -> None:
        batch_work.settle(self.database)

    def tidy(self) -> None:
        shadows.tidy(self.database, self.objects, self.job_id)

    def cancel(self) -> None:
        for batch_id in self.batches[-1:]:
            try:
                batches.cancel(self.database, batch_id)
            except WrongState:
                continue

    def check(self) -> None:
        job = job_row(self.database, self.job_id)
        assert job.state == "finished"
        for file in job.files.values():
            assert hashlib.sha256(self.objects.get_bytes(file["key"])).hexdigest() == file["sha256"]
        tries = self._open()
        assert len(tries) <= 1
        assert job.reprocessing is not None or not tries

    def end(self) -> None:
        """Everything that can still be done is done: nothing is open, and nothing lies about."""
        for _ in range(2 * len(self.batches) + 2):
            self.advance()
            self.die()
            self.settle()
        self.tidy()
        with self.database.read() as session:
            open_items = session.scalars(select(BatchItem).where(col(BatchItem.state).in_(["waiting", RUNNING]))).all()
        mine = [item for item in open_items if item.batch_id in self.batches]
        job = job_row(self.database, self.job_id)
        assert (mine, self._open(), job.reprocessing) == ([], [], None)
        assert all(batches.get(self.database, batch_id)[0].state != RUNNING for batch_id in self.batches)
        kept = {file["key"] for file in job.files.values()} | ({job.preview_key} if job.preview_key else set())
        prefix = naming.job_prefix(self.job_id)
        assert {key for kind in ("outputs", "previews") for key in self.objects.keys(f"{prefix}{kind}/")} == kept

    def _open(self) -> list[Job]:
        query = select(Job).where(col(Job.reprocess_of) == self.job_id, col(Job.state).in_(OPEN_STATES))
        with self.database.read() as session:
            return list(session.scalars(query.where(col(Job.deleted_at).is_(None))))

    def _files(self, attempt: Attempt) -> dict[str, dict[str, object]]:
        name = naming.shadow_attempt(attempt.job_id, attempt.number)
        return self._put(name, f"{attempt.job_id} {attempt.number}")

    def _put(self, name: int | str, text: str) -> dict[str, dict[str, object]]:
        files: dict[str, dict[str, object]] = {}
        for kind in ("ply", "spz"):
            key, data = naming.output_key(self.job_id, name, naming.FILES[kind][0]), f"{kind} {text}".encode()
            self.objects.put_bytes(key, data)
            files[kind] = {"key": key, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        return files

    def _store(self, job_id: UUID, name: int | str, text: str) -> None:
        files = self._put(name, text)
        with self.database.write() as session:
            job = session.get(Job, job_id)
            assert job is not None
            job.files = files
            session.add(job)


ACTIONS: dict[str, Callable[[World], None]] = {
    "ask": World.ask,
    "advance": World.advance,
    "claim": World.claim,
    "store": World.store,
    "better": lambda world: world.finish(1.0),
    "worse": lambda world: world.finish(-1.0),
    "die": World.die,
    "fail": World.fail,
    "settle": World.settle,
    "tidy": World.tidy,
    "cancel": World.cancel,
}


@given(st.lists(st.sampled_from([*ACTIONS, "advance", "claim", "better"]), min_size=4, max_size=14))
@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],  # a failing way is short enough as it is
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_job_has_one_whole_set_of_files(sqlite_database: Database, tmp_path: Path, actions: list[str]):
    world = World(sqlite_database, LocalStore(tmp_path / "objects", b"a secret of the tests, long enough"))
    world.ask()
    for action in actions:
        ACTIONS[action](world)
        world.check()
    world.end()
    world.check()
