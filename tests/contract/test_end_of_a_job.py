"""DELETE of a job with outputs; the last of the suite, since the other tests need that job."""

import time

from tests.contract.checks import check_error
from tests.contract.client import Api, outside
from tests.contract.conftest import Service
from tests.contract.life import Life
from tests.contract.signed import is_local

SECONDS_TO_REMOVE = 120


def test_files_of_a_deleted_job_cannot_be_reached(api: Api, service: Service, finished: Life) -> None:
    """URLs signed before are dead, too: at once on the local store, within two minutes on S3."""
    paths = [
        f"jobs/{finished.job}/{path}" for path in ("download/ply/", "download/spz/", "download/report/", "preview/")
    ]
    urls = [api.get(path).headers["location"] for path in paths]
    assert [outside("GET", url).status_code for url in urls] == [200] * 4
    assert api.request("DELETE", f"jobs/{finished.job}/").status_code == 204
    for path in paths:
        check_error(api.get(path), 404, "Job not found")
    deadline = time.monotonic() + (0 if is_local(urls[0], service.url) else SECONDS_TO_REMOVE)
    while any(outside("GET", url).status_code == 200 for url in urls):
        assert time.monotonic() < deadline
        time.sleep(1)
    assert all(outside("GET", url).status_code in (403, 404) for url in urls)
