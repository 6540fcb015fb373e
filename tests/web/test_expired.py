"""A scene whose files were removed after their time: its page says so, opened anew or open before."""

import re

from playwright.sync_api import expect

from storage.tables import now
from tests.web.conftest import Opened, finished_scene
from tests.web.made import MadeScene
from tests.web.served import Served

SAID = re.compile(r"kept for a while only; they were removed on .*\d{4}")


def test_the_page_says_that_the_files_are_gone(served: Served, made: MadeScene, opened: Opened) -> None:
    job = finished_scene(served, made, public=True)
    page = opened(f"{served.url}/scenes/{job}")
    expect(page.locator("canvas")).to_be_visible()
    served.set(job, files={}, preview_key=None, expired_at=now())
    expect(page.get_by_text(SAID)).to_be_visible()
    expect(page.locator("canvas")).to_have_count(0)
    page.reload()
    expect(page.get_by_text(SAID)).to_be_visible()
    assert served.call("DELETE", f"jobs/{job}/").status_code == 204
