"""What is in force is what suits the device, then what the user gave; and it is said."""

from pathlib import Path

import pytest

from cli import presets
from tasks.errors import BadOption
from tests.cli.conftest import StandIns


def test_the_device_chooses_the_preset() -> None:
    assert presets.resolve(preset=None, device="cpu", overrides={}).preset == "standard"
    full = presets.resolve(preset=None, device="cuda", overrides={})
    assert (full.preset, full.steps, full.max_gaussians, full.max_frames) == ("full", 25_000, 1_000_000, 600)


def test_the_readme_tells_the_presets() -> None:
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text()
    for name, p in presets.PRESETS.items():
        row = f"| {name} | {p['steps']:,} | {p['max_gaussians']:,} | {p['max_frames']:,} | {p['train_side_px']:,} px |"
        assert row in readme


def test_cpu_standard_is_what_the_readme_says() -> None:
    standard = presets.resolve(preset="standard", device="cpu", overrides={})
    assert (standard.steps, standard.max_frames) == (3_000, 150)
    assert standard.train_side_px <= 640


def test_what_is_given_overrides_the_preset_and_nothing_else() -> None:
    plain = presets.resolve(preset="quick", device="cpu", overrides={})
    given = presets.resolve(preset="quick", device="cpu", overrides={"steps": 7, "seed": None})
    assert given.steps == 7
    assert vars(given) | {"steps": plain.steps} == vars(plain)


@pytest.mark.parametrize(
    "overrides",
    [{"steps": 0}, {"max_gaussians": 1}, {"max_frames": 2}, {"train_side_px": 5000}, {"sh_degree": 4}, {"threads": 0}],
    ids=str,
)
def test_values_out_of_range_are_refused(overrides: dict[str, int]) -> None:
    with pytest.raises(BadOption, match=next(iter(overrides)).replace("_", "-")):
        presets.resolve(preset=None, device="cpu", overrides=overrides)


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(BadOption, match="quick, standard, full"):
        presets.resolve(preset="best", device="cpu", overrides={})


@pytest.mark.parametrize("name", list(presets.PRESETS))
def test_presets_are_printed(stand_ins: StandIns, tmp_path: Path, name: str) -> None:
    (tmp_path / "clip.mp4").write_text("x")
    run = ["run", tmp_path / "clip.mp4", "--out", tmp_path / "out", "--device", "cpu"]
    done = stand_ins.command.run(*run, "--preset", name, "--steps", "77")
    assert f"preset {name}, on cpu" in done.stdout
    lines = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines() if line.startswith("  ")}
    assert lines["steps"] == ["77", "(given)"]
    assert lines["max-frames"] == [f"{presets.PRESETS[name]['max_frames']:,}", "(preset)"]
    assert lines["device"] == ["cpu", "(given)"]
