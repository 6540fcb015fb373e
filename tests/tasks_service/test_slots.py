"""Which slots a host has, and who waits for them."""

import socket
import threading
from uuid import UUID

import pytest

from storage import jobs
from storage.attempts import Attempt, AttemptLost
from storage.database import Database, DatabaseUnavailable
from storage.local import LocalStore
from storage.settings import Settings
from tasks.process import device as device_module
from tasks.service import slots
from tasks.service.heart import Heart
from tasks.service.run import JobRun
from tasks.service.slots import environment_of, gpu_slot, slots_of_host, training_slot
from tests.support.databases import at_work, counts, submitted
from tests.support.job_runs import LOG, new_run

HOST = socket.gethostname()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "POLL_SECONDS", 0.02)


@pytest.mark.parametrize(
    ("given", "device", "visible", "names"),
    [
        ("", "cpu", [], ["cpu"]),
        ("", "cpu", ["0", "1"], ["cpu"]),
        ("", "cuda", ["0", "1"], ["cuda:0", "cuda:1"]),
        ("", "cuda", ["2", "GPU-4f"], ["cuda:2", "cuda:GPU-4f"]),
        ("", "cuda", [], ["cuda:0"]),
        (" cuda:1 , cuda:3,", "cuda", ["0"], ["cuda:1", "cuda:3"]),
        ("MIG-8a/1/0,GPU-4f", "cuda", ["0"], ["MIG-8a/1/0", "GPU-4f"]),
    ],
)
def test_slots_of_a_host(
    monkeypatch: pytest.MonkeyPatch, given: str, device: str, visible: list[str], names: list[str]
):
    monkeypatch.setattr(slots, "visible_gpus", lambda: visible)
    assert slots_of_host(Settings(slots=given), device) == [f"{HOST}/{name}" for name in names]


@pytest.mark.parametrize(
    ("slot", "visible"),
    [
        ("cuda:3", "3"),
        ("cuda:GPU-4f", "GPU-4f"),
        ("GPU-4f", "GPU-4f"),
        ("MIG-8a/1/0", "MIG-8a/1/0"),
        ("cuda:MIG-8a", "MIG-8a"),
        ("cpu", None),
        ("one", None),
    ],
)
def test_a_slot_names_its_device(slot: str, visible: str | None):
    assert environment_of(slot) == ({} if visible is None else {"CUDA_VISIBLE_DEVICES": visible})


@pytest.mark.parametrize(
    ("there", "given", "found"),
    [
        (0, None, []),
        (2, None, ["0", "1"]),
        (4, "2,3", ["2", "3"]),
        (4, "", []),
        (4, "-1", []),
        (4, "1,-1,2", ["1"]),
        (2, "1,7,0", ["1"]),
        (4, "GPU-4f, MIG-8a", ["GPU-4f", "MIG-8a"]),
        (0, "GPU-4f", []),
        (2, "0,0", ["0"]),
    ],
)
def test_the_gpus_that_a_process_may_use(
    monkeypatch: pytest.MonkeyPatch, there: int, given: str | None, found: list[str]
):
    """Device files are made up: none of the machines that run this needs a GPU."""
    monkeypatch.setattr(device_module.Path, "glob", lambda *_: [None] * there)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if given is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert device_module.visible_gpus() == found


def test_a_slot_is_held_for_as_long_as_the_block(job_run: JobRun, sqlite_database: Database):
    with training_slot(job_run) as environment:
        assert environment == {}
        assert counts(sqlite_database)["slot"] == 1
    assert counts(sqlite_database)["slot"] == 0


def test_a_gpu_slot_keeps_a_process_to_its_gpu(job_run: JobRun, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(slots, "slots_of_host", lambda *_: [f"{HOST}/cuda:3"])
    with training_slot(job_run) as environment:
        assert environment == {"CUDA_VISIBLE_DEVICES": "3"}


def test_without_a_gpu_only_a_training_holds_a_slot(job_run: JobRun):
    assert gpu_slot(job_run) is None
    job_run.device = "cuda"
    assert gpu_slot(job_run) is not None


def test_a_slot_that_can_not_be_given_back_costs_nothing(
    job_run: JobRun, sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
):
    def away(*_: object) -> None:
        raise DatabaseUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(Attempt, "release_slots", away)
        with training_slot(job_run):
            pass
    with training_slot(job_run):
        assert counts(sqlite_database)["slot"] == 1


def test_a_slot_is_free_again_when_the_block_fails(job_run: JobRun, sqlite_database: Database):
    def fails() -> None:
        with training_slot(job_run):
            raise RuntimeError("in training")

    with pytest.raises(RuntimeError, match="in training"):
        fails()
    assert counts(sqlite_database)["slot"] == 0


@pytest.fixture
def other_run(sqlite_database: Database, account_id: UUID, service_settings: Settings, objects: LocalStore) -> JobRun:
    attempt = at_work(sqlite_database, submitted(sqlite_database, account_id))
    return new_run(attempt, service_settings, objects, Heart(attempt, seconds=1, log=LOG))


def test_the_next_waits_until_the_slot_is_free(job_run: JobRun, other_run: JobRun):
    got = threading.Event()

    def wait() -> None:
        with training_slot(other_run):
            got.set()

    with training_slot(job_run):
        thread = threading.Thread(target=wait)
        thread.start()
        assert not got.wait(0.3)
    assert got.wait(10)
    thread.join()


def test_who_was_cancelled_while_waiting_waits_no_longer(
    job_run: JobRun, other_run: JobRun, sqlite_database: Database, account_id: UUID
):
    errors: list[BaseException] = []

    def wait() -> None:
        try:
            with training_slot(job_run):
                pass
        except AttemptLost as error:
            errors.append(error)

    with training_slot(other_run):
        thread = threading.Thread(target=wait)
        thread.start()
        jobs.cancel(sqlite_database, account_id, job_run.job_id)
        thread.join(timeout=10)
    assert len(errors) == 1
