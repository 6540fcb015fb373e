"""The reconstruction of one job: a call per step. Everything that is worth keeping is in the object store and our database;
what Prefect knows is there for people to watch and for runs to be found, started and stopped.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from uuid import UUID

from prefect import Task, flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run as this_run
from prefect.states import Cancelled

from flows import hooks, request
from flows.artifacts import show_result
from flows.server import wait_for_server
from storage import actions
from storage.attempts import AttemptLost, claim
from storage.database import database
from storage.objects import open_store
from storage.settings import settings
from tasks.errors import OutOfMemory, TransientError
from tasks.export.task import export
from tasks.extract.task import extract
from tasks.mask.task import mask
from tasks.mask.task import require as require_mask_model
from tasks.mesh.task import mesh
from tasks.mesh.task import require as require_mesh
from tasks.process import device
from tasks.scale.task import require as require_tags
from tasks.scale.task import scale
from tasks.service import scratch
from tasks.service.failures import told
from tasks.service.heart import Heart
from tasks.service.patience import patiently
from tasks.service.reference import ExportReference, StepReference
from tasks.service.run import JobRun
from tasks.sfm.task import sfm
from tasks.train.task import fit, fit_after, train
from tasks.turntable.task import require as require_turntable
from tasks.turntable.task import turntable


@flow(
    name=request.FLOW,
    persist_result=False,
    validate_parameters=False,
    on_completion=[hooks.on_completion],
    on_failure=[hooks.on_failure],
    on_crashed=[hooks.on_crashed],
    on_cancellation=[hooks.on_cancellation],
)
def reconstruct(job_id: str) -> State[Any] | None:
    """From a job's upload to its files.

    Args:
        job_id: the job's id; everything else is in our database.

    Returns a Cancelled state when the job no longer wants this run: it was cancelled, deleted, or given to another attempt.
    """
    try:
        with _run_of(UUID(job_id)) as run, _own_failures(run):
            require_mask_model(run)
            require_mesh(run)
            require_tags(run)
            require_turntable(run)
            extracted = _step(run, extract)
            masked = _step(run, mask, extracted)
            posed = _step(run, sfm, extracted, masked)
            scaled = _step(run, scale, posed)
            trained = _trained(run, posed)
            meshed = _step(run, mesh, trained, posed, scaled) if run.job.mesh else None
            turned = _step(run, turntable, trained, posed) if run.job.turntable else None
            result: ExportReference = _step(run, export, extracted, posed, trained, masked, scaled, meshed, turned)
            scale_found = None if scaled is None else {k: v for k, v in scaled.record.items() if k != "warnings"}
            patiently(lambda: _finish(run, result, scale_found), run.log, check=run.check)
            _clear_up(run)
            wait_for_server(run.log)
            show_result(run, result, scale_found)
    except AttemptLost:
        return Cancelled(message="The job was cancelled, deleted, or given to another attempt.")
    return None


def _step(run: JobRun, step: Task[..., Any], *inputs: Any) -> Any:
    """A step's finished result, made now or by an earlier run; made again when its output is gone from the store.

    None: the job doesn't ask for this step.
    """
    run.check()
    reference = step(run, *inputs)
    if reference is None:
        return None
    if not patiently(lambda: run.stored(reference.objects), run.log, check=run.check):
        run.log.warning("%s: its stored output is gone or damaged; making it again", step.name)
        reference = step.with_options(refresh_cache=True)(run, *inputs)
    if isinstance(reference, StepReference):
        patiently(lambda: _note(run, reference), run.log, check=run.check)
    return reference


def _trained(run: JobRun, posed: StepReference) -> Any:
    """The trained scene; made smaller where memory does not suffice, once more when it turns out so only in the middle."""
    patiently(lambda: fit(run, posed), run.log, check=run.check)
    try:
        return _step(run, train, posed)
    except OutOfMemory as error:
        if not patiently(partial(fit_after, run, error), run.log, check=run.check):
            raise
    return _step(run, train, posed)


def _note(run: JobRun, reference: StepReference) -> None:
    run.end_step(reference.step, reference.seconds, reference.device)
    run.attempt.warn([{"code": "pipeline", "step": reference.step, "message": text} for text in reference.warnings])


def _finish(run: JobRun, result: ExportReference, scale: dict[str, Any] | None) -> None:
    """Makes the outputs visible."""
    attempt = run.attempt
    run.end_step("export", result.seconds)
    told = {warning["message"] for warning in attempt.job().warnings}
    attempt.warn([{"code": "pipeline", "message": text} for text in result.warnings if text not in told])
    attempt.camera(result.camera)
    attempt.preview(result.preview_key)
    attempt.finish(files=result.files, quality=result.quality, scale=scale)


def _clear_up(run: JobRun) -> None:
    try:
        run.clean()
    except TransientError as error:  # the job is finished all the same
        run.log.warning("Not all could be cleared up: %s", error)


@contextmanager
def _own_failures(run: JobRun) -> Iterator[None]:
    """Writes down that the job has failed before Prefect is told: that may be away, and the hook comes after it."""
    try:
        yield
    except AttemptLost:
        raise
    except Exception as error:
        code, message = told(error)
        patiently(lambda: run.attempt.fail(error_code=code, error_message=message), run.log, check=run.check)
        wait_for_server(run.log)
        raise


@contextmanager
def _run_of(job_id: UUID) -> Iterator[JobRun]:
    log = get_run_logger()
    number = request.attempt_of(this_run.tags or [])
    if number is None:
        log.error("This run was not made by the dispatcher; submit or retry the job through the API.")
        raise AttemptLost(job_id)
    attempt = patiently(partial(claim, database(), job_id, UUID(str(this_run.id)), number), log)
    hooks.at_work = attempt
    with Heart(attempt, seconds=settings().beat_seconds, log=log) as heart:
        run = JobRun(
            settings=settings(),
            attempt=attempt,
            objects=open_store(settings()),
            heart=heart,
            device=device.resolve("auto"),
            log=log,
        )
        _tidy(run)
        log.info("Attempt %d at job %s (%s), on %s", attempt.number, job_id, run.job.title, run.device)
        _tell_why(run)
        with scratch.held(run.folder):
            try:
                yield run
            except AttemptLost:
                run.leave()
                raise


def _tell_why(run: JobRun) -> None:
    """Why there is another attempt, for whoever looks at this run in Prefect's pages."""
    try:
        done = [one for one in actions.of_job(database(), run.job_id) if one.attempt == run.attempt.number - 1]
    except TransientError:
        return
    for one in done:
        silence = "" if one.silent_seconds is None else f", after {one.silent_seconds:.0f} s without a sign of life"
        run.log.info("Attempt %d was %s: %s%s.", one.attempt, one.kind, one.reason, silence)


def _tidy(run: JobRun) -> None:
    """Removes what earlier runs left on this machine and no job needs."""
    try:
        count, size = scratch.sweep(run.settings.work_folder, database())
    except TransientError as error:
        run.log.warning("Scratch space was not looked through: %s", error)
        return
    if count:
        run.log.info("Scratch space: %d work folder(s) of earlier runs removed, %.1f MB.", count, size / 1e6)
