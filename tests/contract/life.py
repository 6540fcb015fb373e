"""One job's whole life, followed in the background while other tests run."""

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.contract.client import BLOCK_BLOB, Api, job_events, outside
from tests.contract.clip import demo_clip

STEPS, MAX_GAUSSIANS = 100, 6000
END = ("Finished", "Failed", "Not found")
LIFE_SECONDS = 360
NEW_TITLE = "Renamed while it ran"


@dataclass
class Life:
    """What a polling client saw of a job made of a real clip; `follow` fills it.

    Attributes:
        answer: of submit-job.
        seen: (status, percent_complete) whenever one of them changed.
        details: the job's details at these moments.
        events, line_times: details that the event stream brought, and seconds after its start at which lines came.
        preview_while_training: whether preview/ answered with a picture before the job was finished.
        renamed_while: the status when the title was changed.
        detail: the last one.
    """

    api: Api
    folder: Path
    answer: dict[str, Any] = field(default_factory=dict)
    seen: list[tuple[str, int | None]] = field(default_factory=list)
    details: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    line_times: list[float] = field(default_factory=list)
    stream_closed: bool = False
    preview_while_training: bool = False
    renamed_while: str = ""
    detail: dict[str, Any] = field(default_factory=dict)
    error: BaseException | None = None

    @property
    def job(self) -> str:
        return self.answer["job_id"]

    def follow(self) -> None:
        """Uploads, submits, spoils the upload, and polls until the job ends."""
        try:
            self._submit()
            listener = threading.Thread(target=self._listen, daemon=True)
            listener.start()
            self._poll()
            listener.join(timeout=30)
        except BaseException as error:  # told by the test that waits for this thread
            self.error = error

    def _submit(self) -> None:
        upload = self.api.upload_url()
        clip = demo_clip(self.folder / "clip.mp4")
        outside("PUT", upload["url"], content=clip, headers=BLOCK_BLOB).raise_for_status()
        body = {
            "blob_name": upload["blob_name"],
            "title": "Contract clip",
            "training_num_steps": STEPS,
            "training_max_num_gaussians": MAX_GAUSSIANS,
        }
        response = self.api.post("submit-job/", json=body)
        assert response.status_code == 201, response.text
        self.answer = response.json()
        self.api.jobs.append(self.job)
        # The URL is valid for two hours; whatever this answers, the job must read the clip.
        outside("PUT", upload["url"], content=b"spoilt", headers=BLOCK_BLOB)

    def _poll(self) -> None:
        deadline = time.monotonic() + LIFE_SECONDS
        while time.monotonic() < deadline:
            self.detail = self.api.detail(self.job)
            look = (self.detail["status"], self.detail["percent_complete"])
            if not self.seen or self.seen[-1] != look:
                self.seen.append(look)
                self.details.append(self.detail)
            if look[0] in END:
                return
            if look[0] == "Generating 3D scene":
                self._during_training()
            time.sleep(0.2)
        raise AssertionError(f"the job did not end in {LIFE_SECONDS} s: {self.seen}")

    def _during_training(self) -> None:
        if not self.renamed_while:
            changed = self.api.patch(f"jobs/{self.job}/", json={"title": NEW_TITLE, "public": True})
            assert changed.status_code == 200, changed.text
            self.renamed_while = changed.json()["status"]
        answer = self.api.get(f"jobs/{self.job}/preview/")
        if answer.status_code == 302:
            # The job may have ended between the two requests, so only a look after this one proves it.
            self.preview_while_training |= self.api.detail(self.job)["status"] == "Generating 3D scene"

    def _listen(self) -> None:
        started = time.monotonic()
        try:
            with self.api.events(self.job, timeout=60) as lines:
                self.events = []
                for event in job_events(self._timed(lines, started)):
                    self.events.append(event)
            self.stream_closed = True
        except httpx.HTTPError as error:
            self.events.append({"stream_error": repr(error)})

    def _timed(self, lines: Any, started: float) -> Any:
        for line in lines:
            self.line_times.append(time.monotonic() - started)
            yield line


@dataclass
class Background:
    """The jobs that run while the other tests do."""

    life: Life
    thread: threading.Thread

    def finished(self) -> Life:
        """The life of the real job, once it is over."""
        self.thread.join(timeout=LIFE_SECONDS + 60)
        if self.life.error is not None:
            raise self.life.error
        return self.life
