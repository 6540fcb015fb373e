"""Masks against the views of the same points, on a ball before a wall whose masks are known."""

import cv2
import numpy as np
import pytest

from tasks.sfm.consensus import Sightings, reconcile, words_of_others

WIDTH, HEIGHT, FOCAL = 480, 360, 500.0
COUNT = 12


@pytest.fixture(scope="module")
def views() -> tuple[list[np.ndarray], list[np.ndarray], list[Sightings]]:
    """Pictures (H, W, 3), true masks (H, W) uint8, and what each view sees, of cameras on an arc around a ball."""
    rng = np.random.default_rng(0)
    ball = rng.normal(size=(900, 3))
    ball *= 0.5 / np.linalg.norm(ball, axis=1, keepdims=True)
    wall = np.stack([rng.uniform(-3, 3, 2500), rng.uniform(-2, 2, 2500), np.full(2500, 1.5)], 1)
    points = np.concatenate([ball, wall])
    pictures, masks, seen = [], [], []
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    for angle in np.deg2rad(np.linspace(-30, 30, COUNT)):
        c, s = np.cos(angle), np.sin(angle)
        rotation = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])  # cam_from_world; the centre is 2 before the ball
        in_cam = points @ rotation.T + [0, 0, 2]
        xy = in_cam[:, :2] / in_cam[:, 2:] * FOCAL + [WIDTH / 2, HEIGHT / 2]
        rays = np.stack([(x - WIDTH / 2) / FOCAL, (y - HEIGHT / 2) / FOCAL, np.ones_like(x)], -1)
        rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
        along = 2 * rays[..., 2]
        covered = 4 - along**2 < 0.25
        inside = (xy > 1).all(1) & (xy < [WIDTH - 1, HEIGHT - 1]).all(1)
        column, row = xy[:, 0].clip(0, WIDTH - 1).astype(int), xy[:, 1].clip(0, HEIGHT - 1).astype(int)
        front = ((in_cam - [0, 0, 2]) * in_cam).sum(1) < 0
        visible = inside & np.where(np.arange(len(points)) < 900, front, ~covered[row, column])
        seen.append(Sightings(xy=xy[visible], points=np.flatnonzero(visible)))
        masks.append(covered.astype(np.uint8) * 255)
        noise = cv2.GaussianBlur(rng.normal(0, 20, (HEIGHT, WIDTH, 3)), (0, 0), 2)
        pictures.append(
            np.clip(np.where(covered[..., None], [200, 120, 40], [70, 90, 120]) + noise, 0, 255).astype(np.uint8)
        )
    return pictures, masks, seen


def iou(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a >= 128, b >= 128
    return float((a & b).sum() / (a | b).sum())


def mend(views, masks: list[np.ndarray]) -> list[tuple[np.ndarray, float]]:
    pictures, _, seen = views
    words = words_of_others(seen, lambda index: masks[index])
    return [
        reconcile(lambda k=k: pictures[k], masks[k], seen[k].xy, words[k])  # type: ignore[misc]
        for k in range(len(masks))
    ]


def test_masks_that_agree_are_left_as_they_are(views):
    found = mend(views, views[1])
    assert all((alpha == truth).all() for (alpha, _), truth in zip(found, views[1], strict=True))
    assert {changed for _, changed in found} == {0.0}


@pytest.mark.parametrize("lost", [[0], [5], [3, 4, 5], [1, 6, 11]])
def test_a_subject_that_is_lost_comes_back(views, lost):
    masks = [np.zeros_like(m) if k in lost else m for k, m in enumerate(views[1])]
    found = mend(views, masks)
    for k, (alpha, changed) in enumerate(found):
        assert iou(alpha, views[1][k]) > (0.9 if k in lost else 0.999)
        assert (changed > 0.9) == (k in lost)


def test_a_patch_of_the_wall_goes(views):
    masks = [m.copy() for m in views[1]]
    for k in (4, 5, 6):
        cv2.circle(masks[k], (90, 80), 45, 255, -1)
    found = mend(views, masks)
    assert min(iou(found[k][0], views[1][k]) for k in (4, 5, 6)) > 0.97


def test_half_a_subject_comes_back(views):
    masks = [m.copy() for m in views[1]]
    masks[5][: HEIGHT // 2] = 0
    alpha, changed = mend(views, masks)[5]
    assert iou(alpha, views[1][5]) > 0.95
    assert 0.3 < changed < 0.7


def test_most_views_decide_what_is_subject(views):
    """Where most are wrong, they aren't told so; nothing is made worse in them."""
    masks = [np.zeros_like(m) if k > 1 else m for k, m in enumerate(views[1])]
    found = mend(views, masks)
    assert all(found[k][0].max() == 0 for k in range(2, COUNT))


def test_without_points_nothing_is_said(views):
    nothing = Sightings(xy=np.zeros((0, 2)), points=np.zeros(0, np.int64))
    words = words_of_others([nothing] * 3, lambda index: views[1][index])
    alpha, changed = reconcile(lambda: views[0][0], views[1][0], nothing.xy, words[0])
    assert (alpha == views[1][0]).all()
    assert changed == 0.0
