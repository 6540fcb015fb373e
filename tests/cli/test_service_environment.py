"""What the parts of a group are told."""

from pathlib import Path

import pytest

from cli.service.environment import Addresses, of_parts
from cli.service.folder import DataFolder

NAME = "SPLATFLOW_PREFECT_UI_URL"


def told(tmp_path: Path, host: str, **inherited: str) -> dict[str, str]:
    folder = DataFolder(tmp_path)
    folder.make()
    addresses = Addresses(
        host=host,
        api_port=1,
        api_url=f"http://{host}:1",
        prefect_host="127.0.0.1",
        prefect_port=2,
        prefect_url="http://127.0.0.1:2",
    )
    return of_parts(folder, addresses, inherited)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_jobs_link_to_the_groups_own_prefect_ui(tmp_path: Path, host: str):
    assert told(tmp_path, host)[NAME] == "http://127.0.0.1:2"


def test_others_get_no_link_to_what_they_should_not_reach(tmp_path: Path):
    assert NAME not in told(tmp_path, "0.0.0.0")
    assert NAME not in told(tmp_path, "127.0.0.1", SPLATFLOW_PUBLIC_URL="https://scenes.example.org")


def test_the_operators_wish_goes_first(tmp_path: Path):
    assert told(tmp_path, "0.0.0.0", **{NAME: "https://prefect.example.org"})[NAME] == "https://prefect.example.org"
    assert told(tmp_path, "127.0.0.1", **{NAME: ""})[NAME] == "", "none at all"
