"""Generated requests against the published OpenAPI description: no 5xx, and every answer is one that it describes."""

import os
import warnings
from collections.abc import Callable
from typing import Any, cast

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Err, Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.contract.client import Api
from tests.contract.conftest import Service

EXAMPLES = int(os.environ.get("SPLATFLOW_SCHEMA_EXAMPLES", "100"))
CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
generated = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],  # a failing request is small enough as it is
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
GENERAL = ["POST /api/v1/generate-upload-url/", "POST /api/v1/submit-job/", "GET /api/v1/jobs/", "GET /api/v1/account/"]
OF_A_JOB = [
    "GET /api/v1/jobs/{job_id}/",
    "PATCH /api/v1/jobs/{job_id}/",
    "PUT /api/v1/jobs/{job_id}/",
    "DELETE /api/v1/jobs/{job_id}/",
    "GET /api/v1/jobs/{job_id}/download/{file_type}/",
    "GET /api/v1/jobs/{job_id}/preview/",
    "POST /api/v1/jobs/{job_id}/cancel/",
    "POST /api/v1/jobs/{job_id}/retry/",
    "GET /api/v1/jobs/{job_id}/events/",
]
MAKES_BATCHES = "POST /api/v1/batches/"
RUNS_OR_REMOVES = ("DELETE", "POST /api/v1/jobs/{job_id}/retry/")


@pytest.fixture(scope="session")
def operations(service: Service) -> dict[str, Any]:
    """The described operations by label, such as "GET /api/v1/jobs/"."""
    config = schemathesis.Config.from_dict({"generation": {"with-security-parameters": False}})  # no made-up keys
    described = schemathesis.openapi.from_url(f"{service.url}/api/v1/openapi.json", config=config)
    results = list(described.get_all_operations())
    assert not [result.err() for result in results if isinstance(result, Err)]
    return {operation.label: operation for operation in (result.ok() for result in results if isinstance(result, Ok))}


@pytest.fixture(scope="session")
def own_job(session_api: Api) -> str:
    """A job that is at its end, so that its event stream ends as well."""
    job = session_api.submit(blob_name=session_api.uploaded(), title="For generated requests")["job_id"]
    session_api.post(f"jobs/{job}/cancel/")
    return job


@pytest.fixture
def put(operations: dict[str, Any], key: str) -> Callable[..., None]:
    """Puts generated requests of an operation, and checks the answers."""

    def call(label: str, mode: GenerationMode, **fixed: str) -> None:
        operation = operations[label]
        # The generator holds single events against the schema of the body; tests of the events look into them.
        applied = [c for c in CHECKS if c is not response_schema_conformance or not label.endswith("/events/")]

        @generated
        @given(case=operation.as_strategy(mode, path_parameters=fixed or None))
        def one(case: schemathesis.Case) -> None:
            case.call_and_validate(headers={"Authorization": f"Api-Key {key}"}, checks=applied, timeout=20)

        with warnings.catch_warnings():
            warnings.simplefilter("default")  # the generator's own
            try:
                one()
            except Unsatisfiable:
                pytest.skip("nothing can be wrong about this request")

    return call


@pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: mode.value)
@pytest.mark.parametrize("label", [*GENERAL, *OF_A_JOB])
def test_any_request(put: Callable[..., None], label: str, mode: GenerationMode) -> None:
    """Ids are made up, so nothing is changed but uploads that were only announced."""
    put(label, mode)


@pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: mode.value)
@pytest.mark.parametrize("label", [label for label in OF_A_JOB if not label.startswith(RUNS_OR_REMOVES)])
def test_requests_for_a_job_of_ones_own(
    put: Callable[..., None], label: str, mode: GenerationMode, own_job: str
) -> None:
    """The same with the id of a job that is there, so that answers other than 404 are seen."""
    put(label, mode, job_id=own_job)


def test_submits_that_make_jobs(api: Api, operations: dict[str, Any]) -> None:
    """Any options beside a real upload; so that the 201 is held against its description, too."""
    statuses = set[int]()

    @generated
    @given(case=operations["POST /api/v1/submit-job/"].as_strategy(GenerationMode.POSITIVE))
    def one(case: schemathesis.Case) -> None:
        case.body = {**cast("dict[str, Any]", case.body), "blob_name": api.uploaded()}
        response = case.call_and_validate(headers={"Authorization": f"Api-Key {api.key}"}, checks=CHECKS, timeout=20)
        statuses.add(response.status_code)
        if response.status_code == 201:
            api.jobs.append(response.json()["job_id"])
            api.delete_jobs()

    with warnings.catch_warnings():
        warnings.simplefilter("default")
        one()
    assert 201 in statuses


def test_batches_of_any_kind(key: str, operations: dict[str, Any]) -> None:
    """Only planned: a batch that is made would be at work while other tests are."""

    @generated
    @given(case=operations[MAKES_BATCHES].as_strategy(GenerationMode.POSITIVE))
    def one(case: schemathesis.Case) -> None:
        case.body = {**cast("dict[str, Any]", case.body), "dry_run": True}
        response = case.call_and_validate(headers={"Authorization": f"Api-Key {key}"}, checks=CHECKS, timeout=20)
        assert response.status_code in (200, 400)

    with warnings.catch_warnings():
        warnings.simplefilter("default")
        one()


@pytest.mark.parametrize(
    "label", ["PATCH /api/v1/webhooks/{webhook_id}/", "GET /api/v1/webhooks/{webhook_id}/deliveries/"]
)
def test_requests_for_a_webhook_of_ones_own(put: Callable[..., None], api: Api, label: str) -> None:
    """Switched off, so that nothing is sent to where they say."""
    hook = api.post("webhooks/", json={"url": "https://hooks.example/", "active": False}).json()["webhook_id"]
    try:
        put(label, GenerationMode.POSITIVE, webhook_id=hook)
    finally:
        api.request("DELETE", f"webhooks/{hook}/")


def test_everything_else_that_is_described(put: Callable[..., None], operations: dict[str, Any]) -> None:
    for label in set(operations) - {*GENERAL, *OF_A_JOB, MAKES_BATCHES}:
        put(label, GenerationMode.POSITIVE)
