"""What goes wrong around a page: odd titles, foreign and dead links, jobs that vanish, a service that does."""

import time
import unicodedata
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from playwright.sync_api import Page, expect

from storage import scene_links
from tests.web.conftest import Opened, Watched, finished_scene
from tests.web.made import MadeScene
from tests.web.served import SECRET, Served
from tests.web.test_picture import open_viewer

TITLES = (
    "</script><script>window.pwned = 1</script>",
    '"><img src=x onerror="window.pwned = 1">',
    "{{7*7}} ${7*7} <%= 7*7 %> javascript:window.pwned=1",
    "שלום עולם \u05d0\u05d1 العربية mixed ltr 123",
    "Z\u0351\u036b\u0343a\u0356\u0359\u0325lgo \U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001d518\U0001d52b\U0001d526",
    "&lt;b&gt;&amp;amp; \\u003cscript\\u003e %3Cscript%3E",
    "W" * 255,
)


def open_jobs(opened: Opened, served: Served, **options: object) -> Page:
    """The jobs page of who is signed in."""
    page = opened(f"{served.url}/", **options)
    page.get_by_label("API key").fill(served.key)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Jobs", exact=True).wait_for()
    return page


@pytest.mark.parametrize("title", TITLES, ids=range(len(TITLES)))
def test_a_title_is_text_on_every_page(served: Served, opened: Opened, title: str) -> None:
    job = served.submit(title=title, public=True)["job_id"]
    title = unicodedata.normalize("NFC", title)  # as the service keeps it
    page = opened(f"{served.url}/scenes/{job}")
    expect(page.get_by_role("heading", level=1)).to_have_text(title)
    expect(page).to_have_title(title)
    jobs = open_jobs(opened, served)
    card = jobs.locator(f"[data-job-id='{job}']")
    expect(card.get_by_role("heading")).to_have_text(title)
    card.get_by_role("button", name="Share").click()
    expect(jobs.get_by_role("dialog").locator("bdi")).to_have_text(title)
    for shown in (page, jobs):
        assert shown.evaluate("window.pwned") is None
        assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth")  # no title widens a page
        shown.close()  # before the job goes: what asks for it then gets, and logs, a 404
    assert served.call("DELETE", f"jobs/{job}/").status_code == 204


def test_links_that_lead_nowhere(
    served: Served, made: MadeScene, opened: Opened, watched: Watched, screenshots: Path
) -> None:
    watched.expected |= {"404", "403"}  # browsers log the page's own status
    private = finished_scene(served, made)
    expired = int(time.time()) - 5
    signature = scene_links.sign(SECRET.encode(), UUID(private), expired)
    unavailable = "This scene is private, or it doesn't exist any more."
    for path, text in {
        f"/scenes/{private}": unavailable,
        f"/scenes/{uuid4()}": unavailable,
        "/scenes/nonsense": unavailable,
        f"/scenes/{private}?expires={expired + 1}&signature={signature}": unavailable,
        f"/scenes/{private}?expires={expired}&signature={signature}": "expired",
    }.items():
        page = opened(served.url + path)
        expect(page.get_by_text(text).first).to_be_visible()
    page.screenshot(path=screenshots / "expired.png")


def test_an_owner_comes_to_the_own_scene_without_a_link(
    served: Served, made: MadeScene, opened: Opened, watched: Watched
) -> None:
    watched.expected.add("404")
    private = finished_scene(served, made)
    page = open_jobs(opened, served)
    page.goto(f"{served.url}/scenes/{private}")
    page.wait_for_url("**signature=**")
    page.get_by_role("button", name="Save this view").wait_for()


def test_a_scene_that_is_deleted_or_made_private_while_it_is_open(
    served: Served, made: MadeScene, opened: Opened
) -> None:
    for vanish in (
        lambda job: served.call("DELETE", f"jobs/{job}/"),
        lambda job: served.call("PATCH", f"jobs/{job}/", json={"public": False}),
    ):
        job = finished_scene(served, made, public=True)
        page = open_viewer(opened, f"{served.url}/scenes/{job}")
        assert vanish(job).status_code in (200, 204)
        expect(page.get_by_role("heading", name="This scene isn't there any more")).to_be_visible()
        expect(page.locator("canvas")).to_have_count(0)


def test_a_job_that_is_deleted_elsewhere_leaves_the_list(served: Served, opened: Opened, watched: Watched) -> None:
    watched.expected.add("404")  # its picture may be asked for at this very moment
    job = served.submit(title="Soon gone")["job_id"]
    page = open_jobs(opened, served)
    card = page.locator(f"[data-job-id='{job}']")
    card.wait_for()
    served.call("DELETE", f"jobs/{job}/")
    expect(card).to_have_count(0)


def test_a_service_that_goes_away_and_comes_back(
    served: Served, opened: Opened, watched: Watched, screenshots: Path
) -> None:
    watched.expected |= {
        "ERR_CONNECTION_REFUSED",
        "ERR_INCOMPLETE_CHUNKED_ENCODING",
        "ERR_CONNECTION_RESET",
        "ERR_EMPTY_RESPONSE",
    }
    job = served.submit(title="Patient", public=True)["job_id"]
    served.set(job, queue_position=2)
    live = opened(f"{served.url}/scenes/{job}")
    jobs = open_jobs(opened, served)
    expect(live.get_by_text("position 2")).to_be_visible()
    served.stop()
    try:
        expect(live.get_by_text("can't be reached")).to_be_visible()
        expect(jobs.get_by_text("can't be reached").first).to_be_visible()
        jobs.screenshot(path=screenshots / "away.png")
        served.set(job, queue_position=1)
    finally:
        served.start()
    expect(live.get_by_text("position 1")).to_be_visible()
    expect(live.get_by_text("can't be reached")).to_have_count(0)
    expect(jobs.locator(f"[data-job-id='{job}']").get_by_text("position 1").first).to_be_visible()
    expect(jobs.get_by_text("can't be reached")).to_have_count(0)


def test_keys_that_are_no_good(served: Served, opened: Opened, watched: Watched) -> None:
    watched.expected |= {"401", "403"}
    page = opened(f"{served.url}/")
    field, button = page.get_by_label("API key"), page.get_by_role("button", name="Sign in")
    field.fill("sfk_nonsense")
    button.click()
    expect(page.get_by_role("alert").first).not_to_be_empty()
    field.fill(served.new_key("free", plan="free"))
    button.click()
    expect(page.get_by_role("alert").first).to_contain_text("account")
    assert "sfk_" not in page.url
    field.fill(served.key)
    button.click()
    page.get_by_role("heading", name="Jobs", exact=True).wait_for()
    assert "sfk_" not in page.url
    assert page.context.cookies() == []
    assert page.evaluate("JSON.stringify(localStorage)") == "{}"
