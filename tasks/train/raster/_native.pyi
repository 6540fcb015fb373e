"""Types of the C++ extension (csrc/module.cpp). Arrays are C-contiguous float32 unless said otherwise."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

class Frame:
    """A rendered view and what its backward pass needs."""

    @property
    def pairs(self) -> int: ...
    @property
    def contributing(self) -> int: ...
    @property
    def seen(self) -> int: ...
    @property
    def seconds(self) -> list[float]: ...
    def copy_visible(self, out: NDArray[np.uint8]) -> None: ...
    def copy_projection(self, means2d: Array, depths: Array) -> None: ...

def forward(
    means: Array, quats: Array, scales: Array, opacities: Array, colors: Array, degree: int, viewmat: Array, K: Array,
    width: int, height: int, near_plane: float, far_plane: float, eps2d: float, antialiased: bool, background: Array,
    image: Array, alpha: Array, threads: int, /,
) -> Frame: ...  # fmt: skip
def backward(
    frame: Frame, means: Array, quats: Array, scales: Array, opacities: Array, colors: Array, degree: int, v_image: Array,
    v_alpha: Array, g_means: Array, g_quats: Array, g_scales: Array, g_opacities: Array, g_colors: Array,
    g_means2d: Array, threads: int, /,
) -> None: ...  # fmt: skip
def loss(image: Array, truth: Array, ssim_lambda: float, grad: Array, threads: int, /) -> float: ...
def adam_step(
    param: Array, grad: Array, exp_avg: Array, exp_avg_sq: Array, visible: NDArray[np.uint8], lr: Array, beta1: float,
    beta2: float, eps: float, step: float, threads: int, /,
) -> None: ...  # fmt: skip
def add_noise(
    means: Array, quats: Array, scales: Array, opacities: Array, rate: float, seed: int, threads: int, /
) -> None: ...
def release_memory() -> None: ...
def simd_level() -> str: ...
def simd_levels() -> list[str]: ...
def set_simd_level(name: str) -> None: ...
