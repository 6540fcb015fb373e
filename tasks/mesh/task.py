"""Mesh as a task: a trained scene and its views in, a surface out."""

from typing import Any

from tasks.mesh.options import MeshOptions
from tasks.mesh.require import require as require_open3d
from tasks.process import digest
from tasks.service.policy import step_task
from tasks.service.reference import StepReference
from tasks.service.run import JobRun
from tasks.service.slots import gpu_slot

STEP = "mesh"


def require(run: JobRun) -> None:
    """Looks for what the step will need, before any other work is done.

    Raises:
        MeshUnavailable
    """
    if run.job.mesh:
        require_open3d()


def options_of(run: JobRun) -> MeshOptions:
    """On the run's device."""
    device: Any = run.device
    return MeshOptions(device=device, threads=run.threads)


def identity(run: JobRun, trained: StepReference, posed: StepReference, scaled: StepReference | None) -> str:
    """By the scene, its unit and the options."""
    return digest.of_step(
        STEP, digest.of_json([trained.digest, posed.digest, metres_per_unit(scaled)]), options_of(run)
    )


@step_task(STEP, identity)
def mesh(run: JobRun, trained: StepReference, posed: StepReference, scaled: StepReference | None) -> StepReference:
    """A surface, see `tasks.mesh.step.mesh`."""
    scene, views, options, factor = (
        run.folder_of(trained),
        run.folder_of(posed),
        options_of(run),
        metres_per_unit(scaled),
    )
    return run.make(
        STEP,
        identity(run, trained, posed, scaled),
        "tasks.mesh.step:mesh",
        lambda out: {"trained": scene, "posed": views, "out": out, "options": options, "metres_per_unit": factor},
        slot=gpu_slot(run),
    )


def metres_per_unit(scaled: StepReference | None) -> float | None:
    """The factor that makes lengths metres, as the scale step found it; None: not known."""
    return None if scaled is None else scaled.record["metres_per_unit"]
