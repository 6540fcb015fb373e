"""`splatflow reconstruct`: one video through the service of a data folder, which is started for it when it isn't at work."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from cli.client import jobs, results
from cli.client.deployment import kept_key
from cli.client.errors import Refused
from cli.client.http import Api
from cli.display import shown
from cli.service import keys, prepare, up
from cli.service.folder import DataFolder, GroupState
from tasks.errors import BadOption

FORBIDDEN = (401, 403)
STARTING_SECONDS = 180.0

Say = Callable[[str], None]


def reconstruct(folder: DataFolder, source: Path, out: Path, fields: dict[str, Any], say: Say) -> None:
    """Makes the result folder `out` of a video or photos.

    Args:
        folder: of the group that is used; a group that is started here is stopped again at the end.
        source: a video, a zip or a folder of photos.
        fields: of the submit's body.
        say: takes lines of progress.

    Raises:
        SplatflowError: the group can't be started, the input can't be used, or the job failed.
        KeyboardInterrupt: stopped; the job is kept.
    """
    if not source.exists():
        raise BadOption(f"{source} does not exist; give a video, or a folder or zip of photos.")
    with _group(folder, say) as (state, started_here), Api(state.url, _key(folder, state), say=say) as api:
        say(f"API {state.url}/docs, Prefect {state.prefect_url}")
        with shown(Console()) as display:
            job = jobs.submit(api, source, fields, display)
            display.say(f"job {job['job_id']}")
            try:
                job = jobs.follow(api, job["job_id"], display)
                display.begin("download")
                results.fetch_result(api, job, out, display)
                display.end(f"into {out}")
            except KeyboardInterrupt:
                _say_how_to_go_on(folder, job["job_id"], out, started_here, say)
                raise


def _say_how_to_go_on(folder: DataFolder, job_id: str, out: Path, started_here: bool, say: Say) -> None:
    data = f" --data {folder.path}"
    if started_here:
        say(f"Stopped; the job is kept. It goes on after `splatflow up{data}`.")
    else:
        say("The job goes on without this command.")
    say(f"To follow it: `splatflow status {job_id} --watch{data}`")
    say(f"To fetch its result: `splatflow download {job_id} --out {out}{data}`")


@contextmanager
def _group(folder: DataFolder, say: Say) -> Iterator[tuple[GroupState, bool]]:
    """The group of the folder, and whether it was started here; then it is stopped at the end."""
    state = _ready(folder)
    if state is not None:
        yield state, False
        return
    say(f"starting the service in {folder.path}")
    # Any free ports: it serves this command alone, and must not be in the way of another group.
    group = up.start(folder, host="127.0.0.1", api_port=0, prefect_port=0, detach=False, say=say)
    if group.key is not None:
        _keep(folder, group.key)
    try:
        yield group.state, True
    finally:
        say("stopping the service")
        up.stop_started(group)


def _ready(folder: DataFolder) -> GroupState | None:
    """The running group, waited for while it starts."""
    deadline = time.monotonic() + STARTING_SECONDS
    state = folder.running()
    while state is not None and state.phase == "starting" and time.monotonic() < deadline:
        time.sleep(0.2)
        state = folder.running()
    return state if state is not None and state.phase == "ready" else None


def _key(folder: DataFolder, state: GroupState) -> str:
    """The key that is kept for commands on this folder; a new one when there is none, or it is no longer in force."""
    if (key := kept_key(folder)) is not None:
        try:
            with Api(state.url, key) as api:
                api.get("jobs/", limit=1)
            return key
        except Refused as error:
            if error.status not in FORBIDDEN:
                raise
    with keys.opened(folder.path) as database:
        made = keys.create(
            database,
            name="commands on this machine",
            account=prepare.FIRST_NAME,
            plan=None,
            scope="write",
            expires_in_seconds=None,
            limits=[],
        )
    _keep(folder, made["key"])
    return made["key"]


def _keep(folder: DataFolder, key: str) -> None:
    draft = folder.client_key.with_name("client-key.part")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(key + "\n")
    draft.replace(folder.client_key)
