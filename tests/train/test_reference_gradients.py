"""Autograd through the readable rasteriser against finite differences, in float64."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tasks.train.raster.reference import rasterization
from tests.support.splats import PARAMETERS, Splats, random_splats

pytestmark = pytest.mark.usefixtures("one_thread")

NAMES = (*PARAMETERS, "backgrounds")


def small(**options) -> Splats:
    return random_splats(5, **{"width": 7, "height": 6, "size": 0.3, "dtype": torch.float64, **options})


def check(splats: Splats, **options) -> None:
    """Every parameter and the background, into the colours and the alphas."""

    def render(*tensors: Tensor) -> tuple[Tensor, Tensor]:
        changed = replace(splats, **dict(zip(NAMES, tensors, strict=True)))
        return rasterization(**changed.arguments(), **options)[:2]

    splats = splats.with_gradients()
    assert torch.autograd.gradcheck(render, tuple(getattr(splats, n) for n in NAMES), eps=1e-6, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("degree", [None, 0, 1, 2, 3])
def test_every_degree(degree: int | None) -> None:
    check(small(sh_degree=degree, seed=10))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_antialiased(seed: int) -> None:
    check(small(seed=seed), rasterize_mode="antialiased")


@pytest.mark.parametrize("mode", ["D", "RGB+D", "RGB+ED"])
def test_depth(mode: str) -> None:
    check(small(seed=4), render_mode=mode)


def test_several_cameras() -> None:
    check(small(seed=5, cameras=2, width=5, height=4))


def test_several_tiles() -> None:
    check(small(seed=6, width=17, height=3))


def test_unused_coefficients_get_no_gradient() -> None:
    splats = small(seed=7, sh_degree=1, extra_coefficients=True, width=5, height=4)
    check(splats)
    splats = splats.with_gradients()
    rasterization(**splats.arguments())[0].sum().backward()
    assert splats.colors.grad is not None
    assert splats.colors.grad[:, :4].any()
    assert not splats.colors.grad[:, 4:].any()


def test_hand_picked_troubles() -> None:
    """Behind the camera, beyond the frustum's edge, huge, tiny, nearly opaque, and two in one place."""
    splats = small(seed=8)
    view, K = splats.viewmats[0], splats.Ks[0]
    in_camera = torch.tensor(
        [
            [0.1, 0.2, -3.0],  # behind
            [1.5 * 0.5 * 7 / K[0, 0] * 3.0, 0.1, 3.0],  # where the linearised projection is frozen in x
            [0.2, 0.1, 4.0],  # huge
            [-0.2, 0.3, 3.5],  # tiny
            [0.0, 0.0, 2.5],  # nearly opaque
            [0.05, 0.02, 2.6],
            [0.05, 0.02, 2.7],
            [0.1, -1.6 * 0.5 * 6 / K[1, 1] * 2.0, 2.0],  # frozen in y
        ],
        dtype=torch.float64,
    )
    sizes = torch.tensor([0.5, 1.2, 20.0, 1e-4, 0.2, 0.3, 0.3, 0.9], dtype=torch.float64)
    opacities = torch.tensor([0.5, 0.9, 0.3, 0.9, 0.99995, 0.8, 0.7, 0.9], dtype=torch.float64)
    g = torch.Generator().manual_seed(0)
    splats = replace(
        splats,
        means=(in_camera - view[:3, 3]) @ view[:3, :3],
        quats=torch.randn(8, 4, generator=g, dtype=torch.float64),
        scales=sizes[:, None] * torch.tensor([1.0, 0.7, 1.3], dtype=torch.float64),
        opacities=opacities,
        colors=torch.randn(8, 1, 3, generator=g, dtype=torch.float64),
    )
    seen = (rasterization(**splats.arguments())[2]["radii"][0] > 0).all(-1)
    assert seen.tolist() == [False] + [True] * 7
    for mode in ("classic", "antialiased"):
        check(splats, rasterize_mode=mode)


def test_gradients_are_finite_where_nothing_is_well_conditioned() -> None:
    for seed in range(5):
        splats = random_splats(30, seed=seed, sh_degree=3)
        g = torch.Generator().manual_seed(seed)
        extreme = replace(
            splats,
            scales=torch.exp(4 * torch.randn(30, 3, generator=g)),
            means=splats.means * torch.exp(3 * torch.randn(30, 1, generator=g)),
            quats=splats.quats * torch.exp(5 * torch.randn(30, 1, generator=g)),
            opacities=torch.randint(0, 2, (30,), generator=g).float(),
        ).with_gradients()
        extreme.means.data[0] = -extreme.viewmats[0, :3, :3].T @ extreme.viewmats[0, :3, 3]  # in the camera itself
        for mode in ("classic", "antialiased"):
            image, alpha, _ = rasterization(**extreme.arguments(), rasterize_mode=mode)
            (image.square().sum() + alpha.sum()).backward()
            assert image.isfinite().all()
            for name in NAMES:
                assert getattr(extreme, name).grad.isfinite().all(), name
