"""gsplat behind our signature: it draws what the reference says, and says so when it can't."""

import sys

import pytest
import torch

from tasks.errors import DeviceUnavailable
from tasks.train.raster import cuda
from tests.support.agreement import assert_agrees
from tests.support.splats import random_splats

# gsplat compiles with --use_fast_math: its exp and its divisions cost a few more bits than ours
TOLERANCES = {"device": "cuda", "gradient_tolerance": 2e-3, "fragile": 5e-3}


@pytest.fixture
def device() -> None:
    """Skips, and says why, where gsplat can't run; lets warnings of its compilation pass."""
    try:
        cuda.require()
    except DeviceUnavailable as error:
        pytest.skip(str(error))


gpu = [pytest.mark.gpu, pytest.mark.usefixtures("device"), pytest.mark.filterwarnings("default")]


def marked(function):
    for mark in gpu:
        function = mark(function)
    return function


def test_without_a_device_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceUnavailable, match="--device cpu") as caught:
        cuda.require.__wrapped__()
    assert caught.value.slug == "device_unavailable"


def test_without_gsplat_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setitem(sys.modules, "gsplat.rendering", None)
    with pytest.raises(DeviceUnavailable, match="gsplat"):
        cuda.require.__wrapped__()


@marked
@pytest.mark.parametrize("degree", [None, 0, 1, 2, 3])
@pytest.mark.parametrize("mode", ["classic", "antialiased"])
def test_every_degree(degree: int | None, mode: str) -> None:
    splats = random_splats(120, width=45, height=38, cameras=2, sh_degree=degree, seed=30)
    assert_agrees(cuda.rasterization, splats, rasterize_mode=mode, **TOLERANCES)


@marked
@pytest.mark.parametrize(("width", "height"), [(1, 1), (7, 13), (33, 65)])
def test_every_size(width: int, height: int) -> None:
    splats = random_splats(80, width=width, height=height, sh_degree=1, seed=31)
    assert_agrees(cuda.rasterization, splats, **TOLERANCES)


@marked
@pytest.mark.parametrize("mode", ["D", "ED", "RGB+D", "RGB+ED"])
def test_depth(mode: str) -> None:
    assert_agrees(cuda.rasterization, random_splats(80, seed=33, cameras=2), render_mode=mode, **TOLERANCES)


@marked
@pytest.mark.parametrize("seed", range(3))
def test_gaussians_beside_and_behind_the_camera(seed: int) -> None:
    splats = random_splats(150, spread=4.0, size=0.5, seed=seed, sh_degree=2)
    assert_agrees(cuda.rasterization, splats, **TOLERANCES)


@marked
def test_many_layers_until_the_light_is_used_up() -> None:
    splats = random_splats(600, seed=1, size=0.5, spread=0.5, opacity=(0.5, 1.0))
    assert_agrees(cuda.rasterization, splats, **{**TOLERANCES, "fragile": 0.02})


@marked
def test_nothing_to_see() -> None:
    splats = random_splats(0, seed=2)
    image, alpha, _ = cuda.rasterization(**splats.to(device="cuda").arguments())
    assert torch.equal(image.cpu(), splats.backgrounds[:, None, None].expand(image.shape))
    assert not alpha.any()
