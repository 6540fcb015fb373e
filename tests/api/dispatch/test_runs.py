"""What is asked of Prefect and what is made of its answers, with a client that answers from memory."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

from api.dispatch.runs import PAGE, PrefectUnavailable, Runs, RunState
from flows import request

SINCE = datetime(2026, 11, 24, 9, tzinfo=UTC)


def flow_run(
    state: StateType, *, seconds_ago: float = 60, queue: str = "default", job_id: UUID | None = None
) -> FlowRun:
    moment = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    return FlowRun(
        flow_id=uuid4(),
        state=State(type=state, timestamp=moment),
        expected_start_time=moment,
        work_queue_name=queue,
        tags=request.tags(job_id, 1, "glomap") if job_id else [],
    )


class FakeClient:
    """Answers as `SyncPrefectClient`; `error` is raised instead when it is set."""

    def __init__(self, runs: list[FlowRun]) -> None:
        self.runs, self.error, self.made, self.calls = runs, None, {}, []
        self.deployed = True

    def __getattribute__(self, name: str) -> Any:
        found = object.__getattribute__(self, name)
        if callable(found) and object.__getattribute__(self, "error") is not None:
            raise object.__getattribute__(self, "error")
        return found

    def read_deployment_by_name(self, name: str) -> Any:
        if not self.deployed:
            raise ObjectNotFound(http_exc=Exception("404"))
        return SimpleNamespace(id=UUID(int=7))

    def create_flow_run_from_deployment(self, deployment_id: UUID, **given: Any) -> Any:
        if not self.deployed:
            raise ObjectNotFound(http_exc=Exception("404"))
        self.calls.append(given)
        return SimpleNamespace(id=self.made.setdefault(given["idempotency_key"], uuid4()))

    def read_flow_runs(self, *, flow_run_filter: Any, limit: int = 200, offset: int = 0, **_: Any) -> list[FlowRun]:
        found = self.runs
        if flow_run_filter.id is not None:
            found = [run for run in found if run.id in flow_run_filter.id.any_]
        if flow_run_filter.tags is not None:
            found = [run for run in found if set(flow_run_filter.tags.all_) <= set(run.tags)]
        if flow_run_filter.state is not None:
            found = [run for run in found if run.state and run.state.type in flow_run_filter.state.type.any_]
        return found[offset : offset + limit]

    def read_work_queues(self, **_: Any) -> list[Any]:
        return [SimpleNamespace(name=name, priority=priority) for name, priority in request.QUEUES.items()]

    def set_flow_run_state(self, run_id: UUID, state: State, *, force: bool) -> None:
        self.calls.append((run_id, state.type, force))

    def read_artifacts(self, **_: Any) -> list[Any]:
        return [SimpleNamespace(id=1), SimpleNamespace(id=2)]

    def delete_artifact(self, artifact_id: int) -> None:
        self.calls.append(("artifact", artifact_id))

    def delete_flow_run(self, run_id: UUID) -> None:
        self.calls.append(("run", run_id))


def runs_of(client: FakeClient) -> Runs:
    return Runs(client, deployment=request.DEPLOYMENT, pool=request.POOL)  # pyright: ignore[reportArgumentType]


def test_a_run_is_asked_for_with_the_jobs_id_and_nothing_else():
    client, job_id = FakeClient([]), uuid4()
    runs = runs_of(client)
    first = runs.start(job_id, 2, title="Fox", method="colmap", queue="default", waiting_since=SINCE)
    assert runs.start(job_id, 2, title="Fox", method="colmap", queue="default", waiting_since=SINCE) == first
    assert runs.start(job_id, 3, title="Fox", method="colmap", queue="default", waiting_since=SINCE) != first
    asked = client.calls[0]
    assert asked["parameters"] == {"job_id": str(job_id)}
    assert asked["name"] == "Fox (attempt 2)"
    assert request.attempt_of(asked["tags"]) == 2
    assert asked["state"].state_details.scheduled_time == SINCE


def test_a_deployment_that_is_missing_or_was_made_anew_is_looked_for_again():
    client = FakeClient([])
    runs = runs_of(client)
    runs.start(uuid4(), 1, title="", method="", queue="default", waiting_since=SINCE)
    client.deployed = False
    with pytest.raises(PrefectUnavailable, match="no deployment"):
        runs.start(uuid4(), 1, title="", method="", queue="default", waiting_since=SINCE)
    client.deployed = True
    runs.start(uuid4(), 1, title="", method="", queue="default", waiting_since=SINCE)


def test_pending_first_then_priority_then_time():
    pending = flow_run(StateType.PENDING, seconds_ago=1, queue="low")
    high = flow_run(StateType.SCHEDULED, seconds_ago=10, queue="high")
    early, late = flow_run(StateType.SCHEDULED, seconds_ago=300), flow_run(StateType.SCHEDULED, seconds_ago=200)
    low = flow_run(StateType.SCHEDULED, seconds_ago=900, queue="low")
    ended = flow_run(StateType.COMPLETED)
    client = FakeClient([low, late, ended, early, high, pending])
    assert [run.id for run in runs_of(client).waiting()] == [run.id for run in (pending, high, early, late, low)]


def test_long_queues_are_read_to_their_end():
    client = FakeClient([flow_run(StateType.SCHEDULED, seconds_ago=n) for n in range(2 * PAGE + 1)])
    waiting = [run.id for run in runs_of(client).waiting()]
    assert len(waiting) == 2 * PAGE + 1
    assert len(runs_of(client).states(waiting)) == 2 * PAGE + 1


def test_states_of_known_runs_with_their_age():
    run = flow_run(StateType.RUNNING, seconds_ago=90)
    states = runs_of(FakeClient([run])).states([run.id, uuid4()])
    assert states.keys() == {run.id}
    assert states[run.id].state == "RUNNING"
    assert states[run.id].age_seconds == pytest.approx(90, abs=30)
    assert not states[run.id].ended


def test_all_runs_of_a_job_are_found_by_its_tag():
    job_id = uuid4()
    mine = [flow_run(state, job_id=job_id) for state in (StateType.COMPLETED, StateType.RUNNING)]
    found = runs_of(FakeClient([*mine, flow_run(StateType.RUNNING, job_id=uuid4())])).of_job(job_id)
    assert found.keys() == {run.id for run in mine}


@pytest.mark.parametrize(
    ("state", "force", "asked"),
    [
        ("SCHEDULED", False, (StateType.CANCELLED, True)),
        ("PAUSED", False, (StateType.CANCELLED, True)),
        ("PENDING", False, (StateType.CANCELLING, False)),
        ("RUNNING", False, (StateType.CANCELLING, False)),
        ("CANCELLING", True, (StateType.CANCELLED, True)),
    ],
)
def test_what_only_waits_ends_at_once_and_what_runs_is_asked_to(state: str, force: bool, asked: tuple[StateType, bool]):
    client, run_id = FakeClient([]), uuid4()
    runs_of(client).stop(run_id, RunState(state=state, message="", age_seconds=0), force=force)
    assert client.calls == [(run_id, *asked)]


def test_a_run_goes_with_its_artifacts():
    client, run_id = FakeClient([]), uuid4()
    runs_of(client).remove(run_id)
    assert client.calls == [("artifact", 1), ("artifact", 2), ("run", run_id)]


@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("cut"),
        PrefectHTTPStatusError(
            "500",
            request=httpx.Request("GET", "http://x"),
            response=httpx.Response(500, request=httpx.Request("GET", "http://x")),
        ),
    ],
)
def test_a_server_that_does_not_answer_is_one_error(error: Exception):
    client = FakeClient([])
    runs = runs_of(client)
    client.error = error
    state = RunState(state="RUNNING", message="", age_seconds=0)
    for ask in (
        lambda: runs.start(uuid4(), 1, title="", method="", queue="default", waiting_since=SINCE),
        lambda: runs.states([uuid4()]),
        lambda: runs.of_job(uuid4()),
        lambda: runs.waiting(),
        lambda: runs.stop(uuid4(), state, force=False),
        lambda: runs.remove(uuid4()),
    ):
        with pytest.raises(PrefectUnavailable):
            ask()
