"""A job's whole life, as a client that polls and one that listens see it."""

from tests.contract.checks import check_camera, check_detail, check_status
from tests.contract.client import Api
from tests.contract.life import MAX_GAUSSIANS, NEW_TITLE, STEPS, Life

ORDER = {"Queued": 0, "Processing video": 1, "Generating 3D scene": 2, "Finished": 3}


def place(status: str) -> int:
    return ORDER[status.partition(" - position")[0]]


def test_the_statuses_come_in_the_documented_order(finished: Life) -> None:
    places = [place(status) for status, _ in finished.seen]
    assert places == sorted(places), finished.seen
    assert set(places) == {0, 1, 2, 3}, finished.seen


def test_every_detail_on_the_way_is_as_documented(finished: Life) -> None:
    for detail in finished.details:
        check_detail(detail)


def test_percent_rises(finished: Life) -> None:
    percents = [percent for _, percent in finished.seen if percent is not None]
    assert percents == sorted(percents)
    assert percents[-1] == 100
    training = {percent for status, percent in finished.seen if status == "Generating 3D scene"}
    assert len(training) >= 3, finished.seen


def test_the_detail_at_the_end(finished: Life) -> None:
    detail = finished.detail
    check_detail(detail)
    assert detail["has_ply"] is True
    assert detail["has_spz"] is True
    assert {"ply", "spz", "report", "report_html", "colmap", "camera"} <= set(detail["files"])
    assert (detail["training_num_steps"], detail["training_max_num_gaussians"]) == (STEPS, MAX_GAUSSIANS)
    assert detail["error_code"] is None
    assert detail["error_message"] is None
    assert detail["started_at"] is not None
    assert detail["uploaded_at"] <= detail["started_at"] <= detail["finished_at"]
    assert detail["queue_position"] is None
    assert detail["estimated_time_remaining"] in (None, 0)
    assert isinstance(detail["quality"], dict)
    assert detail["quality"]
    check_camera(detail["camera_data"])
    assert "cameraType" not in detail["camera_data"]


def test_a_change_while_it_ran_is_kept(finished: Life) -> None:
    """A PATCH while the pipeline writes progress loses neither."""
    assert finished.renamed_while == "Generating 3D scene"
    assert (finished.detail["title"], finished.detail["public"]) == (NEW_TITLE, True)


def test_previews_appear_during_training(finished: Life) -> None:
    assert finished.preview_while_training


def test_the_events_tell_the_same_story(finished: Life) -> None:
    assert finished.stream_closed, finished.events
    assert not any("stream_error" in event for event in finished.events), finished.events[-1]
    for event in finished.events:
        check_status(event)
    places = [place(event["status"]) for event in finished.events]
    assert places == sorted(places)
    assert {1, 2, 3} <= set(places)
    assert finished.events[-1]["status"] == "Finished"
    check_detail(finished.events[-1])
    assert any(event["title"] == NEW_TITLE for event in finished.events)


def test_the_event_stream_is_never_silent_for_long(finished: Life) -> None:
    """A comment every 15 seconds keeps proxies from closing the connection."""
    gaps = [after - before for before, after in zip(finished.line_times, finished.line_times[1:], strict=False)]
    assert max(gaps) < 20, gaps


def test_listed_as_finished(api: Api, finished: Life) -> None:
    jobs = api.get("jobs/", params={"status": "finished"}).json()
    assert finished.job in [job["job_id"] for job in jobs]


def test_events_of_a_finished_job_end_at_once(api: Api, finished: Life) -> None:
    with api.events(finished.job, timeout=5) as lines:
        text = "\n".join(lines)
    assert "event: job" in text
    assert "Finished" in text
