"""`splatflow part NAME`: what a part on a machine of its own asks for, becomes, and tells."""

import json
import os
import subprocess
import sys
import threading
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from cli.service import commands, deploy, environment, roles
from cli.service.echo import Echo
from cli.service.errors import PartFailed
from cli.service.folder import DataFolder
from storage.settings import DEFAULT_SIGNING_SECRET
from tasks.errors import BadOption
from tests.cli.stand_in_parts import Yes

GIVEN = {
    "SPLATFLOW_DATABASE_URL": "postgresql://splatflow:p@db/splatflow",
    "SPLATFLOW_OBJECT_STORE": "s3",
    "SPLATFLOW_S3_SECRET_KEY": "k" * 32,
    "SPLATFLOW_SIGNING_SECRET": "s" * 32,
    "PREFECT_API_URL": "http://prefect:4200/api",
    "PREFECT_API_DATABASE_CONNECTION_URL": "postgresql+asyncpg://prefect:p@db/prefect",
}


def command(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "cli.main", "part", *arguments],
        env={"PATH": os.environ["PATH"], **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_grammar_names_all_of_them() -> None:
    assert set(commands.PARTS) == roles.ROLES.keys()


@pytest.mark.parametrize("name", roles.ROLES)
def test_everything_that_a_part_needs_must_be_given(name: str) -> None:
    role = roles.ROLES[name]
    roles.refuse(role.needs, GIVEN)
    for missing in role.needs:
        with pytest.raises(BadOption, match=missing):
            roles.refuse(role.needs, {**GIVEN, missing: ""})


@pytest.mark.parametrize("name", [*roles.SECRETS, *roles.AUTH_STRINGS])
def test_no_part_starts_with_a_secret_of_the_example_files(name: str) -> None:
    known = f"postgresql://splatflow:{DEFAULT_SIGNING_SECRET}@db/splatflow"
    for role in roles.ROLES.values():
        with pytest.raises(BadOption, match="everybody knows"):
            roles.refuse(role.needs, {**GIVEN, name: known})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SPLATFLOW_DATABASE_URL", "sqlite:////data/splatflow.db"),
        ("SPLATFLOW_OBJECT_STORE", "local"),
        ("SPLATFLOW_SIGNING_SECRET", "short"),
    ],
)
def test_what_only_works_on_one_machine_is_refused(name: str, value: str) -> None:
    with pytest.raises(BadOption, match=name):
        roles.refuse(roles.ROLES["api"].needs, {**GIVEN, name: value})


def test_a_worker_gets_no_signing_secret_and_no_prefect_database(tmp_path: Path) -> None:
    assert not {"SPLATFLOW_SIGNING_SECRET", "PREFECT_API_DATABASE_CONNECTION_URL"} & set(roles.ROLES["worker"].needs)
    told = environment.of_role(DataFolder(tmp_path), {"PREFECT_API_URL": "http://prefect:4200/api"})
    assert told["PREFECT_API_URL"] == "http://prefect:4200/api"
    assert "SPLATFLOW_SIGNING_SECRET" not in told, "nothing is made up"
    assert told["DO_NOT_TRACK"] == "1"
    assert not list(tmp_path.iterdir())


def test_a_refusal_is_said_by_the_command(tmp_path: Path) -> None:
    done = command("worker", "--data", str(tmp_path))
    assert done.returncode == 2
    assert "error [bad_option]: SPLATFLOW_DATABASE_URL is not set" in done.stderr
    done = command("api", "--kubernetes", "x.json")
    assert "goes with `part deploy`" in done.stderr


def test_a_worker_on_the_same_folder_does_not_take_other_parts_for_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    became: dict[str, dict[str, str]] = {}
    monkeypatch.setattr(os, "execve", lambda _program, command, environ: became.update({command[2]: environ}))
    for name, role in roles.ROLES.items():
        if not role.kept:
            roles.run(name, DataFolder(tmp_path), {**GIVEN, environment.GROUP_MARK: "of an outer group"})
    assert {"api.main", "api.dispatcher", "uvicorn"} <= became.keys()
    assert not [command for command, environ in became.items() if environment.GROUP_MARK in environ]


def test_check_asks_the_part_that_runs_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = DataFolder(tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), Yes) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        port = str(server.server_address[1])
        roles.check("api", folder, {"SPLATFLOW_API_PORT": port, "SPLATFLOW_API_HOST": "0.0.0.0"})
        roles.check("prefect", folder, {"PREFECT_SERVER_API_PORT": port})
        server.shutdown()
        thread.join()
    with pytest.raises(PartFailed):
        roles.check("api", folder, {"SPLATFLOW_API_PORT": port})
    with pytest.raises(BadOption, match="can't be asked"):
        roles.check("dispatcher", folder, {})


def test_deployments_for_workers_elsewhere_hold_no_path_of_this_machine() -> None:
    kind = deploy.of_workers()
    assert kind.job_variables == {"command": "python -m cli.service.flow", "stream_output": False}
    assert "working_dir" in deploy.of_group("/data/work").job_variables


def test_a_file_that_is_no_template_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "template.json"
    for text in ("", "[]", json.dumps({"variables": {}})):
        path.write_text(text)
        with pytest.raises(BadOption, match="no base job template"):
            deploy.of_kubernetes(path)


def test_the_logs_of_runs_come_out_where_containers_look(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    log = tmp_path / "flows.log"
    log.write_bytes(b"of yesterday\n")
    echo = Echo(tmp_path)
    with log.open("ab") as file:
        file.write(b"one\n")
    (tmp_path / "worker.log").write_bytes(b"two\n")
    echo.copy()
    log.write_bytes(b"new\n")  # emptied by the rotation, and shorter than before
    echo.copy()
    assert capfdbinary.readouterr().out == b"one\ntwo\nnew\n"
