"""An attempt at a job, from the side of the run that makes it: it claims the job, shows that it lives, and writes what it did.

Fencing: every write names the attempt's number and its token. Whoever ends the attempt (a cancellation, a deletion, the
dispatcher that takes it for dead) clears the token, and from then on the late writer is refused with `AttemptLost`.
No clock of another machine is trusted: life is a counter that moves (`Job.lease_beat`).
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import CursorResult, case, delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col

from storage import actions, measures, shadows, tally, webhooks
from storage.database import Database
from storage.jobs import ended_as, requeue_in
from storage.tables import FAILED, FINISHED, OPEN_STATES, RUNNING, Job, Slot, now


class AttemptLost(Exception):
    """This attempt may write no more: the job was cancelled, deleted, or given to another attempt."""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One attempt at work. Get one from `claim`.

    Attributes:
        job_id: the job.
        number: counts the job's attempts from 1.
        token: of this process; nobody else has it.
    """

    database: Database
    job_id: UUID
    number: int
    token: UUID

    def job(self) -> Job:
        """The job's row as it is now.

        Raises:
            AttemptLost
        """
        with self.database.read() as session:
            job = session.scalars(select(Job).where(*self._held())).first()
        if job is None:
            raise AttemptLost(self.job_id)
        return job

    def now(self) -> Job | None:
        """The job's row as it is now, whoever holds it; None when the job was deleted."""
        with self.database.read() as session:
            return session.scalars(select(Job).where(col(Job.id) == self.job_id, col(Job.deleted_at).is_(None))).first()

    def beat(self) -> None:
        """Shows that this attempt lives.

        Raises:
            AttemptLost
        """
        self._write(lease_beat=col(Job.lease_beat) + 1)

    def begin_step(self, step: str) -> None:
        """A step begins."""
        self._write(step=step, step_started_at=now(), step_done=None, step_total=None, revision=col(Job.revision) + 1)

    def progress(self, done: int, total: int, percent: int | None) -> None:
        """How far the step is, in its own units, and the percentage that clients see, which never falls.

        Raises:
            AttemptLost
        """
        values: dict[str, Any] = {"step_done": done, "step_total": total, "lease_beat": col(Job.lease_beat) + 1}
        if percent is not None:
            higher = (col(Job.percent).is_(None)) | (col(Job.percent) < percent)
            values["percent"] = case((higher, percent), else_=col(Job.percent))
            values["revision"] = col(Job.revision) + case((higher, 1), else_=0)
        self._write(**values)

    def end_step(self, step: str, seconds: float, *, made: bool, device: str = measures.CPU) -> None:
        """A step was made, or found finished; `seconds` is the time that it took when it was made, `device` what it held then."""
        with self.database.write() as session:
            job = self._locked(session)
            # The same time once more is the same step, found finished or told twice: it is counted already.
            new = job.step_seconds.get(step) != round(seconds, 3)
            job.step_seconds = {**job.step_seconds, step: round(seconds, 3)}
            if made:
                job.crashes = 0  # it gets on: only deaths without progress in between are a reason to give up
            job.revision += 1
            session.add(job)
            if new:
                tally.add(session, measures.step_took(step, device, seconds))

    def preview(self, key: str) -> str | None:
        """A newer preview is in the store; returns the key of the one before."""
        with self.database.write() as session:
            job = self._locked(session)
            before, job.preview_key = job.preview_key, key
            job.revision += 1
            session.add(job)
        return before

    def camera(self, camera: dict[str, Any]) -> None:
        """The camera that frames the scene; what the client has set stays in force."""
        self._write(camera_computed=camera, revision=col(Job.revision) + 1)

    def fit(self, level: int) -> None:
        """The job's training was made smaller, `level` times by now.

        Raises:
            AttemptLost
        """
        self._write(fitted=level, revision=col(Job.revision) + 1)

    def warn(self, warnings: list[dict[str, Any]]) -> None:
        """Adds warnings; those that are there already are not repeated."""
        if not warnings:
            return
        with self.database.write() as session:
            job = self._locked(session)
            new = [warning for warning in warnings if warning not in job.warnings]
            if new:
                job.warnings = [*job.warnings, *new]
                job.revision += 1
                session.add(job)

    def finish(
        self, *, files: dict[str, dict[str, Any]], quality: dict[str, Any], scale: dict[str, Any] | None
    ) -> None:
        """The job is finished and these are its files: the one moment at which outputs become visible.

        Of a try at a better result (`storage.shadows`) it is the moment at which the job that it is for gets them, or keeps its own.

        Raises:
            AttemptLost
        """
        with self.database.write() as session:
            parent = shadows.locked_parent_in(session, self.job_id)
            job = self._locked(session)
            job.state, job.percent, job.step = FINISHED, 100, None
            job.files, job.quality, job.scale = files, quality, scale
            job.step_started_at = job.step_done = job.step_total = None
            self._end(session, job)
            if parent is not None:
                shadows.decide_in(session, job, parent)
                return
            webhooks.announce(session, job)
            tally.add(session, measures.ENDED.one(outcome=measures.FINISHED))

    def fail(self, *, error_code: str, error_message: str) -> None:
        """The job has failed.

        Raises:
            AttemptLost
        """
        with self.database.write() as session:
            job = self._locked(session)
            job.state, job.error_code, job.error_message = FAILED, error_code, error_message
            self._end(session, job)
            webhooks.announce(session, job)
            tally.add(session, ended_as(error_code, job.reprocess_of))

    def give_back(self) -> bool:
        """Ends this attempt in order, unfinished: the job waits for another one. Returns whether it still held the job."""
        with self.database.write() as session:
            job = session.scalars(select(Job).where(*self._held()).with_for_update()).first()
            if job is None:
                return False
            told = "its run was told to end"
            actions.note(session, job, actions.GIVEN_BACK, told, attempt=self.number, run_id=job.run_id)
            requeue_in(session, job)
            return True

    def take_slot(self, names: list[str]) -> str | None:
        """Takes one of the named slots and returns its name, or None while all are held by attempts that live.

        What this attempt holds already it is given again: the step that could not release it is being retried.

        Raises:
            AttemptLost
        """
        try:
            with self.database.write() as session:
                self._locked(session)
                return self._take_slot(session, names)
        except IntegrityError:  # another one took the same free slot at the same moment
            return None

    def _take_slot(self, session: Session, names: list[str]) -> str | None:
        taken = set()
        for slot in session.scalars(select(Slot).where(col(Slot.name).in_(names)).with_for_update()).all():
            if slot.lease_token == self.token:
                return slot.name
            holder = session.get(Job, slot.job_id)
            if holder is None or holder.lease_token != slot.lease_token:
                session.delete(slot)  # its attempt has ended, however that came about
            else:
                taken.add(slot.name)
        session.flush()
        for name in names:
            if name not in taken:
                session.add(Slot(name=name, job_id=self.job_id, attempt=self.number, lease_token=self.token))
                return name
        return None

    def release_slots(self) -> None:
        """Gives back what `take_slot` took; also when the attempt is lost."""
        with self.database.write() as session:
            session.execute(delete(Slot).where(col(Slot.lease_token) == self.token))

    def _end(self, session: Session, job: Job) -> None:
        job.finished_at, job.lease_token, job.queue_position = now(), None, None
        job.revision += 1
        session.add(job)
        session.execute(delete(Slot).where(col(Slot.lease_token) == self.token))

    def _held(self) -> tuple[Any, ...]:
        return (
            col(Job.id) == self.job_id,
            col(Job.attempt) == self.number,
            col(Job.lease_token) == self.token,
            col(Job.deleted_at).is_(None),
        )

    def _locked(self, session: Session) -> Job:
        job = session.scalars(select(Job).where(*self._held()).with_for_update()).first()
        if job is None:
            raise AttemptLost(self.job_id)
        return job

    def _write(self, **values: Any) -> None:
        with self.database.write() as session:
            done = session.execute(update(Job).where(*self._held()).values(**values))
            assert isinstance(done, CursorResult)
            if done.rowcount == 0:
                raise AttemptLost(self.job_id)


def claim(database: Database, job_id: UUID, run_id: UUID, number: int) -> Attempt:
    """Takes the job for the flow run `run_id`, which is to make attempt `number`.

    The row may not name the run yet: the dispatcher can die between making a run and writing its name down.

    Raises:
        AttemptLost: the job is gone or has ended, is another attempt's, or a process holds it already.
    """
    token = uuid4()
    with database.write() as session:
        query = select(Job).where(
            col(Job.id) == job_id,
            col(Job.attempt) == number,
            (col(Job.run_id) == run_id) | col(Job.run_id).is_(None),
            col(Job.deleted_at).is_(None),
        )
        job = session.scalars(query.with_for_update()).first()
        if job is None or job.state not in OPEN_STATES or job.lease_token is not None:
            raise AttemptLost(job_id)
        kind = measures.START if job.started_at is None else measures.RESUME
        job.state, job.run_id, job.lease_token, job.queue_position = RUNNING, run_id, token, None
        job.lease_beat += 1
        job.started_at = job.started_at or now()
        job.step, job.step_started_at = None, None
        job.revision += 1
        session.add(job)
        # A try waits for as long as it has to; of a job that an older version queued nothing is known.
        if job.queued_at is not None and job.reprocess_of is None:
            tally.add(session, measures.WAIT.of((now() - job.queued_at).total_seconds(), kind=kind))
    return Attempt(database=database, job_id=job_id, number=job.attempt, token=token)


def record_end(database: Database, job_id: UUID, run_id: UUID, *, error_code: str, error_message: str) -> bool:
    """What a run's hooks record when the run ended without a word of its own; returns whether the job was still its.

    The job is Failed. A run that crashed is not recorded this way: the dispatcher gives its job another attempt.
    """
    values = {
        "state": FAILED,
        "error_code": error_code,
        "error_message": error_message,
        "finished_at": now(),
        "lease_token": None,
        "queue_position": None,
        "revision": col(Job.revision) + 1,
    }
    where = (col(Job.id) == job_id, col(Job.run_id) == run_id, col(Job.state).in_(OPEN_STATES))
    with database.write() as session:
        done = session.execute(update(Job).where(*where).values(**values))
        assert isinstance(done, CursorResult)
        if done.rowcount > 0:
            job = session.get_one(Job, job_id)
            webhooks.announce(session, job)
            tally.add(session, ended_as(error_code, job.reprocess_of))
        return done.rowcount > 0
