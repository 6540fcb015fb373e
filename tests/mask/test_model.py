"""Model files: where they are looked for, and which are refused before any work."""

import hashlib

import pytest

from tasks.errors import BadOption, MaskModelMissing, MaskModelUnusable
from tasks.mask.model import check_model, find_model, model_sha256
from tasks.mask.network import Network
from tasks.mask.options import MaskOptions
from tests.mask.onnx_bytes import bright_is_subject, classifier, model, node, tensor


@pytest.mark.parametrize("layout", ["models/u2netp/u2netp.onnx", "u2netp.onnx"])
def test_both_layouts_of_a_home_are_found(tmp_path, layout):
    path = tmp_path / layout
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    assert find_model(tmp_path, "u2netp") == path


@pytest.mark.parametrize("layout", [".rembg/models/u2net/u2net.onnx", ".u2net/u2net.onnx"])
def test_without_a_home_rembgs_own_places_are_searched(tmp_path, monkeypatch, layout):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / layout).parent.mkdir(parents=True)
    (tmp_path / layout).write_bytes(b"x")
    assert find_model(None, "u2net") == tmp_path / layout


def test_a_missing_model_says_which_file_goes_where(tmp_path):
    with pytest.raises(MaskModelMissing, match=r"models/u2netp/u2netp\.onnx.*REMBG_HOME"):
        find_model(tmp_path, "u2netp")
    with pytest.raises(MaskModelMissing):
        check_model(tmp_path / "u2netp.onnx")
    with pytest.raises(MaskModelMissing):
        model_sha256(tmp_path / "u2netp.onnx")


@pytest.mark.parametrize(
    "bad", [{"model": "sam"}, {"model": "../u2netp"}, {"looks": 0}, {"looks": 3}, {"num_threads": 0}]
)
def test_bad_options_are_refused(bad):
    with pytest.raises(BadOption):
        MaskOptions(**bad)


def test_an_unknown_name_is_no_path(tmp_path):
    with pytest.raises(BadOption, match="u2netp"):
        find_model(tmp_path, "../../etc/passwd")


@pytest.mark.parametrize(
    "content", [b"", b"a text that someone named .onnx\n", b"\x00" * 1000, bright_is_subject()[:60]]
)
def test_what_is_not_onnx_is_refused(tmp_path, content):
    path = tmp_path / "u2netp.onnx"
    path.write_bytes(content)
    with pytest.raises(MaskModelUnusable, match=r"u2netp\.onnx"):
        check_model(path, "u2netp")


@pytest.mark.parametrize(
    "content",
    [
        classifier(),
        bright_is_subject(1024),  # isnet under u2netp's name
        model(
            [node("Add", ["a", "b"], "out")],
            [tensor("a", [1, 3, 320, 320]), tensor("b", [1, 3, 320, 320])],
            [tensor("out", [1, 3, 320, 320])],
        ),
        bright_is_subject(batch=4),
    ],
)
def test_other_networks_are_refused_with_what_they_take(tmp_path, content):
    path = tmp_path / "u2netp.onnx"
    path.write_bytes(content)
    with pytest.raises(MaskModelUnusable, match="one map of its size"):
        check_model(path, "u2netp")


def test_right_ones_pass(tmp_path, bright_model):
    check_model(bright_model, "u2netp")
    check_model(bright_model)
    free = tmp_path / "free.onnx"
    free.write_bytes(bright_is_subject(batch="n"))
    check_model(free, "u2netp")
    assert model_sha256(bright_model) == hashlib.sha256(bright_model.read_bytes()).hexdigest()


def test_loading_a_bad_file_is_our_error_too(tmp_path):
    path = tmp_path / "u2netp.onnx"
    path.write_bytes(b"text")
    with pytest.raises(MaskModelUnusable):
        Network(path, "u2netp", num_threads=1)


@pytest.mark.shared
def test_the_shared_model_is_one(shared_data):
    check_model(find_model(shared_data / "u2netp", "u2netp"), "u2netp")
