"""Weight, speed and accessibility of the pages."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page

from tests.web.conftest import Opened, Watched, finished_scene
from tests.web.made import MadeScene
from tests.web.served import Served

AXE = Path(__file__).resolve().parents[2] / "dashboards" / "web" / "node_modules" / "axe-core" / "axe.min.js"
MOST_BYTES = 1_500_000  # of a page under gzip, the scene not counted
FIRST_PAINT_MS = 1000
FIRST_PAINT = """() => new Promise((resolve) => {
  const look = () => {
    const found = performance.getEntriesByName("first-contentful-paint")[0];
    if (found) resolve(found.startTime); else setTimeout(look, 20);
  };
  look();
})"""


def serious(page: Page) -> list[dict[str, Any]]:
    """What axe finds that keeps people from using the page."""
    # Through the debugger: the page's own policy admits no foreign script.
    page.evaluate(AXE.read_text(encoding="utf-8") + "; undefined")
    result = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [
        {"rule": found["id"], "impact": found["impact"], "nodes": [node["html"][:200] for node in found["nodes"]]}
        for found in result["violations"]
        if found["impact"] in ("serious", "critical")
    ]


def everything_a_page_loads(url: str) -> dict[str, int]:
    """Bytes on the wire by URL: the page and, from there on, every asset that is named in what was loaded."""
    sizes: dict[str, int] = {}
    base = url[: url.index("/", 8)]
    with httpx.Client(trust_env=False, headers={"Accept-Encoding": "gzip"}) as client:
        names = [url.removeprefix(base)]
        while names:
            name = names.pop()
            with client.stream("GET", base + name) as answer:
                raw = b"".join(answer.iter_raw())
                sizes[name] = len(raw)
            text = client.get(base + name).text
            # "/assets/x.js" in a page, "./x.js" in what a script loads later
            found = {f"/assets/{asset}" for asset in re.findall(r"(?:assets|\.)/([\w-]+\.(?:js|css|svg|wasm))\b", text)}
            names += [asset for asset in sorted(found) if asset not in sizes and asset not in names]
    return sizes


@pytest.mark.parametrize("page_name", ["jobs", "scene"])
def test_a_page_is_light(served: Served, made: MadeScene, page_name: str) -> None:
    path = "/" if page_name == "jobs" else f"/scenes/{finished_scene(served, made, public=True)}"
    sizes = everything_a_page_loads(served.url + path)
    print(f"{page_name}: {sum(sizes.values()):,} bytes in {len(sizes)} files")
    assert sum(sizes.values()) < MOST_BYTES, sizes
    assert page_name == "jobs" or any("viewer" in name for name in sizes), sizes


def test_first_paint_does_not_wait_for_the_viewer(served: Served, made: MadeScene, opened: Opened) -> None:
    scene = f"{served.url}/scenes/{finished_scene(served, made, public=True)}"
    for url in (f"{served.url}/", scene):
        paints = [opened(url).evaluate(FIRST_PAINT) for _ in range(2)]  # the first also warms the server's memory
        print(f"{url}: first paint after {min(paints):.0f} ms")
        assert min(paints) < FIRST_PAINT_MS


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_keeps_people_out(
    served: Served, made: MadeScene, opened: Opened, watched: Watched, scheme: Any
) -> None:
    watched.expected.add("404")  # the status of the page of a scene that is none
    scene = finished_scene(served, made, public=True)
    waiting = served.submit(title="Still to come", public=True)["job_id"]
    page = opened(f"{served.url}/", color_scheme=scheme)
    page.get_by_role("heading").first.wait_for()
    assert serious(page) == []
    for path in (f"/scenes/{scene}", f"/scenes/{waiting}", "/scenes/nothing"):
        page.goto(served.url + path)
        page.get_by_role("heading").first.wait_for(state="attached")
        assert serious(page) == [], path
