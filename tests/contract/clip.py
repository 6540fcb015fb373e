"""The small clip that the suite has reconstructed: the demo scene, which the project films itself."""

from pathlib import Path

FRAMES, WIDTH, HEIGHT = 16, 320, 180


def demo_clip(path: Path) -> bytes:
    """A video of two seconds, of which a scene can be made in half a minute on two cores."""
    from cli import demo  # the only code of the project that the suite uses: it makes a video, nothing else
    from tests.extract import clips

    scene, cameras = demo.demo_scene(coarseness=1.6), demo.demo_cameras(60, width=WIDTH, height=HEIGHT)
    views = [demo.render(scene, cameras, i) for i in range(0, FRAMES * 2, 2)]
    return clips.write_clip(path, views, fps=8).read_bytes()
