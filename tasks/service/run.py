"""A job's run as its tasks see it: the attempt that it holds, where it works, and how a step is carried out."""

import logging
import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any
from uuid import UUID

from storage import naming, shadows
from storage.attempts import Attempt, AttemptLost
from storage.objects import ObjectMissing, ObjectStore
from storage.settings import Settings
from storage.tables import FINISHED
from storage.tables import Job as JobRow
from tasks.errors import SourceExpired, TransientError
from tasks.process import digest
from tasks.process.messages import Job, json_record
from tasks.process.runner import run_step
from tasks.service import archive, checkpoints, room, scratch, work
from tasks.service.checkpoints import Checkpoints
from tasks.service.heart import Heart
from tasks.service.patience import T, patiently
from tasks.service.reference import StepReference

PROGRESS_SECONDS = 1.0
QUICK_SECONDS, QUICK_PERCENT = 0.15, 4  # sooner where there is more to tell, as in a short training
LOG_SECONDS = 10.0
STOP_PATIENCE_SECONDS = 3.0

Watch = Callable[[Path, int, int], None]


class JobRun:
    """One attempt at a job, on this machine.

    Attributes:
        attempt: through which everything is written to our database.
        job: the job's row as it was when the attempt began; what was asked for does not change.
        device: "cpu" or "cuda".
        folder: where it works on this machine; others may only use it as long as somebody holds it (see `scratch`).
    """

    def __init__(
        self,
        *,
        settings: Settings,
        attempt: Attempt,
        objects: ObjectStore,
        heart: Heart,
        device: str,
        log: logging.Logger | logging.LoggerAdapter[Any],
    ) -> None:
        self.settings, self.attempt, self.objects, self.device, self.log = settings, attempt, objects, device, log
        self.job: JobRow = attempt.job()
        self._heart = heart
        self._made: set[str] = set()
        self.folder = settings.work_folder / str(attempt.job_id)

    @property
    def job_id(self) -> UUID:
        """The job's id."""
        return self.attempt.job_id

    @property
    def owner_id(self) -> UUID:
        """Whose objects it works with: the job's own, or those of the job that it tries to make a better result for."""
        return self.job.reprocess_of or self.job.id

    @property
    def attempt_name(self) -> int | str:
        """What stands for the attempt in the names of its outputs and previews."""
        number = self.attempt.number
        return number if self.job.reprocess_of is None else naming.shadow_attempt(self.job.id, number)

    @property
    def threads(self) -> int | None:
        """Threads of a step; None: one per core."""
        return self.settings.threads or None

    def check(self) -> None:
        """Raises AttemptLost once the job was cancelled, deleted or given to another attempt."""
        self._heart.check()

    def hold(self) -> None:
        """Raises AttemptLost unless the attempt still holds its job at this moment; asks the database."""
        self.attempt.beat()

    def patiently(self, act: Callable[[], T]) -> T:
        """The result of `act`, once the database and the store can be reached; see `tasks.service.patience`."""
        return patiently(act, self.log, check=self.check)

    def put(self, key: str, path: Path, content_type: str) -> None:
        """Stores a file of this attempt; when the attempt was lost meanwhile, the file goes again.

        Raises:
            AttemptLost
        """
        self.hold()
        self.objects.put_file(key, path, content_type=content_type)
        try:
            self.hold()
        except AttemptLost:
            self.objects.delete([key])
            raise

    def source(self) -> Path:
        """The client's upload as a local file.

        Raises:
            SourceExpired: it is no longer kept.
        """
        name = self.job.source_key.rsplit("/", 1)[-1]
        path = self.folder / name
        if not path.is_file() or path.stat().st_size != self.job.source_bytes:
            path.parent.mkdir(parents=True, exist_ok=True)
            scratch.make_room(self.settings.work_folder, self.job.source_bytes, "source", self.log)
            try:
                self.patiently(lambda: self.objects.get_file(self.job.source_key, path))
            except ObjectMissing:
                raise SourceExpired(
                    "The job's video is no longer kept, and a step that needs it was to be done again; "
                    "upload the video again and submit it as a new job."
                ) from None
        return path

    def folder_of(self, reference: StepReference) -> Path:
        """The output of a finished step as a local folder, fetched when this machine doesn't have it.

        What comes is held against the size and the SHA-256 that were written down when it was stored.

        Raises:
            OutputLost: it is gone or damaged; a damaged one is removed, so that the job's next attempt makes it again.
        """
        folder = self.folder / reference.step / reference.digest
        if not folder.is_dir():
            packed = self._own(folder.with_name(f"{folder.name}.tar"))
            scratch.make_room(self.settings.work_folder, 2 * reference.bytes, reference.step, self.log)
            try:
                self.patiently(lambda: archive.fetch(self.objects, reference, packed))
                archive.unpack(packed, folder)
            finally:
                packed.unlink(missing_ok=True)
        return folder

    def scratch(self, name: str) -> Path:
        """A new, empty place of this attempt for files on their way into the store."""
        folder = self._own(self.folder / name)
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        return folder

    def make(
        self,
        step: str,
        key: str,
        function: str,
        arguments: Callable[[Path], dict[str, Any]],
        *,
        percent: Callable[[int, int], int] | None = None,
        watch: Watch | None = None,
        slot: AbstractContextManager[dict[str, str]] | None = None,
        checkpointed: bool = False,
    ) -> StepReference:
        """Carries out a step in a process of its own and stores its output.

        What a killed attempt left half done goes on from its checkpoint, of this machine or from the store.

        Args:
            step: its name.
            key: its digest.
            function: "package.module:name" of the step's pure function.
            arguments: from the output folder to the function's arguments.
            percent: from the step's progress to what clients see.
            watch: told of the half-made folder at every progress.
            slot: held while the step's process works, when that is on the run's device; yields variables of its environment.
            checkpointed: the step leaves checkpoints, which are to be in the store too.

        Raises:
            AttemptLost, SplatflowError, StepDefect
        """
        folder = self.folder / step / key
        kept = Checkpoints(
            objects=self.objects,
            attempt=self.attempt,
            job_id=self.owner_id,
            digest=key,
            seconds=self.settings.checkpoint_seconds,
            log=self.log,
        )
        told = work.kept(folder)  # by an attempt that was killed, or could not reach the store, before it was stored
        if told is None:
            number = self.attempt.number
            part = checkpoints.begin(folder, kept) if checkpointed else work.half_made(folder, number)
            job = Job(function=function, arguments=arguments(part), out=part)
            with slot or nullcontext({}) as environment, kept.kept(part) if checkpointed else nullcontext():
                outcome = self.carry_out(step, job, percent, watch, environment)
            told = {
                "record": json_record(outcome.record),
                "seconds": round(outcome.seconds, 3),
                "device": self.device if slot is not None else "cpu",
                "peak_memory_bytes": outcome.peak_memory_bytes,
            }
            work.keep(part, folder, told)  # before anything is asked of others: it must not be made again
        reference = self._stored(step, key, folder, told)
        if checkpointed:
            self._forget(kept)
        return reference

    def _stored(self, step: str, key: str, folder: Path, told: dict[str, Any]) -> StepReference:
        """Puts the output of a finished step into the store."""
        store_key, packed = naming.step_key(self.owner_id, step, key), self._own(folder.with_name(f"{key}.tar"))

        def put() -> None:
            self.hold()
            self.objects.put_file(store_key, packed, content_type="application/x-tar")
            if self.attempt.now() is None:  # deleted meanwhile; another attempt would have use for it
                self.objects.delete([store_key])

        try:
            archive.pack(folder, packed)
            size, sha256 = packed.stat().st_size, digest.of_file(packed)
            self.patiently(put)
        finally:
            packed.unlink(missing_ok=True)
        return StepReference(
            step=step,
            digest=key,
            key=store_key,
            bytes=size,
            sha256=sha256,
            warnings=tuple(told["record"].get("warnings") or ()),
            **told,
        )

    def _forget(self, kept: Checkpoints) -> None:
        try:
            kept.forget()
        except TransientError as error:  # the job's end removes them
            self.log.warning("Checkpoints were not removed: %s", error)

    def carry_out(
        self,
        step: str,
        job: Job,
        percent: Callable[[int, int], int] | None = None,
        watch: Watch | None = None,
        environment: dict[str, str] | None = None,
    ) -> Any:
        """Runs a step's function in a process of its own, tells our database and the run's log how far it is."""
        scratch.make_room(self.settings.work_folder, room.needed(step, self.job, self.device), step, self.log)
        self.patiently(lambda: self.attempt.begin_step(step))
        written = next_log = 0.0
        told: int | None = None
        ended = False

        def progress(done: int, total: int, message: str) -> None:
            nonlocal written, next_log, told, ended
            now = time.monotonic()
            shown = percent(done, total) if percent is not None else None
            news = shown is not None and (told is None or shown >= told + QUICK_PERCENT)
            if watch is not None:
                watch(job.out, done, total)
            last = done == total and not ended  # some steps go on saying that they are at their end
            if last or now - written >= (QUICK_SECONDS if news else PROGRESS_SECONDS):
                written, told, ended = now, shown, done == total
                try:
                    self.attempt.progress(done, total, shown)
                except TransientError as error:  # the next one says it; the step need not stop for that
                    self.log.warning("%s: progress was not written: %s", step, error)
            if now >= next_log:
                next_log = now + LOG_SECONDS
                self.log.info("%s: %d %% %s", step, 100 * done // max(total, 1), message)

        log_file = self.folder / "logs" / f"{step}.log"
        log_file.parent.mkdir(parents=True, exist_ok=True)
        outcome = run_step(
            job,
            progress,
            log_file,
            check=self.check,
            environment=environment,
            stop_patience_seconds=STOP_PATIENCE_SECONDS,
        )
        self.log.info("%s: done in %.1f s", step, outcome.seconds)
        self._made.add(step)
        return outcome

    def end_step(self, step: str, seconds: float, device: str = "cpu") -> None:
        """A step is finished, by this run or by one before it, on this device."""
        self.attempt.end_step(step, seconds, made=step in self._made, device=device)

    def stored(self, objects: dict[str, int]) -> bool:
        """Whether all of these objects are there and whole.

        Args:
            objects: bytes by key.
        """
        found = {key: self.objects.stat(key) for key in objects}
        return all(info is not None and info.bytes == objects[key] for key, info in found.items())

    def clean(self) -> None:
        """After the end: removes this machine's copies of the job's steps, and what other attempts left in the store."""
        shutil.rmtree(self.folder, ignore_errors=True)
        # For a try at a better result the dispatcher does it, once links that were given out have expired.
        if self.job.reprocess_of is None:
            shadows.tidy(self.attempt.database, self.objects, self.job_id)

    def leave(self) -> None:
        """After the attempt was lost: removes this machine's copies, unless another attempt may go on from them."""
        job = self.attempt.now()
        if job is None or job.state == FINISHED:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _own(self, path: Path) -> Path:
        return path.with_name(f"{path.stem}.{self.attempt.number}{path.suffix}")
