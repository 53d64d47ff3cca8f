"""How an uploaded file is kept: its size is counted, the file is stored, then its row is written.

The file comes before its row, so that a row always has its file. When the process is killed between the two, the sweep
of the job storage_cleanup deletes the file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import IO, Any, NamedTuple

import structlog

from functions.shared.clock import Clock
from functions.shared.database import Database
from functions.shared.errors import AppError
from functions.shared.storage import Storage
from functions.shared.usage import return_usage, take_usage

log = structlog.get_logger(__name__)

METER = "document_mb"
MIB = 1024 * 1024


class Uploaded(NamedTuple):
    """An uploaded file: open, at its beginning. ``filename`` is the client's word."""

    file: IO[bytes]
    size: int
    sha256: str
    filename: str


class Uploads:
    """The uploaded files of a bucket. Its caller has checked whose they are."""

    def __init__(self, database: Database, storage: Storage, clock: Clock, bucket: str) -> None:
        self._database = database
        self._storage = storage
        self._clock = clock
        self._bucket = bucket

    def store(
        self,
        user_id: str,
        uploaded: Uploaded,
        key: str,
        mime_type: str,
        record: Callable[[], Mapping[str, Any]],
        *,
        may_remove: bool = True,
    ) -> Mapping[str, Any]:
        """Stores a file and has its row written; what ``record`` answered.

        :param record: writes the row; its ``outcome`` is ``created``, ``existing`` or ``changed``, and only a created
            row keeps the file and what was counted
        :param may_remove: False when another request may have stored the same key
        :raise PlanLimitReached: the person's plan allows no more uploads in this period
        """
        service = self._database.service()
        usage = take_usage(service, self._clock, user_id, METER, -(-uploaded.size // MIB))
        outcome = "failed"
        try:
            self._storage.upload(self._bucket, key, uploaded.file, mime_type)
            outcome = "unknown"
            try:
                found = record()
            except AppError as error:
                # a refusal of the database wrote nothing; after a lost answer the row may stand
                outcome = "failed" if error.status < 500 else "unknown"
                raise
            outcome = found["outcome"]
        finally:
            if outcome != "created":
                return_usage(service, usage)
            # a file that stays without a row is deleted by the sweep
            if outcome in ("failed", "existing", "changed") and may_remove:
                self.remove(key)
        return found

    def remove(self, key: str) -> None:
        """Deletes a file now. When that fails, the outbox or the sweep deletes it later."""
        try:
            self._storage.remove(self._bucket, [key])
        except AppError as error:
            log.warning("file_not_removed", error_code=error.code)
