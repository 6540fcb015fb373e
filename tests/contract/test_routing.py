"""404, 405, 413, 415, the missing slash, HEAD, request ids: what holds for every path."""

import json
import uuid
from urllib.parse import urlsplit

import pytest

from tests.contract.checks import check_error
from tests.contract.client import Api, outside
from tests.contract.conftest import Service
from tests.contract.raw import connect, exchange, read_answer

LIMIT = 1 << 20  # bytes of a JSON body


@pytest.mark.parametrize(
    "path",
    ["nothing/", "jobs/{job}/nothing/", "jobs/{job}/download/", "jobs/{job}/download/ply/more/", "submit-job/x/"],
)
def test_an_unknown_path(api: Api, path: str) -> None:
    check_error(api.get(path.format(job=uuid.uuid4())), 404, "Not found")


@pytest.mark.parametrize("path", ["/nothing", "/nothing/", "/api/", "/api/v2/jobs/", "/.env", "/%2e%2e/etc/passwd"])
def test_an_unknown_path_outside_the_api(service: Service, path: str) -> None:
    check_error(outside("GET", service.url + path), 404, "Not found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "submit-job/", {"POST"}),
        ("GET", "generate-upload-url/", {"POST"}),
        ("DELETE", "submit-job/", {"POST"}),
        ("POST", "jobs/", {"GET", "HEAD"}),
        ("DELETE", "jobs/", {"GET", "HEAD"}),
        ("POST", "jobs/{job}/", {"GET", "HEAD", "PATCH", "PUT", "DELETE"}),
        ("POST", "jobs/{job}/download/ply/", {"GET", "HEAD"}),
        ("DELETE", "jobs/{job}/preview/", {"GET", "HEAD"}),
        ("GET", "jobs/{job}/cancel/", {"POST"}),
        ("PUT", "jobs/{job}/retry/", {"POST"}),
        ("POST", "jobs/{job}/events/", {"GET", "HEAD"}),
        ("POST", "account/", {"GET", "HEAD"}),
    ],
)
def test_a_wrong_method(api: Api, method: str, path: str, allowed: set[str]) -> None:
    response = api.request(method, path.format(job=uuid.uuid4()))
    check_error(response, 405, submit=path == "submit-job/")
    assert {name.strip() for name in response.headers["allow"].split(",")} == allowed


@pytest.mark.parametrize("method", ["TRACE", "CONNECTED"])
def test_a_method_that_nobody_knows(api: Api, method: str) -> None:
    response = api.request(method, "jobs/")
    assert response.status_code in (400, 405, 501)


def test_the_largest_body(api: Api, junk: str) -> None:
    """Blanks count."""
    text = json.dumps({"blob_name": junk})
    response = api.send_text("POST", "submit-job/", text + " " * (LIMIT - len(text)))
    assert response.status_code == 201, response.text
    api.jobs.append(response.json()["job_id"])


@pytest.mark.parametrize("path", ["submit-job/", "generate-upload-url/"])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit(api: Api, path: str, chunked: bool) -> None:
    text = b'{"file_extension": "mp4", "blob_name": "x"}'
    data = text + b" " * (LIMIT + 1 - len(text))
    content = iter([data[:LIMIT], data[LIMIT:]]) if chunked else data
    response = api.post(path, content=content, headers={"Content-Type": "application/json"})
    check_error(response, 413, submit=path == "submit-job/")


def test_a_patch_over_the_limit(api: Api, job: str) -> None:
    check_error(api.send_text("PATCH", f"jobs/{job}/", b" " * (LIMIT + 1)), 413)


def test_a_huge_body_is_refused_before_it_is_sent(service: Service, key: str) -> None:
    head = (
        f"POST /api/v1/submit-job/ HTTP/1.1\r\nHost: a\r\nAuthorization: Api-Key {key}\r\n"
        "Content-Type: application/json\r\nContent-Length: 100000000000\r\n\r\n{"
    )
    assert exchange(service.url, head.encode()).status == 413


def test_a_huge_chunked_body_is_not_swallowed(service: Service, key: str) -> None:
    head = (
        f"POST /api/v1/submit-job/ HTTP/1.1\r\nHost: a\r\nAuthorization: Api-Key {key}\r\n"
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    with connect(service.url) as connection:
        connection.sendall(head.encode())
        sent = 0
        try:
            while sent < 64 * LIMIT:
                connection.sendall(chunk)
                sent += 0x10000
                connection.settimeout(0.001)
                try:
                    answer = read_answer(connection)
                except TimeoutError:
                    connection.settimeout(20)
                else:
                    assert answer.status in (413, 0)
                    return
        except (ConnectionResetError, BrokenPipeError):
            return
    pytest.fail(f"{sent} bytes were taken")


@pytest.mark.parametrize("path", ["submit-job/", "generate-upload-url/"])
@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "video/mp4"]
)
def test_not_json_by_its_type(api: Api, path: str, content_type: str) -> None:
    response = api.post(path, content=b'{"file_extension": "mp4"}', headers={"Content-Type": content_type})
    check_error(response, 415, submit=path == "submit-job/")


def test_a_patch_that_is_not_json_by_its_type(api: Api, job: str) -> None:
    response = api.patch(f"jobs/{job}/", content=b'{"title": "x"}', headers={"Content-Type": "text/plain"})
    check_error(response, 415)


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "Application/JSON", "application/json;charset=UTF-8"]
)
def test_json_by_its_type(api: Api, content_type: str) -> None:
    headers = {"Content-Type": content_type}
    response = api.post("generate-upload-url/", content=b'{"file_extension": "mp4"}', headers=headers)
    assert response.status_code == 200, response.text


@pytest.mark.parametrize(
    "path", ["jobs", "jobs?limit=1&offset=0", "jobs/{job}", "jobs/{job}/download/ply", "jobs/{job}/preview", "account"]
)
def test_the_missing_slash(api: Api, job: str, path: str) -> None:
    path, _, query = path.format(job=job).partition("?")
    response = api.get(f"{path}?{query}" if query else path)
    assert response.status_code == 308
    target = urlsplit(response.headers["location"])
    assert (target.path, target.query) == (f"/api/v1/{path}/", query)


def test_method_and_body_survive_the_missing_slash(api: Api, junk: str) -> None:
    upload = api.post("generate-upload-url", json={"file_extension": "mov"}, follow_redirects=True)
    assert upload.status_code == 200
    assert upload.json()["blob_name"].endswith(".mov")
    response = api.post("submit-job", json={"blob_name": junk, "title": "Through 308"}, follow_redirects=True)
    assert response.status_code == 201
    job = response.json()["job_id"]
    api.jobs.append(job)
    patched = api.patch(f"jobs/{job}", json={"title": "Patched through 308"}, follow_redirects=True)
    assert patched.json()["title"] == "Patched through 308"
    assert api.request("DELETE", f"jobs/{job}", follow_redirects=True).status_code == 204


@pytest.mark.parametrize("path", ["//evil.example/api/v1/jobs", "/\\evil.example/jobs", "//evil.example/%2e%2e"])
def test_no_redirect_to_another_host(service: Service, path: str) -> None:
    answer = exchange(service.url, f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    assert answer.status < 500
    target = answer.headers.get("location", "/")
    assert urlsplit(target).netloc in ("", "a"), target
    assert not target.startswith(("//", "/\\")), target


@pytest.mark.parametrize("path", ["jobs/", "jobs/?limit=2", "jobs/{job}/", "account/", "openapi.json"])
def test_head_is_get_without_the_body(api: Api, job: str, path: str) -> None:
    path = path.format(job=job)
    for _ in range(5):  # a job may change in between
        got, head = api.get(path), api.request("HEAD", path)
        assert got.status_code == head.status_code == 200
        assert head.content == b""
        names = ("content-type", "content-length", "x-total-count", "cache-control")
        if all(got.headers.get(name) == head.headers.get(name) for name in names):
            return
    pytest.fail(f"{got.headers} {head.headers}")


@pytest.mark.parametrize("path", ["jobs/{job}/download/ply/", "jobs/{job}/preview/", "jobs/{job}/download/exe/"])
def test_head_of_an_error(api: Api, job: str, path: str) -> None:
    path = path.format(job=job)
    got, head = api.get(path), api.request("HEAD", path)
    assert got.status_code == head.status_code >= 400
    assert head.content == b""


def test_head_of_events_does_not_hang(api: Api, job: str) -> None:
    response = api.request("HEAD", f"jobs/{job}/events/", timeout=5)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream")


@pytest.mark.parametrize("path", ["jobs/", "nothing/", "jobs/x/"])
def test_the_connection_survives_head(service: Service, key: str, path: str) -> None:
    request = f"{{}} /api/v1/{path} HTTP/1.1\r\nHost: a\r\nAuthorization: Api-Key {key}\r\n\r\n"
    with connect(service.url) as connection:
        connection.sendall(request.format("HEAD").encode())
        head = connection.recv(65_536)
        assert head.endswith(b"\r\n\r\n")
        connection.sendall(request.format("GET").encode())
        assert read_answer(connection).status == int(head.split()[1])


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/docs", "/metrics"])
def test_head_outside_the_api(service: Service, path: str) -> None:
    response = outside("HEAD", service.url + path)
    assert response.status_code == 200
    assert response.content == b""


def test_every_answer_has_a_request_id_of_its_own(api: Api, nobody: Api) -> None:
    answers = [api.get("jobs/"), api.get("jobs/"), api.get("nothing/"), nobody.get("jobs/"), api.get("jobs/x/")]
    answers.append(api.post("submit-job/", json={}))
    assert len({answer.headers["x-request-id"] for answer in answers}) == len(answers)


def test_the_code_of_an_error_is_stable(api: Api) -> None:
    first, second = api.get("jobs/x/").json(), api.get(f"jobs/{uuid.uuid4()}/").json()
    assert first["code"] == second["code"]
    codes = [api.get("nothing/").json()["code"], first["code"], api.post("jobs/").json()["code"]]
    assert len(set(codes)) == 3
