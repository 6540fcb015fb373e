"""What the network is shown, and where its answer lands."""

import numpy as np
import pooch
import pytest

from tasks.mask.network import Network
from tasks.mask.options import MODELS
from tests.mask.onnx_bytes import bright_is_subject


@pytest.fixture(scope="module")
def network(bright_model) -> Network:
    return Network(bright_model, "u2netp", num_threads=1)


def box(height: int, width: int, top: float, left: float, bottom: float, right: float) -> np.ndarray:
    frame = np.full((height, width, 3), 20, np.uint8)
    frame[round(top * height) : round(bottom * height), round(left * width) : round(right * width)] = 240
    return frame


@pytest.mark.parametrize("shape", [(360, 640), (640, 360), (300, 300), (64, 500)])
@pytest.mark.parametrize("looks", [1, 2])
def test_the_map_has_the_frames_shape_and_the_subject_its_place(network, shape, looks):
    frame = box(*shape, 0.25, 0.0, 0.75, 0.5)
    (found,) = network.foreground([frame], looks=looks)
    assert found.dtype == np.float32
    assert found.shape[1] / found.shape[0] == pytest.approx(shape[1] / shape[0], rel=0.02)
    rows, columns = (np.arange(n) for n in found.shape)
    inside = found >= 0.5
    expected = ((rows >= 0.25 * len(rows)) & (rows < 0.75 * len(rows)))[:, None] & (columns < 0.5 * len(columns))[None]
    assert (inside & expected).sum() / (inside | expected).sum() > 0.97


def test_an_empty_frame_is_not_stretched_to_noise(network):
    rng = np.random.default_rng(0)
    frame = rng.integers(20, 30, (200, 300, 3), dtype=np.uint8)
    frame[0, 0] = 255  # rembg scales by the brightest pixel
    (found,) = network.foreground([frame], looks=2)
    assert np.median(found) < 0.01


def test_several_frames_at_once_are_as_one_by_one(network, tmp_path):
    path = tmp_path / "u2netp.onnx"
    path.write_bytes(bright_is_subject(batch="n"))
    free = Network(path, "u2netp", num_threads=1)
    frames = [box(120, 160, 0.2, 0.1 * i, 0.8, 0.1 * i + 0.4) for i in range(3)]
    alone = [network.foreground([frame], looks=2)[0] for frame in frames]
    for one, other in zip(alone, free.foreground(frames, looks=2), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_nothing_is_ever_fetched(bright_model, monkeypatch):
    def fetch(*args, **kwargs):
        raise AssertionError("a download was tried")

    monkeypatch.setattr(pooch, "retrieve", fetch)
    monkeypatch.setenv("REMBG_HOME", "/nonexistent")
    Network(bright_model, "u2netp", num_threads=1)


def test_every_model_we_name_is_rembgs_and_looks_at_the_square_we_say(tmp_path):
    from rembg.sessions import sessions

    for name, side in MODELS.items():
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(bright_is_subject(side))
        network = Network(path, name, num_threads=1)
        assert name in sessions
        (found,) = network.foreground([box(40, 60, 0, 0, 1, 0.5)], looks=1)
        assert found.shape == (40, 60)
        assert found[20, 10] > 0.5 > found[20, 50] or name.startswith("birefnet")
