"""One user's way through the real service: from the key to the deleted scene."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tasks.gaussians.spz import read_spz
from tests.contract.clip import demo_clip
from tests.support.group import Group, shared_group
from tests.web.conftest import Opened, Watched
from tests.web.made import psnr_db, render
from tests.web.test_picture import LEAST_DB, open_viewer, seen_from, settle
from tests.web.test_scene import camera_of, same_view

STEPS, MAX_GAUSSIANS, FRAMES = 150, 5000, 16
LIFE_MS = 300_000


@pytest.fixture(scope="module")
def group(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Group:
    return shared_group(request.config, tmp_path_factory.mktemp("service"))


@pytest.fixture
def watched(group: Group) -> Watched:
    store = group.environment.get("SPLATFLOW_S3_ENDPOINT")
    return Watched(url=group.url, allowed={store} if store else set())


@pytest.fixture
def clip(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """The fox where the captures are, else the demo clip."""
    from tests.conftest import SHARED_DATA

    fox = SHARED_DATA / "fox" / "video.mp4"
    if fox.is_file():
        return Path(shutil.copy(fox, tmp_path / "fox.mp4"))
    print("real captures not found in ../shared/data: the demo clip is uploaded in the fox's place")
    demo_clip(tmp_path / "fox.mp4")
    return tmp_path / "fox.mp4"


@pytest.fixture
def page(opened: Opened) -> Page:
    return opened(viewport={"width": 640, "height": 480})


@pytest.mark.service
@pytest.mark.timeout(420)
def test_from_the_key_to_the_deleted_scene(
    group: Group, page: Page, opened: Opened, clip: Path, watched: Watched, screenshots: Path, tmp_path: Path
) -> None:
    key = group.make_key("browser", account="browser")["key"]
    page.goto(f"{group.url}/")
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Jobs", exact=True).wait_for()

    # Upload, with the documented options by their names.
    page.get_by_label("Choose videos").set_input_files(clip)
    page.get_by_label("Title").fill("The fox")
    page.locator("summary", has_text="Advanced").click()
    for name, value in {
        "training_num_steps": STEPS,
        "training_max_num_gaussians": MAX_GAUSSIANS,
        "max_frames": FRAMES,
        "train_side_px": 320,
    }.items():
        page.locator(f"#{name}").fill(str(value))
    page.screenshot(path=screenshots / "jobs-new.png", full_page=True)
    page.get_by_role("button", name="Upload and start").click()
    card = page.locator(".job", has_text="The fox")
    card.wait_for()
    job = card.get_attribute("data-job-id")
    assert job is not None

    # Follow it on its own page: steps, percentage, pictures, and then the scene itself.
    card.get_by_role("link", name="Watch").click()
    page.wait_for_url("**/scenes/**")
    expect(page.get_by_text("Processing video").or_(page.get_by_text("Generating 3D scene")).first).to_be_visible(
        timeout=LIFE_MS
    )
    expect(page.get_by_text("Generating 3D scene")).to_be_visible(timeout=LIFE_MS)
    page.get_by_role("img", name="The fox").wait_for(timeout=LIFE_MS)
    page.wait_for_function("() => window.splatflow !== undefined", timeout=LIFE_MS)
    page.locator("canvas").wait_for(timeout=LIFE_MS)
    page.evaluate("window.splatflow.ready")

    # Walk in it, both ways.
    start = camera_of(page)
    assert start["cameraType"] == "drone"
    page.locator(".stage").focus()
    page.keyboard.down("w")
    page.wait_for_timeout(300)
    page.keyboard.up("w")
    settle(page)
    flown = camera_of(page)
    assert not same_view(flown, start)
    page.get_by_role("button", name="Orbit").click()
    page.mouse.move(320, 200)
    page.mouse.down()
    page.mouse.move(370, 208, steps=3)
    page.mouse.up()
    settle(page)
    turned = camera_of(page)
    assert not same_view(turned, flown)

    # Save the view, find it back.
    page.get_by_role("button", name="Save this view").click()
    page.get_by_text("Saved.").wait_for()
    page.reload()
    page.wait_for_function("() => window.splatflow !== undefined")
    page.evaluate("window.splatflow.ready")
    assert same_view(camera_of(page), turned)
    assert camera_of(page)["cameraType"] == "orbital"
    page.screenshot(path=screenshots / "fox.png")

    # Measure something.
    page.get_by_role("button", name="Measure", exact=True).click()
    page.mouse.click(300, 220)
    page.mouse.click(360, 280)
    expect(page.locator("[data-length]")).to_contain_text("units")
    page.keyboard.press("Escape")

    # The real scene, too, is shown as our renderer shows it.
    small = opened(viewport={"width": 320, "height": 240}, device_scale_factor=1)
    files = _files(page)
    spz = tmp_path / "scene.spz"
    spz.write_bytes(page.context.request.get(files["spz"]["url"]).body())
    _same_picture(small, page.url + ("&" if "?" in page.url else "?") + "embed=1", spz, _views(page, files))

    # Publish it; a fresh profile sees it without a key.
    page.goto(f"{group.url}/")
    card = page.locator(f"[data-job-id='{job}']")
    card.get_by_role("button", name="Share").click()
    page.get_by_role("switch").click()
    page.get_by_text("It is public now.").wait_for()
    expect(page.get_by_label("Link", exact=True)).to_have_value(f"{group.url}/scenes/{job}")
    page.screenshot(path=screenshots / "jobs-share.png")
    page.get_by_role("button", name="Close").click()
    stranger = open_viewer(opened, f"{group.url}/scenes/{job}")
    assert stranger.evaluate("sessionStorage.length") == 0
    assert stranger.get_by_role("button", name="Save this view").count() == 0
    embedded = open_viewer(opened, f"{group.url}/scenes/{job}?embed=1", viewport={"width": 400, "height": 300})
    assert embedded.get_by_role("button").count() == 0

    # Download it, delete it.
    card.get_by_text("Download").first.click()
    with page.expect_download() as download:
        card.get_by_role("button", name="SPZ").click()
    assert download.value.suggested_filename == "The fox.spz"
    card.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(card).to_have_count(0)
    expect(stranger.get_by_role("heading", name="This scene isn't there any more")).to_be_visible()
    assert watched.found == []


def _files(page: Page) -> dict[str, Any]:
    data = json.loads(page.locator("#page-data").inner_text())
    return data["scene"]["files"]


def _views(page: Page, files: dict[str, Any]) -> list[dict[str, Any]]:
    import io
    import zipfile

    archive = page.context.request.get(files["views"]["url"]).body()
    return json.loads(zipfile.ZipFile(io.BytesIO(archive)).read("views.json"))["views"]


def _same_picture(page: Page, url: str, spz: Path, views: list[dict[str, Any]]) -> None:
    """Held-out views in the browser against our renders of the same SPZ, at the size that the page gives the picture."""
    page.goto(url)
    page.wait_for_function("() => window.splatflow !== undefined")
    page.evaluate("window.splatflow.ready")
    scene, flip = read_spz(spz), np.diag([1.0, -1.0, -1.0, 1.0])
    for number, view in enumerate(views[:2]):
        shown = seen_from(page, number)
        height, width = shown.shape[:2]
        factor = min(width / view["width"], height / view["height"])
        inner_width, inner_height = view["width"] * factor, view["height"] * factor
        left, top = (width - inner_width) / 2, (height - inner_height) / 2
        K = np.array(
            [
                [view["fx"] * factor, 0, view["cx"] * factor + left],
                [0, view["fy"] * factor, view["cy"] * factor + top],
                [0, 0, 1],
            ]
        )
        viewmat = np.linalg.inv(flip @ np.array(view["world_from_camera"]) @ flip)
        ours = render(scene, viewmat, K, width, height)
        inside = np.s_[round(top) + 2 : round(top + inner_height) - 2, round(left) + 2 : round(left + inner_width) - 2]
        db = psnr_db(shown[inside], ours[inside])
        print(f"{view['name']}: {db:.2f} dB")
        assert db >= LEAST_DB
