"""Checkpoints in the store: kept while a step works, bounded, and what another host goes on from, bit for bit."""

import time
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from storage import naming
from storage.attempts import Attempt, AttemptLost
from storage.local import LocalStore
from storage.objects import StoreUnavailable
from storage.settings import Settings
from tasks.process.digest import of_file
from tasks.service import checkpoints, work
from tasks.service.checkpoints import Checkpoints
from tasks.service.run import JobRun
from tasks.train.options import TrainOptions
from tasks.train.step import train
from tests.support.job_runs import LOG
from tests.support.posed import write_posed

KEY = "d" * 64
STEPS = "tests.tasks_service.steps"


def kept_of(run: JobRun, *, number: int = 1, seconds: float = 0.05, digest: str = KEY) -> Checkpoints:
    attempt = replace(run.attempt, number=number)
    return Checkpoints(objects=run.objects, attempt=attempt, job_id=run.job_id, digest=digest, seconds=seconds, log=LOG)


def put(objects: LocalStore, run: JobRun, number: int, count: int, data: bytes, digest: str = KEY) -> str:
    key = naming.checkpoint_key(run.job_id, digest, number, count, sha256(data).hexdigest())
    objects.put_bytes(key, data)
    return key


def until(what: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


def write(part: Path, text: str) -> None:
    part.mkdir(parents=True, exist_ok=True)
    draft = part / "checkpoint.pt.partial"
    draft.write_text(text)
    draft.replace(part / work.CHECKPOINT)


def in_store(run: JobRun) -> list[bytes]:
    return [run.objects.get_bytes(key) for key in run.objects.keys(naming.checkpoint_prefix(run.job_id))]


def test_the_newest_is_kept_and_the_ones_before_go(job_run: JobRun, objects: LocalStore, tmp_path: Path):
    part, kept = tmp_path / "d.1.part", kept_of(job_run)
    put(objects, job_run, 0, 7, b"of an attempt before")
    put(objects, job_run, 1, 1, b"of other options", digest="e" * 64)
    with kept.kept(part):
        for text in ("one", "two", "three"):
            write(part, text)
            until(lambda text=text: text.encode() in in_store(job_run))
            assert len(in_store(job_run)) <= 2
        until(lambda: in_store(job_run) == [b"three"])
    assert [path.name for path in part.iterdir()] == [work.CHECKPOINT]
    assert not list(tmp_path.glob("*.sent"))
    kept.forget()
    assert in_store(job_run) == []


def test_a_store_that_is_away_is_a_warning_and_the_next_one_is_stored(
    job_run: JobRun, objects: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    part, tries = tmp_path / "d.1.part", []

    def away(*_: object, **__: object) -> None:
        tries.append(1)
        raise StoreUnavailable("The store is away.")

    with kept_of(job_run).kept(part):
        with monkeypatch.context() as patch:
            patch.setattr(objects, "put_file", away)
            write(part, "one")
            until(lambda: len(tries) >= 2)
        until(lambda: in_store(job_run) == [b"one"])


def test_a_lost_attempt_stores_nothing_more(
    job_run: JobRun, objects: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    beats: list[int] = []

    def lost_meanwhile(self: Attempt) -> None:
        beats.append(1)
        if len(beats) > 1:
            raise AttemptLost(self.job_id)

    kept = kept_of(job_run)
    monkeypatch.setattr(Attempt, "beat", lost_meanwhile)
    with kept.kept(tmp_path / "part"):
        write(tmp_path / "part", "late")
        until(lambda: len(beats) > 1)
    assert in_store(job_run) == []


@pytest.mark.parametrize(
    ("here", "stored", "found"),
    [
        (0, [(1, 1, b"a"), (1, 2, b"b")], b"b"),
        (0, [(2, 9, b"old"), (10, 1, b"new")], b"new"),
        (2, [(2, 1, b"same host")], b"local"),
        (2, [(3, 1, b"of another host")], b"of another host"),
        (3, [(2, 5, b"old")], b"local"),
        (0, [], None),
    ],
)
def test_the_newest_is_gone_on_from(
    job_run: JobRun,
    objects: LocalStore,
    tmp_path: Path,
    here: int,
    stored: list[tuple[int, int, bytes]],
    found: bytes | None,
):
    folder = tmp_path / "train" / KEY
    if here:
        write(folder.with_name(f"{KEY}.{here}.part"), "local")
    for number, count, data in stored:
        put(objects, job_run, number, count, data)
    part = checkpoints.begin(folder, kept_of(job_run, number=11))
    path = part / work.CHECKPOINT
    assert (path.read_bytes() if path.is_file() else None) == found
    assert [p.name for p in folder.parent.iterdir()] == ([part.name] if found is not None else [])


def test_a_damaged_one_is_passed_over(job_run: JobRun, objects: LocalStore, tmp_path: Path):
    put(objects, job_run, 1, 1, b"whole")
    objects.put_bytes(put(objects, job_run, 1, 2, b"newer"), b"newe")
    part = checkpoints.begin(tmp_path / KEY, kept_of(job_run, number=2))
    assert (part / work.CHECKPOINT).read_bytes() == b"whole"


def test_a_store_that_can_not_be_asked_stops_nothing(
    job_run: JobRun, objects: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def away(*_: object) -> None:
        raise StoreUnavailable("The store is away.")

    monkeypatch.setattr(objects, "keys", away)
    write(tmp_path / f"{KEY}.1.part", "local")
    part = checkpoints.begin(tmp_path / KEY, kept_of(job_run, number=2))
    assert (part / work.CHECKPOINT).read_text() == "local"


def test_another_host_goes_on_and_the_finished_step_leaves_none(job_run: JobRun, objects: LocalStore):
    """The host is gone with its work folder; what had come into the store is there."""
    put(objects, job_run, 1, 1, b"half")
    reference = job_run.make("train", KEY, f"{STEPS}:killed_once", lambda out: {"out": out}, checkpointed=True)
    assert reference.record == {"resumed": "half"}
    assert in_store(job_run) == []


def test_a_training_goes_on_bit_for_bit_from_the_store(job_run: JobRun, service_settings: Settings, tmp_path: Path):
    """Training is broken off, its checkpoint goes through the store into another folder, and the scene is the same."""

    class Stop(Exception):
        pass

    def stop(done: int, total: int, message: str) -> None:
        if done >= 25 and message != "loading pictures":
            raise Stop

    def first_host() -> None:
        try:
            train(posed, first, options, stop)
        finally:
            until(lambda: len(in_store(job_run)) == 1)

    posed = write_posed(tmp_path / "posed", views=6)
    options = TrainOptions(steps=60, max_gaussians=800, train_side_px=96, sh_degree=1, device="cpu", threads=1)
    train(posed, tmp_path / "straight", options, lambda *_: None)
    first = tmp_path / "first host" / f"{KEY}.1.part"
    with kept_of(job_run).kept(first), pytest.raises(Stop):
        first_host()
    part = checkpoints.begin(tmp_path / "second host" / KEY, kept_of(job_run, number=2))
    assert of_file(part / work.CHECKPOINT) == of_file(first / work.CHECKPOINT)
    begun: list[int] = []
    train(posed, part, options, lambda done, total, message: begun.append(done))
    assert begun[0] == 25
    assert (part / "scene.ply").read_bytes() == (tmp_path / "straight" / "scene.ply").read_bytes()
