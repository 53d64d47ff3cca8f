"""What the server is told."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

DEFAULT_MAX_BYTES = 50 * 1024 * 1024
DEFAULT_UPLOAD_URL_SECONDS = 7200


@dataclass(frozen=True)
class Config:
    """``secret`` signs URLs; ``jwks`` verifies people's tokens."""

    database_url: str
    folder: Path
    jwks: str
    secret: str
    max_bytes: int
    upload_url_seconds: int


def load_config() -> Config:
    """The settings of the environment.

    :raise KeyError: one is missing
    """
    given = os.environ
    return Config(
        database_url=given["DATABASE_URL"],
        folder=Path(given["STORAGE_FILE_BACKEND_PATH"]),
        jwks=given["JWT_JWKS"],
        secret=given["AUTH_JWT_SECRET"],
        max_bytes=int(given.get("UPLOAD_FILE_SIZE_LIMIT", DEFAULT_MAX_BYTES)),
        upload_url_seconds=int(given.get("SIGNED_UPLOAD_URL_EXPIRATION_TIME", DEFAULT_UPLOAD_URL_SECONDS)),
    )
