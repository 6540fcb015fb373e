from datetime import UTC, datetime
from types import SimpleNamespace
from uuid import uuid4

import pytest

from api import present
from storage.tables import FAILED, FINISHED, LOST, QUEUED, RUNNING, Job

VIEW = {name: {"x": 0.0, "y": 1.0, "z": 2.0} for name in ("position", "lookAt", "up")}
REFERENCE = [
    *("job_id", "title", "status", "percent_complete", "uploaded_at", "public", "reconstruction_method"),
    *("training_max_num_gaussians", "training_num_steps", "remove_background", "has_ply", "has_spz", "camera_data"),
]


def job(**values) -> Job:
    return Job(account_id=uuid4(), title="t", blob_name="b", source_key="k", **values)


def shown(**values):
    return present.detail(job(**values), remaining_seconds=None, viewer_url=None)


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ({"state": QUEUED}, "Queued"),
        ({"state": QUEUED, "queue_position": 3}, "Queued - position: 3"),
        ({"state": RUNNING}, "Processing video"),
        ({"state": RUNNING, "step": "extract"}, "Processing video"),
        ({"state": RUNNING, "step": "sfm"}, "Processing video"),
        ({"state": RUNNING, "step": "scale"}, "Processing video"),
        ({"state": RUNNING, "step": "train"}, "Generating 3D scene"),
        ({"state": RUNNING, "step": "mask"}, "Processing video"),
        ({"state": RUNNING, "step": "mesh"}, "Generating 3D scene"),
        ({"state": RUNNING, "step": "turntable"}, "Generating 3D scene"),
        ({"state": RUNNING, "step": "export"}, "Generating 3D scene"),
        ({"state": FINISHED}, "Finished"),
        ({"state": FAILED}, "Failed"),
        ({"state": LOST}, "Not found"),
    ],
)
def test_every_status(values, status):
    assert shown(**values)["status"] == status


def test_the_fields_of_the_reference_come_first():
    assert list(shown())[: len(REFERENCE)] == REFERENCE


@pytest.mark.parametrize(
    ("values", "percent"),
    [
        ({"state": QUEUED}, None),
        ({"state": RUNNING, "step": "sfm"}, None),
        ({"state": RUNNING, "step": "train"}, 0),
        ({"state": RUNNING, "step": "train", "percent": 41}, 41),
        ({"state": FAILED, "percent": 41}, 41),
        ({"state": FINISHED, "percent": 41}, 100),
        ({"state": FINISHED}, 100),
    ],
)
def test_percent(values, percent):
    assert shown(**values)["percent_complete"] == percent


def test_files_are_shown_of_a_finished_job_only_and_never_their_keys():
    files = {"ply": {"key": "secret/place", "bytes": 3, "sha256": "ab"}}
    assert not shown(state=RUNNING, files=files)["has_ply"]
    detail = shown(state=FINISHED, files=files)
    assert (detail["has_ply"], detail["has_spz"]) == (True, False)
    assert detail["files"] == {"ply": {"bytes": 3, "sha256": "ab"}}


def test_camera():
    assert shown()["camera_data"] is None
    assert shown(camera_computed=VIEW)["camera_data"] == VIEW
    assert shown(camera_computed=VIEW, camera_type="orbital")["camera_data"] == {**VIEW, "cameraType": "orbital"}
    own = {**VIEW, "up": {"x": 1.0, "y": 0.0, "z": 0.0}, "cameraType": "drone"}
    assert shown(camera_computed=VIEW, camera_set=own, camera_type="orbital")["camera_data"] == own


def test_times_are_utc_in_whole_seconds():
    assert present.instant(datetime(2024, 1, 15, 10, 30, 0, 999_999, tzinfo=UTC)) == "2024-01-15T10:30:00Z"
    assert present.instant(None) is None


def test_a_row_of_a_query_is_shown_as_the_object():
    one = job(state=RUNNING, step="train", percent=5, camera_computed=VIEW)
    row = SimpleNamespace(**one.model_dump())
    told = {"remaining_seconds": 7, "viewer_url": "u"}
    assert present.detail(row, **told) == present.detail(one, **told)


@pytest.mark.parametrize(
    ("values", "percent"),
    [
        ({"state": RUNNING, "step": "sfm"}, None),
        ({"state": RUNNING, "step": "sfm", "step_done": 0, "step_total": 0}, None),
        ({"state": RUNNING, "step": "sfm", "step_done": 250, "step_total": 1000}, 25),
        ({"state": RUNNING, "step": "sfm", "step_done": 1001, "step_total": 1000}, 100),
        ({"state": FAILED, "step": "sfm", "step_done": 250, "step_total": 1000}, None),
    ],
)
def test_percent_of_the_step(values, percent):
    assert shown(**values)["step_percent"] == percent
