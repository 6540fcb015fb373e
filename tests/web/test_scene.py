"""The scene page as a person uses it, in a real browser on a real API."""

import http.server
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from cli.demo import demo_cameras, demo_scene
from tests.web.conftest import Opened, Watched, finished_scene
from tests.web.made import HEIGHT, VIEWS, WIDTH, MadeScene, depth_map, picture
from tests.web.served import Served
from tests.web.test_picture import open_viewer, settle

NEAR = 1e-6


def camera_of(page: Page) -> dict[str, Any]:
    return page.evaluate("window.splatflow.camera()")


def vector(point: dict[str, float]) -> np.ndarray:
    return np.array([point["x"], point["y"], point["z"]])


def signed_in(page: Page, key: str) -> None:
    """As after a visit to the jobs page."""
    page.evaluate("(key) => sessionStorage.setItem('splatflow-key', key)", key)
    page.reload()
    page.wait_for_function("() => window.splatflow !== undefined")
    page.evaluate("window.splatflow.ready")


def same_view(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """Position, direction and the turn about it agree to a millionth: what `up` has along the direction shows nowhere."""
    return all(np.abs(p - q).max() < NEAR for p, q in zip(axes(a), axes(b), strict=True))


def axes(camera: dict[str, Any]) -> list[np.ndarray]:
    """Position, direction, and the part of up that is across it, as unit vectors."""
    ahead = vector(camera["lookAt"]) - vector(camera["position"])
    ahead /= np.linalg.norm(ahead)
    up = vector(camera["up"]) - (vector(camera["up"]) @ ahead) * ahead
    return [vector(camera["position"]), ahead, up / np.linalg.norm(up)]


def test_it_opens_as_the_job_says_and_walks_both_ways(
    served: Served, made: MadeScene, opened: Opened, screenshots: Path
) -> None:
    job = finished_scene(served, made, public=True, camera_type="orbital")
    page = open_viewer(opened, f"{served.url}/scenes/{job}")
    expect(page).to_have_title("A made room")
    start = camera_of(page)
    assert start["cameraType"] == "orbital"
    assert same_view(start, made.camera)
    page.screenshot(path=screenshots / "scene.png")

    page.mouse.move(320, 200)
    page.mouse.down()
    page.mouse.move(400, 215, steps=4)
    page.mouse.up()
    settle(page)
    turned = camera_of(page)
    assert np.linalg.norm(vector(turned["position"]) - vector(start["position"])) > 0.1
    assert np.abs(vector(turned["lookAt"]) - vector(start["lookAt"])).max() < 1e-3  # it turned about the same point

    page.get_by_role("button", name="Drone").click()
    flying = camera_of(page)
    assert flying["cameraType"] == "drone"
    assert np.abs(vector(flying["position"]) - vector(turned["position"])).max() < NEAR  # no jump
    page.locator(".stage").focus()
    page.keyboard.down("w")
    page.wait_for_timeout(400)
    page.keyboard.up("w")
    settle(page)
    moved = camera_of(page)
    step = vector(moved["position"]) - vector(flying["position"])
    ahead = vector(flying["lookAt"]) - vector(flying["position"])
    assert np.linalg.norm(step) > 0.01
    assert step @ ahead / np.linalg.norm(step) / np.linalg.norm(ahead) > 0.99

    page.get_by_role("button", name="Reset the view").click()
    settle(page)
    assert same_view(camera_of(page), made.camera)


def test_a_saved_view_is_found_again(served: Served, made: MadeScene, opened: Opened) -> None:
    job = finished_scene(served, made)
    page = open_viewer(opened, served.call("GET", f"jobs/{job}/").json()["viewer_url"])
    assert page.get_by_role("button", name="Save this view").count() == 0  # nobody is signed in
    signed_in(page, served.key)
    camera = camera_of(page)
    camera["position"]["x"] += 0.123456789
    camera["up"] = {"x": 0.1, "y": 0.99, "z": 0.05}
    page.evaluate("(camera) => window.splatflow.setCamera(camera)", camera)
    settle(page)
    left = camera_of(page)
    page.get_by_role("button", name="Save this view").click()
    page.get_by_text("Saved.").wait_for()
    stored = served.call("GET", f"jobs/{job}/").json()["camera_data"]
    assert same_view(stored, left)
    assert stored["cameraType"] == "drone"
    page.reload()
    page.wait_for_function("() => window.splatflow !== undefined")
    page.evaluate("window.splatflow.ready")
    assert same_view(camera_of(page), left)


@pytest.mark.parametrize("metric", [True, False])
def test_a_length_on_the_floor_is_right(
    served: Served, made: MadeScene, opened: Opened, metric: bool, screenshots: Path
) -> None:
    scale = {"status": "scaled", "relative_uncertainty": 0.004} if metric else None
    job = finished_scene(served, made, public=True, scale=scale)
    page = open_viewer(opened, f"{served.url}/scenes/{job}", viewport={"width": 2 * WIDTH, "height": 2 * HEIGHT})
    page.evaluate("window.splatflow.showView(0)")
    settle(page)
    cameras = demo_cameras(VIEWS, width=WIDTH, height=HEIGHT)
    a, b = floor_pixels(cameras.viewmats[0], cameras.Ks[0])
    page.get_by_role("button", name="Measure", exact=True).click()
    for x, y in (a[0], b[0]):
        page.mouse.click(2 * x, 2 * y)
    shown = page.locator("[data-length]").get_attribute("data-length")
    assert shown is not None
    if metric:
        page.screenshot(path=screenshots / "measure.png")
    true = float(np.linalg.norm(a[1] - b[1]))
    number, unit = re.fullmatch(r"([\d.]+) (\w+)", shown).groups()  # pyright: ignore[reportOptionalMemberAccess]
    found = float(number) * {"mm": 0.001, "cm": 0.01, "m": 1.0, "units": 1.0}[unit]
    assert (unit == "units") is not metric
    assert abs(found - true) < 0.03 * true, (shown, true)
    assert (page.get_by_text("not to scale").count() > 0) is not metric


def floor_pixels(viewmat: np.ndarray, K: np.ndarray) -> list[tuple[tuple[float, float], np.ndarray]]:
    """Two pixels that see the floor (y = 0), far apart, and the points that they see there."""
    depth = depth_map(demo_scene(coarseness=3.4), viewmat, K, WIDTH, HEIGHT)
    R, t = viewmat[:3, :3].astype(np.float64), viewmat[:3, 3].astype(np.float64)
    eye = -R.T @ t
    seen = []
    for y in range(10, HEIGHT - 60, 6):  # above the toolbar
        for x in range(10, WIDTH - 10, 6):
            ray = R.T @ np.linalg.inv(K.astype(np.float64)) @ [x + 0.5, y + 0.5, 1.0]
            if ray[1] < 0.05:
                continue
            distance = -eye[1] / ray[1]  # the depth, since the ray's own depth is 1
            near = depth[y - 4 : y + 5, x - 4 : x + 5]
            if np.abs(near - distance).max() < 0.06 * distance:
                seen.append(((x + 0.5, y + 0.5), eye + distance * ray))
    assert len(seen) > 10
    return max(([p, q] for p in seen[::3] for q in seen[::5]), key=lambda pair: np.linalg.norm(pair[0][1] - pair[1][1]))


def test_photos_are_laid_over_the_scene(served: Served, made: MadeScene, opened: Opened, screenshots: Path) -> None:
    job = finished_scene(served, made, public=True)
    page = open_viewer(opened, f"{served.url}/scenes/{job}")
    before = camera_of(page)
    page.get_by_role("button", name="Compare with photos").click()
    line = page.get_by_role("slider", name="Line between photo and scene")
    line.wait_for()
    assert line.get_attribute("aria-valuenow") == "50"
    line.press("ArrowRight")
    assert line.get_attribute("aria-valuenow") == "52"
    page.get_by_role("button", name="Next view").click()
    settle(page)
    page.screenshot(path=screenshots / "compare.png")
    expect(page.get_by_label("Held-out view")).to_have_value("1")
    page.get_by_role("button", name="End comparing").click()
    page.get_by_role("button", name="Reset the view").wait_for()  # the toolbar is back
    settle(page)
    assert same_view(camera_of(page), before)


def test_what_is_known_of_a_scene_is_told(served: Served, made: MadeScene, opened: Opened) -> None:
    job = finished_scene(served, made, public=True)
    page = open_viewer(opened, f"{served.url}/scenes/{job}")
    page.get_by_role("button", name="About this scene").click()
    panel = page.get_by_role("dialog")
    for text in (f"{made.num_gaussians:,}", "31.5 dB", "0.930", "17 of 17", "not to scale", "kB"):
        expect(panel.get_by_text(text).first).to_be_visible()
    page.keyboard.press("Escape")
    expect(panel).to_have_count(0)
    page.get_by_role("button", name="Share").click()
    assert page.get_by_label("Link").input_value() == f"{served.url}/scenes/{job}"
    assert "embed=1" in page.get_by_label("Embed in another page").input_value()


@pytest.fixture
def other_site() -> Iterator[tuple[str, dict[str, str]]]:
    """Another site's address, and its pages by path."""
    pages: dict[str, str] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = pages.get(self.path, "").encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", pages
    server.shutdown()
    server.server_close()
    thread.join()


def test_an_embed_fits_into_another_site_and_nothing_else_does(
    served: Served, made: MadeScene, opened: Opened, watched: Watched, other_site: tuple[str, dict[str, str]]
) -> None:
    site, pages = other_site
    watched.allowed.add(site)
    watched.expected.add("frame-ancestors")
    job = finished_scene(served, made)
    link = served.call("GET", f"jobs/{job}/").json()["viewer_url"]
    pages["/blog"] = (
        f'<!doctype html><link rel=icon href=data:,><iframe src="{link}&embed=1" width=400 height=300></iframe>'
    )
    pages["/theft"] = f'<!doctype html><link rel=icon href=data:,><iframe src="{link}" width=400 height=300></iframe>'
    page = opened(f"{site}/blog")
    frame = page.frame_locator("iframe")
    frame.get_by_role("link", name="Open the scene in its own page").wait_for()
    frame.locator("canvas").wait_for()
    assert frame.get_by_role("button").count() == 0
    page.goto(f"{site}/theft")
    page.wait_for_timeout(300)
    assert page.frame_locator("iframe").locator("#root").count() == 0


def test_a_running_job_is_followed_until_it_is_a_scene(
    served: Served, made: MadeScene, opened: Opened, screenshots: Path
) -> None:
    job = served.submit(title="On its way", public=True)["job_id"]
    served.set(job, queue_position=3)
    page = opened(f"{served.url}/scenes/{job}")
    expect(page.get_by_text("position 3")).to_be_visible()
    served.set(job, state="running", step="sfm", queue_position=None, step_done=1, step_total=4)
    expect(page.locator("li[aria-current=step]")).to_contain_text("camera")
    key = f"jobs/{job}/previews/1/1.jpg"
    served.store.put_bytes(key, picture(90))
    served.set(job, step="train", percent=40, step_done=40, step_total=100, preview_key=key)
    bar = page.get_by_role("progressbar")
    expect(bar).to_have_attribute("aria-valuenow", "40")
    still = page.get_by_role("img", name="On its way")
    still.wait_for()
    first = still.get_attribute("src")
    page.screenshot(path=screenshots / "live.png")
    second = f"jobs/{job}/previews/1/2.jpg"
    served.store.put_bytes(second, picture(160))
    served.set(job, percent=70, preview_key=second)
    expect(still).not_to_have_attribute("src", str(first))
    served.finish(job, **made.files)
    served.set(job, camera_computed=made.camera)
    page.wait_for_function("() => window.splatflow !== undefined")
    page.evaluate("window.splatflow.ready")
    expect(page.locator("canvas")).to_be_visible()


def test_a_page_without_webgl2_shows_a_picture(
    served: Served, made: MadeScene, opened: Opened, screenshots: Path
) -> None:
    job = finished_scene(served, made, public=True)
    key = f"jobs/{job}/outputs/1/preview.jpg"
    served.store.put_bytes(key, picture(120))
    served.set(job, preview_key=key)
    page = opened()
    page.add_init_script(
        "const get = HTMLCanvasElement.prototype.getContext;"
        "HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {"
        "  return kind === 'webgl2' ? null : get.call(this, kind, ...rest); };"
    )
    page.goto(f"{served.url}/scenes/{job}")
    expect(page.get_by_text("WebGL 2")).to_be_visible()
    expect(page.get_by_role("img", name="A made room")).to_be_visible()
    page.screenshot(path=screenshots / "no-webgl2.png")
    assert json.loads(page.locator("#page-data").inner_text())["state"] == "viewable"
