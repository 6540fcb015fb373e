"""The view that shows a scene: finite, upright, from among the cameras, and on what they look at."""

import json

import numpy as np
import pytest

from tasks.geometry.framing import Framing, frame_scene, to_camera_json, viewmat

K = np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]])


def look_at(eye: np.ndarray, target: np.ndarray, up: np.ndarray) -> np.ndarray:
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    out = np.eye(4)
    out[:3, :3] = [right, np.cross(forward, right), forward]
    out[:3, 3] = -out[:3, :3] @ eye
    return out


def cloud(centre: np.ndarray, radius: float, count: int = 2000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return centre + radius * rng.uniform(-1, 1, (count, 3)), np.full(count, 0.9)


def orbit(target: np.ndarray, arc_deg: float = 360.0, count: int = 24) -> np.ndarray:
    angles = np.radians(np.linspace(0, arc_deg, count, endpoint=False))
    eyes = target + np.stack([3 * np.sin(angles), np.full(count, -0.8), -3 * np.cos(angles)], 1)
    return np.stack([look_at(eye, target, np.array([0, -1.0, 0])) for eye in eyes])


def frame(viewmats: np.ndarray, means: np.ndarray, opacities: np.ndarray) -> Framing:
    return frame_scene(viewmats, np.repeat(K[None], len(viewmats), 0), means, opacities)


@pytest.mark.parametrize("arc_deg", [120.0, 360.0])
def test_an_orbit_is_framed_on_its_middle(arc_deg: float) -> None:
    target = np.array([1.0, 2.0, 3.0])
    framing = frame(orbit(target, arc_deg), *cloud(target, 0.5))
    assert np.allclose(framing.look_at, target, atol=0.05)
    assert framing.up == (0.0, -1.0, 0.0)


def test_an_arc_is_seen_from_its_middle() -> None:
    framing = frame(orbit(np.zeros(3), 120.0, 25), *cloud(np.zeros(3), 0.5))
    assert 9 <= framing.view <= 15


def test_a_walk_looks_ahead_not_at_infinity() -> None:
    eyes = np.stack([np.zeros(20), np.zeros(20), np.linspace(0, 4, 20)], 1)
    viewmats = np.stack([look_at(eye, eye + np.array([0, 0, 1.0]), np.array([0, -1.0, 0])) for eye in eyes])
    framing = frame(viewmats, *cloud(np.array([0, 0, 5.0]), 3.0))
    assert 5 <= framing.view <= 15
    offset = np.subtract(framing.look_at, framing.position)
    assert offset[2] > 0.5
    assert np.linalg.norm(offset) < 10


def test_floaters_and_haze_change_little() -> None:
    target = np.zeros(3)
    means, opacities = cloud(target, 0.5)
    rng = np.random.default_rng(1)
    floaters = rng.normal(size=(200, 3)) * 1e6
    haze = rng.normal(size=(5000, 3))
    clean = frame(orbit(target), means, opacities)
    dirty = frame(
        orbit(target),
        np.concatenate([means, floaters, haze]),
        np.concatenate([opacities, np.ones(200), np.full(5000, 0.1)]),
    )
    assert np.allclose(clean.look_at, dirty.look_at, atol=0.2)


def test_without_points_the_cameras_are_enough() -> None:
    framing = frame(orbit(np.zeros(3)), np.zeros((0, 3)), np.zeros(0))
    assert np.isfinite([*framing.position, *framing.look_at]).all()
    assert np.allclose(framing.look_at, 0, atol=0.1)


def test_one_camera_and_equal_cameras() -> None:
    view = look_at(np.array([0, 0, -3.0]), np.zeros(3), np.array([0, -1.0, 0]))
    for count in (1, 5):
        framing = frame(np.repeat(view[None], count, 0), *cloud(np.zeros(3), 0.5))
        assert np.allclose(framing.look_at, 0, atol=0.2)


def test_a_look_straight_down_keeps_the_cameras_up() -> None:
    eyes = np.stack([np.linspace(-0.5, 0.5, 11), np.full(11, -3.0), np.zeros(11)], 1)
    viewmats = np.stack([look_at(eye, eye + np.array([0, 1.0, 0]), np.array([0, 0, 1.0])) for eye in eyes])
    framing = frame(viewmats, *cloud(np.zeros(3), 0.4))
    assert np.allclose(framing.up, [0, 0, 1])
    assert np.isfinite(viewmat(framing)).all()


def test_a_world_that_is_not_upright_is_shown_upright() -> None:
    turned = np.eye(4)
    turned[:3, :3] = [[0, 1, 0], [-1, 0, 0], [0, 0, 1]]  # a quarter about z
    framing = frame(orbit(np.zeros(3)) @ turned, *cloud(np.zeros(3), 0.5))
    assert np.allclose(framing.up, turned[:3, :3].T @ [0, -1, 0], atol=0.05)


def test_viewmat_is_a_rigid_view_of_the_look_at_point() -> None:
    framing = frame(orbit(np.array([1.0, 0, 0])), *cloud(np.array([1.0, 0, 0]), 0.5))
    m = viewmat(framing)
    assert np.allclose(m[:3, :3] @ m[:3, :3].T, np.eye(3))
    assert np.linalg.det(m[:3, :3]) == pytest.approx(1)
    seen = m @ [*framing.look_at, 1]
    assert np.allclose(seen[:2], 0, atol=1e-9)
    assert seen[2] > 0
    assert (m[:3, :3] @ framing.up)[1] < 0  # up in the world is up in the picture


def test_camera_json_is_y_up_and_finite() -> None:
    framing = frame(orbit(np.array([1.0, 2.0, 3.0])), *cloud(np.array([1.0, 2.0, 3.0]), 0.5))
    camera = to_camera_json(framing)
    assert list(camera) == ["position", "lookAt", "up"]
    assert camera["up"] == {"x": 0.0, "y": 1.0, "z": 0.0}
    assert "-0.0" not in json.dumps(camera["up"])
    assert [camera["lookAt"][k] for k in "xyz"] == [framing.look_at[0], -framing.look_at[1], -framing.look_at[2]]
    json.dumps(camera, allow_nan=False)
