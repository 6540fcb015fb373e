"""Laws of similarity transforms and of the normalised frame."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from tasks.geometry.normalise import centre_of_view
from tasks.geometry.similarity import Similarity, align_points, rotation_between

seeds = st.integers(0, 2**31 - 1)


@settings(max_examples=50, deadline=None)
@given(seed=seeds, scale=st.floats(0.01, 100))
def test_align_recovers_any_similarity(seed, scale):
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((8, 3))
    truth = Similarity(
        scale=scale, rotation=Rotation.random(random_state=seed % 2**31).as_matrix(), translation=rng.standard_normal(3)
    )
    found = align_points(points, truth.apply(points))
    assert found.scale == pytest.approx(scale, rel=1e-6)
    np.testing.assert_allclose(found.rotation, truth.rotation, atol=1e-6)
    np.testing.assert_allclose(found.apply(points), truth.apply(points), atol=1e-6 * scale)


def test_align_never_mirrors():
    rng = np.random.default_rng(0)
    points = rng.standard_normal((10, 3))
    found = align_points(points, points * [1, 1, -1])
    assert np.linalg.det(found.rotation) == pytest.approx(1.0)


@settings(max_examples=50, deadline=None)
@given(seed=seeds)
def test_rotation_between_turns_one_into_the_other(seed):
    a, b = np.random.default_rng(seed).standard_normal((2, 3))
    r = rotation_between(a, b)
    np.testing.assert_allclose(r @ a / np.linalg.norm(a), b / np.linalg.norm(b), atol=1e-9)
    np.testing.assert_allclose(r @ r.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(r) == pytest.approx(1.0)


def test_rotation_between_opposites_is_half_a_turn():
    r = rotation_between(np.array([0, 0, 1.0]), np.array([0, 0, -1.0]))
    np.testing.assert_allclose(r @ [0, 0, 1], [0, 0, -1], atol=1e-12)
    assert np.linalg.det(r) == pytest.approx(1.0)


def test_matrix_and_apply_agree():
    s = Similarity(scale=2.0, rotation=Rotation.from_euler("y", 30, degrees=True).as_matrix(), translation=np.ones(3))
    x = np.array([[1.0, 2.0, 3.0]])
    np.testing.assert_allclose((s.matrix() @ np.append(x[0], 1))[:3], s.apply(x)[0])


def test_centre_of_an_orbit_is_where_the_axes_meet():
    angles = np.linspace(0, np.pi, 9)
    centres = np.stack([5 + 3 * np.sin(angles), np.full(9, -1.0), 3 * np.cos(angles)], 1)
    target = np.array([5.0, 0.0, 0.0])
    axes = (target - centres) / np.linalg.norm(target - centres, axis=1, keepdims=True)
    np.testing.assert_allclose(centre_of_view(centres, axes, np.full(9, 4.0)), target, atol=1e-9)


def test_centre_of_a_walk_lies_ahead():
    centres = np.stack([np.zeros(9), np.zeros(9), np.linspace(0, 8, 9)], 1)
    axes = np.tile([0.0, 0.0, 1.0], (9, 1))
    np.testing.assert_allclose(centre_of_view(centres, axes, np.full(9, 5.0)), [0, 0, 9], atol=1e-9)
