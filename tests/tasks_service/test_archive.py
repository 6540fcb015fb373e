"""A folder as one file and back, whole or not at all."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import TransientError
from tasks.service import archive

NAMES = st.text("abcé ", min_size=1, max_size=8).filter(lambda name: name.strip() != "")


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@given(files=st.dictionaries(st.tuples(NAMES, NAMES), st.binary(max_size=2000), max_size=5))
def test_what_is_packed_comes_back(tmp_path_factory: pytest.TempPathFactory, files: dict[tuple[str, str], bytes]):
    folder = tmp_path_factory.mktemp("pack")
    source = folder / "source"
    source.mkdir()
    for (first, second), data in files.items():
        (source / first).mkdir(exist_ok=True)
        (source / first / second).write_bytes(data)
    archive.pack(source, folder / "x.tar")
    archive.unpack(folder / "x.tar", folder / "back")
    assert content(folder / "back") == content(source)


def test_unpacking_replaces_what_was_there(tmp_path: Path):
    source, back = tmp_path / "source", tmp_path / "back"
    source.mkdir()
    (source / "new").write_text("new")
    back.mkdir()
    (back / "old").write_text("old")
    archive.pack(source, tmp_path / "x.tar")
    archive.unpack(tmp_path / "x.tar", back)
    assert content(back) == {"new": b"new"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["back", "source", "x.tar"]


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "compressed"])
def test_a_damaged_archive_is_told_and_leaves_what_was_there(tmp_path: Path, damage: str):
    source, packed, back = tmp_path / "source", tmp_path / "x.tar", tmp_path / "back"
    source.mkdir()
    (source / "a").write_bytes(b"x" * 5000)
    archive.pack(source, packed)
    whole = packed.read_bytes()
    packed.write_bytes(
        {"empty": b"", "text": b"not a tar" * 500, "cut": whole[:3000], "compressed": b"\x1f\x8b\x08" + whole[:600]}[
            damage
        ]
    )
    back.mkdir()
    (back / "old").write_text("old")
    with pytest.raises(TransientError, match="damaged"):
        archive.unpack(packed, back)
    assert content(back) == {"old": b"old"}
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("kind", ["..", "absolute", "link", "device"])
def test_members_that_leave_the_folder_are_refused(tmp_path: Path, kind: str):
    member = tarfile.TarInfo({"..": "../outside", "absolute": f"{tmp_path}/outside"}.get(kind, "inside"))
    if kind == "link":
        member.type, member.linkname = tarfile.SYMTYPE, "../outside"
    elif kind == "device":
        member.type = tarfile.CHRTYPE
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        member.size = 1 if member.isreg() else 0
        tar.addfile(member, io.BytesIO(b"x"))
    if kind == "absolute":  # taken as a path below the folder
        archive.unpack(tmp_path / "x.tar", tmp_path / "back")
    else:
        with pytest.raises(TransientError):
            archive.unpack(tmp_path / "x.tar", tmp_path / "back")
    assert not (tmp_path / "outside").exists()


def test_a_zip_holds_the_named_folders_only(tmp_path: Path):
    for name in ("images", "colmap", "other"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "deep" / "a").write_text(name)
    archive.zip_folders(tmp_path, ("images", "colmap", "missing"), tmp_path / "x.zip")
    with zipfile.ZipFile(tmp_path / "x.zip") as bundle:
        assert sorted(bundle.namelist()) == ["colmap/deep/a", "images/deep/a"]
        assert bundle.testzip() is None
