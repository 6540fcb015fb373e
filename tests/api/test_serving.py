"""What needs a real server: streams, hanging clients, the end of the process."""

import http.client
import json
import socket
import threading
import time
from contextlib import contextmanager
from uuid import UUID

import pytest
import uvicorn

from api.events_hub import EventsHub
from api.main import SHUTDOWN_SECONDS, Server
from storage import accounts
from storage.tables import FINISHED, RUNNING
from tests.api.site import V1


@contextmanager
def serving(site):
    """The port of a server in a thread."""
    config = uvicorn.Config(
        site.app, port=0, loop="asyncio", ws="none", log_config=None, timeout_graceful_shutdown=SHUTDOWN_SECONDS
    )
    server = Server(config, site.app)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield listener.getsockname()[1], server
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()


@pytest.fixture
def watch(site):
    """Opens event streams, and closes them after the test."""
    connections = []

    def open_stream(port, job, key=None) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connections.append(connection)
        # Closed by the server at its end, so that nothing stays behind in the client.
        headers = {"Authorization": f"Api-Key {key or site.key}", "Connection": "close"}
        connection.request("GET", f"{V1}/jobs/{job}/events/", headers=headers)
        response = connection.getresponse()
        connections.append(response)
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/event-stream")
        return response

    yield open_stream
    for connection in connections:
        connection.close()


def next_event(response) -> dict:
    while (line := response.readline()) in (b"\n", b": still here\n"):
        pass
    assert line == b"event: job\n"
    return json.loads(response.readline().removeprefix(b"data: "))


def test_events_follow_a_job_to_its_end(site, watch):
    job = site.submit()["job_id"]
    with serving(site) as (port, _server):
        response = watch(port, job)
        assert next_event(response)["status"] == "Queued"
        for percent in (1, 2):
            site.set(job, state=RUNNING, step="train", percent=percent)
            assert next_event(response)["percent_complete"] == percent
        site.set(job, state=FINISHED)
        assert next_event(response)["status"] == "Finished"
        assert response.read() == b"\n"
        ended = watch(port, job)
        assert next_event(ended)["status"] == "Finished"
        assert ended.read() == b"\n"


def test_events_end_with_the_job_or_the_key(site, watch):
    deleted, kept = site.submit()["job_id"], site.submit()["job_id"]
    key, _, secret = accounts.create_key(site.database, name="second", account="ann")
    with serving(site) as (port, _server):
        first, second = watch(port, deleted), watch(port, kept, key=secret)
        for response in (first, second):
            next_event(response)
        site.call("DELETE", f"jobs/{deleted}/")
        assert first.read() == b"\n"
        accounts.revoke_key(site.database, key.id)
        site.set(kept, percent=1)
        assert second.read() == b"\n"


def test_comments_keep_a_quiet_stream_open(site, watch, monkeypatch):
    monkeypatch.setattr("api.routes_events.COMMENT_SECONDS", 0.2)
    job = site.submit()["job_id"]
    with serving(site) as (port, _server):
        response = watch(port, job)
        next_event(response)
        assert response.readline() == b"\n"
        assert response.readline() == b": still here\n"


def test_the_end_of_the_process_ends_streams(site, watch):
    job = site.submit()["job_id"]
    with serving(site) as (port, server):
        response = watch(port, job)
        next_event(response)
        start = time.monotonic()
        server.should_exit = True
        assert response.read() == b"\n"
        assert time.monotonic() - start < 3


def test_one_query_serves_all_watchers(site, watch, monkeypatch):
    asked = []
    original = EventsHub._revisions

    def counting(self, ids):
        asked.append(sorted(ids))
        return original(self, ids)

    monkeypatch.setattr(EventsHub, "_revisions", counting)
    jobs = [site.submit()["job_id"] for _ in range(2)]
    with serving(site) as (port, _server):
        responses = [watch(port, job) for job in jobs * 3]
        for response in responses:
            next_event(response)
        asked.clear()
        time.sleep(1.3)
        assert 1 <= len(asked) <= 3
        assert asked[-1] == sorted(UUID(job) for job in jobs)
        for job in jobs:
            site.set(job, state=FINISHED)
        for response in responses:
            response.read()
        time.sleep(0.7)
        asked.clear()
        time.sleep(0.7)
        assert asked == []


def test_a_client_that_leaves_during_an_upload_leaves_nothing(site):
    answer = site.call("POST", "generate-upload-url/", json={"file_extension": "mp4"}).json()
    path = answer["url"].removeprefix("http://testserver")
    with serving(site) as (port, _server):
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc".encode())
            time.sleep(0.5)
        deadline = time.monotonic() + 5
        while any((site.store.folder / ".incoming").iterdir()) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert list((site.store.folder / ".incoming").iterdir()) == []
    assert site.store.stat(answer["blob_name"]) is None


@pytest.mark.parametrize("path", [f"{V1}/submit-job/", "/objects/videos/x.mp4?expires=1&signature=x"])
def test_an_early_refusal_reaches_a_client_that_is_still_sending(site, path):
    body = b"x" * 8_000_000
    with serving(site) as (port, _server):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        method = "PUT" if "objects" in path else "POST"
        connection.request(method, path, body=body, headers={"Authorization": f"Api-Key {site.key}"})
        assert connection.getresponse().status in (403, 413)
        connection.close()


@pytest.mark.parametrize("path", ["jobs/", "jobs/x/", "submit-job/", "nothing/"])
def test_a_connection_survives_head(site, path, caplog):
    with serving(site) as (port, _server):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        headers = {"Authorization": f"Api-Key {site.key}"}
        connection.request("HEAD", f"{V1}/{path}", headers=headers)
        response = connection.getresponse()
        assert response.read() == b""
        assert int(response.headers["Content-Length"]) > 0
        kept = connection.sock
        connection.request("GET", f"{V1}/jobs/", headers=headers)
        assert connection.getresponse().read() == b"[]"
        assert connection.sock is kept
        connection.close()
    assert "ERROR" not in caplog.text
