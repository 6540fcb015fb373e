"""A job as a client sees it over HTTP, and what lies behind it: its row, its objects, its folder, its runs and their log."""

import json
import re
import sqlite3
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx

from tests.contract.client import Api
from tests.service.processes import of_run, wait_for
from tests.support.group import Group

ENDED = ("Finished", "Failed", "Not found")
STEPS = ("extract", "sfm", "train", "export")
END_SECONDS = 420
NOT_OF_JOBS = ("account", "apikey", "leader", "tally")  # tally: figures for operators, which outlive what they count


@dataclass
class Watched:
    """A job under watch.

    Attributes:
        title: no other job of the group has it; that's how its lines are found in the runs' log.
    """

    group: Group
    api: Api
    id: str
    title: str
    seen: list[tuple[str, int | None]] = field(default_factory=list)

    def detail(self) -> dict[str, Any]:
        """The job's detail; what is new of its status is kept in `seen`."""
        detail = self.api.detail(self.id)
        look = (detail["status"], detail["percent_complete"])
        if not self.seen or self.seen[-1] != look:
            self.seen.append(look)
        return detail

    def row(self) -> dict[str, Any]:
        """The job's row; empty when it is gone."""
        rows = query(self.group, "SELECT * FROM job WHERE id = ?", UUID(self.id).hex)
        return rows[0] if rows else {}

    @property
    def run_id(self) -> str:
        """The flow run of the attempt, once it is known."""
        return str(UUID(wait_for(lambda: self.row().get("run_id"), 60, "no run was made for the job")))

    def until_step(self, step: str) -> None:
        """Waits until a step is in the middle of its work."""

        def there() -> bool:
            detail = self.detail()
            assert detail["status"] not in ENDED, detail
            begun = step != "train" or (detail["percent_complete"] or 0) >= 5
            working = (
                len(of_run(self.group, str(UUID(self.row()["run_id"])))) > 1 if begun and self._at(step) else False
            )
            return begun and working

        wait_for(there, END_SECONDS, lambda: f"never came to {step}: {self.detail()}\n{self.group.log_tail()}")

    def _at(self, step: str) -> bool:
        return self.row()["step"] == step

    def until_checkpoint(self) -> None:
        """Waits until the training has left a checkpoint to go on from."""
        folder = self.folder / "train"

        def left() -> bool:
            assert self.detail()["status"] not in ENDED, "the training ended before its first checkpoint"
            return any(folder.glob("*.part/checkpoint.pt"))

        wait_for(left, END_SECONDS, "the training left no checkpoint")

    def until_attempt(self, number: int, seconds: float) -> None:
        """Waits until the job was given to an attempt."""
        wait_for(lambda: self.row()["attempt"] >= number, seconds, lambda: f"attempt {number} never came: {self.row()}")

    def ended(self, *, seconds: float = END_SECONDS) -> dict[str, Any]:
        """The detail, once the job has ended."""

        def over() -> dict[str, Any] | None:
            detail = self.detail()
            return detail if detail["status"] in ENDED else None

        return wait_for(over, seconds, lambda: f"did not end: {self.detail()}\n{self.group.log_tail()}")

    @property
    def folder(self) -> Path:
        """Where its runs work."""
        return self.group.data / "work" / self.id

    def objects(self) -> dict[str, tuple[int, int]]:
        """Its objects below `jobs/<id>/`: bytes and time of writing (ns)."""
        root = self.group.data / "objects" / "jobs" / self.id
        return {
            str(path.relative_to(root)): (path.stat().st_size, path.stat().st_mtime_ns)
            for path in root.rglob("*")
            if path.is_file()
        }

    def log(self) -> list[tuple[int, str]]:
        """What its runs have logged: (attempt, message)."""
        pattern = re.compile(rf"Flow run '{re.escape(self.title)}(?: \(attempt (\d+)\))?' - (.*)")
        log = self.group.data / "logs" / "flows.log"  # there from the first run on
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        return [(int(hit[1] or 1), hit[2]) for line in lines if (hit := pattern.search(line))]

    def made(self) -> dict[str, int]:
        """How often each step was done to its end, over all attempts."""
        lines = [message for _, message in self.log()]
        return {step: sum(line.startswith(f"{step}: done") for line in lines) for step in STEPS}

    def training_began_at(self, attempt: int) -> int | None:
        """The percentage at which an attempt began, or went on with, the training."""
        for number, message in self.log():
            if number == attempt and (hit := re.match(r"train: (\d+) %", message)):
                return int(hit[1])
        return None


def query(group: Group, sql: str, *values: Any) -> list[dict[str, Any]]:
    """Rows of the group's database."""
    with sqlite3.connect(f"file:{group.data / 'splatflow.db'}?mode=ro", uri=True, timeout=30) as connection:
        connection.row_factory = sqlite3.Row
        rows = [dict(row) for row in connection.execute(sql, values)]
    connection.close()
    return rows


def prefect(group: Group, method: str, path: str, body: Any = None) -> Any:
    """A call of the Prefect server's API."""
    answer = httpx.request(method, f"{group.prefect_url}/api{path}", json=body, timeout=30, trust_env=False)
    answer.raise_for_status()
    return answer.json() if answer.content else None


def runs_of(group: Group, job: str) -> list[dict[str, Any]]:
    """All flow runs at Prefect that were made for a job."""
    return prefect(group, "POST", "/flow_runs/filter", {"flow_runs": {"tags": {"all_": [f"job:{job}"]}}})


def everything(group: Group) -> dict[str, Any]:
    """All that a job could leave behind, counted: rows by table, objects and folders by name, what Prefect holds."""
    tables = [row["name"] for row in query(group, "SELECT name FROM sqlite_master WHERE type = 'table'")]
    counts: dict[str, Any] = {
        f"rows of {table}": query(group, f'SELECT count(*) AS n FROM "{table}"')[0]["n"]
        for table in tables
        if not table.startswith(("sqlite_", "alembic")) and table not in NOT_OF_JOBS
    }
    data = group.data
    counts["objects"] = sorted(str(path.relative_to(data)) for path in (data / "objects").rglob("*") if path.is_file())
    counts["folders"] = sorted(path.name for path in (data / "work").iterdir())
    deployment = {"deployments": {"name": {"any_": ["reconstruct"]}}}
    counts["runs"] = prefect(group, "POST", "/flow_runs/count", deployment)
    counts["task runs"] = prefect(group, "POST", "/task_runs/count", deployment)
    counts["artifacts"] = prefect(group, "POST", "/artifacts/count", {})
    logs = sqlite3.connect(f"file:{data / 'prefect' / 'prefect.db'}?mode=ro", uri=True, timeout=30)
    reconstructs = (
        "FROM log WHERE flow_run_id NOT IN (SELECT id FROM flow_run WHERE deployment_id IN "
        "(SELECT id FROM deployment WHERE name = 'maintain'))"
    )
    counts["log lines"] = logs.execute(f"SELECT count(*) {reconstructs}").fetchone()[0]
    logs.close()
    return counts


def at_rest(group: Group) -> dict[str, Any]:
    """`everything`, once the ends of earlier jobs have all been carried out and their last log lines have arrived."""
    last: dict[str, Any] = {}

    def still() -> bool:
        nonlocal last
        before, last = last, everything(group)
        time.sleep(0 if before == last else 4)
        return before == last and last["rows of outbox"] == 0

    wait_for(still, 90, lambda: f"never came to rest: {last}")
    return last


def as_json(value: Any) -> str:
    """For messages."""
    return json.dumps(value, indent=1, default=str)
