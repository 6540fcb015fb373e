"""The readable loss: its laws, its gradient, and SSIM against scikit-image's."""

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from tasks.train.losses_reference import gaussian_window, l1_ssim_loss, ssim_map

pytestmark = pytest.mark.usefixtures("one_thread")


def images(height: int, width: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    render, truth = torch.rand(2, height, width, 3, generator=g, dtype=torch.float64)
    return render, truth


def test_the_window_is_a_unit_of_weight() -> None:
    window = gaussian_window(torch.zeros((), dtype=torch.float64))
    assert len(window) == 11
    assert window.sum().item() == pytest.approx(1, abs=1e-15)
    assert torch.equal(window, window.flip(0))


def test_ssim_is_scikit_images_away_from_the_border() -> None:
    # there the two differ on purpose: zeros here, mirrored there
    render, truth = images(30, 40)
    options = {"channel_axis": -1, "data_range": 1.0, "gaussian_weights": True, "sigma": 1.5}
    _, expected = structural_similarity(
        render.numpy(), truth.numpy(), use_sample_covariance=False, full=True, **options
    )
    np.testing.assert_allclose(ssim_map(render, truth)[5:-5, 5:-5], expected[5:-5, 5:-5], atol=1e-12)


@pytest.mark.parametrize("ssim_lambda", [0.0, 0.2, 1.0])
def test_equal_images_have_no_loss(ssim_lambda: float) -> None:
    render, _ = images(13, 9)
    assert l1_ssim_loss(render, render, ssim_lambda).item() == pytest.approx(0, abs=1e-12)


def test_it_is_the_mixture() -> None:
    render, truth = images(13, 9)
    l1, dssim, both = (l1_ssim_loss(render, truth, w) for w in (0.0, 1.0, 0.2))
    assert l1.item() == pytest.approx((render - truth).abs().mean().item())
    assert both.item() == pytest.approx((0.8 * l1 + 0.2 * dssim).item())


@pytest.mark.parametrize(("height", "width"), [(1, 1), (4, 13), (7, 5)])
def test_gradient(height: int, width: int) -> None:
    render, truth = images(height, width)
    assert torch.autograd.gradcheck(lambda r: l1_ssim_loss(r, truth, 0.2), (render.requires_grad_(),), atol=1e-8)


def test_images_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="expected two images"):
        l1_ssim_loss(torch.zeros(4, 4, 3), torch.zeros(4, 5, 3), 0.2)
