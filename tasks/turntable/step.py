"""The turntable step: a trained scene in, a short video that goes around in it out."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from tasks.gaussians.files import new_folder
from tasks.gaussians.ground import NEUTRAL_GROUND
from tasks.geometry.framing import viewmat
from tasks.process.worker import peak_memory_bytes
from tasks.train.backend import Backend, choose_backend
from tasks.train.render import render_with_alpha
from tasks.turntable.encode import choose_encoder, encode
from tasks.turntable.options import TurntableOptions, TurntableRecord
from tasks.turntable.path import plan, views
from tasks.turntable.scene import Scene, lens_of_size, parameters, read_scene

Progress = Callable[[int, int, str], None]
VIDEO, POSTER = "turntable.mp4", "poster.jpg"
POSTER_QUALITY = 92


def turntable(trained: Path, posed: Path, out: Path, options: TurntableOptions, progress: Progress) -> TurntableRecord:
    """Render the scene in `trained/scene.ply` along a path about its framing, `trained/camera.json`, into the new folder `out`.

    Writes `turntable.mp4`, a loop without a seam; `poster.jpg`, its first frame, which is the framing's own view; and `turntable.json`.
    A subject alone (`trained/masks` or `posed/masks` is there) is on the neutral ground. Inputs are read, never changed;
    `progress` may raise to stop, and then nothing is left. One frame at a time is held, besides those that the encoder looks at.

    Raises:
        VideoEncoderMissing: checked before anything else.
        BadScene: the scene or its framing can't be read.
        BadPosedInput: the cameras can't be read.
        DeviceUnavailable, DiskFull, OutputUnwritable.
    """
    encoder = choose_encoder()
    started = time.perf_counter()
    with new_folder(out) as part:
        progress(0, options.frames, "reading the scene")
        scene = read_scene(trained, posed)
        planned = plan(scene.filmed, path=options.path, frames=options.frames)
        backend = choose_backend(options.device, options.threads)
        K, width, height = lens_of_size(scene.lens, options.side_px)
        poses = [viewmat(view) for view in views(scene.filmed, planned.positions)]
        renderer = _Renderer(scene, backend, K, width, height)

        def frames() -> Iterator[NDArray[np.uint8]]:
            for number, pose in enumerate(poses):
                picture = renderer.render(pose)
                if number == 0:
                    _write_poster(part / POSTER, picture)
                yield picture
                progress(number + 1, options.frames, f"rendering frame {number + 1} of {options.frames}")

        encode(part / VIDEO, frames(), encoder, width=width, height=height, fps=options.fps, threads=options.threads)
        record = TurntableRecord(
            path=planned.kind,
            reach_deg=planned.reach_deg,
            aside=planned.aside,
            frames=options.frames,
            fps=options.fps,
            seconds=options.frames / options.fps,
            width=width,
            height=height,
            codec=encoder.name,
            bytes=(part / VIDEO).stat().st_size,
            masked=scene.masked,
            render_seconds=renderer.seconds,
            made_in_seconds=time.perf_counter() - started,
            peak_memory_bytes=peak_memory_bytes(),
            warnings=planned.warnings,
        )
        told = {**asdict(record), "options": asdict(options)}
        (part / "turntable.json").write_text(json.dumps(told, indent=1, allow_nan=False))
    return record


class _Renderer:
    """Renders pictures of one scene with one lens; holds its tensors on the backend's device."""

    def __init__(self, scene: Scene, backend: Backend, K: NDArray[np.float32], width: int, height: int) -> None:
        self._params = parameters(scene.gaussians, backend.device)
        self._scene, self._backend, self._K, self._size = scene, backend, K, (width, height)
        self.seconds = 0.0

    def render(self, pose: NDArray[np.float64]) -> NDArray[np.uint8]:
        """(H, W, 3) sRGB, seen from `pose` (4, 4)."""
        began, before = time.perf_counter(), torch.get_num_threads()
        if self._backend.device.type == "cpu":
            torch.set_num_threads(1)  # the rasteriser uses all cores; two pools of threads on them wait for each other
        try:
            image, alpha = render_with_alpha(
                self._params,
                self._backend,
                pose.astype(np.float32),
                self._K,
                *self._size,
                antialiased=self._scene.antialiased,
            )
        finally:
            torch.set_num_threads(before)
        if self._scene.masked:
            image = image + (1 - alpha) * np.float32(NEUTRAL_GROUND)
        picture = (np.clip(image, 0, 1) * 255).round().astype(np.uint8)
        self.seconds += time.perf_counter() - began
        return picture


def _write_poster(path: Path, picture: NDArray[np.uint8]) -> None:
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, POSTER_QUALITY])
    path.write_bytes(data.tobytes())  # not cv2.imwrite, which hides why it failed
