"""What a request can use: the parts of the application, and the request's id."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import cast

from flask import current_app, g, request

from functions.shared.answers.reading import EventReader
from functions.shared.answers.waking import Waker
from functions.shared.clock import Clock, SystemClock
from functions.shared.crypto import Envelope
from functions.shared.database import Database
from functions.shared.http import Http
from functions.shared.readiness import Readiness
from functions.shared.settings import Settings
from functions.shared.storage import Storage
from functions.shared.tokens import TokenVerifier
from functions.shared.web.slots import Slots

EXTENSION = "headstart"
REQUEST_ID = re.compile(r"[A-Za-z0-9-]{8,64}")


@dataclass(frozen=True)
class Context:
    """The parts that the routes of one application use."""

    settings: Settings
    database: Database
    storage: Storage
    http: Http
    crypto: Envelope
    clock: Clock
    verifier: TokenVerifier
    readiness: Readiness
    reader: EventReader
    waker: Waker
    slots: Slots

    @classmethod
    def of(cls, settings: Settings, clock: Clock | None = None) -> Context:
        """New parts. Nothing is contacted yet."""
        clock = clock or SystemClock()
        database = Database(settings)
        return cls(
            settings=settings,
            database=database,
            storage=Storage(settings),
            http=Http.of(settings),
            crypto=Envelope(settings.encryption_keys),
            clock=clock,
            verifier=TokenVerifier(settings, clock),
            readiness=Readiness(database, clock),
            reader=EventReader(database, clock),
            waker=Waker(settings.worker_wake_url),
            slots=Slots(settings.web_streams),
        )


def context() -> Context:
    """The parts of the running application."""
    return cast(Context, current_app.extensions[EXTENSION])


def request_id() -> str:
    """The id of the current request: the one that the caller sent if it has the right form, else a new one."""
    if "request_id" not in g:
        wanted = request.headers.get("X-Request-Id", "")
        g.request_id = wanted if REQUEST_ID.fullmatch(wanted) else uuid.uuid4().hex
    return cast(str, g.request_id)
