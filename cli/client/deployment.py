"""Which deployment a command talks to, and with which key."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cli.client.errors import NoDeployment, NoKey
from cli.service.folder import DataFolder, data_folder


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """Where, and with which key. `local`: the group of a data folder on this machine."""

    url: str
    key: str
    local: bool


def find(*, url: str | None, key: str | None, data: Path | None, environment: Mapping[str, str]) -> Deployment:
    """The deployment of the options, else of SPLATFLOW_URL and SPLATFLOW_KEY, else the group at work in the data folder.

    Raises:
        NoDeployment: none of these.
        NoKey: there is a deployment, but no key for it.
    """
    folder = data_folder(data, environment)
    local = False
    url = url or environment.get("SPLATFLOW_URL")
    if not url:
        state = folder.running()
        if state is None:
            raise NoDeployment(
                f"No group is at work in {folder.path}; start one with `splatflow up`, or name a deployment "
                "with --url or SPLATFLOW_URL."
            )
        url, local = state.url, True
    key = key or environment.get("SPLATFLOW_KEY") or (kept_key(folder) if local else None)
    if not key:
        raise NoKey(
            "No API key is given; set SPLATFLOW_KEY or use --key. "
            "`splatflow keys create --name NAME` makes one where the service runs."
        )
    return Deployment(url=url, key=key.strip(), local=local)


def kept_key(folder: DataFolder) -> str | None:
    """The key that `splatflow reconstruct` keeps for commands on the same data folder; None when it has made none."""
    try:
        return folder.client_key.read_text().strip() or None
    except OSError:
        return None
