"""What a checkpoint costs: bytes, seconds to write, to digest and to bring into an S3 store, and what a training loses by it.

    python -m benchmarks.checkpoint [--posed DIR] [--gaussians N,N] [--steps N]

Sizes and times are of states at a fixed number of Gaussians (degree 3); the store is `rclone serve s3` on this machine. The training is
that of DIR (images/ and colmap/; by default the fox of ../shared/data/fox_posed) with 50,000 Gaussians, once with a checkpoint in
the store every 10 seconds and once with none.
"""

import argparse
import logging
import tempfile
import time
from pathlib import Path
from uuid import uuid4

import torch

from storage.attempts import Attempt
from storage.s3 import S3Store
from tasks.process.digest import of_file
from tasks.process.messages import Job
from tasks.process.runner import run_step
from tasks.service import work
from tasks.service.checkpoints import Checkpoints
from tasks.train.backend import choose_backend
from tasks.train.checkpoint import save_checkpoint
from tasks.train.loop import TrainState
from tasks.train.optimizer import Optimizer, make_leaves
from tasks.train.options import TrainOptions
from tasks.train.parameters import Parameters
from tests.support.s3_server import running_s3

FOX = Path(__file__).resolve().parents[2] / "shared" / "data" / "fox_posed"
EVERY_SECONDS = 10.0


class Beating(Attempt):
    """An attempt that nobody takes away: this measures the store, not the database."""

    def beat(self) -> None:
        return


def checkpoints(store: S3Store, seconds: float) -> Checkpoints:
    """Of a job of its own."""
    attempt = Beating(database=None, job_id=uuid4(), number=1, token=uuid4())  # pyright: ignore[reportArgumentType]
    log = logging.getLogger("checkpoint")
    return Checkpoints(objects=store, attempt=attempt, job_id=attempt.job_id, digest="d" * 64, seconds=seconds, log=log)


def state_of(gaussians: int) -> TrainState:
    """A state with so many Gaussians and moments of all parameters."""
    backend = choose_backend("cpu", None)
    params = Parameters(
        means=torch.rand(gaussians, 3),
        quats=torch.rand(gaussians, 4),
        scales=torch.rand(gaussians, 3),
        opacities=torch.rand(gaussians),
        sh_coeffs=torch.rand(gaussians, 16, 3),
    )
    make_leaves(params, backend.device)
    return TrainState(params=params, optimizer=Optimizer(params, backend.adam_step), generator=torch.Generator())


def measure(store: S3Store, folder: Path, gaussians: int) -> str:
    """One row."""
    part = folder / f"{gaussians}.1.part"
    part.mkdir()
    state, begun = state_of(gaussians).state_dict(), time.monotonic()
    save_checkpoint(part, "key", state)
    wrote, path = time.monotonic() - begun, part / work.CHECKPOINT
    begun = time.monotonic()
    of_file(path)
    hashed = time.monotonic() - begun
    kept, begun = checkpoints(store, 1.0), time.monotonic()
    kept._send(part)  # what the thread does each time
    sent = time.monotonic() - begun
    begun = time.monotonic()
    assert kept.fetch(folder / "back", after=0) == 1
    fetched = time.monotonic() - begun
    return (
        f"| {gaussians:,} | {path.stat().st_size / 1e6:.1f} | {wrote:.2f} | {hashed:.2f} | {sent:.2f} | {fetched:.2f} |"
    )


def trained(store: S3Store, folder: Path, posed: Path, steps: int, seconds: float) -> tuple[float, int]:
    """Seconds that a training takes, and how many checkpoints came into the store meanwhile."""
    options = TrainOptions(
        steps=steps, max_gaussians=50_000, train_side_px=640, device="cpu", checkpoint_every_seconds=5.0
    )
    part = folder / f"train{seconds:.0f}.1.part"
    kept = checkpoints(store, seconds)
    job = Job(function="tasks.train.step:train", arguments={"posed": posed, "out": part, "options": options}, out=part)
    with kept.kept(part):
        outcome = run_step(job, lambda *_: None, folder / "log")
    number = max((kept._of(key) or (0, 0, ""))[1] for key in kept.stored()) if kept.stored() else 0
    return outcome.record["seconds"], number


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posed", type=Path, default=FOX)
    parser.add_argument("--gaussians", default="50000,1000000")
    parser.add_argument("--steps", type=int, default=600)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as text, running_s3(Path(text)) as server:
        store = S3Store(
            endpoint=server.endpoint,
            region=server.region,
            bucket="checkpoints",
            access_key=server.access_key,
            secret_key=server.secret_key,
            create_bucket=True,
        )
        store.check()
        print("| Gaussians | MB | written s | digested s | into the store in all s | fetched and checked s |")
        print("|---" * 6 + "|")
        for gaussians in (int(n) for n in given.gaussians.split(",")):
            print(measure(store, Path(text), gaussians), flush=True)
        if given.posed.is_dir():
            for seconds in (1e9, EVERY_SECONDS):
                took, number = trained(store, Path(text), given.posed, given.steps, seconds)
                print(f"{given.steps} steps, {number} checkpoints stored: {took:.1f} s", flush=True)


if __name__ == "__main__":
    main()
