"""Settings: read only when asked for, refused by name, and unsafe ones not served."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from storage.settings import DEFAULT_SIGNING_SECRET, Settings, is_loopback, load_settings
from tasks.errors import BadOption


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"SPLATFLOW_{name.upper()}", raising=False)


def test_the_environment_is_read_at_the_call(monkeypatch: pytest.MonkeyPatch):
    assert load_settings().api_port == 8000
    monkeypatch.setenv("SPLATFLOW_API_PORT", "8123")
    assert load_settings().api_port == 8123


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("API_PORT", "high"),
        ("API_PORT", "70000"),
        ("OBJECT_STORE", "ftp"),
        ("MAX_ATTEMPTS", "0"),
        ("BEAT_SECONDS", "nan"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str):
    monkeypatch.setenv(f"SPLATFLOW_{name}", value)
    with pytest.raises(BadOption, match=f"SPLATFLOW_{name} can't be used"):
        load_settings()


def test_everything_lies_in_the_data_folder(tmp_path: Path):
    settings = Settings(data=tmp_path)
    assert settings.object_folder.parent == settings.work_folder.parent == tmp_path
    assert settings.database == f"sqlite:///{tmp_path}/splatflow.db"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_a_usual_postgres_url_gets_our_driver(scheme: str):
    assert Settings(database_url=f"{scheme}://u:p@h:1/d").database == "postgresql+psycopg://u:p@h:1/d"


def test_another_url_stays_as_it_is():
    assert Settings(database_url="sqlite:///x.db").database == "sqlite:///x.db"


@pytest.mark.parametrize(
    ("host", "stays"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
        ("10.0.0.1", False),
        ("localhost.example.com", False),
    ],
)
def test_what_counts_as_loopback(host: str, stays: bool):
    assert is_loopback(host) is stays


@pytest.mark.parametrize("secret", [DEFAULT_SIGNING_SECRET, "short", ""])
@pytest.mark.parametrize("where", [{"api_host": "0.0.0.0"}, {"public_url": "https://splats.example.com"}])
def test_a_known_or_short_secret_is_refused_where_others_come(secret: str, where: dict[str, str]):
    with pytest.raises(BadOption, match="SPLATFLOW_SIGNING_SECRET"):
        Settings(signing_secret=SecretStr(secret), **where).refuse_unsafe()  # pyright: ignore[reportArgumentType]


def test_a_good_secret_may_serve_others_and_loopback_needs_none():
    Settings(signing_secret=SecretStr("f" * 32), api_host="0.0.0.0").refuse_unsafe()
    Settings(public_url="http://localhost:8000").refuse_unsafe()


def test_secrets_are_not_printed(monkeypatch: pytest.MonkeyPatch):
    for name in ("SIGNING_SECRET", "S3_SECRET_KEY", "S3_ACCESS_KEY"):
        monkeypatch.setenv(f"SPLATFLOW_{name}", "very-secret-text")
    settings = load_settings()
    assert "very-secret-text" not in repr(settings) + str(settings) + settings.model_dump_json()


@pytest.mark.parametrize("name", ["SPLATFLOW_REMBG_HOME", "REMBG_HOME"])
def test_models_are_where_rembg_looks_for_them_too(monkeypatch: pytest.MonkeyPatch, name: str, tmp_path: Path):
    for other in ("SPLATFLOW_REMBG_HOME", "REMBG_HOME"):
        monkeypatch.delenv(other, raising=False)
    assert load_settings().rembg_home is None
    monkeypatch.setenv(name, str(tmp_path))
    assert load_settings().rembg_home == tmp_path
