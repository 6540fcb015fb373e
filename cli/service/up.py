"""`splatflow up` and `splatflow down`: the commands' side of a group. The group itself is `cli.service.supervise`."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cli.service import errors, logs, processes
from cli.service.errors import DataUnusable, PartFailed
from cli.service.folder import DataFolder, GroupState
from cli.service.report import events
from cli.service.running import ending
from tasks.errors import BadOption, SplatflowError

PREFECT_PORT = 4200
DOWN_SECONDS = 60.0

Say = Callable[[str], None]


@dataclass(kw_only=True)
class Group:
    """A group that this command started.

    Attributes:
        state: where it is reached.
        key: the first API key, when there was none before; not kept anywhere.
        process: of the supervisor.
        pipe: its reports.
    """

    state: GroupState
    key: str | None
    process: "subprocess.Popen[bytes]"
    pipe: Iterator[dict[str, Any]]


def start(
    folder: DataFolder, *, host: str | None, api_port: int | None, prefect_port: int | None, detach: bool, say: Say
) -> Group:
    """Starts a group and returns when it is ready.

    Args:
        folder: made when missing.
        host: for the API to listen on; the settings' when None.
        api_port, prefect_port: 0 for any free one; the settings' and 4200 when None.
        detach: it outlives this process; else it ends with it.
        say: takes lines of progress.

    Raises:
        GroupRunning, PortTaken, PartFailed, DataUnusable: it can't be started; nothing of it is left.
        BadOption: a host, a port or a setting can't be used.
        KeyboardInterrupt: it was stopped.
    """
    from storage.settings import load_settings

    settings = load_settings()
    if os.environ.get("SPLATFLOW_SIGNING_SECRET"):  # else the folder's own is used, which nobody knows
        settings.model_copy(update={"api_host": host or settings.api_host}).refuse_unsafe()
    folder.make()
    host, api_port = host or settings.api_host, settings.api_port if api_port is None else api_port
    prefect_port = PREFECT_PORT if prefect_port is None else prefect_port
    read_fd, write_fd = os.pipe()
    logs.rotate(folder.log("supervisor"))
    command = [*supervisor_command(), "--data", str(folder.path), "--host", host]
    command += ["--api-port", str(api_port), "--prefect-port", str(prefect_port), "--report", str(write_fd)]
    with folder.log("supervisor").open("ab") as log:
        begin = log.tell()
        process = subprocess.Popen(
            command if detach else [*command, "--tied-to", str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(write_fd,),
            start_new_session=True,
        )
    os.close(write_fd)
    pipe = events(read_fd)
    try:
        key = _follow_start(pipe, say)
    except _SaidNothing:
        process.wait()
        words = logs.tail(folder.log("supervisor"), begin=begin)
        raise PartFailed(f"The supervisor ended without a word; the end of its log:\n{words}") from None
    except BaseException:
        with _patient():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait()
        raise
    state = folder.state()
    if state is None:
        raise PartFailed(f"The group ended as soon as it was ready; see {folder.log('supervisor')}.")
    return Group(state=state, key=key, process=process, pipe=pipe)


def supervisor_command() -> list[str]:
    """The program that runs a group."""
    return [sys.executable, "-m", "cli.service.supervise"]


def follow(group: Group, say: Say) -> None:
    """Waits for the end of a group in the foreground; Ctrl-C stops it in order.

    Raises:
        PartFailed: the supervisor was killed, or failed.
    """
    try:
        for event in group.pipe:
            if event["event"] == "part" and event["phase"] == "dead":
                say(f"{event['name']} ended ({event['why']}); it starts again in {event['again_in']:.0f} s")
            elif event["event"] == "part" and event["phase"] == "ready":
                say(f"{event['name']} is ready")
    except KeyboardInterrupt:
        say("stopping (once more: at once)")
        stop_started(group)
    if (code := group.process.wait()) != 0:
        raise PartFailed(f"The supervisor ended ({ending(code)}); see the logs in {group.state.data}.")


def stop_started(group: Group) -> None:
    """Stops a group that this command started, and waits; a Ctrl-C meanwhile takes its patience away."""
    while group.process.poll() is None:
        try:
            group.process.send_signal(signal.SIGTERM)
            group.process.wait()
        except KeyboardInterrupt:
            continue


def stop(folder: DataFolder, say: Say) -> bool:
    """Stops the group of a data folder, whoever started it, and what earlier ones left; returns whether there was anything.

    Raises:
        DataUnusable: it doesn't end.
    """
    state = folder.running()
    if state is not None and processes.alive(state.pid, state.started):
        say(f"stopping the group in {folder.path}")
        os.kill(state.pid, signal.SIGTERM)
        deadline = time.monotonic() + DOWN_SECONDS
        while folder.locked() and time.monotonic() < deadline:
            time.sleep(0.05)
        if folder.locked():
            say("it takes too long; killing it")
            os.kill(state.pid, signal.SIGKILL)
    left = processes.end_leftovers(folder.group_id, patience_seconds=10.0)
    if folder.locked():
        raise DataUnusable(f"Something still holds {folder.run / 'lock'}; end that process and try again.")
    if left:
        say(f"ended {left} process(es) that an earlier group had left")
    folder.forget_state()
    return state is not None or left > 0


class _SaidNothing(Exception):
    pass


def _follow_start(pipe: Iterator[dict[str, Any]], say: Say) -> str | None:
    key: str | None = None
    for event in pipe:
        if event["event"] == "ready":
            return key
        if event["event"] == "key":
            key = event["key"]
        elif event["event"] == "failed":
            if key is not None:  # it is shown only once, and the next start won't make another
                say(f"API key (shown only now): {key}")
            raise _known(event)
        elif event["event"] == "stopped":
            raise KeyboardInterrupt
        elif event["event"] == "part" and event["phase"] in ("ready", "done"):
            say(f"{event['name']:<12} {event['phase']} after {event['seconds']:.1f} s")
    raise _SaidNothing


def _known(event: dict[str, Any]) -> SplatflowError:
    kinds = (BadOption, *(k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, SplatflowError)))
    kind = next((k for k in kinds if k.__name__ == event["error"]), PartFailed)
    return kind(event["message"])


@contextmanager
def _patient() -> Iterator[None]:
    """Holds off a second Ctrl-C while what was started is being ended."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def show(group: GroupState, key: str | None, *, as_json: bool) -> None:
    """Prints where the group is reached, and the key when it is new."""
    if as_json:
        found = {"url": group.url, "prefect_url": group.prefect_url, "data": group.data}
        print(json.dumps({**found, "key": key} if key else found), flush=True)
        return
    print(f"API          {group.url}/api/v1/")
    print(f"pages        {group.url}/")
    print(f"docs         {group.url}/docs")
    print(f"Prefect      {group.prefect_url}")
    print(f"data, logs   {group.data}")
    print(f"API key      {key or 'there is one already; `splatflow keys create --name NAME` makes another'}")
    if key:
        print("             (shown only now, and kept nowhere)")
    sys.stdout.flush()
