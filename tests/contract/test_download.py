"""download/ and preview/ of a finished job, and of one that has nothing yet."""

import gzip
import hashlib
import io
import json
import re
import struct
import zipfile
from urllib.parse import unquote, urlsplit

import httpx
import pytest

from tests.contract.checks import check_camera, check_error
from tests.contract.client import Api, follow, outside
from tests.contract.conftest import Service
from tests.contract.life import MAX_GAUSSIANS, Life
from tests.contract.signed import is_local, seconds_left, spoilt

KINDS = {"ply": ".ply", "spz": ".spz", "report": ".json", "report_html": ".html", "colmap": ".zip", "camera": ".json"}


def file_name(response: httpx.Response) -> str:
    """What a client would save the response as (RFC 6266: `filename*` goes before `filename`)."""
    header = response.headers["content-disposition"]
    assert header.isascii()
    assert header.split(";")[0] == "attachment"
    extended = re.search(r"filename\*=UTF-8\'\'([^;]+)", header)
    if extended:
        return unquote(extended[1], errors="strict")
    plain = re.search(r'filename="([^"\\]+)"', header)
    assert plain, header
    return plain[1]


@pytest.mark.parametrize("kind", ["exe", "mp3", "ply.", "scene.ply", "%00", "ply%2fx", "x" * 3000])
def test_another_type(api: Api, job: str, kind: str) -> None:
    response = api.get(f"jobs/{job}/download/{kind}/")
    if kind == "ply%2fx":  # a client or server may read these as another path
        assert response.status_code in (400, 404)
        return
    body = check_error(response, 400, field="file_type")
    assert body["error"].startswith("Invalid file type. Must be ")
    assert '"ply"' in body["error"]
    assert '"spz"' in body["error"]


@pytest.mark.parametrize("kind", ["ply", "spz"])
def test_not_there_yet(api: Api, job: str, kind: str) -> None:
    error = f"{kind.upper()} file not available for this job"
    check_error(api.get(f"jobs/{job}/download/{kind}/"), 404, error)


@pytest.mark.parametrize("kind", ["report", "report_html", "colmap"])
def test_the_additive_types_not_there_yet(api: Api, job: str, kind: str) -> None:
    body = check_error(api.get(f"jobs/{job}/download/{kind}/"), 404)
    assert body["error"].endswith("file not available for this job")


def test_no_preview_yet(api: Api, job: str) -> None:
    check_error(api.get(f"jobs/{job}/preview/"), 400, "No preview available yet")


def test_nothing_of_a_failed_job(api: Api, failed_job: str) -> None:
    check_error(api.get(f"jobs/{failed_job}/download/ply/"), 404, "PLY file not available for this job")
    check_error(api.get(f"jobs/{failed_job}/preview/"), 400, "No preview available yet")


@pytest.mark.parametrize("kind", KINDS)
def test_the_redirect_and_the_file(api: Api, finished: Life, kind: str) -> None:
    path = f"jobs/{finished.job}/download/{kind}/"
    redirect = api.get(path)
    assert redirect.status_code == 302
    assert redirect.headers["cache-control"] == "no-store"
    assert 900 - 60 <= seconds_left(redirect.headers["location"]) <= 901
    head = api.request("HEAD", path)
    assert head.status_code == 302
    assert head.content == b""
    assert urlsplit(head.headers["location"]).path == urlsplit(redirect.headers["location"]).path
    response = follow(api, path)
    assert response.status_code == 200
    assert file_name(response).endswith(KINDS[kind])
    described = finished.detail["files"][kind]
    assert len(response.content) == described["bytes"]
    assert hashlib.sha256(response.content).hexdigest() == described["sha256"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_client_that_resends_its_key(api: Api, service: Service, finished: Life, kind: str) -> None:
    path = f"jobs/{finished.job}/download/{kind}/"
    if not is_local(api.get(path).headers["location"], service.url):
        pytest.skip("the store is an S3 server on another host or port, where clients drop the key")
    assert follow(api, path, with_key=True).status_code == 200
    assert api.get(path, follow_redirects=True).status_code == 200


def test_the_scene_in_both_formats(api: Api, finished: Life) -> None:
    ply = follow(api, f"jobs/{finished.job}/download/ply/").content
    head, _, data = ply.partition(b"end_header\n")
    assert head.startswith(b"ply\nformat binary_little_endian 1.0\n")
    count = int(re.search(rb"element vertex (\d+)", head)[1])  # type: ignore[index]
    assert 0 < count <= MAX_GAUSSIANS
    floats = len(re.findall(rb"property float ", head))
    assert len(data) == 4 * floats * count
    assert {b"x", b"opacity", b"scale_0", b"rot_0", b"f_dc_0"} <= set(re.findall(rb"property float (\w+)", head))
    spz = gzip.decompress(follow(api, f"jobs/{finished.job}/download/spz/").content)
    magic, version, points = struct.unpack_from("<4sII", spz)
    assert (magic, version, points) == (b"NGSP", 3, count)


def test_the_reports_and_the_model(api: Api, finished: Life) -> None:
    report = follow(api, f"jobs/{finished.job}/download/report/")
    assert report.headers["content-type"].startswith("application/json")
    assert json.loads(report.content)["training"]["steps"] == finished.detail["training_num_steps"]
    page = follow(api, f"jobs/{finished.job}/download/report_html/")
    assert b"<html" in page.content.lower()
    with zipfile.ZipFile(io.BytesIO(follow(api, f"jobs/{finished.job}/download/colmap/").content)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
    assert any(name.startswith("images/") for name in names)
    assert any(name.startswith("colmap/") for name in names)
    assert not any(name.startswith("/") or ".." in name for name in names)


def test_ranges(api: Api, service: Service, finished: Life) -> None:
    url = api.get(f"jobs/{finished.job}/download/ply/").headers["location"]
    whole = outside("GET", url).content
    local = is_local(url, service.url)
    for header, expected in {
        "bytes=0-9": whole[:10],
        "bytes=100-199": whole[100:200],
        "bytes=-20": whole[-20:],
        f"bytes={len(whole) - 5}-": whole[-5:],
        f"bytes=10-{len(whole) + 100}": whole[10:],
    }.items():
        response = outside("GET", url, headers={"Range": header})
        if response.status_code == 200 and not local:
            assert response.content in (whole, expected)  # some servers give the part, and say 200
            continue
        assert response.status_code == 206
        assert response.content == expected
        start = whole.index(expected) if header == "bytes=0-9" else len(whole) - len(expected)
        if header != "bytes=100-199":
            assert response.headers["content-range"] == f"bytes {start}-{start + len(expected) - 1}/{len(whole)}"
    beyond = outside("GET", url, headers={"Range": f"bytes={len(whole)}-"})
    assert beyond.status_code == 416 or (not local and beyond.status_code == 200)


def test_head_of_the_file(api: Api, service: Service, finished: Life) -> None:
    url = api.get(f"jobs/{finished.job}/download/ply/").headers["location"]
    if not is_local(url, service.url):
        pytest.skip("an S3 signature is good for one method")
    response = outside("HEAD", url)
    assert response.status_code == 200
    assert response.content == b""
    assert int(response.headers["content-length"]) == finished.detail["files"]["ply"]["bytes"]
    assert response.headers["accept-ranges"] == "bytes"
    assert file_name(response).endswith(".ply")


@pytest.mark.parametrize("path", ["download/ply/", "preview/"])
def test_a_spoilt_url_gives_nothing(api: Api, service: Service, finished: Life, path: str) -> None:
    url = api.get(f"jobs/{finished.job}/{path}").headers["location"]
    refused = (403,) if is_local(url, service.url) else (400, 403, 404)
    for what, bad in spoilt(url):
        response = outside("GET", bad)
        assert response.status_code in refused, (what, response.status_code)
        if refused == (403,):
            check_error(response, 403)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST"])
def test_the_url_is_good_for_reading_only(api: Api, finished: Life, method: str) -> None:
    url = api.get(f"jobs/{finished.job}/download/ply/").headers["location"]
    before = outside("GET", url).content
    assert outside(method, url, content=b"changed").status_code in (400, 403, 404, 405, 501)
    assert outside("GET", url).content == before


def test_an_expiry_put_off_is_refused(api: Api, service: Service, finished: Life) -> None:
    url = api.get(f"jobs/{finished.job}/download/ply/").headers["location"]
    if not is_local(url, service.url):
        pytest.skip("the store is an S3 server")
    expires = int(re.search(r"expires=(\d+)", url)[1])  # type: ignore[index]
    for other in (expires + 1, expires + 900, expires - 100_000, -1, 0, 10**30):
        check_error(outside("GET", url.replace(f"expires={expires}", f"expires={other}")), 403)


@pytest.mark.parametrize(
    "title",
    [
        "A plain title",
        "../../etc/passwd",
        "a/b\\c:d*e?f|g",
        'quo"ted; filename="evil.exe"',
        "%0d%0aX-Evil: 1",
        "....",
        ".hidden",
        "   ",
        "日本語のタイトル",
        "🎬" * 255,
        "x" * 255,
        "CON",
    ],
    ids=lambda text: repr(text[:16]),
)
def test_the_file_name_is_safe(api: Api, finished: Life, title: str) -> None:
    if api.patch(f"jobs/{finished.job}/", json={"title": title}).status_code == 400:
        assert not title.strip()
        return
    response = follow(api, f"jobs/{finished.job}/download/ply/", headers={"Range": "bytes=0-3"})
    assert "x-evil" not in response.headers
    name = file_name(response)
    assert re.fullmatch(r'[^\x00-\x1f\x7f/\\:*?"<>|]+\.ply', name), name
    assert not name.startswith((".", "-", " "))
    assert len(name.encode()) <= 255
    if title == "A plain title":
        assert name == "A plain title.ply"
    if title.startswith("日"):
        assert name == f"{title}.ply"


def test_the_preview(api: Api, finished: Life) -> None:
    path = f"jobs/{finished.job}/preview/"
    redirect = api.get(path)
    assert redirect.status_code == 302
    assert redirect.headers["cache-control"] == "no-store"
    assert seconds_left(redirect.headers["location"]) <= 901
    assert api.request("HEAD", path).status_code == 302
    response = follow(api, path)
    assert response.headers["content-type"] == "image/jpeg"
    assert response.content.startswith(b"\xff\xd8\xff")


def test_a_camera_set_by_the_client_and_taken_back(api: Api, finished: Life) -> None:
    """After training the scene frames itself, unless the client has set a camera; null goes back to that."""
    computed = api.detail(finished.job)["camera_data"]
    check_camera(computed)
    camera = {name: {"x": 1.0, "y": 2.0, "z": 3.0} for name in ("position", "lookAt", "up")}
    assert api.patch(f"jobs/{finished.job}/", json={"camera_data": camera}).json()["camera_data"] == camera
    assert api.patch(f"jobs/{finished.job}/", json={"camera_data": None}).json()["camera_data"] == computed
