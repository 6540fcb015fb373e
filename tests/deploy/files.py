"""The deployment files as the tests read them."""

import re
from pathlib import Path
from typing import Any

import yaml

from cli.main import parser
from cli.service import roles
from storage.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
COMPONENT = KUBERNETES / "components" / "kubernetes-pool"
OF_THE_COMMAND = {"SPLATFLOW_URL", "SPLATFLOW_KEY"}
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
SECRETS = {
    "SPLATFLOW_DATABASE_URL": "postgresql://splatflow:0123@db/splatflow",
    "SPLATFLOW_S3_ACCESS_KEY": "GK0123",
    "SPLATFLOW_S3_SECRET_KEY": "0123456789abcdef",
    "SPLATFLOW_SIGNING_SECRET": "0123456789abcdef",
    "PREFECT_API_DATABASE_CONNECTION_URL": "postgresql+asyncpg://prefect:0123@db/prefect",
    "PREFECT_SERVER_API_AUTH_STRING": "admin:0123",
    "PREFECT_API_AUTH_STRING": "admin:0123",
}


def documents(path: Path) -> list[dict[str, Any]]:
    """All documents of a YAML file."""
    return [found for found in yaml.safe_load_all(path.read_text()) if found]


def of_settings() -> set[str]:
    """Every variable that the service reads."""
    return {PREFIX + name.upper() for name in Settings.model_fields} | OF_THE_COMMAND


def unknown(names: set[str]) -> set[str]:
    """Those that begin like ours and that nothing reads."""
    return {name for name in names if name.startswith(PREFIX)} - of_settings()


def part_of(arguments: list[str]) -> str:
    """The part that `splatflow ARGUMENTS` runs; fails when it is no such command."""
    args = parser().parse_args(arguments)
    assert arguments[0] == "part"
    assert args.name in roles.ROLES
    return args.name


def interpolated(text: str, values: dict[str, str]) -> str:
    """What compose makes of `${NAME:-default}` and `${NAME:?sentence}`; a missing required one fails."""

    def value(found: re.Match[str]) -> str:
        name, kind, default = found.groups()
        if values.get(name):
            return values[name]
        assert kind == "-", f"{name} is required and has no value"
        return default

    return VARIABLE.sub(value, text)


def variables(text: str) -> dict[str, tuple[str | None, str | None]]:
    """The variables in a text: kind ("-", "?" or None) and default."""
    return {found[1]: (found[2], found[3]) for found in VARIABLE.finditer(text)}


def example() -> dict[str, str]:
    """The values of `.env.example`."""
    lines = [line.split(" #")[0].strip() for line in (DEPLOY / ".env.example").read_text().splitlines()]
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def offered() -> set[str]:
    """Every variable that `.env.example` names, in comments too."""
    return set(re.findall(r"^(?:# )?([A-Z][A-Z0-9_]+)=", (DEPLOY / ".env.example").read_text(), re.MULTILINE))
