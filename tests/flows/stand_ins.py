"""Steps that only write what the next one reads, called in this process instead of one of their own."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tasks.process.messages import Job
from tasks.process.runner import Outcome

CAMERA = {
    "position": {"x": 0.0, "y": 0.0, "z": 5.0},
    "lookAt": {"x": 0, "y": 0, "z": 0},
    "up": {"x": 0, "y": 1, "z": 0},
}
SCALE = {"status": "scaled", "metres_per_unit": 0.5, "relative_uncertainty": 0.004}
PERCENT_STEPS = 4


class StandIns:
    """Takes the place of `tasks.process.runner.run_step`.

    Attributes:
        calls: the steps that were carried out.
        failures: what a step raises, once, after it has reported half of its progress.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.failures: dict[str, BaseException] = {}

    def __call__(self, job: Job, progress: Callable[[int, int, str], None], log: Path, **_: Any) -> Outcome:
        step = job.function.split(".")[1]
        self.calls.append(step)
        progress(PERCENT_STEPS // 2, PERCENT_STEPS, "half")
        if (error := self.failures.pop(step, None)) is not None:
            raise error
        job.out.mkdir(parents=True)
        record = getattr(self, f"_{step}")(job.out, job.arguments)
        progress(PERCENT_STEPS, PERCENT_STEPS, "done")
        return Outcome(record=record, seconds=1.0, peak_memory_bytes=1)

    def _extract(self, out: Path, arguments: dict[str, Any]) -> dict[str, Any]:
        (out / "extract.json").write_text("{}")
        (out / "frames.txt").write_bytes(arguments["source"].read_bytes())
        return {"frames_kept": 3, "warnings": ["Dark frames."]}

    def _mask(self, out: Path, arguments: dict[str, Any]) -> dict[str, Any]:
        assert (arguments["extracted"] / "frames.txt").is_file()
        assert arguments["model"].is_file()
        (out / "mask.json").write_text("{}")
        return {"coverage": 0.3, "warnings": ["Small subject."]}

    def _scale(self, out: Path, arguments: dict[str, Any]) -> dict[str, Any]:
        assert (arguments["posed"] / "images" / "x").is_file()
        assert arguments["options"].tag_size_mm == 95.6
        (out / "scale.json").write_text(json.dumps(SCALE))
        return {**SCALE, "warnings": ["One tag."]}

    def _mesh(self, out: Path, arguments: dict[str, Any]) -> dict[str, Any]:
        assert (arguments["trained"] / "scene").is_file()
        assert arguments["metres_per_unit"] == SCALE["metres_per_unit"]
        (out / "mesh.glb").write_text("glTF")
        return {"faces": 7}

    def _turntable(self, out: Path, arguments: dict[str, Any]) -> dict[str, Any]:
        assert (arguments["trained"] / "scene").is_file()
        assert (arguments["posed"] / "images" / "x").is_file()
        options = arguments["options"]
        (out / "turntable.mp4").write_text(f"{options.seconds} s")
        (out / "poster.jpg").write_text(options.path)
        return {"frames": options.frames}

    def _sfm(self, out: Path, arguments: dict[str, Any]) -> dict[str, Any]:
        assert (arguments["extracted"] / "frames.txt").read_bytes() == b"video"
        masks = arguments["masks"]
        if masks is not None:
            assert (masks / "mask.json").is_file()
        for name in ("images", "colmap", *(["masks"] if masks is not None else [])):
            (out / name).mkdir()
            (out / name / "x").write_text(name)
        return {"frames_registered": 3}

    def _train(self, out: Path, arguments: dict[str, Any]) -> dict[str, Any]:
        assert (arguments["posed"] / "images" / "x").is_file()
        (out / "scene").write_text("scene")
        return {"num_gaussians": 5}

    def _export(self, out: Path, arguments: dict[str, Any]) -> dict[str, Any]:
        assert (arguments["trained"] / "scene").is_file()
        for name in ("scene.ply", "scene.spz", "report.html", "preview.jpg"):
            (out / name).write_text(name)
        extras = arguments["extras"]
        for name in ("images", "colmap", *(["masks"] if extras.mask is not None else [])):
            (out / name).mkdir()
            (out / name / "x").write_text(name)
        if extras.mesh is not None:
            (out / "mesh.glb").write_bytes((extras.mesh / "mesh.glb").read_bytes())
        if extras.turntable is not None:
            for name in ("turntable.mp4", "poster.jpg"):
                (out / name).write_bytes((extras.turntable / name).read_bytes())
        (out / "camera.json").write_text(json.dumps(CAMERA))
        (out / "report.json").write_text(json.dumps({"warnings": ["Dark frames."], "training": {"num_gaussians": 5}}))
        return {}
