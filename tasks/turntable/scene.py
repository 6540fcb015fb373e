"""What the step reads: the trained scene, its framing, and where it was filmed from."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.errors import BadScene
from tasks.gaussians.model import Gaussians
from tasks.gaussians.ply import read_ply
from tasks.geometry.framing import Framing
from tasks.geometry.posed import PosedView, masks_in_force, read_posed
from tasks.train.parameters import NAMES, Parameters
from tasks.turntable.path import Filmed

MAX_POINTS = 100_000  # of surfaces; a path keeps clear of them just as well


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A trained scene with its framing.

    Attributes:
        filmed: the framing and what is around it.
        lens: the view whose lens and size fit the framing.
        masked: only a subject was trained.
        antialiased: how it was trained, which is how it must be rendered.
    """

    gaussians: Gaussians
    filmed: Filmed
    lens: PosedView
    masked: bool
    antialiased: bool


def read_scene(trained: Path, posed: Path) -> Scene:
    """The scene in `trained`, and the cameras in `posed/colmap`.

    Raises:
        BadScene: scene.ply or camera.json can't be read.
        BadPosedInput: the cameras can't be read.
    """
    masks = masks_in_force(trained, posed)
    model, views = read_posed(posed, masks)
    framing = _framing(trained / "camera.json", views)
    points = np.array([point.xyz for point in model.points3D.values()], np.float64).reshape(-1, 3)
    points = points[np.isfinite(points).all(1)]
    return Scene(
        gaussians=read_ply(trained / "scene.ply"),
        filmed=Filmed(
            framing=framing,
            cameras=np.array([_centre(view) for view in views if _sees(view, framing.look_at)]).reshape(-1, 3),
            points=points[:: max(1, -(-len(points) // MAX_POINTS))],
        ),
        lens=views[framing.view],
        masked=masks is not None,
        antialiased=_antialiased(trained),
    )


def parameters(gaussians: Gaussians, device: torch.device) -> Parameters:
    """The Gaussians as what is rendered, on the device."""
    tensors: dict[str, Any] = {
        name: torch.from_numpy(np.ascontiguousarray(getattr(gaussians, name), np.float32)).to(device) for name in NAMES
    }
    return Parameters(**tensors)


def lens_of_size(lens: PosedView, side_px: int) -> tuple[NDArray[np.float32], int, int]:
    """K (3, 3), width and height of the view with its long side at `side_px`; both are even, as video wants them."""
    factor = side_px / max(lens.width, lens.height)
    width, height = (max(2, 2 * round(side * factor / 2)) for side in (lens.width, lens.height))
    K = lens.K.copy()
    K[0] *= width / lens.width
    K[1] *= height / lens.height
    return K.astype(np.float32), width, height


def _framing(path: Path, views: list[PosedView]) -> Framing:
    """The framing in camera.json, in the frame of the cameras; it stands at the place of one of them."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        place, look_at, up = (
            np.array([data[name][axis] for axis in "xyz"], np.float64) * (1, -1, -1)
            for name in ("position", "lookAt", "up")
        )
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise BadScene(f"{path} is missing or can't be read; train again.") from error
    if not (np.isfinite([place, look_at, up]).all() and (place != look_at).any() and up.any()):
        raise BadScene(f"{path} holds no view: its numbers must be finite and its two places apart; train again.")
    if not views:
        raise BadScene("The model has no posed images, so nothing says with which lens to look; train again.")
    nearest = int(np.argmin([np.linalg.norm(_centre(view) - place) for view in views]))
    return Framing(position=tuple(place), look_at=tuple(look_at), up=tuple(up / np.linalg.norm(up)), view=nearest)


def _centre(view: PosedView) -> NDArray[np.float64]:
    return -view.viewmat[:3, :3].T @ view.viewmat[:3, 3]


def _sees(view: PosedView, point: tuple[float, float, float]) -> bool:
    """Whether the point is in front of the camera and within its picture."""
    x, y, z = view.K @ (view.viewmat[:3, :3] @ point + view.viewmat[:3, 3])
    return bool(z > 0 and 0 <= x <= z * view.width and 0 <= y <= z * view.height)


def _antialiased(trained: Path) -> bool:
    try:
        return bool(json.loads((trained / "train.json").read_text(encoding="utf-8"))["options"]["antialiased"])
    except (OSError, ValueError, LookupError, TypeError):
        return False  # as usual
