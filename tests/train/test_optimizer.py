"""Both Adams against PyTorch's own, and moments that follow the Gaussians."""

import pytest
import torch

from tasks.train import optimizer
from tasks.train.raster import native

STEPS = [optimizer.adam_step, native.adam_step]


@pytest.mark.parametrize("step_function", STEPS)
def test_equals_torch(step_function) -> None:
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(33, 5, generator=generator)
    theirs = start.clone().requires_grad_()
    adam = torch.optim.Adam([theirs], lr=0.01, eps=1e-15)
    ours, m, v = start.clone(), torch.zeros(33, 5), torch.zeros(33, 5)
    for step in range(1, 20):
        grad = torch.randn(33, 5, generator=generator)
        theirs.grad = grad.clone()
        adam.step()
        step_function(ours, grad, m, v, torch.full((5,), 0.01), step=step)
    assert torch.allclose(ours, theirs.detach(), atol=1e-6)


@pytest.mark.parametrize("step_function", STEPS)
def test_rows_that_are_not_seen_stay_as_they_are(step_function) -> None:
    param, m, v = torch.ones(6, 2), torch.full((6, 2), 0.5), torch.full((6, 2), 0.25)
    visible = torch.tensor([1, 0, 1, 0, 0, 1], dtype=torch.uint8)
    step_function(param, torch.ones(6, 2), m, v, torch.tensor([0.1, 0.0]), step=3, visible=visible)
    hidden = visible == 0
    assert (param[hidden] == 1).all()
    assert (m[hidden] == 0.5).all()
    assert (v[hidden] == 0.25).all()
    assert (param[~hidden, 0] < 1).all()
    assert (param[~hidden, 1] == 1).all()  # a rate of zero per column


def test_native_refuses_shapes_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="one value per column"):
        native.adam_step(
            torch.zeros(4, 3), torch.zeros(4, 3), torch.zeros(4, 3), torch.zeros(4, 3), torch.zeros(2), step=1
        )
