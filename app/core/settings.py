"""Every setting of the service: one object, read from environment variables ``ENXUTO_*``.

The docstring under a field is its documentation; ``docs/settings.md`` is written from it.
"""

from __future__ import annotations

import ipaddress
import re
import sys
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

MiB = 1 << 20
GiB = 1 << 30


class NeedsKey(Exception):
    """Others can reach the service, and it would be open to them."""


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="ENXUTO_",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )

    data_dir: Path = Path("enxuto-data")
    """Folder that holds everything the service keeps: the database (unless it is elsewhere) and the blobs."""
    database_url: str | None = None
    """SQLAlchemy URL of the database, such as `postgresql+psycopg://user:password@host/enxuto`. By default an SQLite
    file in the data folder."""
    redis_url: str | None = None
    """URL of the Redis that carries the bell, such as `redis://host:6379/0`. `enxuto up` starts one of its own where
    this is not given; a worker that is started by hand needs it."""

    host: str = "127.0.0.1"
    """Address to listen on. Anything but a loopback address needs `ENXUTO_OPERATOR_KEY`."""
    port: int = Field(8000, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""
    uds: Path | None = None
    """Path of a Unix socket to listen on, instead of host and port."""
    listen_fd: int | None = Field(None, ge=0)
    """Number of an inherited socket to listen on, instead of host and port: how `enxuto up` hands over its own."""
    operator_key: SecretStr | None = None
    """Key that every call must bring as `Authorization: Bearer enx_…`; `enx_` and at least 16 characters more. Without
    one the service is open to the local user and listens on loopback only."""
    allowed_hosts: Annotated[list[str], NoDecode] = []
    """Host names, separated by commas, that calls may be addressed to, beside those of the loopback interface. Where a
    key is set and this is empty, every name is taken."""

    max_upload_bytes: int = Field(8 * GiB, ge=1)
    """Largest model or dataset that is taken, in bytes."""
    max_body_bytes: int = Field(MiB, ge=1024)
    """Largest JSON body that is taken, in bytes."""
    upload_idle_s: float = Field(60.0, gt=0)
    """Seconds without a byte after which an upload is given up."""
    upload_keep_s: float = Field(86_400.0, ge=1)
    """Seconds that a resumable upload is kept after its last byte, be it whole or not."""
    max_uploads: int = Field(20_000, ge=1)
    """How many resumable uploads of one tenant there may be at a time; one more is answered 429. A model may be of
    10,000 files."""
    max_wait_s: float = Field(60.0, ge=0, le=600)
    """Longest wait that `Prefer: wait=…` is granted, in seconds."""
    max_queued_jobs: int = Field(1000, ge=1)
    """How many jobs of one tenant may wait at a time; one more is answered 429."""

    step_memory_mb: int = Field(8192, ge=512)
    """Memory that the process of one step may take, in megabytes (10^6 bytes)."""
    step_time_s: float = Field(1800.0, gt=0)
    """Time that one step may take, in seconds."""
    step_disk_mb: int = Field(8192, ge=1)
    """Size of the largest file that a step may write, in megabytes (10^6 bytes)."""
    lease_s: float = Field(30.0, gt=0)
    """Seconds without a heartbeat after which a worker counts as dead and its job is given to another."""
    max_attempts: int = Field(3, ge=1, le=100)
    """How many workers may die on a job, one after the other and without finishing a step of it, before it counts as
    failed: a job that kills its workers must not go on for ever."""
    sweep_s: float = Field(5.0, gt=0)
    """Seconds between two rounds of the sweep."""
    blob_grace_s: float = Field(3600.0, ge=60)
    """Seconds that bytes are kept after nobody needs them any more; at least 60, since those of an upload or a step
    just done are needed by no row for a moment."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """How much is logged: debug, info, warning or error."""
    shutdown_grace_s: float = Field(10.0, ge=0)
    """Seconds that calls in progress are given to end when the service is told to stop."""

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _split_at_commas(cls, value: object) -> object:
        return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value

    @field_validator("operator_key")
    @classmethod
    def _is_hard_to_guess(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and not re.fullmatch(r"enx_[\x21-\x7e]{16,}", key.get_secret_value()):
            raise ValueError("a key is 'enx_' and at least 16 characters more: try \"enx_$(openssl rand -hex 24)\"")
        return key

    @property
    def database(self) -> str:
        """URL of the database, the default filled in."""
        return self.database_url or f"sqlite:///{self.data_dir.absolute() / 'enxuto.sqlite3'}"

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the service."""
        return self.uds is not None or is_loopback(self.host)


def require_key(settings: Settings) -> None:
    """Raises NeedsKey where the service would be open to others."""
    if not settings.is_local and settings.operator_key is None:
        raise NeedsKey(
            f"Listening on {settings.host}, which others can reach, needs a key. Set ENXUTO_OPERATOR_KEY "
            '(such as "enx_$(openssl rand -hex 24)"), or listen on 127.0.0.1.'
        )


def is_loopback(host: str) -> bool:
    """Whether a host name or address is of the loopback interface."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


@cache
def get_settings() -> Settings:
    """The settings of this process, read once."""
    return Settings()


def settings_or_exit() -> Settings:
    """The same for a process of its own: where one is wrong it ends, and names each that is."""
    try:
        return get_settings()
    except ValidationError as error:
        sys.exit(f"enxuto: {in_words(error)}")


def in_words(error: ValidationError) -> str:
    """What is wrong with which variable, on one line."""
    return "; ".join(f"ENXUTO_{'_'.join(map(str, one['loc'])).upper()}: {one['msg']}" for one in error.errors())
