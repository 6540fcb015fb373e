"""The rest of the command: names, display, doctor, the demo scene."""

import json
from pathlib import Path

import numpy as np
import pytest

from cli import demo, display, names
from tests.cli.conftest import Command


@pytest.mark.parametrize(
    ("source", "out"),
    [
        ("clip.mp4", "clip"),
        ("a/b/Clip One.MOV", "Clip One"),
        ("data/fox/video.mp4", "fox"),
        ("trip/photos.zip", "trip"),
    ],
)
def test_default_names(source: str, out: str) -> None:
    assert names.default_out(Path(source)) == Path("out") / out


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (3599, "59 min 59 s"), (8000, "2 h 13 min")],
)
def test_durations_for_people(seconds: float, text: str) -> None:
    assert display.duration(seconds) == text


def test_time_remaining_follows_the_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(display.time, "monotonic", lambda: now[0])
    clock = display.Clock()
    assert clock.remaining(0, 100) is None
    now[0] += 10
    assert clock.remaining(20, 100) == pytest.approx(40)
    assert clock.remaining(5, 50) is None  # a new phase has a pace of its own
    now[0] += 10
    assert clock.remaining(10, 50) == pytest.approx(80)


def test_version_and_help(splatflow: Command) -> None:
    assert splatflow.run("--version").stdout.startswith("splatflow ")
    shown = splatflow.run("--help").stdout
    assert all(word in shown for word in ("run", "train", "export", "doctor"))


def test_doctor_tells_what_each_finding_means(splatflow: Command) -> None:
    found = json.loads(splatflow.run("doctor", "--json").stdout)
    by_name = {finding["name"]: finding for finding in found}
    assert {
        "Python",
        "compiler",
        "cores",
        "SIMD",
        "memory",
        "CUDA",
        "video",
        "HEIC",
        "masks",
        "mesh",
        "disk",
    } == by_name.keys()
    assert all(finding["meaning"] and finding["state"] in ("ok", "note", "missing") for finding in found)
    assert by_name["SIMD"]["value"] in ("avx512", "avx2", "portable", "neon")
    plain = splatflow.run("doctor")
    assert plain.returncode == 0
    assert all(name in plain.stdout for name in by_name)


def test_the_demo_scene_is_the_same_every_time_and_changes_with_its_seed() -> None:
    first, again, other = (demo.demo_scene(seed, coarseness=4.0) for seed in (0, 0, 1))
    for name in vars(first):
        assert np.array_equal(getattr(first, name), getattr(again, name))
    assert np.array_equal(first.means, other.means)
    assert not np.array_equal(first.sh_coeffs, other.sh_coeffs)


def test_the_demo_scene_covers_every_view() -> None:
    import torch

    from tasks.train.raster import native

    scene, cameras = demo.demo_scene(coarseness=2.0), demo.demo_cameras(12, width=160, height=90)
    _, alphas, _ = native.rasterization(
        *(torch.from_numpy(a) for a in (scene.means, scene.quats)),
        torch.from_numpy(scene.scales).exp(),
        torch.from_numpy(scene.opacities).sigmoid(),
        torch.from_numpy(scene.sh_coeffs),
        torch.from_numpy(cameras.viewmats),
        torch.from_numpy(cameras.Ks),
        cameras.width,
        cameras.height,
        sh_degree=0,
    )
    assert float((alphas > 0.9).float().mean()) > 0.99


def test_the_demo_clip_can_be_read_back(splatflow: Command, tmp_path: Path) -> None:
    import av

    assert splatflow.run("demo", tmp_path / "new" / "demo.mp4", "--frames", "3").returncode == 0
    with av.open(str(tmp_path / "new" / "demo.mp4")) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert [frame.shape for frame in frames] == [(demo.HEIGHT, demo.WIDTH, 3)] * 3
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["demo.mp4"]
    (tmp_path / "file").touch()
    assert "output_unwritable" in splatflow.run("demo", tmp_path / "file" / "demo.mp4", "--frames", "1").stderr
