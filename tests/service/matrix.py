"""Jobs of several accounts on a cluster of hosts, and what must hold of them after faults: counted from the hosts' logs, from the rows,
and from the store itself, never from what the service says of itself."""

import hashlib
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import BytesIO
from itertools import cycle, islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
from minio import Minio

from tests.api.webhooks.receiver import Receiver, receiving
from tests.contract.client import BLOCK_BLOB, Api, client, close_client, outside
from tests.service.processes import STEP, wait_for
from tests.service.watched import STEPS, as_json
from tests.support.cluster import BUCKET, Cluster, running_cluster
from tests.support.hosts import Host

ACCOUNTS = ("red", "green", "blue")
WORKERS = ("gpu-1", "gpu-2")
HOOKS = {"SPLATFLOW_WEBHOOK_ALLOW_HTTP": "1", "SPLATFLOW_WEBHOOK_ALLOW_PRIVATE": "127.0.0.1/32"}
ENDED = ("finished", "failed", "lost")
DONE = re.compile(r"Flow run '(Matrix \d+)(?: \(attempt (\d+)\))?' - (\w+): done in")
OPTIONS = {"training_num_steps": 300, "training_max_num_gaussians": 4000, "train_side_px": 192}

HEAD = """# Twenty jobs through every fault

`python -m benchmarks.faults` makes this page: jobs of three accounts on four hosts that share PostgreSQL, an S3 server
(signatures checked) and Prefect's API: a front (API, dispatcher, housekeeping), Prefect's server, two workers. Settings as
a user gets them. Seconds since the first upload.

"""
Stamps = dict[str, tuple[int, int]]  # by key: bytes and time of writing (ns)


@dataclass(kw_only=True)
class Matrix:
    """Jobs under watch on a cluster.

    Attributes:
        receiver: of the accounts' webhooks.
        jobs: title by the job's id.
        told: what happened, in order: (seconds since the first upload, sentence).
        kept: steps that were in the store at a fault.
        lost: jobs whose host was lost, with the attempt and the moment.
        interrupted: (title, step) in which hosts were lost.
    """

    cluster: Cluster
    receiver: Receiver
    jobs: dict[str, str] = field(default_factory=dict)
    told: list[tuple[float, str]] = field(default_factory=list)
    begun: float = 0.0
    kept: Stamps = field(default_factory=dict)
    lost: list[tuple[str, int, float]] = field(default_factory=list)
    interrupted: list[tuple[str, str]] = field(default_factory=list)

    def submit(self, count: int, clip: bytes) -> None:
        """Submits jobs, the accounts in turn, as clients do: uploads to the store, then submits."""
        self.begun = time.monotonic()
        apis = {name: Api(self.cluster.url, self.cluster.make_key("front", name, account=name)) for name in ACCOUNTS}
        for name, api in apis.items():
            hook = {"url": f"http://127.0.0.1:{self.receiver.port}/{name}", "events": ["job.finished"]}
            api.post("webhooks/", json=hook).raise_for_status()
        for number, account in enumerate(islice(cycle(ACCOUNTS), count), 1):
            api, title = apis[account], f"Matrix {number}"
            upload = api.upload_url("mp4")
            outside("PUT", upload["url"], content=clip, headers=BLOCK_BLOB).raise_for_status()
            self.jobs[api.submit(blob_name=upload["blob_name"], title=title, **OPTIONS)["job_id"]] = title
        self.note(f"{count} jobs of {len(ACCOUNTS)} accounts submitted")

    def note(self, sentence: str) -> None:
        """Something happened now."""
        self.told.append((time.monotonic() - self.begun, sentence))
        print(f"{self.told[-1][0]:6.0f} s  {sentence}", flush=True)

    def rows(self) -> list[dict[str, Any]]:
        """All jobs' rows; waits for a database that is starting."""
        while True:
            with suppress(psycopg.OperationalError):
                return self.cluster.query("SELECT * FROM job WHERE reprocess_of IS NULL ORDER BY created_at")
            time.sleep(0.2)

    def at_work(self, host: Host, step: str) -> str | None:
        """The id of a job of which a step's process is at work on a host."""
        for row in self.rows():
            if row["state"] == "running" and row["step"] == step and (step != "train" or (row["step_done"] or 0) > 0):
                found = host.of_run(str(row["run_id"]))
                if any(STEP in " ".join(process.cmdline()) for process in found):
                    return str(row["id"])
        return None

    def lose_in(self, host: Host, step: str, *, seconds: float) -> None:
        """Waits until a host is in the middle of a step, kills all that runs there with signal 9, and starts its worker again."""
        job = wait_for(
            lambda: self.at_work(host, step), seconds, lambda: f"{host.name} never came to {step}: {self.state()}"
        )
        attempt, kept, killed = self._row(job)["attempt"], self.steps_stored(), host.lose()
        self.lost.append((job, attempt, time.monotonic()))
        self.interrupted.append((self.jobs[job], step))
        self.kept |= kept
        self.note(f"{host.name} lost in {step} of '{self.jobs[job]}': {killed} processes killed")
        host.start("worker", wait=False)

    def taken_up(self) -> None:
        """Waits until what was lost has other attempts."""
        for job, attempt, lost in self.lost:
            wait_for(lambda job=job, n=attempt: self._row(job)["attempt"] > n, 150, lambda job=job: f"{self._row(job)}")
            self.note(
                f"'{self.jobs[job]}' was given another attempt at most {time.monotonic() - lost:.0f} s after the loss"
            )
        self.lost.clear()

    def prefect_away(self, host: Host, seconds: float) -> None:
        """Prefect's server is killed and stays away."""
        self.note(f"Prefect's server killed, {self.count('running')} runs at work")
        host.lose()
        time.sleep(seconds)
        host.start("prefect")
        back, before = time.monotonic(), {row["id"] for row in self.rows() if row["state"] != "queued"}
        self.note(f"Prefect's server back after {seconds:.0f} s, {self.count('finished')} jobs finished by now")
        if len(before) < len(self.jobs):
            wait_for(
                lambda: any(row["state"] != "queued" and row["id"] not in before for row in self.rows()), 60, self.state
            )
            self.note(f"the next job began {time.monotonic() - back:.0f} s after that")

    def count(self, state: str) -> int:
        """Jobs in a state."""
        return sum(row["state"] == state for row in self.rows())

    def until_ended(self, seconds: float) -> None:
        """Waits for the last job's end; all must be finished."""
        wait_for(lambda: all(row["state"] in ENDED for row in self.rows()), seconds, self.state)
        self.note(f"the last job has ended, {self.count('finished')} of {len(self.jobs)} finished")
        assert self.count("finished") == len(self.jobs), self.state()

    def done(self) -> dict[tuple[str, str], int]:
        """How often each step of each job was carried out to its end, by (title, step), as the hosts' logs tell."""
        counts: dict[tuple[str, str], int] = {}
        for host in self.cluster.hosts.values():
            log = host.folder / "worker.log"
            for hit in DONE.finditer(log.read_text(errors="replace") if log.exists() else ""):
                counts[hit[1], hit[3]] = counts.get((hit[1], hit[3]), 0) + 1
        return counts

    def stored(self) -> Stamps:
        """What the store holds."""
        root = self.cluster.s3.folder / BUCKET
        found: Stamps = {}
        for path in root.rglob("*"):
            with suppress(FileNotFoundError):
                if path.is_file():
                    status = path.stat()
                    found[str(path.relative_to(root))] = (status.st_size, status.st_mtime_ns)
        return found

    def steps_stored(self) -> Stamps:
        """Outputs of finished steps in the store."""
        return {key: stamp for key, stamp in self.stored().items() if key.split("/")[2:3] == ["steps"]}

    def check_steps(self) -> None:
        """No finished step was carried out twice, and none that was stored at a fault was written again."""
        counts = self.done()
        # A step in which a host was lost may have ended, and told so, in the moment before it was stored.
        twice = {what: times for what, times in counts.items() if times > 1 + self.interrupted.count(what)}
        assert not twice, twice
        missing = {(title, step) for title in self.jobs.values() for step in STEPS} - counts.keys()
        again = sum(times > 1 for times in counts.values())
        self.note(
            f"{sum(counts.values())} steps carried out, {again or 'none'} twice; {len(missing)} ends lost with a host's log"
        )
        assert len(missing) <= 2 * len(WORKERS), missing  # the last line of a killed process may not have been written
        assert self.kept.items() <= self.stored().items(), "a stored step was written again"

    def check_files(self) -> None:
        """Each job has the files of one attempt, whole, as its row says."""
        root = self.cluster.s3.folder / BUCKET
        for row in self.rows():
            files = row["files"]
            assert {"ply", "spz", "report", "colmap"} <= files.keys(), row
            for file in files.values():
                content = (root / file["key"]).read_bytes()
                assert len(content) == file["bytes"]
                assert hashlib.sha256(content).hexdigest() == file["sha256"]
            assert len({Path(file["key"]).parent for file in files.values()}) == 1
        self.note(f"{sum(len(row['files']) for row in self.rows())} files have the digests of their rows")

    def expected(self) -> dict[str, int | None]:
        """What rows say that the store holds, bytes by key; None where no row says how many.

        An upload stays until its URL has expired; the job works with its own copy.
        """
        uploads = self.cluster.query("SELECT blob_name FROM upload")
        expected: dict[str, int | None] = {row["blob_name"]: None for row in uploads}
        for row in self.rows():
            expected[row["source_key"]] = row["source_bytes"]
            expected |= {file["key"]: file["bytes"] for file in row["files"].values()}
            expected |= dict.fromkeys(filter(None, [row["preview_key"]]))
        return expected

    def check_tellings(self) -> None:
        """Each account's webhook has heard of each of its jobs' ends, under one delivery's name each."""

        def heard() -> dict[str, set[str]]:
            found: dict[str, set[str]] = {}
            for path, headers, body in list(self.receiver.requests):
                told = json.loads(body)
                assert (told["event"], path) == ("job.finished", f"/{self._account(told['job']['job_id'])}")
                found.setdefault(told["job"]["job_id"], set()).add(headers["Splatflow-Delivery"])
            return found

        wait_for(lambda: heard().keys() == self.jobs.keys(), 90, lambda: f"{heard()}")
        assert all(len(names) == 1 for names in heard().values()), heard()
        self.note(f"{len(heard())} ends told to webhooks, in {len(self.receiver.requests)} requests")

    def collect(self, *, strangers: bool) -> None:
        """A round of housekeeping, over the store with strays in it, says that store and rows agree.

        Args:
            strangers: one of no job, too, at which housekeeping looks twice, 30 s apart.
        """
        server = self.cluster.s3
        store = Minio(
            urlsplit(server.endpoint).netloc, server.access_key, server.secret_key, secure=False, region=server.region
        )
        strays = {f"jobs/{next(iter(self.jobs))}/outputs/99/late.ply"}
        if strangers:
            strays.add(f"jobs/{uuid4()}/steps/sfm/late.tar")
        for key in strays:
            store.put_object(bucket_name=BUCKET, object_name=key, data=BytesIO(bytes(1000)), length=1000)
        time.sleep(1.1)
        done = self.cluster.host("front").run("maintain", "--min-age", "1", "--json", check=False)
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        assert not report["problems"], report
        assert report["bytes"] == 1000 * len(strays), report
        assert not self.stored().keys() & strays
        store = report["store"]
        assert store["stored"] == store["accounted"] == sum(size for size, _ in self.stored().values()), store
        self.note(f"housekeeping removed {report['bytes']} bytes; of {store['stored']} stored all are accounted for")

    def check_store(self) -> None:
        """The store holds what rows say, of each job and step one output and one record of it, and nothing else."""
        stored, expected = self.stored(), self.expected()
        parts = [key.split("/") for key in stored.keys() - expected.keys()]
        steps = [(job, step) for _, job, kind, step, *_ in parts if kind == "steps"]
        records = [(job, name.split(".")[0]) for _, job, kind, name, *_ in parts if kind == "results"]
        assert sorted(steps) == sorted((job, step) for job in self.jobs for step in STEPS if step != "export")
        assert len(records) == len(set(records))
        assert {job for job, _ in records} <= self.jobs.keys()
        assert len(parts) == len(steps) + len(records), sorted(stored.keys() - expected.keys())
        assert not expected.keys() - stored.keys()
        assert all(size is None or stored[key][0] == size for key, size in expected.items())
        self.note(
            f"the store holds {len(stored)} objects, {sum(size for size, _ in stored.values())} bytes: what rows say"
        )

    def state(self) -> str:
        """For messages."""
        rows = [
            {key: row[key] for key in ("title", "state", "step", "attempt", "crashes", "error_message")}
            for row in self.rows()
        ]
        return f"{as_json(rows)}\n{self.cluster.tails()}"

    def markdown(self) -> str:
        """What happened, as a page."""
        return (
            HEAD
            + "| s | |\n|---:|---|\n"
            + "".join(f"| {seconds:.0f} | {sentence} |\n" for seconds, sentence in self.told)
        )

    def _account(self, job: str) -> str:
        (found,) = self.cluster.query(
            "SELECT name FROM account JOIN job ON job.account_id = account.id WHERE job.id = %s", job
        )
        return found["name"]

    def _row(self, job: str) -> dict[str, Any]:
        return next(row for row in self.rows() if str(row["id"]) == job)


@contextmanager
def running_matrix(folder: Path, settings: dict[str, str]) -> Iterator[Matrix]:
    """A front with API, dispatcher and housekeeping, Prefect's server on a host of its own, and two hosts with workers."""
    client()  # made before there are threads
    names = ("front", "prefect", *WORKERS)
    with receiving() as receiver, running_cluster(folder, names, settings=HOOKS | settings) as cluster:
        cluster.start_front()
        for name in WORKERS:
            cluster.host(name).start("worker", wait=False)
        cluster.host("front").start("housekeeping", wait=False)
        wait_for(lambda: outside("GET", f"{cluster.url}/readyz").status_code == 200, 60, cluster.tails)
        yield Matrix(cluster=cluster, receiver=receiver)
    close_client()
