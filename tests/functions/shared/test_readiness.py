"""Readiness tells a database that is away from one whose schema is another than the code's."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

import pytest

from functions.shared.clock import SystemClock
from functions.shared.database import Database
from functions.shared.readiness import Readiness, note_at_start
from functions.shared.schema_version import SCHEMA_VERSION
from functions.shared.settings import load_settings
from scripts.native import schema
from tests.functions.shared.conftest import Handler, Loopback, hang_up, reply

Start = Callable[[Handler], Loopback]


def database(env: dict[str, str], loopback: Start, answer: Handler) -> Database:
    """A database that answers the question for its version like this."""
    return Database(load_settings({**env, "SUPABASE_URL": loopback(answer).url}))


def says(status: int, body: object) -> Handler:
    """One answer to everything."""
    return lambda handler: reply(handler, status, json.dumps(body).encode())


def test_the_code_knows_its_newest_migration() -> None:
    assert schema.migrations()[-1].name.startswith(f"{SCHEMA_VERSION}_"), "run ./scripts/generate"


@pytest.mark.parametrize(
    ("answer", "is_ready", "note"),
    [
        (says(200, SCHEMA_VERSION), True, None),
        (says(200, None), True, None),
        (says(200, {"not": "a version"}), True, None),
        (says(401, {"code": "PGRST301"}), True, None),
        (says(200, "29990101000000"), True, "the database is newer (29990101000000)"),
        (says(200, "20200101000000"), False, "the database is older (20200101000000)"),
        (says(404, {"code": "PGRST202"}), False, "the database is older (0)"),
    ],
)
def test_it_says_which_of_the_two_is_older(
    env: dict[str, str],
    loopback: Start,
    caplog: pytest.LogCaptureFixture,
    answer: Handler,
    is_ready: bool,
    note: str | None,
) -> None:
    readiness = Readiness(database(env, loopback, answer), SystemClock())
    with caplog.at_level(logging.WARNING, "functions.shared.readiness"):
        found, checks = readiness.check()
        readiness.check()
    assert found == is_ready
    assert checks["database"] == "ok"
    assert ("schema" in checks) == (note is not None)
    assert len(caplog.messages) == (note is not None), "one line, however often it is asked"
    for text in (checks.get("schema", ""), *caplog.messages):
        assert text.startswith(note or "")


@pytest.mark.parametrize("answer", [says(503, {"code": "PGRST002"}), hang_up])
def test_a_database_that_is_away_is_no_older_one(env: dict[str, str], loopback: Start, answer: Handler) -> None:
    away = database(env, loopback, answer)
    assert Readiness(away, SystemClock()).check() == (False, {"database": "unavailable"})
    assert note_at_start(away) is None, "readiness tells it"


def test_the_start_says_it(env: dict[str, str], loopback: Start) -> None:
    assert note_at_start(database(env, loopback, says(200, SCHEMA_VERSION))) is None
    note = note_at_start(database(env, loopback, says(200, "29990101000000")))
    assert note == f"the database is newer (29990101000000) than this code ({SCHEMA_VERSION}): deploy the newer code"
