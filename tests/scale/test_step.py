"""The whole step on made captures whose true size is known."""

import json
import re
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pycolmap
import pytest

from tasks.errors import BadPosedInput, OutputUnwritable
from tasks.scale.options import ScaleOptions, ScaleRecord
from tasks.scale.step import scale
from tests.scale.made import given_cameras, posed_capture, pupil_table, quiet, through_sfm
from tests.support.tagged import floor_tag, wall_tag

SIZE = 0.09
OPTIONS = ScaleOptions(tag_size_mm=1000 * SIZE, num_threads=2)
PAIR = (floor_tag(0, -0.2, 0.0, SIZE, turn_deg=25), wall_tag(1, 0.1, 0.15, SIZE))


def run(posed: Path, out: Path, options: ScaleOptions = OPTIONS) -> ScaleRecord:
    return scale(posed, out, options, quiet)


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> Path:
    """Eight views of two tags, in a unit of half a metre."""
    return posed_capture(tmp_path_factory.mktemp("pair") / "posed", PAIR, units_per_metre=2.0)


def test_two_tags_give_the_scale_and_the_file_says_the_same(pair, tmp_path):
    record = run(pair, tmp_path / "out")
    assert record.status == "scaled"
    assert record.metres_per_unit == pytest.approx(0.5, rel=0.003)
    assert record.interval_95 is not None
    assert record.interval_95[0] < 0.5 < record.interval_95[1]
    assert record.relative_uncertainty is not None
    assert 0.001 < record.relative_uncertainty < 0.01
    assert [(tag.id, tag.used, tag.reason) for tag in record.tags] == [(0, True, ""), (1, True, "")]
    assert record.views == 8
    assert record.views_used == 8
    assert record.residual_px is not None
    assert record.residual_px < 0.3
    assert record.warnings == ()
    facts = json.loads((tmp_path / "out" / "scale.json").read_text())
    assert facts.pop("options") == asdict(OPTIONS)
    assert facts == json.loads(json.dumps(asdict(record)))
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["scale.json"]


def test_the_size_means_the_inner_square(pair, tmp_path):
    """Given the outer width of the print instead, everything would be 9/5 as large: here that's what comes out."""
    record = run(pair, tmp_path / "out", ScaleOptions(tag_size_mm=1000 * SIZE * 9 / 5, num_threads=2))
    assert record.metres_per_unit == pytest.approx(0.9, rel=0.003)


def test_the_same_input_gives_the_same_scale(pair, tmp_path):
    first, second = run(pair, tmp_path / "a"), run(pair, tmp_path / "b")
    assert first.metres_per_unit == pytest.approx(second.metres_per_unit, rel=1e-12)
    assert first.tags == second.tags


def test_the_posed_folder_is_left_as_it_is(pair, tmp_path):
    before = {p: p.stat().st_mtime_ns for p in pair.rglob("*")}
    run(pair, tmp_path / "out")
    assert {p: p.stat().st_mtime_ns for p in pair.rglob("*")} == before


@pytest.mark.parametrize(("seed", "tags"), [(0, 2), (1, 1)])
def test_made_captures_with_true_cameras(tmp_path, seed, tags):
    result = given_cameras(tmp_path, seed, tags=tags, views=8)
    assert abs(result.error) < (0.005 if tags == 2 else 0.01)
    assert result.covered


@pytest.mark.campaign
@pytest.mark.parametrize(("tags", "limit"), [(2, 0.005), (1, 0.01)])
def test_twenty_made_captures_with_true_cameras(tmp_path, tags, limit):
    results = [given_cameras(tmp_path / str(seed), seed, tags=tags, views=10) for seed in range(20)]
    assert max(abs(result.error) for result in results) < limit
    assert sum(result.covered for result in results) >= 18


@pytest.mark.campaign
@pytest.mark.parametrize("views", [3, 5])
def test_few_views_have_wider_intervals_that_still_hold_the_truth(tmp_path, views):
    results = [given_cameras(tmp_path / str(seed), seed, tags=1, views=views, degrees=15 * views) for seed in range(20)]
    scaled = [result for result in results if result.record.status == "scaled"]
    assert len(scaled) >= 12  # random tags aren't in sight of every view
    assert sum(result.covered for result in scaled) >= 0.9 * len(scaled)


@pytest.mark.campaign
@pytest.mark.parametrize("tags", [2, 1])
@pytest.mark.parametrize("seed", range(3))
def test_through_structure_from_motion(tmp_path, seed, tags):
    result = through_sfm(tmp_path, seed, tags=tags)
    assert abs(result.error) < (0.005 if tags == 2 else 0.01)
    assert result.covered


def test_without_tags_it_stays_unscaled_and_says_what_to_do(tmp_path):
    posed = posed_capture(tmp_path / "posed", (), views=4)
    record = run(posed, tmp_path / "out")
    assert record.status == "no_tags"
    assert record.metres_per_unit is record.interval_95 is record.relative_uncertainty is None
    assert "no tagStandard41h12 tag was found" in record.warnings[0]
    assert json.loads((tmp_path / "out" / "scale.json").read_text())["status"] == "no_tags"


def test_another_family_is_not_taken_for_ours(pair, tmp_path):
    assert run(pair, tmp_path / "out", ScaleOptions(tag_size_mm=90, family="tag36h11")).status == "no_tags"


def test_two_views_are_too_few(tmp_path):
    posed = posed_capture(tmp_path / "posed", PAIR[:1], views=2)
    record = run(posed, tmp_path / "out")
    assert record.status == "too_few_views"
    assert record.metres_per_unit is None
    assert "tag 0: seen in 2 views" in record.warnings[0]
    assert "at least three places" in record.warnings[0]


def test_two_print_sizes_are_noticed_and_named(tmp_path):
    tags = (PAIR[0], wall_tag(1, 0.1, 0.15, SIZE * 0.8))
    record = run(posed_capture(tmp_path / "posed", tags), tmp_path / "out")
    assert record.status == "tags_disagree"
    assert record.metres_per_unit is None
    assert [tag.used for tag in record.tags] == [False, False]
    (warning,) = [w for w in record.warnings if "times as large" in w]
    assert "tag 0" in warning
    assert "tag 1" in warning
    ratio = float(warning.split(" times as large")[0].split()[-1])
    assert ratio == pytest.approx(0.8, rel=0.01) or ratio == pytest.approx(1.25, rel=0.01)


def test_a_majority_of_one_size_wins_and_the_other_is_named(tmp_path):
    tags = (PAIR[0], wall_tag(1, 0.1, 0.15, SIZE * 0.8), floor_tag(2, 0.2, 0.1, SIZE))
    record = run(posed_capture(tmp_path / "posed", tags), tmp_path / "out")
    assert record.status == "scaled"
    assert record.metres_per_unit == pytest.approx(1.0, rel=0.005)
    assert {tag.id: tag.used for tag in record.tags} == {0: True, 1: False, 2: True}
    (warning,) = record.warnings
    found = re.search(r"measured against tags 0 and 2, tag 1 is (\S+) times as large", warning)
    assert found
    assert float(found[1]) == pytest.approx(0.8, rel=0.01)
    assert "size differs" in record.tags[1].reason


def test_a_tag_that_was_moved_is_not_averaged_in(tmp_path):
    moved = floor_tag(0, -0.12, 0.05, SIZE, turn_deg=40)
    posed = posed_capture(tmp_path / "posed", PAIR, views=12, later=(8, (moved, PAIR[1])))
    record = run(posed, tmp_path / "out")
    assert record.status == "scaled"
    assert record.metres_per_unit == pytest.approx(1.0, rel=0.005)
    assert record.tags[0].views == 12
    assert record.tags[0].views_used == 8
    assert "moved" in record.tags[0].reason
    assert any(w.startswith("Tag 0 was moved during the capture: 4 of its 12 views") for w in record.warnings)


def test_one_id_twice_in_a_view_is_ambiguous(tmp_path):
    tags = (*PAIR, floor_tag(0, 0.2, 0.1, SIZE))
    record = run(posed_capture(tmp_path / "posed", tags), tmp_path / "out")
    assert record.status == "scaled"
    assert record.metres_per_unit == pytest.approx(1.0, rel=0.005)
    assert any("Tag 0 is in" in w and "id of its own" in w for w in record.warnings)


def test_a_print_out_of_proportion_is_named(tmp_path):
    tags = (PAIR[0], floor_tag(2, 0.2, 0.1, SIZE, stretch=1.05))
    record = run(posed_capture(tmp_path / "posed", tags), tmp_path / "out")
    assert any(w.startswith("Tag 2 is not a flat square") for w in record.warnings)
    if record.status == "scaled":
        assert record.metres_per_unit == pytest.approx(1.0, rel=0.005)
        assert not record.tags[1].used


def test_a_lone_tag_is_said_to_be_alone(tmp_path):
    record = run(posed_capture(tmp_path / "posed", PAIR[:1], views=5), tmp_path / "out")
    assert record.status == "scaled"
    assert any("One tag alone" in w for w in record.warnings)


def test_bad_folders_are_refused_and_nothing_is_left(pair, tmp_path):
    with pytest.raises(BadPosedInput):
        run(tmp_path, tmp_path / "out")
    shutil.copytree(pair, tmp_path / "lacking")
    next((tmp_path / "lacking" / "images").iterdir()).unlink()
    with pytest.raises(BadPosedInput, match="missing"):
        run(tmp_path / "lacking", tmp_path / "out")
    shutil.copytree(pair, tmp_path / "distorted")
    model = pycolmap.Reconstruction(str(pair / "colmap"))
    model.cameras[1].model = pycolmap.CameraModelId.SIMPLE_RADIAL
    model.cameras[1].params = [500, 320, 240, 0.1]
    model.write(str(tmp_path / "distorted" / "colmap"))
    with pytest.raises(BadPosedInput, match="undistort"):
        run(tmp_path / "distorted", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_output_that_holds_something_is_left_alone(pair, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    with pytest.raises(OutputUnwritable):
        run(pair, tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_progress_can_stop_it_and_nothing_is_left(pair, tmp_path):
    def stop(done: int, total: int, message: str) -> None:
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scale(pair, tmp_path / "out", OPTIONS, stop)
    assert not list(tmp_path.iterdir())


@pytest.mark.shared
@pytest.mark.campaign
def test_real_photos_of_tags_that_were_moved(shared_data, tmp_path):
    """Ten photos of a table whose signs were rearranged after the third, the sixth and the seventh, then another place."""
    posed = pupil_table(shared_data, tmp_path)
    record = run(posed, tmp_path / "out", ScaleOptions(tag_size_mm=65, family="tag36h11", num_threads=2))
    assert record.status == "scaled"
    used = [tag for tag in record.tags if tag.used]
    assert len(used) >= 3
    for tag in used:
        assert tag.metres_per_unit == pytest.approx(record.metres_per_unit, rel=0.03)
        assert tag.views_used < tag.views  # those after the signs were moved
        assert "show it" in tag.reason
    assert np.isfinite([tag.residual_px for tag in used]).all()
    assert any("left out" in w for w in record.warnings)
