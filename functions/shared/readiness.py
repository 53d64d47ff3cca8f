"""Whether the service can work now, and whether the database has the schema that this code was written for."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping

from functions.shared.clock import Clock
from functions.shared.database import Database
from functions.shared.errors import Unavailable
from functions.shared.schema_version import SCHEMA_VERSION

log = logging.getLogger(__name__)

READY_CACHE_SECONDS = 2.0


class Readiness:
    """Whether the database answers and is not older than this code, asked at most every two seconds."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._lock = threading.Lock()
        self._asked_at: float | None = None
        self._is_ready = False
        self._checks: Mapping[str, str] = {}
        self._note: str | None = None

    def check(self) -> tuple[bool, Mapping[str, str]]:
        """The answer of now, or of up to two seconds ago.

        A database that is newer than this code does not stop the service: migrations come before the code that needs
        them. An older one does, because calls would fail one by one.

        :return: whether the service can work, and the state of ``database`` and, if it differs, of ``schema``
        """
        with self._lock:
            now = self._clock.monotonic()
            if self._asked_at is None or now - self._asked_at >= READY_CACHE_SECONDS:
                self._ask()
                self._asked_at = self._clock.monotonic()
            return self._is_ready, self._checks

    def _ask(self) -> None:
        try:
            found = self._database.schema_version()
        except Unavailable:
            self._is_ready, self._checks = False, {"database": "unavailable"}
            return
        note = schema_note(found)
        if note and note != self._note:
            log.warning(note)
        self._note = note
        self._is_ready = note is None or found > SCHEMA_VERSION
        self._checks = {"database": "ok", **({"schema": note} if note else {})}


def schema_note(found: str) -> str | None:
    """What is wrong between the database's schema and this code's, in a sentence; None when nothing is.

    :param found: what :meth:`Database.schema_version` answered
    """
    if not found or found == SCHEMA_VERSION:
        return None
    if found > SCHEMA_VERSION:
        return f"the database is newer ({found}) than this code ({SCHEMA_VERSION}): deploy the newer code"
    return f"the database is older ({found}) than this code ({SCHEMA_VERSION}): apply its migrations"


def note_at_start(database: Database) -> str | None:
    """The same for the database at the start. None when it does not answer; :class:`Readiness` reports that later."""
    try:
        return schema_note(database.schema_version())
    except Unavailable:
        return None
