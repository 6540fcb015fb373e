"""The native rasteriser and loss against the readable ones, at every instruction set that this machine has."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.train import losses_reference
from tasks.train.raster import _native, native, reference
from tests.support.agreement import NAMES, assert_agrees, assert_close, render
from tests.support.splats import Splats, random_splats

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(params=_native.simd_levels())
def simd(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs the test once at each instruction set."""
    before = _native.simd_level()
    _native.set_simd_level(request.param)
    yield request.param
    _native.set_simd_level(before)


def in_camera(splats: Splats, points: list[list[float]]) -> torch.Tensor:
    """World points (N, 3) of points in the first camera's frame."""
    R, t = splats.viewmats[0, :3, :3], splats.viewmats[0, :3, 3]
    return (torch.tensor(points) - t) @ R


def test_the_portable_code_is_always_there() -> None:
    assert "portable" in _native.simd_levels()
    with pytest.raises(ValueError, match="abacus"):
        _native.set_simd_level("abacus")


@pytest.mark.parametrize("degree", [None, 0, 1, 2, 3])
@pytest.mark.parametrize("mode", ["classic", "antialiased"])
def test_every_degree(simd: str, degree: int | None, mode: str) -> None:
    splats = random_splats(120, width=45, height=38, cameras=2, sh_degree=degree, seed=30)
    assert_agrees(native.rasterization, splats, rasterize_mode=mode)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (7, 13), (8, 8), (9, 16), (33, 65), (129, 3), (2, 71)])
def test_every_size(simd: str, width: int, height: int) -> None:
    assert_agrees(native.rasterization, random_splats(80, width=width, height=height, sh_degree=1, seed=31))


@pytest.mark.parametrize("count", [1, 7, 8, 9, 15, 16, 17, 31])
def test_every_count_around_a_vectors_width(simd: str, count: int) -> None:
    assert_agrees(native.rasterization, random_splats(count, sh_degree=3, size=0.3, spread=0.4, seed=32))


@pytest.mark.parametrize("mode", ["D", "ED", "RGB+D", "RGB+ED"])
def test_depth(simd: str, mode: str) -> None:
    assert_agrees(native.rasterization, random_splats(80, seed=33, cameras=2), render_mode=mode)


def test_coefficients_beyond_the_degree(simd: str) -> None:
    assert_agrees(native.rasterization, random_splats(60, sh_degree=1, extra_coefficients=True, seed=34))


def test_without_a_background(simd: str) -> None:
    splats = random_splats(60, seed=35)
    given_black = replace(splats, backgrounds=torch.zeros(1, 3))
    image, _, _ = native.rasterization(**given_black.arguments())
    none, _, _ = native.rasterization(**{**splats.arguments(), "backgrounds": None})
    assert torch.equal(image, none)


def test_planes_and_dilation(simd: str) -> None:
    splats = random_splats(80, seed=36)
    assert_agrees(native.rasterization, splats, near_plane=3.7, far_plane=4.6, eps2d=1.0)
    assert_agrees(native.rasterization, splats, eps2d=0.05)


@pytest.mark.parametrize("seed", range(3))
def test_gaussians_beside_and_behind_the_camera(simd: str, seed: int) -> None:
    assert_agrees(native.rasterization, random_splats(150, spread=4.0, size=0.5, seed=seed, sh_degree=2))


@pytest.mark.parametrize("seed", range(3))
def test_needles_and_discs(simd: str, seed: int) -> None:
    splats = random_splats(60, width=40, height=40, seed=seed)
    thin = torch.tensor([[1.5, 0.002, 0.002], [0.5, 0.5, 0.001]])[torch.arange(60) % 2]
    assert_agrees(native.rasterization, replace(splats, scales=thin), fragile=0.01)


@pytest.mark.parametrize("seed", range(61, 65))
@pytest.mark.parametrize("mode", ["classic", "antialiased"])
def test_needles_longer_than_the_image(simd: str, mode: str, seed: int) -> None:
    # the derivative of a needle's inverse covariance is a small difference of large numbers, unless it is taken with care
    splats = random_splats(200, width=47, height=56, size=0.4, spread=3.6, opacity=(0.0, 1.0), seed=seed)
    splats = replace(splats, scales=splats.scales * torch.tensor([10.0, 1.0, 0.01]))
    assert_agrees(native.rasterization, splats, rasterize_mode=mode)


@pytest.mark.parametrize("seed", range(2))
def test_many_layers_until_the_light_is_used_up(simd: str, seed: int) -> None:
    splats = random_splats(600, seed=seed, size=0.5, spread=0.5, opacity=(0.5, 1.0))
    assert_agrees(native.rasterization, splats, fragile=0.01)


def test_opacities_at_and_above_the_clamp(simd: str) -> None:
    splats = random_splats(12, seed=37, size=0.6, spread=0.5)
    opacities = torch.tensor([0.9985, 0.999, 0.9990001, 0.9999, 1.0, 1.0] * 2)
    assert_agrees(native.rasterization, replace(splats, opacities=opacities), fragile=0.02)


def test_opacities_at_and_below_the_threshold(simd: str) -> None:
    splats = random_splats(12, seed=38, size=0.6, spread=0.5)
    opacities = torch.tensor([0.0, 0.001, 0.0038, 0.0042, 0.005, 0.02] * 2)
    assert_agrees(native.rasterization, replace(splats, opacities=opacities), fragile=0.02)


def test_one_that_covers_everything(simd: str) -> None:
    splats = random_splats(3, width=70, height=50, seed=39)
    huge = replace(
        splats,
        means=in_camera(splats, [[0.5, -0.3, 4.0], [0.1, 0.1, 6.0], [0.0, 0.0, 0.5]]),
        scales=torch.tensor([[30.0, 40.0, 20.0], [500.0, 300.0, 1.0], [0.4, 0.3, 0.05]]),
        opacities=torch.tensor([0.4, 0.9, 0.7]),
    )
    assert_agrees(native.rasterization, huge)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (19, 9)])
def test_nothing_to_see(simd: str, width: int, height: int) -> None:
    splats = random_splats(20, width=width, height=height, seed=40, sh_degree=2)
    behind = replace(splats, means=splats.means - 50 * splats.viewmats[0, 2, :3])
    for empty in (splats.pick(torch.arange(0)), behind):
        rendering = render(native.rasterization, empty)
        assert torch.equal(rendering.image.float(), splats.backgrounds[:, None, None].expand(1, height, width, 3))
        assert not rendering.alpha.any()
        assert not any(rendering.gradients[n].any() for n in NAMES if n != "backgrounds")
        assert rendering.gradients["means"].shape == (len(empty.means), 3)


@pytest.mark.parametrize("mode", ["classic", "antialiased"])
@pytest.mark.parametrize("seed", range(4))
def test_gradients_are_finite_where_nothing_is_well_conditioned(simd: str, seed: int, mode: str) -> None:
    splats = random_splats(64, seed=seed, sh_degree=3)
    g = torch.Generator().manual_seed(seed)
    extreme = replace(
        splats,
        scales=torch.exp(6 * torch.randn(64, 3, generator=g)),
        means=splats.means * torch.exp(3 * torch.randn(64, 1, generator=g)),
        quats=splats.quats * torch.exp(5 * torch.randn(64, 1, generator=g)),
        opacities=torch.randint(0, 2, (64,), generator=g).float(),
    )
    extreme.means[0] = -extreme.viewmats[0, :3, :3].T @ extreme.viewmats[0, :3, 3]  # in the camera itself
    extreme.quats[1] = 0
    extreme.scales[2] = 0
    rendering = render(native.rasterization, extreme, rasterize_mode=mode)
    assert rendering.image.isfinite().all()
    assert rendering.alpha.min() >= 0
    assert rendering.alpha.max() <= 1
    for name in NAMES:
        assert rendering.gradients[name].isfinite().all(), name


def test_repeats_bit_for_bit_whatever_the_threads(simd: str) -> None:
    splats = random_splats(1500, width=150, height=110, cameras=2, sh_degree=3, seed=41)
    first = render(native.rasterization, splats, threads=1)
    assert first.gradients["means"].any()
    for threads in (1, 2, 2, 3):
        again = render(native.rasterization, splats, threads=threads)
        assert torch.equal(again.image, first.image)
        assert torch.equal(again.alpha, first.alpha)
        for name in NAMES:
            assert torch.equal(again.gradients[name], first.gradients[name]), (name, threads)


def test_the_centres_gradient_is_that_of_the_references_projection(simd: str) -> None:
    splats = random_splats(60, seed=42, cameras=2)
    weights = torch.randn(2, splats.height, splats.width, 3, generator=torch.Generator().manual_seed(0))
    exact = splats.to(torch.float64).with_gradients()
    image, _, meta = reference.rasterization(**exact.arguments())
    (expected,) = torch.autograd.grad((image * weights).sum(), meta["means2d"])
    fast = splats.with_gradients()
    image, _, meta = native.rasterization(**fast.arguments())
    actual = torch.stack(torch.autograd.grad((image * weights).sum(), meta["means2d"]))
    assert_close(actual.double(), expected, 1e-3, "means2d")


def test_it_says_which_gaussians_are_seen(simd: str) -> None:
    splats = random_splats(200, spread=3.0, seed=43, cameras=2)
    expected = (reference.rasterization(**splats.arguments())[2]["radii"] > 0).all(-1)
    visible = native.rasterization(**splats.arguments())[2]["visible"].bool()
    assert not (visible & ~expected).any()
    missed = expected & ~visible  # the ellipse touches the image but no pixel's centre
    without = splats.pick(~missed.all(0))
    assert missed.sum() < 0.1 * expected.sum()
    assert torch.equal(native.rasterization(**without.arguments())[0], native.rasterization(**splats.arguments())[0])


def test_it_is_differentiated_once_per_render_and_can_be_rendered_without_gradients(simd: str) -> None:
    splats = random_splats(30, seed=44)
    with torch.no_grad():
        plain, _, _ = native.rasterization(**splats.arguments())
    assert not plain.requires_grad
    asked = splats.with_gradients()
    renders = [native.rasterization(**asked.arguments())[0] for _ in range(4)]  # several graphs at once
    grads = [torch.autograd.grad(r.sum(), asked.means)[0] for r in renders]
    assert all(torch.equal(g, grads[0]) for g in grads)
    assert all(torch.equal(r, plain) for r in renders)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"means": torch.zeros(5, 3, dtype=torch.float64)}, "means must be float32"),
        ({"quats": torch.zeros(5, 3)}, "quats must be"),
        ({"scales": torch.zeros(1, 3)}, "scales must be"),
        ({"opacities": torch.zeros(4)}, "opacities must be"),
        ({"sh_degree": 2}, "sh_degree must be"),
        ({"sh_degree": None}, "colors must be"),
        ({"viewmats": torch.eye(4)}, "viewmats and Ks"),
        ({"backgrounds": torch.zeros(1, 4)}, "background must be"),
        ({"width": 0}, "must be positive"),
        ({"render_mode": "depth"}, "render_mode"),
        ({"rasterize_mode": "smooth"}, "rasterize_mode"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(change: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        native.rasterization(**{**random_splats(5).arguments(), **change})


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**31),
    count=st.integers(1, 150),
    width=st.integers(1, 50),
    height=st.integers(1, 50),
    degree=st.sampled_from([None, 0, 1, 2, 3]),
    cameras=st.integers(1, 2),
    size=st.floats(0.005, 0.6),
    spread=st.floats(0.1, 3),
    mode=st.sampled_from(["classic", "antialiased"]),
    level=st.sampled_from(_native.simd_levels()),
)
def test_any_scene(
    seed: int,
    count: int,
    width: int,
    height: int,
    degree: int | None,
    cameras: int,
    size: float,
    spread: float,
    mode: str,
    level: str,
) -> None:
    splats = random_splats(
        count, width=width, height=height, sh_degree=degree, cameras=cameras, size=size, spread=spread, seed=seed
    )
    before = _native.simd_level()
    try:
        _native.set_simd_level(level)
        assert_agrees(native.rasterization, splats, rasterize_mode=mode, fragile=5e-3)
    finally:
        _native.set_simd_level(before)


@pytest.mark.parametrize("ssim_lambda", [0.0, 0.2, 1.0])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 3), (16, 16), (13, 37), (70, 41)])
def test_loss(simd: str, height: int, width: int, ssim_lambda: float) -> None:
    g = torch.Generator().manual_seed(height * width)
    truth = torch.rand(height, width, 3, generator=g)
    start = (truth + 0.2 * torch.randn(height, width, 3, generator=g)).clamp(0, 1)
    exact = start.double().requires_grad_()
    expected = losses_reference.l1_ssim_loss(exact, truth.double(), ssim_lambda)
    (expected_grad,) = torch.autograd.grad(expected, exact)
    fast = start.clone().requires_grad_()
    actual = native.l1_ssim_loss(fast, truth, ssim_lambda)
    (grad,) = torch.autograd.grad(3 * actual, fast)
    assert actual.item() == pytest.approx(expected.item(), abs=1e-5)
    assert_close(grad.double() / 3, expected_grad, 1e-3, "render")


def test_loss_of_flat_images(simd: str) -> None:
    # variances are the difference of two equal numbers here
    for a, b in [(0.0, 0.0), (1.0, 1.0), (0.7, 0.7), (0.0, 1.0)]:
        render_, truth = torch.full((20, 21, 3), a).requires_grad_(), torch.full((20, 21, 3), b)
        expected = losses_reference.l1_ssim_loss(render_.detach().double(), truth.double(), 0.2)
        actual = native.l1_ssim_loss(render_, truth, 0.2)
        actual.backward()
        assert actual.item() == pytest.approx(expected.item(), abs=1e-4)
        assert render_.grad is not None
        assert render_.grad.isfinite().all()


def test_loss_repeats_bit_for_bit_whatever_the_threads(simd: str) -> None:
    g = torch.Generator().manual_seed(0)
    render_, truth = torch.rand(2, 130, 77, 3, generator=g)
    values, grads = [], []
    for threads in (1, 2, 2, 3):
        leaf = render_.clone().requires_grad_()
        value = native.l1_ssim_loss(leaf, truth, 0.2, threads=threads)
        value.backward()
        values.append(value.item())
        grads.append(leaf.grad)
    assert len(set(values)) == 1
    assert all(torch.equal(grad, grads[0]) for grad in grads)
