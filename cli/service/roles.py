"""The parts of the service one by one, each on a machine of its own: what `splatflow part NAME` runs.

Containers, Kubernetes and systemd start and watch them there; a group (`cli.service.supervise`) does it on one machine, with the
same commands. Here nothing is made up: what parts share is given to each of them, or it refuses to start.
"""

import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from cli.service import environment
from cli.service.errors import DataUnusable, PartFailed
from cli.service.folder import DataFolder
from cli.service.parts import Part, answers, is_ready, prefect, worker
from cli.service.ports import url
from flows.request import HOUSEKEEPING_POOL, POOL
from storage.settings import DEFAULT_SIGNING_SECRET, MIN_SECRET_CHARACTERS, load_settings
from tasks.errors import BadOption

Environment = Mapping[str, str]

PREFECT_PORT = "4200"
PREFECT_API = "PREFECT_API_URL"
PREFECT_DATABASE = "PREFECT_API_DATABASE_CONNECTION_URL"
DATABASE, STORE, SIGNING = "SPLATFLOW_DATABASE_URL", "SPLATFLOW_OBJECT_STORE", "SPLATFLOW_SIGNING_SECRET"

# What a part can't do without, and what to set.
GIVE = {
    DATABASE: "the PostgreSQL database that all parts share, as postgresql://USER:PASSWORD@HOST/NAME",
    STORE: "s3, since parts on different machines share no disk, with the SPLATFLOW_S3_... of the store",
    SIGNING: f"a random secret of at least {MIN_SECRET_CHARACTERS} characters (openssl rand -hex 32), the same for all that get it",
    PREFECT_API: "where the API of the Prefect server is reached, such as http://prefect:4200/api",
    PREFECT_DATABASE: "the database of the Prefect server, as postgresql+asyncpg://USER:PASSWORD@HOST/NAME",
}
SECRETS = (DATABASE, PREFECT_DATABASE, SIGNING, "SPLATFLOW_S3_SECRET_KEY")
AUTH_STRINGS = ("PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING")


@dataclass(frozen=True, kw_only=True)
class Role:
    """A part as it is run alone.

    Attributes:
        part: makes it from its environment and the mark of its data folder.
        needs: variables without which it doesn't start.
        kept: this process stays, starts it again when it dies, and ends its runs in order; else this process becomes it.
    """

    part: Callable[[Environment, str], Part]
    needs: tuple[str, ...]
    kept: bool = False


def _api(env: Environment, _mark: str) -> Part:
    here = url(env.get("SPLATFLOW_API_HOST") or "127.0.0.1", int(env.get("SPLATFLOW_API_PORT") or 8000))
    return Part(name="api", module="api.main", ready=lambda: answers(here, "/healthz"))


def _prefect(env: Environment, _mark: str) -> Part:
    host = env.get("PREFECT_SERVER_API_HOST") or "127.0.0.1"
    port = int(env.get("PREFECT_SERVER_API_PORT") or PREFECT_PORT)
    return prefect(host, port, f"{url(host, port)}/api")


def _worker(name: str, pool: str) -> Callable[[Environment, str], Part]:
    return lambda env, mark: worker(name, pool, env.get(PREFECT_API, ""), mark)


def _ending(name: str) -> Callable[[Environment, str], Part]:
    return lambda _env, _mark: Part(name=name, module=f"cli.service.{name}", ends=True)


WORK = (DATABASE, STORE, PREFECT_API)
ROLES = {
    "migrate": Role(part=_ending("migrate"), needs=(DATABASE,)),
    "prefect": Role(part=_prefect, needs=(PREFECT_DATABASE,)),
    "deploy": Role(part=_ending("deploy_pools"), needs=(PREFECT_API,)),
    "api": Role(part=_api, needs=(*WORK, SIGNING)),
    "dispatcher": Role(
        part=lambda _env, _mark: Part(name="dispatcher", module="api.dispatcher"), needs=(*WORK, SIGNING)
    ),
    "worker": Role(part=_worker("worker", POOL), needs=WORK, kept=True),
    "housekeeping": Role(part=_worker("housekeeping", HOUSEKEEPING_POOL), needs=WORK, kept=True),
    # One run, where something else than our workers starts it: a pod of a Kubernetes work pool.
    "run": Role(part=lambda _env, _mark: Part(name="run", module="prefect.engine", ends=True), needs=WORK),
}


def run(name: str, folder: DataFolder, inherited: Environment, arguments: tuple[str, ...] = ()) -> None:
    """Runs a part until it ends or is asked to.

    Args:
        name: one of ROLES.
        folder: of this machine and this part alone.
        inherited: the environment of the command.
        arguments: more of them for the part's own program.

    Raises:
        BadOption: something that it needs isn't given, or holds what the example files do.
        DataUnusable, GroupRunning: the folder can't be used, or another part works in it.
        PartFailed: a worker ended while it started.
    """
    role = ROLES[name]
    refuse(role.needs, inherited)
    environ = environment.of_role(folder, inherited)
    part = role.part(environ, folder.group_id)
    if role.kept:
        _keep(folder, part, environ)
    else:
        # Without the mark: a worker that starts on the same folder ends what is left of its group, and this is no part of it.
        del environ[environment.GROUP_MARK]
        _become(folder, [*part.command, *arguments], environ)


def check(name: str, folder: DataFolder, inherited: Environment) -> None:
    """Asks the part that runs on this machine whether it does; for health checks.

    Raises:
        PartFailed: it doesn't answer as it should.
        BadOption: it has no way to be asked.
    """
    part = ROLES[name].part(environment.of_role(folder, inherited), folder.group_id)
    if part.ready is None:
        raise BadOption(f"The part {name} can't be asked; it ends when it can't go on, so watch its process.")
    if not is_ready(part):
        raise PartFailed(f"The part {name} doesn't answer, or isn't ready yet.")


def refuse(needs: tuple[str, ...], inherited: Environment) -> None:
    """Raises BadOption when something is missing, too short, or as public as the example files."""
    for name in needs:
        if not inherited.get(name):
            raise BadOption(f"{name} is not set; give {GIVE[name]}.")
    for name in (*SECRETS, *AUTH_STRINGS):
        if DEFAULT_SIGNING_SECRET in inherited.get(name, ""):
            raise BadOption(
                f"{name} holds {DEFAULT_SIGNING_SECRET!r}, which everybody knows; put a secret of your own in."
            )
    if DATABASE in needs and not inherited[DATABASE].startswith(("postgres://", "postgresql")):
        raise BadOption(f"{DATABASE} names no PostgreSQL database; give {GIVE[DATABASE]}.")
    if STORE in needs and inherited[STORE] != "s3":
        raise BadOption(f"{STORE} is {inherited[STORE]!r}; give {GIVE[STORE]}.")
    if SIGNING in needs and len(inherited[SIGNING]) < MIN_SECRET_CHARACTERS:
        raise BadOption(f"{SIGNING} is too short; give {GIVE[SIGNING]}.")
    load_settings()


def _become(folder: DataFolder, command: list[str], environ: dict[str, str]) -> NoReturn:
    home = Path(environ["PREFECT_HOME"])
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise DataUnusable(f"{home} can't be made ({why}); choose a folder you may write to with --data.") from None
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(command[0], command, environ)


def _keep(folder: DataFolder, part: Part, environ: dict[str, str]) -> None:
    from time import strftime

    import psutil

    from cli.service import processes
    from cli.service.echo import echoed
    from cli.service.folder import GroupState
    from cli.service.report import Reporter
    from cli.service.supervisor import Supervisor

    def say(line: str) -> None:
        print(f"{strftime('%Y-%m-%d %H:%M:%S')}  {line}", flush=True)

    processes.adopt_orphans()
    folder.make()
    lock = folder.lock()
    state = GroupState(
        phase="starting",
        pid=os.getpid(),
        started=psutil.Process().create_time(),
        url="",
        prefect_url=environ[PREFECT_API].removesuffix("/api"),
        data=str(folder.path),
    )
    supervisor = Supervisor(folder, [part], environ, state, Reporter(None), say)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, supervisor.ask_to_stop)
    try:
        with echoed(folder.logs):
            supervisor.run()
    finally:
        os.close(lock)
