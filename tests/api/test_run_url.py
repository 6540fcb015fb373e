"""A job's link to its run in Prefect's UI."""

from uuid import uuid4

import pytest

from storage.settings import load_settings
from tasks.errors import BadOption
from tests.api.site import new_site


def test_without_a_ui_there_is_no_link(site):
    job = site.submit()["job_id"]
    site.set(job, run_id=uuid4())
    assert site.call("GET", f"jobs/{job}/").json()["run_url"] is None


def test_a_job_links_to_the_run_of_its_attempt(tmp_path, empty_database):
    from prefect.utilities.urls import UI_URL_FORMATS

    site = new_site(tmp_path, empty_database, prefect_ui_url="https://prefect.example.org/ui/")
    try:
        submitted = site.submit()
        assert submitted["run_url"] is None
        job, run_id = submitted["job_id"], uuid4()
        assert site.call("GET", f"jobs/{job}/").json()["run_url"] is None
        site.set(job, run_id=run_id)
        expected = f"https://prefect.example.org/ui/{UI_URL_FORMATS['flow-run'].format(obj_id=run_id)}"
        assert site.call("GET", f"jobs/{job}/").json()["run_url"] == expected
        assert site.call("GET", "jobs/?detail=true").json()[0].get("run_url", expected) == expected
    finally:
        site.close()


@pytest.mark.parametrize("url", ["javascript:alert(1)", "prefect.example.org", "https://a b"])
def test_what_is_no_address_is_refused(monkeypatch, url):
    monkeypatch.setenv("SPLATFLOW_PREFECT_UI_URL", url)
    with pytest.raises(BadOption, match="SPLATFLOW_PREFECT_UI_URL"):
        load_settings()
