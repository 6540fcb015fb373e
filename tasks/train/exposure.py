"""Exposure of each training view: phones change it while they film, and the scene should not have to explain that.

Held-out views are judged without it; so that the scene itself keeps the exposure of the average view, the compensations always
average to none.
"""

import torch
from torch import Tensor


class Exposure:
    """A gain and an offset per colour channel for each of V training views, learnt by Adam."""

    def __init__(self, views: int, device: torch.device, *, lr: float) -> None:
        self.values = torch.zeros(views, 2, 3, device=device, requires_grad=True)  # log gain, offset
        self.lr = lr
        self._adam = torch.optim.Adam([self.values], lr=lr, eps=1e-15)

    def apply(self, image: Tensor, view: int) -> Tensor:
        """The rendered image (H, W, 3) as view `view` was exposed."""
        log_gain, offset = self.values[view]
        return image * log_gain.exp() + offset

    def step(self) -> None:
        """Take a step and bring the average view back to no compensation."""
        self._adam.step()
        self._adam.zero_grad()
        with torch.no_grad():
            self.values -= self.values.mean(0)
