"""Where the camera of a turntable goes: closed, smooth, where the scene was filmed from, and always looking at one point."""

import numpy as np
import pytest

from tasks.geometry.framing import viewmat
from tasks.turntable.path import ORBIT_ASIDE, SWAY_ASIDE, Filmed, Plan, plan, views
from tests.turntable.made import UP, filmed, ring

FRAMES = 120
ARC = ring(np.linspace(-35, 35, 25))
CIRCLE = ring(np.linspace(0, 345, 24))


def steps(planned: Plan) -> np.ndarray:
    """(F, 3) from each frame to the next, from the last to the first too."""
    return np.roll(planned.positions, -1, axis=0) - planned.positions


def check(known: Filmed, planned: Plan) -> None:
    """What holds for every path."""
    own, at = np.array(known.framing.position), np.array(known.framing.look_at)
    np.testing.assert_allclose(planned.positions[0], own, atol=1e-12)
    moves = np.linalg.norm(steps(planned), axis=1)
    turns = np.linalg.norm(np.roll(steps(planned), -1, axis=0) - steps(planned), axis=1)
    # no jump, not from the last frame to the first either, and no jerk: the velocity changes little by little
    assert moves.max() < 0.1 * np.linalg.norm(own - at)
    assert turns.max() <= 0.3 * moves.max() + 1e-12
    for view in views(known, planned.positions)[::7]:
        pose = viewmat(view)
        ahead = pose[:3, :3] @ at + pose[:3, 3]
        np.testing.assert_allclose(ahead[:2], 0, atol=1e-9)
        assert ahead[2] > 0
        assert pose[1, :3] @ UP < 0  # upright
    again = plan(known, path=planned.kind, frames=len(planned.positions))
    np.testing.assert_array_equal(again.positions, planned.positions)


def test_a_circle_of_cameras_is_gone_around() -> None:
    known = filmed(CIRCLE, own=5)
    planned = plan(known, path="auto", frames=FRAMES)
    assert (planned.kind, planned.reach_deg, planned.warnings) == ("orbit", 360.0, ())
    assert planned.aside <= ORBIT_ASIDE
    check(known, planned)
    np.testing.assert_allclose(np.linalg.norm(planned.positions, axis=1), np.linalg.norm(CIRCLE[5]))
    np.testing.assert_allclose(planned.positions[:, 1], CIRCLE[5, 1])
    azimuths = np.unwrap(np.arctan2(planned.positions[:, 0], planned.positions[:, 2]))
    np.testing.assert_allclose(np.abs(np.diff(azimuths)), 2 * np.pi / FRAMES)


@pytest.mark.parametrize("gap_deg", [40, 60, 120])
def test_a_gap_that_nobody_filmed_is_not_crossed(gap_deg: int) -> None:
    known = filmed(ring(np.linspace(gap_deg / 2, 360 - gap_deg / 2, 90)), own=45)
    planned = plan(known, path="auto", frames=FRAMES)
    assert planned.kind == ("orbit" if gap_deg < 50 else "sway")
    check(known, planned)
    forced = plan(known, path="orbit", frames=FRAMES)
    assert (forced.kind, bool(forced.warnings)) == ("orbit", gap_deg > 50)


def test_a_sway_stays_where_the_scene_was_filmed_from() -> None:
    known = filmed(ARC, own=12)
    planned = plan(known, path="auto", frames=FRAMES)
    assert planned.kind == "sway"
    check(known, planned)
    nearest = np.linalg.norm(planned.positions[:, None] - ARC[None], axis=2).min(1)
    assert nearest.max() <= SWAY_ASIDE * np.linalg.norm(ARC[12]) + 1e-9
    assert planned.aside == pytest.approx(nearest.max() / np.linalg.norm(ARC[12]))
    azimuths = np.degrees(np.arctan2(planned.positions[:, 0], -planned.positions[:, 2]))
    assert (azimuths.min(), azimuths.max()) == (pytest.approx(-25, abs=1), pytest.approx(25, abs=1))
    assert planned.warnings == ()


@pytest.mark.parametrize("own", [0, 3, 12, 24])
def test_a_framing_off_the_middle_sways_to_the_filmed_side(own: int) -> None:
    known = filmed(ARC, own=own)
    planned = plan(known, path="sway", frames=FRAMES)
    check(known, planned)
    azimuths = np.degrees(np.arctan2(planned.positions[:, 0], -planned.positions[:, 2]))
    assert azimuths.min() > -36
    assert azimuths.max() < 36
    assert np.ptp(azimuths) > 15


def test_a_walk_ahead_sways_along_its_way() -> None:
    """Hardly to the sides, since nobody was there; nearer and farther instead."""
    along = np.linspace(-3, 1, 40)
    cameras = np.stack([0.02 * np.sin(5 * along), np.full(40, -0.5), along], 1)
    known = filmed(cameras, own=15, look_at=np.array([0.0, -0.3, 3.0]))
    planned = plan(known, path="auto", frames=FRAMES)
    assert (planned.kind, planned.warnings) == ("sway", ())
    check(known, planned)
    moved = np.ptp(planned.positions, axis=0)
    assert moved[2] > 2 * moved[0]
    assert moved[2] > 0.5


def test_the_unit_of_the_scene_does_not_matter() -> None:
    for cameras in (ARC, CIRCLE):
        one, other = (plan(filmed(unit * cameras, own=5), path="auto", frames=60) for unit in (1.0, 1e-3))
        assert one.kind == other.kind
        np.testing.assert_allclose(other.positions, 1e-3 * one.positions, atol=1e-12)


def test_cameras_in_one_place_warn() -> None:
    known = filmed(ring(np.full(9, 10.0)))
    planned = plan(known, path="auto", frames=FRAMES)
    assert planned.kind == "sway"
    assert len(planned.warnings) == 1
    np.testing.assert_allclose(planned.positions, known.framing.position * np.ones((FRAMES, 1)), atol=1e-9)


def test_no_path_leads_through_a_surface() -> None:
    """A pillar stands between two of the cameras, on the way of an orbit and of a sway."""
    rng = np.random.default_rng(0)
    pillar = ring(np.full(300, 8.0)) + rng.uniform(-1, 1, (300, 3)) * [0.02, 1.5, 0.02]
    for cameras, kind in ((ring(np.linspace(0, 330, 16)), "orbit"), (ring(np.linspace(-44, 44, 5)), "sway")):
        own = int(np.argmin(np.abs(cameras[:, 0]) + cameras[:, 2]))
        free, blocked = (
            plan(filmed(cameras, own=own, points=points), path="auto", frames=FRAMES) for points in (None, pillar)
        )
        assert (free.kind, blocked.kind) == (kind, "sway")
        assert _nearest(free, pillar) < 0.05
        assert _nearest(blocked, pillar) > 0.2
    known = filmed(CIRCLE, points=pillar)
    assert plan(known, path="orbit", frames=FRAMES).warnings != ()


def test_a_look_straight_down_sways_without_flipping_over() -> None:
    """The up axis is then the camera's own, as the framing gives it."""
    cameras = np.array([[0.3 * x, -3.0, 0.3 * y] for x in range(-3, 4) for y in range(-3, 4)])
    x, y, z = cameras[24].tolist()
    known = filmed(cameras, own=24)
    known = Filmed(
        framing=type(known.framing)(position=(x, y, z), look_at=(0.0, 0.0, 0.0), up=(0.0, 0.0, 1.0), view=24),
        cameras=cameras,
        points=known.points,
    )
    planned = plan(known, path="auto", frames=FRAMES)
    assert planned.kind == "sway"
    assert planned.positions[:, 1].max() < -2.5
    assert planned.reach_deg > 5
    poses = np.stack([viewmat(view)[:3, :3] for view in views(known, planned.positions)])
    cosines = (np.einsum("fij,fij->f", poses, np.roll(poses, 1, axis=0)) - 1) / 2
    assert np.degrees(np.arccos(np.clip(cosines, -1, 1))).max() < 5


def _nearest(planned: Plan, points: np.ndarray) -> float:
    return float(np.linalg.norm(planned.positions[:, None] - points[None], axis=2).min())
