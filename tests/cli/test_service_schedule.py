"""The schedule of reprocessing is the operator's: a start of the service leaves it as it is."""

from typing import Any

import pytest

from cli.service import deploy
from cli.service.prefect_api import PrefectAnswered


class Prefect:
    """A server in memory, as far as deployments go."""

    def __init__(self) -> None:
        self.deployments: dict[str, dict[str, Any]] = {}

    def __call__(self, _url: str, method: str, path: str, body: Any = None) -> Any:
        if path == "/deployments/":
            self.deployments[body["name"]] = {**body, "schedules": [{**one, "id": "x"} for one in body["schedules"]]}
        if path.startswith("/deployments/name/"):
            name = path.rsplit("/", 1)[-1]
            if name not in self.deployments:
                raise PrefectAnswered(404, "none")
            return self.deployments[name]
        return {"id": "1", "type": "process"}


def test_a_schedule_that_was_switched_on_stays_on(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Prefect()
    monkeypatch.setattr(deploy, "insist", server)
    deploy.deploy("http://x", deploy.of_workers())
    made = server.deployments["reprocess"]
    assert [(one["active"], one["parameters"]) for one in made["schedules"]] == [(False, {"not_pipeline": ["current"]})]
    made["schedules"][0] |= {"active": True, "schedule": {"cron": "30 1 * * *", "timezone": "Europe/Berlin"}}
    made["parameters"] = {"rule": "never"}
    deploy.deploy("http://x", deploy.of_workers())
    again = server.deployments["reprocess"]
    assert again["parameters"] == {"rule": "never"}
    assert [(one["active"], one["schedule"]["cron"]) for one in again["schedules"]] == [(True, "30 1 * * *")]
    assert [one["active"] for one in server.deployments["maintain"]["schedules"]] == [True]
