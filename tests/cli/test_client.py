"""The commands that talk to a deployment, against one that keeps to the contract and fails on demand."""

import json
import os
import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.client import archives, commands, http, jobs, results, transfer
from cli.client.errors import Damaged, JobEnded, Refused, Unreachable, UploadRefused
from cli.display import PlainDisplay
from cli.main import main, parser
from cli.service.folder import DataFolder, GroupState
from tasks.errors import BadOption, NoPhotos, OutputUnwritable
from tests.cli.conftest import tree
from tests.cli.fake_deployment import JOB, KEY, URL, FakeDeployment, error, model_zip

RESULT = {
    "scene.ply", "scene.spz", "preview.jpg", "camera.json", "report.json", "report.html",
    "images", "images/frame_000000.jpg", "colmap", "colmap/cameras.bin",
}  # fmt: skip


@pytest.fixture
def deployment() -> FakeDeployment:
    return FakeDeployment()


@pytest.fixture
def api(deployment: FakeDeployment) -> Iterator[http.Api]:
    with http.Api(URL, KEY, transport=httpx.MockTransport(deployment)) as api:
        yield api


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Time passes at once; what was slept is noted."""
    now, slept = [1000.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    for module in (http, jobs):
        monkeypatch.setattr(module.time, "sleep", sleep)
        monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    for name in ("SPLATFLOW_URL", "SPLATFLOW_KEY", "SPLATFLOW_DATA"):
        monkeypatch.delenv(name, raising=False)
    return slept


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"video" * 100_000)
    return path


@pytest.fixture
def command(
    deployment: FakeDeployment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """The whole command on the fake: exit code, output, errors."""
    real = http.Api.__init__

    def init(self: http.Api, url: str, key: str, **options: Any) -> None:
        real(self, url, key, **{**options, "transport": httpx.MockTransport(deployment)})

    monkeypatch.setattr(http.Api, "__init__", init)
    monkeypatch.setenv("SPLATFLOW_URL", URL)
    monkeypatch.setenv("SPLATFLOW_KEY", KEY)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, str, str]:
        code = 0
        try:
            main([str(a) for a in arguments])
        except SystemExit as ended:
            code = int(ended.code or 0)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_a_job_from_video_to_result_folder(
    command: Callable[..., Any], deployment: FakeDeployment, video: Path, tmp_path: Path
) -> None:
    deployment.statuses = [
        {"status": "Queued"},
        {"status": "Queued - position: 2"},
        {"status": "Processing video", "current_step": "sfm"},
        {"status": "Generating 3D scene", "current_step": "train", "percent_complete": 40},
        {"status": "Finished", "percent_complete": 100, "quality": {"step_seconds": {"sfm": 30.2}}},
    ]
    code, out, err = command("submit", video, "--wait", "--out", "result", "--preset", "quick", "--steps", "500")
    assert code == 0, err
    assert deployment.uploads == [video.read_bytes()]
    assert deployment.submitted == [
        {
            "blob_name": "videos/1.mp4",
            "title": "clip",
            "public": False,
            "reconstruction_method": "glomap",
            "training_num_steps": 500,
            "training_max_num_gaussians": 30_000,
            "max_frames": 80,
            "train_side_px": 480,
            "remove_background": False,
        }
    ]
    assert tree(tmp_path / "result").keys() == RESULT
    for step in ("upload", "queue", "sfm", "train", "download"):
        assert f"{step:<8} " in out
    assert "sfm 30 s" in out


def test_another_deployment_gets_the_full_preset_and_this_machine_its_own(
    command: Callable[..., Any], deployment: FakeDeployment, video: Path
) -> None:
    command("submit", video, "--title", "My room", "--public", "--camera-type", "orbital", "--apriltag-size-mm", "95.6")
    command("submit", video, "--url", "http://127.0.0.1:1", "--priority", "batch")
    far, near = deployment.submitted
    assert (far["training_num_steps"], far["training_max_num_gaussians"]) == (25_000, 1_000_000)
    assert (far["title"], far["public"], far["camera_type"], far["apriltag_size_mm"]) == (
        "My room",
        True,
        "orbital",
        95.6,
    )
    assert near["training_num_steps"] in (3_000, 25_000)
    assert (far.get("priority"), near["priority"]) == (None, "batch")


def test_json_is_all_that_goes_to_standard_output(command: Callable[..., Any], video: Path) -> None:
    for arguments in (
        ("submit", video, "--wait"),
        ("jobs",),
        ("status", JOB),
        ("status", JOB, "--watch"),
        ("cancel", JOB),
    ):
        code, out, _ = command(*arguments, "--json")
        assert code == 0
        json.loads(out)


def test_the_small_commands(command: Callable[..., Any], deployment: FakeDeployment) -> None:
    assert f"{JOB}  A room" in command("jobs", "--status", "finished", "--limit", "5")[1]
    assert "status     Finished" in command("status", JOB)[1]
    assert "[cancelled]" not in command("cancel", JOB)[2]
    assert command("delete", JOB) == (0, f"deleted {JOB}\n", "")
    assert deployment.requests[-1] == ("DELETE", f"jobs/{JOB}/")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("status", "1234"), "error [job_not_found]: Job not found"),
        (("status", "../../healthz"), "error [job_not_found]: Job not found"),
        (("retry", JOB), "error [wrong_state]: Only a failed job can be retried."),
        (("jobs", "--key", "wrong"), "error [invalid_api_key]: Invalid API key"),
        (("jobs", "--url", "ftp://nowhere"), "error [bad_option]"),
        (("download", JOB, "--type", "mp4"), "error [not_available]"),
        (("submit", "missing.mp4"), "error [bad_option]"),
        (("submit", "notes.txt"), "error [bad_value]: Invalid file format"),
        (("submit", "notes.txt", "--out", "x"), "error [bad_option]"),
    ],
)
def test_refusals_are_told_with_the_slug_of_the_api(
    command: Callable[..., Any], tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    (tmp_path / "notes.txt").write_text("no video")
    code, _, err = command(*arguments)
    assert code == 2
    assert said in err


def test_a_failed_job_is_told_with_its_reason(
    command: Callable[..., Any], deployment: FakeDeployment, video: Path
) -> None:
    failed = {"status": "Failed", "error_code": "too_few_frames", "error_message": "Only 2 frames are sharp."}
    deployment.statuses = [failed]
    for arguments in (("submit", video, "--wait", "--out", "x"), ("status", JOB, "--watch"), ("download", JOB)):
        code, _, err = command(*arguments)
        assert code == 2
        assert "error [too_few_frames]: Only 2 frames are sharp." in err
    assert command("status", JOB)[0] == 0


def test_a_lost_run_is_waited_for_before_it_is_given_up(api: http.Api, deployment: FakeDeployment) -> None:
    deployment.statuses = [{"status": "Not found"}, {"status": "Finished"}]
    assert jobs.follow(api, JOB, PlainDisplay())["status"] == "Finished"
    deployment.statuses = [{"status": "Not found"}]
    with pytest.raises(JobEnded, match="lost") as ended:
        jobs.follow(api, JOB, PlainDisplay())
    assert ended.value.slug == "lost"


def test_polling_outlives_a_broken_connection(
    api: http.Api, deployment: FakeDeployment, no_waiting: list[float]
) -> None:
    deployment.faults = [httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), error(503, "busy", "Busy")]
    assert api.get(f"jobs/{JOB}/")["status"] == "Finished"
    assert no_waiting == [0.5, 1, 2]


def test_patience_ends(api: http.Api, deployment: FakeDeployment, no_waiting: list[float]) -> None:
    deployment.faults = [httpx.ConnectError("refused")] * 1000
    with pytest.raises(Unreachable, match="is it running"):
        api.get("jobs/")
    assert http.PATIENCE_SECONDS - 20 < sum(no_waiting) <= http.PATIENCE_SECONDS


def test_a_rate_limit_is_waited_for_as_long_as_it_says(
    api: http.Api, deployment: FakeDeployment, no_waiting: list[float]
) -> None:
    deployment.faults = [error(429, "rate_limited", "Rate limit exceeded", **{"Retry-After": "7"})]
    api.get("jobs/")
    assert no_waiting == [7]


def test_what_may_have_been_done_is_not_asked_for_twice(api: http.Api, deployment: FakeDeployment) -> None:
    deployment.faults = [httpx.ReadError("reset")]
    with pytest.raises(Unreachable):
        api.send("POST", f"jobs/{JOB}/cancel/")
    assert len(deployment.requests) == 1
    deployment.faults = [httpx.ConnectError("refused")]
    api.send("POST", f"jobs/{JOB}/cancel/")


@pytest.mark.parametrize("answer", [httpx.Response(200, text="<html>"), httpx.Response(500, text="<html>")])
def test_a_page_instead_of_json_is_no_defect_of_ours(
    api: http.Api, deployment: FakeDeployment, answer: httpx.Response
) -> None:
    deployment.faults = [answer]
    with pytest.raises(Refused) as refused:
        api.get("jobs/")
    assert refused.value.slug == "bad_answer"


def test_a_broken_upload_begins_anew(api: http.Api, deployment: FakeDeployment, video: Path) -> None:
    deployment.break_uploads = 2
    told: list[tuple[int, int]] = []
    transfer.upload(api, video, lambda done, total: told.append((done, total)))
    size = video.stat().st_size
    assert deployment.uploads == [video.read_bytes()]
    assert told[-1] == (size, size)
    assert told.count((size, size)) == 3


def test_an_upload_that_the_store_does_not_take(api: http.Api, deployment: FakeDeployment, video: Path) -> None:
    store = FakeDeployment._store

    def refuse(self: FakeDeployment, request: httpx.Request) -> httpx.Response:
        return error(413, "too_large", "At most 5 GiB.") if request.method == "PUT" else store(self, request)

    deployment._store = refuse.__get__(deployment)  # type: ignore[method-assign]
    with pytest.raises(UploadRefused, match="At most 5 GiB"):
        transfer.upload(api, video, lambda done, total: None)


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_download_goes_on_where_it_broke(
    api: http.Api, deployment: FakeDeployment, tmp_path: Path, ranges: bool
) -> None:
    deployment.break_downloads, deployment.ranges = 1, ranges
    job = deployment.detail()
    results.fetch_files(api, job, ["ply"], tmp_path, PlainDisplay())
    assert deployment.asked_ranges == [None, "bytes=150000-"]
    assert tree(tmp_path) == {"scene.ply": deployment.files["ply"]}


def test_a_damaged_download_leaves_nothing(api: http.Api, deployment: FakeDeployment, tmp_path: Path) -> None:
    deployment.damage = True
    with pytest.raises(Damaged):
        results.fetch_result(api, deployment.detail(), tmp_path / "out", PlainDisplay())
    assert tree(tmp_path) == {}


def test_a_result_replaces_an_earlier_one_and_no_foreign_files(
    api: http.Api, deployment: FakeDeployment, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    for _ in range(2):
        results.fetch_result(api, deployment.detail(), out, PlainDisplay())
        assert tree(out).keys() == RESULT
    foreign = tmp_path / "mine"
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("mine")
    with pytest.raises(OutputUnwritable):
        results.fetch_result(api, deployment.detail(), foreign, PlainDisplay())
    assert tree(foreign) == {"thesis.tex": b"mine"}


def test_a_deployment_that_has_only_scenes(api: http.Api, deployment: FakeDeployment, tmp_path: Path) -> None:
    deployment.files = {kind: deployment.files[kind] for kind in ("ply", "spz")}
    job = deployment.detail()
    del job["files"]
    results.fetch_result(api, job, tmp_path / "out", PlainDisplay())
    assert tree(tmp_path / "out").keys() == {"scene.ply", "scene.spz", "preview.jpg"}


def test_photos_go_as_a_zip(api: http.Api, deployment: FakeDeployment, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    (photos / "more").mkdir(parents=True)
    for name in ("b.JPG", "a.png", "more/c.heic", ".hidden.jpg", "notes.txt"):
        (photos / name).write_bytes(name.encode())
    jobs.submit(api, photos, {}, PlainDisplay())
    (tmp_path / "sent.zip").write_bytes(deployment.uploads[0])
    with zipfile.ZipFile(tmp_path / "sent.zip") as sent:
        assert {i.filename: sent.read(i) for i in sent.infolist()} == {
            "a.png": b"a.png", "b.JPG": b"b.JPG", "more/c.heic": b"more/c.heic",
        }  # fmt: skip
        assert {i.compress_type for i in sent.infolist()} == {zipfile.ZIP_STORED}
    (photos / "none").mkdir()
    with pytest.raises(NoPhotos):
        archives.zip_photos(photos / "none", tmp_path / "none.zip")


def _zip(path: Path, name: str, *, mode: int = 0, data: bytes = b"x") -> Path:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(info, data)
    return path


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "images/../../evil",
        "/images/evil",
        "images\\..\\evil",
        "C:/evil",
        "other/x",
        "images",
        "",
        "images/\x01",
    ],
)
def test_a_zip_that_leaves_its_folders_is_refused(tmp_path: Path, name: str) -> None:
    target = tmp_path / "in" / "target"
    target.mkdir(parents=True)
    with pytest.raises(Damaged):
        archives.unzip(_zip(tmp_path / "z.zip", name), target, folders=("images", "colmap"))
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [tmp_path / "z.zip"]


def test_links_bombs_and_damage_in_a_zip_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(Damaged):
        archives.unzip(_zip(tmp_path / "z", "images/l", mode=stat.S_IFLNK | 0o777), target, folders=("images",))
    monkeypatch.setattr(archives, "GROWTH_BASE_BYTES", 1000)
    with pytest.raises(Damaged, match="far more"):
        archives.unzip(_zip(tmp_path / "z", "images/b", data=bytes(1 << 20)), target, folders=("images",))
    damaged = bytearray(model_zip())
    damaged[40] ^= 0xFF
    (tmp_path / "z").write_bytes(damaged)
    with pytest.raises(Damaged):
        archives.unzip(tmp_path / "z", tmp_path, folders=("images", "colmap"))


def test_without_a_deployment_the_sentence_says_what_to_do(
    command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("SPLATFLOW_URL")
    code, _, err = command("jobs")
    assert (code, "error [no_deployment]" in err) == (2, True)
    monkeypatch.setenv("SPLATFLOW_URL", URL)
    monkeypatch.delenv("SPLATFLOW_KEY")
    code, _, err = command("jobs")
    assert (code, "error [no_key]" in err) == (2, True)


def test_the_group_of_the_data_folder_is_found_with_its_key(
    command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("SPLATFLOW_URL")
    monkeypatch.delenv("SPLATFLOW_KEY")
    folder = DataFolder(tmp_path / "splatflow-data")
    folder.make()
    folder.write_state(GroupState(phase="ready", pid=1, started=0, url=URL, prefect_url="", data=str(folder.path)))
    assert command("jobs")[0] == 2  # a state file alone is no group
    lock = folder.lock()
    try:
        assert "error [no_key]" in command("jobs")[2]
        folder.client_key.write_text(KEY + "\n")
        assert command("jobs")[0] == 0
    finally:
        os.close(lock)


@pytest.mark.parametrize(
    ("title", "name"), [("A room", "A room"), ("../../etc", "_.._etc"), ("...", "x"), ("a/b\x00c", "a_b_c"), ("", "x")]
)
def test_titles_make_harmless_folder_names(title: str, name: str) -> None:
    assert commands.folder_name(title, "x") == name


def test_keys_that_are_none_are_refused() -> None:
    with pytest.raises(BadOption):
        http.Api(URL, "key\nX-Evil: 1")


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ((), None),
        (("--turntable",), True),
        (("--turntable", "--turntable-path", "sway"), {"path": "sway"}),
        (("--turntable-seconds", "2.5", "--turntable-size", "1,280"), {"seconds": 2.5, "side_px": 1280}),
    ],
)
def test_what_is_said_about_a_turntable_asks_for_one(given: tuple[str, ...], field: object) -> None:
    args = parser().parse_args(["submit", "clip.mp4", *given])
    assert commands.fields(args, local=True)["turntable"] == field
