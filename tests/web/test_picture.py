"""The viewer's picture is that of our own rasteriser."""

import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page

from tests.web.conftest import Opened, finished_scene
from tests.web.made import HEIGHT, WIDTH, MadeScene, psnr_db
from tests.web.served import Served

LEAST_DB = 30.0
CAPTURE = """async () => {
  const blob = await window.splatflow.capture();
  const bytes = new Uint8Array(await blob.arrayBuffer());
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}"""


SETTLE_MS = 60_000
SETTLED = f"""() => Promise.race([
  window.splatflow.settled(),
  new Promise((_, fail) => setTimeout(() => fail(new Error("the picture did not settle")), {SETTLE_MS})),
])"""


def settle(page: Page) -> None:
    """Waits until the picture of now is sorted and drawn."""
    page.evaluate(SETTLED)


def captured(page: Page) -> np.ndarray:
    """The canvas (H, W, 3)."""
    png = base64.b64decode(page.evaluate(CAPTURE))
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def seen_from(page: Page, view: int) -> np.ndarray:
    """The canvas (H, W, 3) from a held-out camera."""
    page.evaluate("(view) => window.splatflow.showView(view)", view)
    settle(page)
    return captured(page)


def open_viewer(opened: Opened, url: str, **options: Any) -> Page:
    """A page whose scene is there."""
    page = opened(url, **options)
    page.wait_for_function("() => window.splatflow !== undefined")
    page.evaluate("window.splatflow.ready")
    return page


@pytest.mark.parametrize("kind", ["spz", "ply"])
def test_held_out_cameras_see_what_our_renderer_sees(
    served: Served, made: MadeScene, opened: Opened, kind: str
) -> None:
    job = finished_scene(served, made, public=True)
    other = "ply" if kind == "spz" else "spz"
    files = served.call("GET", f"jobs/{job}/").json()["files"]
    served.finish(job, **{name: made.files[name] for name in files if name != other})
    page = open_viewer(
        opened, f"{served.url}/scenes/{job}?embed=1", viewport={"width": WIDTH, "height": HEIGHT}, device_scale_factor=1
    )
    found = []
    for view, render in enumerate(made.renders):
        picture = seen_from(page, view)
        assert picture.shape == (HEIGHT, WIDTH, 3)
        found.append(psnr_db(picture, render))
    print(f"{kind}: {[round(value, 2) for value in found]} dB")
    assert min(found) >= LEAST_DB, found


def test_a_still_page_draws_nothing(served: Served, made: MadeScene, opened: Opened) -> None:
    job = finished_scene(served, made, public=True)
    page = open_viewer(opened, f"{served.url}/scenes/{job}", viewport={"width": WIDTH, "height": HEIGHT})
    settle(page)
    page.wait_for_timeout(700)  # the toolbar came with the scene, and may have made room for itself
    before = page.evaluate("window.splatflow.renderedFrames()")
    page.wait_for_timeout(1500)
    assert page.evaluate("window.splatflow.renderedFrames()") == before
    camera = page.evaluate("window.splatflow.camera()")
    camera["position"]["x"] += 0.1
    page.evaluate("(camera) => window.splatflow.setCamera(camera)", camera)
    settle(page)
    assert page.evaluate("window.splatflow.renderedFrames()") > before
