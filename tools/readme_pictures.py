"""Makes docs/images from a result of the demo clip: `make run`, then `.venv/bin/python tools/readme_pictures.py out/demo`.

Only the demo's pictures are shown in the README: real captures are not ours to redistribute.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
VIEWS = 2
GAP_PX = 6


def main(result: Path) -> None:
    """Held-out frames beside the scene from the same place, and the preview."""
    renders = sorted(result.glob(".splatflow/train/*/renders/*.png"))
    if not renders:
        sys.exit(f"{result} has no renders in .splatflow: run it without --clean")
    photos = {path.stem: path for path in (result / "images").iterdir()}
    chosen = [renders[round(i * (len(renders) - 1) / (VIEWS + 1))] for i in range(1, VIEWS + 1)]
    rows = []
    for path in chosen:
        render = np.asarray(Image.open(path).convert("RGB"))
        photo = np.asarray(Image.open(photos[path.stem]).convert("RGB"))
        rows.append(np.hstack([photo, np.full((len(photo), GAP_PX, 3), 255, np.uint8), render]))
    gap = np.full((GAP_PX, rows[0].shape[1], 3), 255, np.uint8)
    IMAGES.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.vstack([rows[0], gap, rows[1]])).save(IMAGES / "held_out.jpg", quality=90)
    Image.open(result / "preview.jpg").convert("RGB").save(IMAGES / "preview.jpg", quality=90)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
