"""The demo clip: a furnished room corner made of Gaussians, filmed by a camera whose poses are known.

The scene is made by formulas from a seed: it is ours to show, and the same on every machine. Its splats and cameras are
known exactly, so that tests use it as the truth.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from cli import demo_textures as textures
from cli.demo_surfaces import Cover, Patch, Texture, box_faces, cover, plane, sphere, torus, turned
from tasks.gaussians.files import writing
from tasks.gaussians.model import Gaussians

Array = NDArray[np.float64]
WIDTH, HEIGHT, FOCAL_PX = 640, 360, 540.0
FRAMES_PER_SECOND = 12
LOOK_AT = np.array([0.0, -0.42, 0.05])
LIGHT = np.array([0.45, -0.75, -0.48])  # towards the lamp
ROOM_SPACING, OBJECT_SPACING = 0.026, 0.0125
X, UP, Z = np.array([1.0, 0, 0]), np.array([0, -1.0, 0]), np.array([0, 0, 1.0])
CORNER = np.array([-1.9, 0.0, 1.9])  # where floor and walls meet
BOOKS = (
    (0.62, 0.46, 10.0),
    (0.56, 0.42, -12.0),
    (0.50, 0.38, 25.0),
    (0.44, 0.34, 3.0),
)  # width, depth, degrees
BOOK_HEIGHT = 0.105
FOOTPRINTS = (  # x, z and radius of what stands on the floor
    (0.05, -0.05, 0.36),
    (0.72, 0.62, 0.3),
    (0.55, -0.55, 0.36),
    (-0.55, -0.75, 0.3),
    (-0.78, 0.45, 0.5),
    (1.25, -0.12, 0.36),
)
SH_C0 = 0.28209479177387814
SKY = (0.80, 0.84, 0.88)


@dataclass(frozen=True, kw_only=True)
class DemoCameras:
    """Pinhole cameras: viewmats (C, 4, 4) are cam_from_world, Ks (C, 3, 3), size in pixels."""

    viewmats: NDArray[np.float32]
    Ks: NDArray[np.float32]
    width: int
    height: int


def demo_scene(seed: int = 0, *, coarseness: float = 1.0) -> Gaussians:
    """The room as Gaussians of SH degree 0, gravity along +y, about 200,000 of them at `coarseness` 1.

    Args:
        seed: changes colours and patterns, not the shapes.
        coarseness: factor on the distance between Gaussians; their number falls with its square.
    """
    covers = [cover(patch) for patch in _patches(seed, coarseness)]
    whole = Cover(**{name: np.concatenate([vars(c)[name] for c in covers]) for name in vars(covers[0])})
    rgb = np.clip(whole.albedo, 0.02, 0.98) * _light(whole)[:, None]
    return Gaussians(
        means=whole.means.astype(np.float32),
        quats=whole.quats.astype(np.float32),
        scales=np.log(whole.scales).astype(np.float32),
        opacities=np.full(len(whole.means), np.log(0.97 / 0.03), np.float32),
        sh_coeffs=((np.clip(rgb, 0, 1) - 0.5) / SH_C0).astype(np.float32)[:, None, :],
    )


def surfaces() -> list[Callable[[Array, Array], Array]]:
    """The surfaces that the Gaussians lie on, each from (s, t) in [0, 1] to points: the truth about the shapes."""
    return [patch.place for patch in _patches(0, 1.0)]


def demo_cameras(count: int = 60, *, width: int = WIDTH, height: int = HEIGHT) -> DemoCameras:
    """A walk along an arc about the objects, rising and falling a little, as a hand-held phone would."""
    viewmats, focal = [], FOCAL_PX * width / WIDTH
    for i in range(count):
        phase = i / max(count - 1, 1)
        azimuth = np.radians(-45 + 96 * (phase - 0.5))
        distance = 3.0 + 0.25 * np.cos(2 * np.pi * phase)
        up = 1.30 + 0.32 * np.sin(4 * np.pi * phase)
        eye = LOOK_AT + np.array([distance * np.cos(azimuth), -up, distance * np.sin(azimuth)])
        sway = 0.06 * np.array([np.sin(5 * np.pi * phase), np.sin(7 * np.pi * phase + 1), 0.0])
        viewmats.append(_look_at(eye, LOOK_AT + sway))
    K = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    return DemoCameras(
        viewmats=np.stack(viewmats).astype(np.float32),
        Ks=np.repeat(K[None].astype(np.float32), count, 0),
        width=width,
        height=height,
    )


def render(scene: Gaussians, cameras: DemoCameras, index: int) -> NDArray[np.uint8]:
    """One frame of the clip, (height, width, 3)."""
    import torch

    from tasks.train.raster import native

    colors, _, _ = native.rasterization(
        torch.from_numpy(scene.means),
        torch.from_numpy(scene.quats),
        torch.from_numpy(scene.scales).exp(),
        torch.from_numpy(scene.opacities).sigmoid(),
        torch.from_numpy(scene.sh_coeffs),
        torch.from_numpy(cameras.viewmats[index : index + 1]),
        torch.from_numpy(cameras.Ks[index : index + 1]),
        cameras.width,
        cameras.height,
        sh_degree=scene.sh_degree,
        backgrounds=torch.tensor([SKY]),
    )
    return (colors[0].clamp(0, 1) * 255).round().to(torch.uint8).numpy()


def write_clip(path: Path, *, frames: int = 60, seed: int = 0, coarseness: float = 1.0) -> None:
    """Renders the demo clip into an .mp4.

    Raises:
        DiskFull, OutputUnwritable: `path` can't be written.
    """
    scene, cameras = demo_scene(seed, coarseness=coarseness), demo_cameras(frames)
    draft = path.with_name(f".{path.stem}.part.mp4")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _encode(draft, (render(scene, cameras, i) for i in range(frames)))
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise


def _encode(path: Path, frames) -> None:
    import av
    from av.video.stream import VideoStream

    with av.open(str(path), "w") as container:
        codec = next(name for name in ("libx264", "libopenh264", "mpeg4") if name in av.codecs_available)
        stream = cast(VideoStream, container.add_stream(codec, rate=FRAMES_PER_SECOND))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        if codec == "libx264":
            stream.options = {"crf": "14", "preset": "medium"}
        else:
            stream.bit_rate = 8_000_000
        for image in frames:
            for packet in stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def _patches(seed: int, coarseness: float) -> list[Patch]:
    return _room(seed, ROOM_SPACING * coarseness) + _objects(seed, OBJECT_SPACING * coarseness)


def _room(seed: int, spacing: float) -> list[Patch]:
    floor = plane(CORNER - 6 * Z, 6 * X, 6 * Z)
    back, side = plane(CORNER, 6 * X, 2.6 * UP), plane(CORNER - 6 * Z, 6 * Z, 2.6 * UP)
    carpet = plane(np.array([-1.25, -0.008, -1.25]), 2.5 * X, 2.5 * Z)
    return [
        Patch(place=floor, texture=textures.planks, size=(6, 6), spacing=spacing, seed=seed + 10),
        Patch(place=back, texture=textures.bricks, size=(6, 2.6), spacing=spacing, seed=seed + 20),
        Patch(place=side, texture=textures.wallpaper, size=(6, 2.6), spacing=spacing, seed=seed + 30),
        Patch(
            place=carpet,
            texture=textures.rug,
            size=(2.5, 2.5),
            spacing=0.6 * spacing,
            seed=seed + 40,
            keep=lambda s, t: np.hypot(s - 0.5, t - 0.5) < 0.5,
            centre=True,
        ),
    ]


def _objects(seed: int, spacing: float) -> list[Patch]:
    ball = sphere(np.array([0.05, -0.36, -0.05]), 0.36)
    vase = turned(np.array([0.72, 0, 0.62]), 0.95, lambda t: 0.16 + 0.12 * np.sin(np.pi * (0.15 + 0.9 * t)) ** 2)
    ring = torus(np.array([0.55, -0.11, -0.55]), 0.27, 0.11)
    tent = turned(np.array([-0.55, 0, -0.75]), 0.62, lambda t: 0.27 * (1 - t) + 0.004)
    patches = [
        _picture(np.array([-0.9, -0.95, 1.87]), 0.9 * X, 0.62 * UP, spacing, seed + 50),
        _picture(np.array([0.55, -0.85, 1.87]), 0.62 * X, 0.8 * UP, spacing, seed + 51),
        _picture(np.array([-1.87, -1.0, -0.9]), 1.0 * Z, 0.7 * UP, spacing, seed + 52),
        Patch(place=ball, texture=textures.marble, size=(2.26, 1.13), spacing=spacing, seed=seed + 60),
        Patch(place=vase, texture=textures.porcelain, size=(1.6, 0.95), spacing=spacing, seed=seed + 70),
        Patch(place=ring, texture=textures.rope, size=(1.7, 0.69), spacing=spacing, seed=seed + 80),
        Patch(place=tent, texture=textures.cloth, size=(1.4, 0.68), spacing=spacing, seed=seed + 90),
    ]
    patches += _box(np.array([-0.78, 0, 0.45]), (0.72, 0.75, 0.62), 24, textures.crate, spacing, seed + 100)
    for i, (width, depth, turn) in enumerate(BOOKS):
        foot = np.array([1.25, -BOOK_HEIGHT * i, -0.12])
        patches += _box(foot, (width, BOOK_HEIGHT, depth), turn, textures.book, spacing, seed + 120 + i)
    return patches


def _picture(corner: Array, s_edge: Array, t_edge: Array, spacing: float, seed: int) -> Patch:
    """A framed picture a little in front of a wall."""
    width, height = float(np.linalg.norm(s_edge)), float(np.linalg.norm(t_edge))

    def texture(u: Array, v: Array, seed: int) -> Array:
        edge = np.minimum(np.minimum(u, width - u), np.minimum(v, height - v))
        wood = textures.mix((0.25, 0.15, 0.07), (0.60, 0.42, 0.20), textures.fractal(u * 30, v * 30, seed + 9))
        return np.where((edge < 0.045)[:, None], wood, textures.painting(u * 1.6, v * 1.6, seed))

    place = plane(corner, s_edge, t_edge)
    return Patch(place=place, texture=texture, size=(width, height), spacing=spacing, seed=seed)


def _box(
    foot: Array, size: tuple[float, float, float], turn_deg: float, texture: Texture, spacing: float, seed: int
) -> list[Patch]:
    return [
        Patch(
            place=plane(corner, s, t),
            texture=texture,
            size=(float(np.linalg.norm(s)), float(np.linalg.norm(t))),
            spacing=spacing,
            seed=seed + 7 * i,
        )
        for i, (corner, s, t) in enumerate(box_faces(foot, size, turn_deg))
    ]


def _light(whole: Cover) -> Array:
    """Brightness (N,): a lamp, light from everywhere, and darker under the objects and in the corner."""
    lamp = np.clip(whole.normals @ (LIGHT / np.linalg.norm(LIGHT)), 0, 1)
    x, y, z = whole.means.T
    shade = np.ones(len(x))
    for foot_x, foot_z, radius in FOOTPRINTS:
        near = ((x - foot_x) ** 2 + (z - foot_z) ** 2) / radius**2
        shade *= 1 - 0.55 * np.exp(-(near**2)) * np.exp(y / 0.1)
    corner = 1 - 0.3 * np.exp(-(x - CORNER[0]) / 0.25) - 0.3 * np.exp(-(CORNER[2] - z) / 0.25)
    return (0.62 + 0.45 * lamp) * np.clip(shade, 0.3, 1) * np.clip(corner, 0.6, 1)


def _look_at(eye: Array, target: Array) -> Array:
    """cam_from_world (4, 4) of an upright camera: x right, y down, z forward."""
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(np.array([0.0, 1.0, 0.0]), forward)
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation, -rotation @ eye
    return pose
