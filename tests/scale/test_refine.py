"""Corners from the whole pattern: where they are, and which pixel is meant."""

import cv2
import numpy as np
import pycolmap
import pytest

from tasks.geometry.cameras import pixels_from_rays
from tasks.scale.refine import refine
from tasks.tags.detector import tag_detector
from tasks.tags.families import BLACK, FAMILIES, family, pattern
from tests.support.tagged import Film, Renderer, Scene, Tag, table, walk, wall_tag

PLAIN = pycolmap.Camera(model="PINHOLE", width=640, height=480, params=[580, 580, 322, 239], camera_id=1)


def drawn(name: str, tag_id: int, cell_px: int, offset: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A tag drawn from whole pixels, blurred; and its true corners, (0, 0) being the corner of the first pixel."""
    layout = family(name)
    gray = np.where(pattern(name, tag_id) == BLACK, 30, 220).astype(np.uint8)
    picture = np.full((400, 400), 220, np.uint8)
    tag = np.kron(gray, np.ones((cell_px, cell_px), np.uint8))
    picture[offset[1] : offset[1] + len(tag), offset[0] : offset[0] + len(tag)] = tag
    low, high = layout.inset, layout.inset + layout.inner_cells
    corners = cell_px * np.array([[low, high], [high, high], [high, low], [low, low]], float) + offset
    return cv2.GaussianBlur(picture, (0, 0), 0.8), corners


@pytest.mark.parametrize("name", FAMILIES)
def test_no_half_pixel_is_lost(name):
    """Whole cells of whole pixels: every corner lies exactly on a corner of pixels."""
    picture, corners = drawn(name, 3, 12, (100, 80))
    found = refine(picture, corners + np.array([0.9, -0.7]), name, 3)
    assert found is not None
    assert np.abs(found.corners - corners).max() < 0.02
    assert found.explained > 0.99


@pytest.mark.parametrize("cell_px", [3, 7, 25, 40])
def test_small_and_large_tags(cell_px):
    picture, corners = drawn("tagStandard41h12", 7, cell_px, (20, 30))
    found = refine(picture, corners + np.array([0.4, 0.3]), "tagStandard41h12", 7)
    assert found is not None
    assert np.abs(found.corners - corners).max() < 0.05


def test_another_tag_is_not_borne_out():
    picture, corners = drawn("tagStandard41h12", 7, 12, (100, 80))
    found = refine(picture, corners, "tagStandard41h12", 8)
    assert found is None or found.explained < 0.9


def test_a_flat_picture_and_a_tag_outside_give_nothing_sound():
    flat = np.full((200, 200), 128, np.uint8)
    corners = np.array([[50, 100], [100, 100], [100, 50], [50, 50]], float)
    found = refine(flat, corners, "tagStandard41h12", 0)
    assert found is None or found.explained < 0.7
    assert refine(flat, corners + 1000, "tagStandard41h12", 0) is None


def truth(tag: Tag, pose: np.ndarray) -> np.ndarray:
    local = tag.corners() @ pose[:, :3].T + pose[:, 3]
    return pixels_from_rays(PLAIN, local[:, :2] / local[:, 2:])


def side(corners: np.ndarray) -> float:
    return float(np.linalg.norm(corners - np.roll(corners, 1, axis=0), axis=1).mean())


@pytest.mark.parametrize(("blur_px", "noise"), [(0.5, 2.0), (1.5, 2.0), (0.8, 6.0)])
def test_cameras_that_encode_light_do_not_make_tags_larger(blur_px, noise):
    """Edges alone say that this tag's white square is up to 3 % larger than it is; the pattern as a whole doesn't."""
    rng = np.random.default_rng(0)
    tag = wall_tag(4, 0.0, 0.2, 0.09)
    render = Renderer(Scene(quads=table(), tags=[tag]), PLAIN)
    by_edges, by_pattern, off = [], [], []
    with tag_detector(tag.family) as detector:
        for pose in walk(6, rng, degrees=60):
            picture = render(pose, Film(blur_px=blur_px, noise=noise), rng)
            for seen in detector.detect(picture):
                true = truth(tag, pose)
                found = refine(picture, seen.corners, tag.family, 4)
                assert found is not None
                by_edges.append(side(seen.corners) / side(true) - 1)
                by_pattern.append(side(found.corners) / side(true) - 1)
                off.append(np.abs(found.corners - true).max())
    assert len(off) >= 3
    assert np.mean(by_edges) > 0.01
    assert abs(np.mean(by_pattern)) < 0.001
    assert np.median(off) < 0.08
