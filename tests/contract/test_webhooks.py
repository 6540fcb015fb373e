"""Webhooks of a running service: an end is told, signed, by the dispatcher at work."""

import json
import time

import pytest

from tests.api.webhooks.receiver import receiving, verify
from tests.contract.checks import check_detail, check_error
from tests.contract.client import Api
from tests.contract.conftest import Service


def test_an_end_is_told_signed(service: Service, api: Api, job: str) -> None:
    if service.group is None:
        pytest.skip("a deployment elsewhere does not reach this machine")
    with receiving() as receiver:
        made = api.post("webhooks/", json={"url": f"http://127.0.0.1:{receiver.port}/hook"})
        assert made.status_code == 201
        hook = made.json()
        path = f"webhooks/{hook['webhook_id']}/"
        try:
            assert api.post(f"jobs/{job}/cancel/").status_code == 200
            deadline = time.monotonic() + 30
            while not receiver.requests and time.monotonic() < deadline:
                time.sleep(0.05)
            ((_, headers, body),) = receiver.requests
            assert verify(hook["secret"], headers["Splatflow-Signature"], body, now=time.time())
            told = json.loads(body)
            check_detail(told["job"])
            assert (told["event"], told["job"]["job_id"], told["job"]["error_code"]) == ("job.failed", job, "cancelled")
            while (row := api.get(f"{path}deliveries/").json()[0])["state"] == "waiting":
                assert time.monotonic() < deadline
                time.sleep(0.05)
            assert (row["delivery_id"], row["state"], row["tries"]) == (headers["Splatflow-Delivery"], "delivered", 1)
        finally:
            assert api.request("DELETE", path).status_code == 204
    check_error(api.get(path), 404)
