"""The work folder that attempts share one after the other, and sometimes at once."""

from pathlib import Path

from tasks.service import work


def checkpoint(folder: Path, attempt: int, text: str) -> Path:
    part = folder.with_name(f"{folder.name}.{attempt}.part")
    part.mkdir(parents=True)
    (part / work.CHECKPOINT).write_text(text)
    return part


def test_a_new_attempt_goes_on_from_the_newest_checkpoint(tmp_path: Path):
    folder = tmp_path / "train" / "digest"
    old, newer = checkpoint(folder, 2, "old"), checkpoint(folder, 10, "newer")
    (newer / "rest").write_text("x")
    part = work.half_made(folder, 11)
    assert [(path.name, path.read_text()) for path in part.iterdir()] == [(work.CHECKPOINT, "newer")]
    assert not old.exists()
    assert not newer.exists()


def test_its_own_checkpoint_comes_first(tmp_path: Path):
    folder = tmp_path / "digest"
    checkpoint(folder, 1, "other")
    checkpoint(folder, 2, "own")
    assert (work.half_made(folder, 2) / work.CHECKPOINT).read_text() == "own"


def test_without_a_checkpoint_it_begins_empty(tmp_path: Path):
    folder = tmp_path / "digest"
    for attempt in (1, 2):
        left = folder.with_name(f"digest.{attempt}.part")
        left.mkdir()
        (left / "rest").write_text("x")
    part = work.half_made(folder, 2)
    assert not part.exists()
    assert list(tmp_path.iterdir()) == []


def test_another_outputs_parts_are_left_alone(tmp_path: Path):
    other = checkpoint(tmp_path / "digest2", 1, "x")
    assert not work.half_made(tmp_path / "digest", 1).exists()
    assert other.is_dir()


def test_an_output_counts_only_when_it_is_whole(tmp_path: Path):
    folder = tmp_path / "digest"
    assert work.kept(folder) is None
    part = checkpoint(folder, 1, "x")
    (part / "points").write_text("x")
    work.keep(part, folder, {"record": {"n": 1}})
    assert work.kept(folder) == {"record": {"n": 1}}
    assert [path.name for path in folder.iterdir()] == ["points"]
    folder.with_name("digest.json").write_text('{"record"')
    assert work.kept(folder) is None
    folder.with_name("digest.json").unlink()
    assert work.kept(folder) is None


def test_keeping_replaces_an_older_output(tmp_path: Path):
    folder = tmp_path / "digest"
    for number in (1, 2):
        work.keep(checkpoint(folder, number, "x"), folder, {"n": number})
    assert work.kept(folder) == {"n": 2}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["digest", "digest.json"]
