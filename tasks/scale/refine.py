"""Corners of a tag by fitting its whole pattern to the picture.

Corners from edges alone are biased: light is blurred before a camera encodes it, so that white cells look larger than they are
by up to a pixel (1.8 to 3 % of a side of 45 px in pictures rendered to see this). Fitted as a whole, a pattern has edges of both
polarities, and that effect is a shape of the picture like any other, for which the model has a term.

Method: Gauss-Newton on a homography, the blur's covariance, and light (Lucas-Kanade; S. Baker and I. Matthews, IJCV 2004).
"""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from tasks.tags.families import NOTHING, WHITE, family, pattern

Array = NDArray[np.floating]
SAMPLES = 16  # of the template along a cell
PAD = 2  # cells of white paper around the template, so that its Fourier transform doesn't wrap dark cells around
MOST_CELL_PX = 10.0  # larger pictures of tags are reduced first
ITERATIONS = 12
CONVERGED_PX = 0.003
BLUR_PX = 0.9  # first guess of its standard deviation
LEAST_BLUR_PX, MOST_BLUR_PX = 0.3, 6.0
HUBER = 2.5
LEAST_PIXELS = 80


@dataclass(frozen=True, kw_only=True)
class Refined:
    """A tag's place in a picture.

    Attributes:
        corners: (4, 2) pixels, (0, 0) is the corner of the first pixel; in the order of detections.
        sigma_px: standard error of a corner's coordinate by the fit's own noise.
        explained: fraction of the picture's variance over the tag that the pattern explains.
        moved_px: how far the farthest corner moved from where it was first seen.
    """

    corners: Array
    sigma_px: float
    explained: float
    moved_px: float


@dataclass(frozen=True, kw_only=True)
class _Template:
    spectrum: NDArray[np.complexfloating]
    known: NDArray[np.float32]  # 1 where the family prints something
    kx: Array  # radians per cell
    ky: Array
    cells: int
    inset: int
    inner: int

    def corners(self) -> Array:
        """(4, 2) cells right and down of the tag's upper left corner."""
        low, high = self.inset, self.inset + self.inner
        return np.array([[low, high], [high, high], [high, low], [low, low]], float)


@cache
def _template(family_name: str, tag_id: int) -> _Template:
    layout, grid = family(family_name), pattern(family_name, tag_id)
    fine = np.ones((SAMPLES, SAMPLES))
    white = np.kron(np.pad(np.where(grid == NOTHING, WHITE, grid), PAD, constant_values=WHITE), fine)
    known = np.kron(np.pad(grid != NOTHING, PAD), fine)
    size = len(white)
    return _Template(
        spectrum=np.fft.rfft2(white),
        known=known.astype(np.float32),
        kx=2 * np.pi * SAMPLES * np.fft.rfftfreq(size)[None, :],
        ky=2 * np.pi * SAMPLES * np.fft.fftfreq(size)[:, None],
        cells=layout.cells,
        inset=layout.inset,
        inner=layout.inner_cells,
    )


def refine(gray: NDArray[np.uint8], corners: Array, family_name: str, tag_id: int) -> Refined | None:
    """Fit the tag's pattern to a gray picture (H, W), beginning with corners (4, 2) that are off by a few pixels at most.

    None when the pattern doesn't settle there: too few pixels, or a picture that isn't of this tag.
    """
    template = _template(family_name, tag_id)
    crop, offset, reduce = _crop(gray, corners, template)
    start = (corners - offset) / reduce
    fit = _Fit(crop, start, template)
    if not fit.run():
        return None
    found = fit.corners()
    moved = np.linalg.norm(found - start, axis=1).max() * reduce
    return Refined(
        corners=found * reduce + offset,
        sigma_px=fit.corner_sigma() * reduce,
        explained=fit.explained,
        moved_px=float(moved),
    )


def _crop(gray: NDArray[np.uint8], corners: Array, template: _Template) -> tuple[NDArray[np.float32], Array, int]:
    """The picture around a tag, reduced when the tag is large; its offset in pixels; and the factor."""
    to_image = _homography(template.corners(), corners)
    c = template.cells
    outline = _apply(to_image, np.array([[0, 0], [c, 0], [c, c], [0, c]], float))
    side = float(np.linalg.norm(np.roll(corners, 1, 0) - corners, axis=1).mean())
    reduce = max(1, int(side / template.inner / MOST_CELL_PX))
    height, width = gray.shape
    low = np.clip(np.floor(outline.min(0)) - 2, 0, [width - 1, height - 1]).astype(int)
    high = np.clip(np.ceil(outline.max(0)) + 2, 1, [width, height]).astype(int)
    size = np.maximum((high - low) // reduce, 1)
    crop = gray[low[1] : low[1] + size[1] * reduce, low[0] : low[0] + size[0] * reduce].astype(np.float32)
    if reduce > 1:
        crop = crop[: size[1] * reduce, : size[0] * reduce]
        crop = np.asarray(cv2.resize(crop, (int(size[0]), int(size[1])), interpolation=cv2.INTER_AREA), np.float32)
    return crop, low.astype(float), reduce


class _Fit:
    """The state of one fit: the homography to cells, the blur's covariance in pixels, the robust residuals."""

    def __init__(self, crop: NDArray[np.float32], corners: Array, template: _Template) -> None:
        self.template = template
        self.crop = crop
        self.to_cells = np.linalg.inv(_homography(template.corners(), corners))
        self.blur = BLUR_PX**2 * np.eye(2)  # pixels^2
        self.explained = 0.0
        self.covariance = np.zeros((8, 8))
        y, x = np.mgrid[0 : crop.shape[0], 0 : crop.shape[1]] + 0.5
        self.pixels = np.stack([x.ravel(), y.ravel()], 1)
        self.values = crop.ravel().astype(float)

    def corners(self) -> Array:
        return _apply(np.linalg.inv(self.to_cells), self.template.corners())

    def run(self) -> bool:
        """Iterate until the corners rest; False when they don't."""
        before = self.corners()
        step = np.inf
        for _ in range(ITERATIONS):
            if not self._step():
                return False
            now = self.corners()
            if not np.isfinite(now).all():
                return False
            step = float(np.linalg.norm(now - before, axis=1).max())
            before = now
            if step < CONVERGED_PX:
                return True
        return step < 0.05

    def corner_sigma(self) -> float:
        """Root mean square of the standard errors of the corners' coordinates, in pixels."""
        c = self.template.cells
        total = 0.0
        for corner in self.template.corners():
            uv = corner / (c / 2) - 1
            in_cells = _warp_jacobian(uv[None], c)[0]  # (2, 8)
            in_pixels = np.linalg.inv(self._cells_per_pixel(self.corners().mean(0))) @ in_cells
            total += np.trace(in_pixels @ self.covariance @ in_pixels.T)
        return float(np.sqrt(max(total, 0.0) / 8))

    def _cells_per_pixel(self, at: Array) -> Array:
        """(2, 2) derivative of cells by pixels at a place of the picture."""
        x, y, w = self.to_cells @ [*at, 1.0]
        return (self.to_cells[:2, :2] - np.outer([x / w, y / w], self.to_cells[2, :2])) / w

    def _step(self) -> bool:
        t = self.template
        middle = self.corners().mean(0)
        slope = self._cells_per_pixel(middle)
        cells = _apply(self.to_cells, self.pixels)
        # What lies outside is unknown: its blur reaches about two standard deviations in.
        reach = 2.0 * np.sqrt(np.diag(slope @ self.blur @ slope.T)) + 0.5 * np.abs(slope).sum(1)
        reach = np.minimum(reach, 0.9)
        inside = ((cells > reach) & (cells < t.cells - reach)).all(1)
        if inside.sum() < LEAST_PIXELS:
            return False
        cells, values = cells[inside], self.values[inside]
        layers = self._layers(slope)
        shape = _sample(layers, cells)  # (M, 7): template, its gradient (2), its derivatives by the blur (3), known
        known = shape[:, 6] > 0.98
        if known.sum() < LEAST_PIXELS:
            return False
        cells, values, shape = cells[known], values[known], shape[known]
        white, along, by_blur = shape[:, 0], shape[:, 1:3], shape[:, 3:6]
        uv = cells / (t.cells / 2) - 1
        u, v = uv.T
        light = np.stack([np.ones_like(u), u, v, white, white * u, white * v, white * (1 - white)], 1)
        coefficients, weights = _robust(light, values)
        residuals = values - light @ coefficients
        contrast = (
            coefficients[3] + coefficients[4] * u + coefficients[5] * v + coefficients[6] * (1 - 2 * white)
        )  # of a change of the template
        warp = np.einsum("mi,mij->mj", along, _warp_jacobian(uv, t.cells))
        jacobian = np.concatenate([contrast[:, None] * np.concatenate([warp, by_blur], 1), light], 1)
        weighted = jacobian * weights[:, None]
        normal = weighted.T @ jacobian
        damping = 1e-6 * np.diag(normal) + 1e-12
        try:
            inverse = np.linalg.inv(normal + np.diag(damping))
        except np.linalg.LinAlgError:
            return False
        change = inverse @ (weighted.T @ residuals)
        spread = np.sum(weights * (values - np.average(values, weights=weights)) ** 2)
        left = np.sum(weights * residuals**2)
        self.explained = float(1 - left / max(spread, 1e-9))
        self.covariance = inverse[:8, :8] * left / max(len(values) - len(normal), 1)
        limit = 0.5 / max(np.abs(change[:8]).max() * t.cells / 2, 0.5)  # half a cell a step at most
        self._warp(change[:8] * limit)
        self._blur(change[8:11] * limit)
        return True

    def _layers(self, slope: Array) -> list[NDArray[np.float32]]:
        """The blurred template and its derivatives as pictures; by the blur's covariance (xx, xy, yy) in pixels^2."""
        t = self.template
        covariance = slope @ self.blur @ slope.T
        kx, ky = t.kx, t.ky
        power = covariance[0, 0] * kx**2 + 2 * covariance[0, 1] * kx * ky + covariance[1, 1] * ky**2
        blurred = t.spectrum * np.exp(-0.5 * power)
        px = slope[0, 0] * kx + slope[1, 0] * ky  # the wave number in pixels
        py = slope[0, 1] * kx + slope[1, 1] * ky
        size = t.known.shape
        factors = [1.0, 1j * kx, 1j * ky, -0.5 * px * px, -px * py, -0.5 * py * py]
        layers = [np.fft.irfft2(blurred * factor, size).astype(np.float32) for factor in factors]
        return [*layers, t.known]

    def _warp(self, p: Array) -> None:
        """cells <- W(cells), with W near the identity in coordinates from -1 to 1."""
        c = self.template.cells / 2
        warp = np.array([[1 + p[0], p[1], p[2]], [p[3], 1 + p[4], p[5]], [p[6], p[7], 1]])
        from_unit = np.array([[c, 0, c], [0, c, c], [0, 0, 1]])
        self.to_cells = from_unit @ warp @ np.linalg.inv(from_unit) @ self.to_cells

    def _blur(self, change: Array) -> None:
        covariance = self.blur + np.array([[change[0], change[1]], [change[1], change[2]]])
        values, vectors = np.linalg.eigh(covariance)
        values = np.clip(values, LEAST_BLUR_PX**2, MOST_BLUR_PX**2)
        self.blur = (vectors * values) @ vectors.T


def _warp_jacobian(uv: Array, cells: int) -> Array:
    """(M, 2, 8) derivative of cells by the parameters of `_Fit._warp`."""
    u, v = uv.T
    zero, one = np.zeros_like(u), np.ones_like(u)
    x = np.stack([u, v, one, zero, zero, zero, -u * u, -u * v], 1)
    y = np.stack([zero, zero, zero, u, v, one, -u * v, -v * v], 1)
    return np.stack([x, y], 1) * cells / 2


def _robust(design: Array, values: Array) -> tuple[Array, Array]:
    """Coefficients of a linear fit, and weights (Huber's) that keep glare and fingers out."""
    weights = np.ones(len(values))
    coefficients = np.zeros(design.shape[1])
    for _ in range(3):
        weighted = design.T * weights
        normal = weighted @ design
        ridge = 1e-9 * np.trace(normal) * np.eye(len(normal))  # a tag in even light leaves some columns alike
        coefficients = np.linalg.solve(normal + ridge, weighted @ values)
        residuals = np.abs(values - design @ coefficients)
        scale = max(1.4826 * float(np.median(residuals)), 0.5)
        weights = np.minimum(1.0, HUBER * scale / np.maximum(residuals, 1e-9))
    return coefficients, weights


def _sample(layers: list[NDArray[np.float32]], cells: Array) -> Array:
    """(M, len(layers)) bilinear samples at places in cells."""
    place = ((cells + PAD) * SAMPLES - 0.5).astype(np.float32)
    columns = []
    for layer in layers:
        # cv2.remap takes at most 32,767 rows: fold the list into a rectangle.
        rows = -(-len(place) // 1024)
        x = np.zeros(rows * 1024, np.float32)
        y = np.zeros(rows * 1024, np.float32)
        x[: len(place)], y[: len(place)] = place.T
        found = cv2.remap(layer, x.reshape(rows, 1024), y.reshape(rows, 1024), cv2.INTER_LINEAR)
        columns.append(found.ravel()[: len(place)])
    return np.stack(columns, 1).astype(float)


def _homography(a: Array, b: Array) -> Array:
    """(3, 3) that takes four points a (4, 2) to b (4, 2)."""
    found = cv2.getPerspectiveTransform(a.astype(np.float32), b.astype(np.float32))
    return np.asarray(found, float)


def _apply(h: Array, points: Array) -> Array:
    x = points @ h[:, :2].T + h[:, 2]
    return x[:, :2] / x[:, 2:]
