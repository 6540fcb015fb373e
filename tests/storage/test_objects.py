"""The laws of the object store, on both backends."""

import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.local import LocalStore
from storage.naming import BadKey, job_prefix, output_key, source_key, step_key
from storage.objects import ObjectInfo, ObjectMissing, ObjectStore
from tasks.errors import OutputUnwritable

NAMES = ("a", "a1", "b/c", "b/d e+f", "Ä/%25 &?#.bin", "b/日本")
BAD_KEYS = (
    "",
    "/",
    "/a",
    "a/",
    "a//b",
    "..",
    "../a",
    "a/../b",
    "a/..",
    "a/./b",
    ".incoming/x",
    "a\0b",
    "a\\b",
    "a\nb",
    "\ud800",
)
BAD_KEYS += ("x" * 256, "/".join(["x" * 200] * 6))
operations = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(NAMES), st.binary(max_size=20)),
        st.tuples(st.just("copy"), st.sampled_from(NAMES), st.sampled_from(NAMES)),
        st.tuples(st.just("delete"), st.sampled_from(NAMES)),
        st.tuples(st.just("delete_prefix"), st.sampled_from(["", "b/", "a/"])),
    ),
    max_size=12,
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=operations)
def test_behaves_like_a_dictionary(store: ObjectStore, steps: Iterable[tuple]):
    root, model = f"test/{uuid4()}/", {}
    for action, *arguments in steps:
        if action == "put":
            store.put_bytes(root + arguments[0], arguments[1])
            model[arguments[0]] = arguments[1]
        elif action == "copy":
            if arguments[0] in model:
                store.copy(root + arguments[0], root + arguments[1])
                model[arguments[1]] = model[arguments[0]]
            else:
                with pytest.raises(ObjectMissing):
                    store.copy(root + arguments[0], root + arguments[1])
        elif action == "delete":
            store.delete([root + arguments[0]])
            model.pop(arguments[0], None)
        else:
            gone = [name for name in model if name.startswith(arguments[0])]
            assert store.delete_prefix(root + arguments[0]) == len(gone)
            for name in gone:
                del model[name]
    for prefix in ("", "a", "b", "b/", "b/d"):
        assert sorted(store.keys(root + prefix)) == sorted(root + name for name in model if name.startswith(prefix))
    assert dict(store.sizes(root)) == {root + name: len(content) for name, content in model.items()}
    assert {entry.key: entry.bytes for entry in store.entries(root)} == dict(store.sizes(root))
    for name in NAMES:
        content = model.get(name)
        assert store.stat(root + name) == (None if content is None else ObjectInfo(bytes=len(content)))
        if content is not None:
            assert store.get_bytes(root + name) == content


def test_files_go_in_and_out(store: ObjectStore, tmp_path: Path):
    source, target = tmp_path / "in", tmp_path / "new" / "folder" / "out"
    source.write_bytes(bytes(range(256)) * 80_000)  # 20 MB: several parts on S3
    store.put_file("jobs/a.bin", source)
    source.write_bytes(b"changed afterwards")
    store.get_file("jobs/a.bin", target)
    assert target.read_bytes() == bytes(range(256)) * 80_000
    store.put_bytes("jobs/a.bin", b"")
    store.get_file("jobs/a.bin", target)
    assert target.read_bytes() == b""
    assert [path.name for path in target.parent.iterdir()] == ["out"]


def test_what_is_missing(store: ObjectStore, tmp_path: Path):
    target = tmp_path / "target"
    target.write_text("as it was")
    for call in (
        lambda: store.get_bytes("no/such"),
        lambda: store.get_file("no/such", target),
        lambda: store.get_file("no/such", tmp_path / "other" / "target"),
        lambda: store.copy("no/such", "a"),
        lambda: store.copy("no/such", "no/such"),
    ):
        with pytest.raises(ObjectMissing):
            call()
    assert store.stat("no/such") is None
    assert store.stat("no") is None
    assert list(store.keys("no/")) == []
    assert store.delete_prefix("no/") == 0
    store.delete(["no/such", "no/other"])
    store.delete([])
    with pytest.raises(FileNotFoundError):
        store.put_file("a", tmp_path / "absent")
    assert store.stat("a") is None
    assert target.read_text() == "as it was"
    assert not (tmp_path / "other").exists()


def test_a_folder_is_no_object(store: ObjectStore):
    store.put_bytes("jobs/a/b", b"x")
    assert store.stat("jobs/a") is None
    with pytest.raises(ObjectMissing):
        store.get_bytes("jobs/a")
    with pytest.raises(ObjectMissing):
        store.copy("jobs/a", "jobs/c")
    assert store.get_bytes("jobs/a/b") == b"x"


def test_a_target_that_cannot_be_written(store: ObjectStore, tmp_path: Path):
    store.put_bytes("a", b"x")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputUnwritable):
        store.get_file("a", tmp_path / "file" / "target")


def test_a_copy_is_independent(store: ObjectStore):
    store.put_bytes("videos/a.mp4", b"first")
    store.copy("videos/a.mp4", "jobs/1/source.mp4")
    store.put_bytes("videos/a.mp4", b"second")
    assert store.get_bytes("jobs/1/source.mp4") == b"first"
    store.put_bytes("jobs/1/source.mp4", b"third")
    assert store.get_bytes("videos/a.mp4") == b"second"
    store.delete(["videos/a.mp4"])
    assert store.get_bytes("jobs/1/source.mp4") == b"third"


def test_copies_onto_one_another(store: ObjectStore):
    data = bytes(range(251)) * 90_000  # 22 MB
    store.put_bytes("a", data)
    store.copy("a", "b")
    store.copy("b", "b")
    store.copy("b", "a")
    assert store.get_bytes("a") == store.get_bytes("b") == data


def test_a_deleted_job_leaves_nothing_and_takes_no_other(store: ObjectStore):
    job, other = uuid4(), uuid4()
    for each in (job, other):
        for key in (source_key(each, "mp4"), step_key(each, "sfm", "ab12"), output_key(each, 2, "scene.ply")):
            store.put_bytes(key, b"x")
    assert store.delete_prefix(job_prefix(job)) == 3
    assert list(store.keys(f"jobs/{job}")) == []
    assert len(list(store.keys(job_prefix(other)))) == 3


@pytest.mark.parametrize("prefix", ["", "jobs", "jobs/1", "/", "../", "jobs/../"])
def test_only_a_whole_folder_can_be_deleted(store: ObjectStore, prefix: str):
    store.put_bytes("jobs/12/a", b"x")
    with pytest.raises(BadKey):
        store.delete_prefix(prefix)
    assert store.stat("jobs/12/a") is not None


@pytest.mark.parametrize("key", BAD_KEYS)
def test_bad_keys_reach_nothing(store: ObjectStore, key: str, tmp_path: Path):
    for call in (
        lambda: store.put_bytes(key, b"x"),
        lambda: store.put_file(key, Path(__file__)),
        lambda: store.get_bytes(key),
        lambda: store.get_file(key, tmp_path / "x"),
        lambda: store.stat(key),
        lambda: store.delete([key]),
        lambda: store.copy(key, "a"),
        lambda: store.signed_put(key, seconds=60, base_url="http://host"),
        lambda: store.signed_get(key, seconds=60, base_url="http://host"),
    ):
        with pytest.raises(BadKey):
            call()
    store.put_bytes("a", b"x")
    with pytest.raises(BadKey):
        store.copy("a", key)
    assert list(store.keys("")) == ["a"]


def test_concurrent_writers_and_readers_never_mix(store: ObjectStore):
    contents = [bytes([number]) * 300_000 for number in range(4)]
    store.put_bytes("deep/er/a", contents[0])
    seen, failures = set(), []

    def write(content: bytes) -> None:
        try:
            for _ in range(5):
                store.put_bytes("deep/er/a", content)
        except Exception as error:
            failures.append(error)

    writers = [threading.Thread(target=write, args=(content,)) for content in contents]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        try:
            seen.add(store.get_bytes("deep/er/a"))
        except (
            ObjectMissing
        ):  # rclone's server, when it is busy, takes a file away before it has the new one; S3 does not
            assert not isinstance(store, LocalStore)
    for writer in writers:
        writer.join()
    seen.add(store.get_bytes("deep/er/a"))
    assert not failures
    assert seen <= set(contents)


def test_a_usable_store_is_ready(store: ObjectStore):
    store.check()
    assert list(store.keys("")) == []


def test_an_entry_says_when_it_was_written(store: ObjectStore):
    store.put_bytes("videos/a", b"x")
    (first,) = store.entries("videos/")
    assert abs((first.written_at - datetime.now(UTC)).total_seconds()) < 5
