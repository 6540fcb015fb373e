"""What documentation and examples say of parts, paths and settings is so."""

import re
from pathlib import Path

import pytest

from api.app import create_app
from cli.service import roles
from storage.database import Database
from storage.objects import open_store
from storage.settings import Settings
from tests.deploy.files import DEPLOY, ROOT, of_settings

GUIDE = (ROOT / "docs" / "deployment.md").read_text()
NGINX = (DEPLOY / "proxy" / "nginx.conf").read_text()
UNIT = (DEPLOY / "systemd" / "splatflow@.service").read_text()


def test_the_guide_names_every_part_and_nothing_else() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", GUIDE.partition("## Parts")[2].partition("###")[0], re.MULTILINE)
    assert rows == list(roles.ROLES)
    assert set(re.findall(r"splatflow@(\w+)", GUIDE)) <= roles.ROLES.keys()


def test_settings_and_files_in_the_guide_exist() -> None:
    named = set(re.findall(r"SPLATFLOW_[A-Z0-9_]+[A-Z0-9]", GUIDE)) - {"SPLATFLOW_S3"}
    assert named <= of_settings(), named - of_settings()
    for link in re.findall(r"\]\(([\w./-]+)(?:#[\w-]+)?\)", GUIDE):
        assert (ROOT / "docs" / link).exists(), link
    for path in re.findall(r"`((?:deploy|tests)/[\w./@-]+)`", GUIDE):
        assert (ROOT / path).exists(), path


def test_event_streams_pass_the_proxy_unbuffered(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    application = create_app(settings, Database(settings.database), open_store(settings), prefect_url="")
    streams = [path for path in application.openapi()["paths"] if "events" in path]
    streams += [path for path in ("/scenes/{job_id}/events",) if path not in streams]
    assert len(streams) >= 2
    (pattern,) = re.findall(r"location ~ (\S+) \{", NGINX)
    for path in streams:
        assert re.search(pattern, path.replace("{job_id}", "0b5cbf43-6f1e-4b1e-8a3c-6d0d6a3c0a11")), path
    block = NGINX.partition(pattern)[2].partition("}")[0]
    assert "proxy_buffering off" in block


@pytest.mark.parametrize("name", ["splatflow-proxy.conf", "splatflow-log.conf"])
def test_files_that_nginx_needs_are_there(name: str) -> None:
    assert (DEPLOY / "proxy" / name).is_file()
    assert f"/etc/nginx/{name}" in NGINX or "conf.d" in (DEPLOY / "proxy" / name).read_text()


def test_the_unit_runs_a_part_and_gives_it_time() -> None:
    assert "splatflow part %i" in UNIT
    assert "KillMode=mixed" in UNIT, "runs are asked by their worker, not by systemd"
    assert int(re.findall(r"TimeoutStopSec=(\d+)", UNIT)[0]) >= 30
