"""Every setting of the service, read from the environment (`SPLATFLOW_*`) when `load_settings` is called, never on import."""

import ipaddress
import socket
from functools import lru_cache
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from tasks.errors import BadOption

PREFIX = "SPLATFLOW_"
DEFAULT_SIGNING_SECRET = "not-a-secret"
MIN_SECRET_CHARACTERS = 16
GIB = 1 << 30


class Settings(BaseSettings):
    """All settings; each field is the environment variable `SPLATFLOW_<NAME>`. See docs/configuration.md."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    # One machine's folder: database, objects, work, logs, results.
    data: Path = Path("splatflow-data")
    database_url: str = Field(default="", description="empty: SQLite in the data folder")

    # Objects.
    object_store: Literal["local", "s3"] = "local"
    signing_secret: SecretStr = SecretStr(DEFAULT_SIGNING_SECRET)
    public_url: str = Field(
        default="", description="what signed local URLs begin with; empty: what the request came to"
    )
    s3_endpoint: str = ""
    s3_public_endpoint: str = ""
    s3_region: str = "us-east-1"
    s3_bucket: str = "splatflow"
    s3_access_key: SecretStr = SecretStr("")
    s3_secret_key: SecretStr = SecretStr("")
    max_upload_bytes: int = Field(default=5 * GIB, ge=1)
    upload_url_seconds: int = Field(default=7200, ge=1)
    download_url_seconds: int = Field(default=900, ge=1)
    viewer_url_seconds: int = Field(default=7 * 86400, ge=60, description="links to the pages of private scenes")

    # The API.
    api_host: str = "127.0.0.1"
    api_port: int = Field(default=8000, ge=0, le=65535)
    max_body_bytes: int = Field(default=1 << 20, ge=1024)
    limit_read: str = "120000/minute"
    limit_write: str = "3000/minute"
    limit_submit: str = "1200/minute"
    limit_failed_keys: str = "600/minute"
    limit_pages: str = "3000/minute"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    prefect_ui_url: str = Field(
        default="",
        pattern=r"^(https?://\S+)?$",
        description="Prefect's pages, to which jobs then link; empty: no links",
    )

    # Runs.
    deployment: str = "reconstruct/reconstruct"
    work_pool: str = "gpu"
    max_attempts: int = Field(default=3, ge=1)
    dead_after_seconds: float = Field(default=45.0, ge=5)
    beat_seconds: float = Field(default=2.0, gt=0, le=10)
    batch_every: int = Field(default=5, ge=2, description="of so many starts one is of a batch job, if one waits")
    release_ahead: int = Field(
        default=4, ge=1, description="jobs that wait at Prefect, beside one for each at work; all others wait here"
    )
    release_per_account: int = Field(default=4, ge=1, description="of them, of one account and priority")
    worker_limit: int = Field(
        default=0, ge=0, description="runs at a time on this host; 0: its GPUs + 1, or 1 without a GPU"
    )
    slots: str = Field(
        default="", description="comma-separated training slots of this host; empty: its GPUs, else `cpu`"
    )
    threads: int = Field(default=0, ge=0, description="threads of a step; 0: one per core")
    scratch: Path | None = Field(
        default=None, description="where runs work, a folder in it for each host; empty: `work` in the data folder"
    )
    checkpoint_seconds: float = Field(
        default=180.0, ge=1, description="between two checkpoints of a training in the object store"
    )
    memory_limit_bytes: int = Field(
        default=0, ge=0, description="what a training may use of memory, or of its GPU's; 0: what the machine has"
    )
    # How long things are kept, and how much of them (docs/retention.md).
    keep_uploads_days: float = Field(default=0, ge=0, description="a finished job's video; 0: for ever")
    keep_steps_days: float = Field(default=0, ge=0, description="a finished job's steps and checkpoints; 0: for ever")
    keep_outputs_days: float = Field(default=0, ge=0, description="a finished job's files; 0: for ever")
    keep_failed_days: float = Field(default=0, ge=0, description="all that a failed job left; 0: for ever")
    quota_running: int = Field(default=0, ge=0, description="jobs of an account at work at a time; 0: any number")
    quota_queued: int = Field(default=0, ge=0, description="jobs of an account that wait; 0: any number")
    quota_bytes: int = Field(default=0, ge=0, description="videos and files of an account's jobs; 0: any number")
    quota_hours: int = Field(default=0, ge=0, description="of processing in a month, of an account; 0: any number")
    disk_low_bytes: int = Field(
        default=0, ge=0, description="with less than this free on the local store's disk no new uploads are taken"
    )

    rembg_home: Path | None = Field(
        default=None,
        validation_alias=AliasChoices("SPLATFLOW_REMBG_HOME", "REMBG_HOME"),
        description="folder with the models that remove backgrounds",
    )
    mask_model: str = Field(default="u2netp", min_length=1, description="rembg's name of the model")
    apriltag_family: str = Field(default="tagStandard41h12", min_length=1, description="of the tags in all scenes")

    # Webhooks.
    webhooks_per_account: int = Field(default=10, ge=0, description="0: none can be made")
    webhook_allow_http: bool = Field(default=False, description="plain http as well as https")
    webhook_allow_private: str = Field(
        default="", description="comma-separated networks (CIDR) that are called although they are not global"
    )

    @field_validator("webhook_allow_private")
    @classmethod
    def _networks(cls, text: str) -> str:
        for part in text.split(","):
            if part.strip():
                ipaddress.ip_network(part.strip())
        return text

    @property
    def webhook_networks(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        parts = (part.strip() for part in self.webhook_allow_private.split(","))
        return tuple(ipaddress.ip_network(part) for part in parts if part)

    @property
    def data_folder(self) -> Path:
        return self.data.expanduser().absolute()

    @property
    def object_folder(self) -> Path:
        return self.data_folder / "objects"

    @property
    def work_folder(self) -> Path:
        """This host's own: two hosts that were given the same `scratch` don't meet in it."""
        if self.scratch is None:
            return self.data_folder / "work"
        return self.scratch.expanduser().absolute() / (socket.gethostname() or "host")

    @property
    def database(self) -> str:
        """The SQLAlchemy URL in force. Holds the password, so it is for the engine only, never for a log."""
        if not self.database_url:
            return f"sqlite:///{self.data_folder / 'splatflow.db'}"
        scheme, _, rest = self.database_url.partition("://")
        if scheme in ("postgres", "postgresql"):
            return f"postgresql+psycopg://{rest}"
        return self.database_url

    def refuse_unsafe(self) -> None:
        """Refuses to serve others with a secret that everybody knows.

        Raises:
            BadOption: the signing secret is the default, or short, and the API is reachable from other machines.
        """
        secret = self.signing_secret.get_secret_value()
        exposed = not is_loopback(self.api_host) or (
            self.public_url != "" and not is_loopback(urlsplit(self.public_url).hostname or "")
        )
        if exposed and (secret == DEFAULT_SIGNING_SECRET or len(secret) < MIN_SECRET_CHARACTERS):
            raise BadOption(
                f"SPLATFLOW_SIGNING_SECRET is the default or shorter than {MIN_SECRET_CHARACTERS} characters; set a random one "
                "(openssl rand -hex 32) before the API listens on anything but loopback."
            )


def is_loopback(host: str) -> bool:
    """Whether a host name or address stays on this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def load_settings() -> Settings:
    """The settings of the environment as it is now.

    Raises:
        BadOption: a variable has a value that can't be used; the sentence names it.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = PREFIX + "_".join(str(part) for part in first["loc"]).upper()
        raise BadOption(f"{name} can't be used: {first['msg']}.") from None


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process, read at the first call."""
    return load_settings()
