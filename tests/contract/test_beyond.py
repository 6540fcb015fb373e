"""account/, the OpenAPI description, documentation pages, health and metrics."""

import re
from urllib.parse import urlsplit

import pytest

from tests.contract.client import ROUTES, Api, outside
from tests.contract.conftest import Service


def test_account(api: Api, job: str) -> None:
    body = api.get("account/").json()
    assert {"plan", "limits", "usage"} <= set(body)
    assert body["plan"] == "enterprise"
    assert type(body["limits"]["max_upload_bytes"]) is int
    assert body["limits"]["max_upload_bytes"] > 0
    assert type(body["usage"]["jobs"]) is int
    assert body["usage"]["jobs"] >= 1
    assert type(body["usage"]["bytes"]) is int
    seconds = [value for name, value in body["usage"].items() if "seconds" in name]
    assert seconds
    assert all(type(value) in (int, float) and value >= 0 for value in seconds)


def test_account_counts_jobs(api: Api, junk: str) -> None:
    before = api.get("account/").json()["usage"]["jobs"]
    api.submit(blob_name=junk)
    assert api.get("account/").json()["usage"]["jobs"] >= before


def test_openapi_describes_every_route(service: Service) -> None:
    response = outside("GET", f"{service.url}/api/v1/openapi.json")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("application/json")
    description = response.json()
    assert description["openapi"].startswith("3.")
    described = {
        (method.upper(), re.sub(r"\{\w+\}", "{}", path))
        for path, operations in description["paths"].items()
        for method in operations
    }
    for route in ROUTES:
        if route.method != "HEAD":
            path = route.path.replace("ply/", "{job}/").replace("report/", "{job}/").replace("{job}", "{}")
            assert (route.method, f"/api/v1/{path}") in described, route


def test_openapi_knows_no_422(service: Service) -> None:
    description = outside("GET", f"{service.url}/api/v1/openapi.json").json()
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            assert "422" not in operation.get("responses", {}), (method, path)
    assert "HTTPValidationError" not in description.get("components", {}).get("schemas", {})


def test_openapi_names_the_key(service: Service) -> None:
    description = outside("GET", f"{service.url}/api/v1/openapi.json").json()
    schemes = description["components"]["securitySchemes"].values()
    assert any(
        s.get("type") == "apiKey" and s.get("name") == "Authorization" and s.get("in") == "header" for s in schemes
    )


def test_documentation_pages_need_no_other_host(service: Service) -> None:
    response = outside("GET", f"{service.url}/docs", follow_redirects=True)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    for target in re.findall(r"""(?:src|href)\s*=\s*["']([^"']+)""", response.text):
        parts = urlsplit(target)
        assert parts.netloc in ("", urlsplit(service.url).netloc), target
        if parts.scheme != "data" and not target.startswith("#"):
            local = outside("GET", f"{service.url}{parts.path if parts.path.startswith('/') else '/' + parts.path}")
            assert local.status_code in (200, 302, 401), target


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health(service: Service, path: str) -> None:
    response = outside("GET", service.url + path)
    assert response.status_code == 200, response.text


def test_metrics(service: Service, api: Api) -> None:
    api.get("jobs/")
    response = outside("GET", f"{service.url}/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    assert re.search(r"^# TYPE \w+ (counter|gauge|histogram)$", response.text, re.MULTILINE)


def test_no_page_shows_a_key(service: Service, key: str) -> None:
    for path in ("/metrics", "/docs", "/healthz", "/readyz", "/api/v1/openapi.json"):
        assert key not in outside("GET", service.url + path).text
