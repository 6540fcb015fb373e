"""The environment of a group's parts. Secrets travel here and nowhere else: no command line, no log, no state file."""

import json
import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cli.service.errors import DataUnusable
from cli.service.folder import DataFolder
from storage.settings import is_loopback

GROUP_MARK = "SPLATFLOW_GROUP"
FLOW_RUN_MARK = "PREFECT__FLOW_RUN_ID"  # Prefect gives it to a flow run's process, which hands it down
FOREIGN = ("PREFECT_PROFILE", "PREFECT_API_KEY", "PREFECT_API_URL", "PREFECT_HOME")

# What an operator may set otherwise.
DEFAULTS = {
    "PREFECT_LOGGING_LEVEL": "INFO",
    "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
    "PREFECT_WORKER_QUERY_SECONDS": "1",
    "PREFECT_WORKER_PREFETCH_SECONDS": "1",
    "PREFECT_WORKER_HEARTBEAT_SECONDS": "15",
    # After 2, 4, ... 512 s: a run gets over a server that is away for 10 minutes (8 would end after 510 s).
    "PREFECT_CLIENT_MAX_RETRIES": "9",
    "PREFECT_CLI_COLORS": "false",
    "PREFECT_LOGGING_COLORS": "false",
    "OMP_WAIT_POLICY": "PASSIVE",  # spinning OpenMP threads cost a factor of five on a busy machine
    "PYTHONUNBUFFERED": "1",
}

# What keeps a group on its machine.
FIXED = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_SERVER_UI_V2_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
    "PREFECT__SERVER_FINAL": "1",
}


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """Where a group listens and is reached."""

    host: str
    api_port: int
    api_url: str
    prefect_host: str
    prefect_port: int
    prefect_url: str


def of_parts(folder: DataFolder, addresses: Addresses, inherited: Mapping[str, str]) -> dict[str, str]:
    """The environment that every part of the group begins with.

    Args:
        folder: holds the signing secret, which is made when there is none.
        addresses: where API and Prefect listen.
        inherited: the environment of the command.

    Raises:
        DataUnusable: the file of secrets can't be read or made.
    """
    return {
        **DEFAULTS,
        **{name: value for name, value in inherited.items() if name not in FOREIGN},
        **FIXED,
        "PREFECT_API_URL": f"{addresses.prefect_url}/api",
        "PREFECT_HOME": str(folder.prefect),
        "PREFECT_SERVER_API_HOST": addresses.prefect_host,
        "PREFECT_SERVER_API_PORT": str(addresses.prefect_port),
        "SPLATFLOW_DATA": str(folder.path),
        "SPLATFLOW_API_HOST": addresses.host,
        "SPLATFLOW_API_PORT": str(addresses.api_port),
        **_prefect_ui(addresses, inherited),
        "SPLATFLOW_SIGNING_SECRET": inherited.get("SPLATFLOW_SIGNING_SECRET") or kept_secret(folder),
        GROUP_MARK: folder.group_id,
        **_paths(inherited),
    }


def of_role(folder: DataFolder, inherited: Mapping[str, str]) -> dict[str, str]:
    """The environment of a part on a machine of its own: what it shares with others is the operator's, and nothing is made up.

    Args:
        folder: of this machine alone; need not exist.
        inherited: the environment of the command.
    """
    return {
        **DEFAULTS,
        "PREFECT_HOME": str(folder.prefect),
        # Prefect's server copies its pages before it serves them, by default into its own package, which may be read-only.
        "PREFECT_UI_STATIC_DIRECTORY": str(folder.prefect / "pages"),
        **{name: value for name, value in inherited.items() if name != "PREFECT_PROFILE"},
        **FIXED,
        "SPLATFLOW_DATA": str(folder.path),
        GROUP_MARK: folder.group_id,
        **_paths(inherited),
    }


def _paths(inherited: Mapping[str, str]) -> dict[str, str]:
    """Lets child processes find this package and this Python."""
    root = str(Path(__file__).resolve().parents[2])
    path = [root, *(p for p in inherited.get("PYTHONPATH", "").split(os.pathsep) if p and p != root)]
    return {
        "PYTHONPATH": os.pathsep.join(path),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), inherited.get("PATH", os.defpath)]),
    }


def _prefect_ui(addresses: Addresses, inherited: Mapping[str, str]) -> dict[str, str]:
    """Jobs link to the group's own Prefect UI as long as nobody but this machine reads the link; else only by the operator's wish."""
    if "SPLATFLOW_PREFECT_UI_URL" in inherited or inherited.get("SPLATFLOW_PUBLIC_URL"):
        return {}
    return {"SPLATFLOW_PREFECT_UI_URL": addresses.prefect_url} if is_loopback(addresses.host) else {}


def kept_secret(folder: DataFolder) -> str:
    """The signing secret of the data folder, made at the first call: URLs stay valid over restarts.

    Raises:
        DataUnusable: the file can't be read or made, or holds something else.
    """
    path = folder.secrets
    try:
        if not path.exists():
            draft = path.with_name("secrets.json.part")
            draft.unlink(missing_ok=True)
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                json.dump({"signing_secret": secrets.token_hex(32)}, file)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        found = json.loads(path.read_text())["signing_secret"]
        if not isinstance(found, str) or not found:
            raise ValueError
        return found
    except (OSError, ValueError, KeyError, TypeError):
        raise DataUnusable(
            f"{path} can't be used as a file of secrets; remove it (signed URLs given out so far then end) or mend it."
        ) from None
