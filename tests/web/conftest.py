"""Browsers for the tests of the pages: Debian's Chromium with its software renderer, driven by Playwright."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Response, expect, sync_playwright

from tests.web.made import MadeScene, made_scene
from tests.web.served import Served

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
SOFTWARE_GL = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
PATIENCE_MS = 20_000
SHOTS = Path(__file__).resolve().parents[2] / "build" / "screenshots"  # of the pages, to look at after a run


@dataclass
class Watched:
    """What a page did that it must not do: errors on the console, requests to foreign origins, breaches of the policy.

    Attributes:
        allowed: origins besides the service's own.
        expected: parts of console texts that the test brings about itself.
    """

    url: str
    allowed: set[str] = field(default_factory=set)
    expected: set[str] = field(default_factory=set)
    found: list[str] = field(default_factory=list)
    bytes_by_url: dict[str, int] = field(default_factory=dict)

    def watch(self, page: Page) -> Page:
        """The page itself."""
        page.on(
            "console", lambda message: self._console(message.type, f"{message.text} {message.location.get('url', '')}")
        )
        page.on("pageerror", lambda error: self.found.append(f"exception: {error}"))
        page.on("request", lambda request: self._request(request.url))
        return page

    def _console(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not any(part in text for part in self.expected):
            self.found.append(f"console {kind}: {text}")

    def _request(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme in ("data", "blob"):
            return
        if f"{parts.scheme}://{parts.netloc}" not in {self.url, *self.allowed}:
            self.found.append(f"request: {url}")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all tests; each test has contexts of its own."""
    program = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("no Chromium: .ci/run installs it")
        pytest.skip("no Chromium found: install Debian's `chromium` to run the tests of the pages")
    with sync_playwright() as playwright:
        options = [*SOFTWARE_GL, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
        browser = playwright.chromium.launch(executable_path=program, args=options)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> MadeScene:
    return made_scene(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An API with no jobs but those that tests put there."""
    site = Served(tmp_path_factory.mktemp("served"))
    yield site
    site.close()


@pytest.fixture(scope="session")
def screenshots() -> Path:
    """Where pictures of the pages are kept."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    return SHOTS


Opened = Callable[..., Page]


@pytest.fixture
def watched(served: Served) -> Watched:
    return Watched(url=served.url)


@pytest.fixture
def opened(browser: Browser, watched: Watched) -> Iterator[Opened]:
    """Opens pages, each in a fresh profile unless told otherwise; at the end none of them may have done what it mustn't."""
    contexts: list[BrowserContext] = []

    def open_page(url: str | None = None, *, context: BrowserContext | None = None, **options: Any) -> Page:
        if context is None:
            context = browser.new_context(**{"viewport": {"width": 640, "height": 400}, **options})
            context.set_default_timeout(PATIENCE_MS)
            contexts.append(context)
        page = watched.watch(context.new_page())
        if url is not None:
            page.goto(url)
        return page

    expect.set_options(timeout=PATIENCE_MS)
    yield open_page
    for context in contexts:
        context.close()
    assert watched.found == []


def finished_scene(served: Served, made: MadeScene, *, title: str = "A made room", **columns: Any) -> str:
    """Id of a job that is finished with the made scene's files."""
    job = served.submit(title=title)["job_id"]
    served.finish(job, **made.files)
    quality = {
        "psnr_db": 31.5,
        "ssim": 0.93,
        "num_gaussians": made.num_gaussians,
        "frames_given": 17,
        "frames_registered": 17,
    }
    served.set(job, camera_computed=made.camera, **{"quality": quality, **columns})
    return job


def ok(response: Response | None) -> Response:
    """The response of a navigation that must have had one."""
    assert response is not None
    return response
