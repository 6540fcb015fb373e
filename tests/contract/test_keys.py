"""401 and 403: who may ask at all."""

import httpx
import pytest

from tests.contract.checks import check_error
from tests.contract.client import ROUTES, Api, Route
from tests.contract.conftest import Service
from tests.contract.raw import exchange

ACCOUNT = Route("GET", "account/")
WRITES = [route for route in ROUTES if route.writes]


def check_unauthorized(response: httpx.Response, *, submit: bool = False) -> None:
    check_error(response, 401, "Invalid API key", submit=submit)
    assert response.headers["www-authenticate"] == "Api-Key"


@pytest.mark.parametrize("route", [*ROUTES, ACCOUNT], ids=str)
def test_no_key(nobody: Api, route: Route) -> None:
    response = nobody.call(route)
    if route.method == "HEAD":
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Api-Key"
    else:
        check_unauthorized(response, submit=route.path == "submit-job/")


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Api-Key",
        "Api-Key unknown",
        "Api-Key " + "x" * 5000,
        "Bearer {key}",
        "Basic {key}",
        "Token {key}",
        "ApiKey {key}",
        "{key}",
        "Api-Key: {key}",
        "Api-Key {key}x",
        "Api-Key x{key}",
        "Api-Key {key} {key}",
        "Api-Key {upper}",
    ],
)
def test_wrong_header(nobody: Api, key: str, header: str) -> None:
    value = header.format(key=key, upper=key.swapcase())
    check_unauthorized(nobody.get("jobs/", headers={"Authorization": value}))


@pytest.mark.parametrize("value", [b"Api-Key ", b"Api-Key \xc3\xa9\xff", b"Api-Key \xf0\x9f\x94\x91", b"\xff\xfe"])
def test_a_key_of_strange_bytes(service: Service, value: bytes) -> None:
    request = b"GET /api/v1/jobs/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: " + value + b"\r\n\r\n"
    answer = exchange(service.url, request)
    assert answer.status == 401
    assert b'"Invalid API key"' in answer.body


@pytest.mark.parametrize("scheme", ["Api-Key", "api-key", "API-KEY", "aPI-kEY"])
def test_the_scheme_in_any_case(nobody: Api, key: str, scheme: str) -> None:
    assert nobody.get("jobs/", headers={"Authorization": f"{scheme} {key}"}).status_code == 200


def test_a_key_counts_in_the_header_only(nobody: Api, key: str) -> None:
    check_unauthorized(nobody.get("jobs/", params={"api_key": key, "key": key}))
    check_unauthorized(nobody.get("jobs/", headers={"X-Api-Key": key}))


def test_an_expired_key(service: Service, expired_key: str) -> None:
    check_unauthorized(Api(service.url, expired_key).get("jobs/"))


def test_a_revoked_key(service: Service, revoked_key: str) -> None:
    check_unauthorized(Api(service.url, revoked_key).get("jobs/"))


def test_all_wrong_keys_get_the_same_answer(service: Service, expired_key: str, revoked_key: str) -> None:
    bodies = [Api(service.url, key).get("jobs/").json() for key in ("unknown", expired_key, revoked_key, None)]
    assert bodies == bodies[:1] * 4


@pytest.mark.parametrize("route", ROUTES, ids=str)
def test_no_enterprise_plan(service: Service, free_key: str, route: Route) -> None:
    response = Api(service.url, free_key).call(route)
    if route.method == "HEAD":
        assert response.status_code == 403
    else:
        check_error(response, 403, "Insufficient permissions", submit=route.path == "submit-job/")


@pytest.mark.parametrize("route", WRITES, ids=str)
def test_a_read_only_key_writes_nothing(service: Service, read_key: str, job: str, api: Api, route: Route) -> None:
    response = Api(service.url, read_key).call(route, job)
    check_error(response, 403, "Insufficient permissions", submit=route.path == "submit-job/")
    assert api.detail(job)["title"] == "A job of a test"


def test_a_read_only_key_reads(service: Service, read_key: str, job: str) -> None:
    reader = Api(service.url, read_key)
    assert reader.detail(job)["job_id"] == job
    assert reader.get("jobs/").status_code == 200
    assert reader.get("account/").status_code == 200


def test_permission_comes_before_the_body(service: Service, nobody: Api, read_key: str) -> None:
    check_unauthorized(nobody.send_text("POST", "submit-job/", "not json"), submit=True)
    reader = Api(service.url, read_key)
    check_error(reader.send_text("POST", "submit-job/", "not json"), 403, "Insufficient permissions", submit=True)
