"""Laws of the digests: equal content means equal digests, and whatever matters changes them."""

import shutil
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tasks.process import digest
from tasks.train.options import TrainOptions


def test_copies_agree_whatever_their_name_and_time(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"pictures")
    shutil.copy(tmp_path / "a.mp4", tmp_path / "b.mp4")
    assert digest.of_input(tmp_path / "a.mp4") == digest.of_input(tmp_path / "b.mp4")


def test_a_changed_byte_a_new_file_and_a_new_name_are_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a.jpg").write_bytes(b"one")
    seen = {digest.of_input(folder)}
    (folder / "sub" / "a.jpg").write_bytes(b"onf")
    seen.add(digest.of_input(folder))
    (folder / "b.jpg").write_bytes(b"two")
    seen.add(digest.of_input(folder))
    (folder / "b.jpg").rename(folder / "c.jpg")
    seen.add(digest.of_input(folder))
    assert len(seen) == 4


def test_only_the_named_parts_of_a_folder_count(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(b"a")
    before = digest.of_folder_parts(tmp_path, ("images", "colmap"))
    (tmp_path / "report.json").write_text("{}")
    assert digest.of_folder_parts(tmp_path, ("images", "colmap")) == before
    (tmp_path / "colmap").mkdir()
    assert digest.of_folder_parts(tmp_path, ("images", "colmap")) != before


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.booleans(), min_size=2))
def test_the_order_of_keys_does_not_count(value: dict[str, object]) -> None:
    assert digest.of_json(value) == digest.of_json(dict(reversed(value.items())))


def test_each_part_of_a_step_counts() -> None:
    options = TrainOptions(steps=5)
    base = digest.of_step("train", "input", options)
    assert base == digest.of_step("train", "input", TrainOptions(steps=5))
    assert base != digest.of_step("train", "other", options)
    assert base != digest.of_step("train", "input", replace(options, seed=1))
    assert base != digest.of_step("sfm", "input", options)


def test_the_code_of_a_step_and_of_the_shared_rooms_counts(tmp_path: Path, monkeypatch) -> None:
    source = Path(digest.__file__).parents[1]
    shutil.copytree(source, tmp_path / "tasks", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(digest.resources, "files", lambda _package: tmp_path / "tasks")
    before = {step: digest.of_code(step) for step in ("extract", "sfm", "train")}
    (tmp_path / "tasks" / "sfm" / "step.py").write_text("# changed\n")
    after = {step: digest.of_code(step) for step in before}
    assert [step for step in before if before[step] != after[step]] == ["sfm"]
    (tmp_path / "tasks" / "geometry" / "heldout.py").write_text("# changed\n")
    assert all(digest.of_code(step) != after[step] for step in after)
