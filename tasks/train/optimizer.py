"""Adam over all parameters, with moments that follow the Gaussians when they are moved, added or removed."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from tasks.train.parameters import NAMES, Parameters

AdamStep = Callable[..., None]  # the signature of `adam_step` below


def adam_step(
    param: Tensor,
    grad: Tensor,
    exp_avg: Tensor,
    exp_avg_sq: Tensor,
    lr: Tensor,
    *,
    step: int,
    visible: Tensor | None = None,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-15,
) -> None:
    """One step of Adam in place, in PyTorch, on any device: the reference of the native one.

    `lr` has one value per column of `param.view(N, -1)`; rows where `visible` (N,) is 0 are left alone; `step` counts from 1.
    """
    rows = len(param)
    if visible is not None:
        index = visible.nonzero()[:, 0]
        parts = [t.detach().view(rows, -1)[index] for t in (param, exp_avg, exp_avg_sq)]
        g = grad.view(rows, -1)[index]
    else:
        parts = [t.detach().view(rows, -1) for t in (param, exp_avg, exp_avg_sq)]
        g = grad.view(rows, -1)
    p, m, v = parts
    m.lerp_(g, 1 - betas[0])
    v.mul_(betas[1]).addcmul_(g, g, value=1 - betas[1])
    denominator = v.sqrt().div_(math.sqrt(1 - betas[1] ** step)).add_(eps)
    p.sub_(m / denominator * (lr / (1 - betas[0] ** step)))
    if visible is not None:
        for target, part in zip((param, exp_avg, exp_avg_sq), parts, strict=True):
            target.detach().view(rows, -1)[index] = part


class Optimizer:
    """Adam's state for `Parameters`. Learning rates are given anew at every step; a parameter without one stays as it is."""

    def __init__(self, params: Parameters, adam: AdamStep) -> None:
        self._adam = adam
        self.exp_avg = {name: torch.zeros_like(tensor) for name, tensor in params.items()}
        self.exp_avg_sq = {name: torch.zeros_like(tensor) for name, tensor in params.items()}

    def step(self, params: Parameters, lrs: Mapping[str, Tensor], *, step: int, visible: Tensor | None) -> None:
        """Apply and clear the gradients of `params`; `step` counts from 1, `visible` (N,) limits it to some rows."""
        for name, tensor in params.items():
            if tensor.grad is None:
                continue
            self._adam(
                tensor, tensor.grad, self.exp_avg[name], self.exp_avg_sq[name], lrs[name], step=step, visible=visible
            )
            tensor.grad = None

    def keep(self, params: Parameters, index: Tensor) -> None:
        """Reduce everything to the rows in `index`."""
        for name in NAMES:
            setattr(params, name, _leaf(getattr(params, name).detach()[index]))
            self.exp_avg[name] = self.exp_avg[name][index]
            self.exp_avg_sq[name] = self.exp_avg_sq[name][index]

    def append(self, params: Parameters, rows: Mapping[str, Tensor]) -> None:
        """Add Gaussians with fresh moments."""
        for name in NAMES:
            added = rows[name]
            setattr(params, name, _leaf(torch.cat([getattr(params, name).detach(), added])))
            zeros = torch.zeros_like(added)
            self.exp_avg[name] = torch.cat([self.exp_avg[name], zeros])
            self.exp_avg_sq[name] = torch.cat([self.exp_avg_sq[name], zeros])

    def forget(self, index: Tensor) -> None:
        """Zero the moments of the rows in `index`: what they learnt no longer holds."""
        for name in NAMES:
            self.exp_avg[name][index] = 0
            self.exp_avg_sq[name][index] = 0

    def grow_sh(self, params: Parameters, coeffs: int) -> None:
        """Give every Gaussian `coeffs` spherical-harmonics coefficients, the new ones zero."""
        count, held, _ = params.sh_coeffs.shape
        if coeffs <= held:
            return
        pad = params.sh_coeffs.new_zeros(count, coeffs - held, 3)
        params.sh_coeffs = _leaf(torch.cat([params.sh_coeffs.detach(), pad], dim=1))
        for state in (self.exp_avg, self.exp_avg_sq):
            state["sh_coeffs"] = torch.cat([state["sh_coeffs"], pad], dim=1)

    def state_dict(self) -> dict[str, dict[str, Tensor]]:
        """Both moments, by parameter."""
        return {"exp_avg": self.exp_avg, "exp_avg_sq": self.exp_avg_sq}

    def load_state_dict(self, state: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Restore what `state_dict` gave."""
        self.exp_avg = dict(state["exp_avg"])
        self.exp_avg_sq = dict(state["exp_avg_sq"])


def _leaf(tensor: Tensor) -> Tensor:
    return tensor.contiguous().requires_grad_(True)


def make_leaves(params: Parameters, device: torch.device) -> None:
    """Move the parameters to `device` and let them receive gradients."""
    for name in NAMES:
        setattr(params, name, _leaf(getattr(params, name).detach().to(device)))
