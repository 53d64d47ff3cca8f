"""``./scripts/rotate-keys`` on a database of its own."""

from __future__ import annotations

import base64
import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from functions.shared.canvas.factory import SECRET_FIELD
from functions.shared.canvas.tokens import ACCESS_FIELD, REFRESH_FIELD
from functions.shared.crypto import Envelope
from scripts import rotate_keys
from scripts.native import schema
from scripts.native.auth import AUTH_SCHEMA
from scripts.native.paths import REPO
from scripts.native.stack import Stack

DATABASE = "rotated"
KEYS = {number: bytes([number]) * 32 for number in (1, 2, 10)}
OLD, BOTH, NEW = Envelope({1: KEYS[1]}), Envelope({1: KEYS[1], 10: KEYS[10]}), Envelope({10: KEYS[10]})
LONG_AGO = "2026-01-02T03:04:05Z"
Rotate = Callable[..., tuple[int, str]]


def listed(*numbers: int) -> str:
    """ENCRYPTION_KEYS with these keys."""
    return ",".join(f"{number}:{base64.urlsafe_b64encode(KEYS[number]).decode()}" for number in numbers)


@pytest.fixture(scope="module")
def url(stack: Stack) -> Iterator[str]:
    """The schema, without rows."""
    try:
        stack.server.execute(f"create database {DATABASE} template template0", user="supabase_admin")
        stack.server.bootstrap(AUTH_SCHEMA, database=DATABASE)
        for file in schema.migrations():
            # one transaction each: a new value of an enum may be used after its own alone
            stack.server.psql(file, database=DATABASE)
        yield stack.server.url(database=DATABASE)
    finally:
        stack.server.execute(f"drop database if exists {DATABASE} with (force)", user="supabase_admin")


@pytest.fixture
def db(url: str) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    """An owner who writes rows without the rows that they refer to; all of them go at the end."""
    with psycopg.connect(url, autocommit=True, row_factory=dict_row) as connection:
        connection.execute("set session_replication_role = replica")
        yield connection
        for column in rotate_keys.encrypted_columns(connection):
            connection.execute(column.statement("delete from {table}"))


@pytest.fixture
def rotate(url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Rotate:
    """Runs the command with these keys: its status and what it says."""

    def run(*numbers: int) -> tuple[int, str]:
        monkeypatch.setenv("DATABASE_URL", url)
        monkeypatch.setenv("ENCRYPTION_KEYS", listed(*numbers))
        status = rotate_keys.main([])
        said = capsys.readouterr()
        return status, said.out + said.err

    return run


def write(db: psycopg.Connection[dict[str, Any]], table: str, **values: object) -> None:
    """One row."""
    names, places = ", ".join(values), ", ".join(f"%({name})s" for name in values)
    db.execute(f"insert into private.{table} ({names}) values ({places})".encode(), values)


def write_note(db: psycopg.Connection[dict[str, Any]], body_enc: str, note_id: str) -> None:
    """A tutor's note of long ago."""
    someone = {"tutor_id": uuid.uuid4(), "student_id": uuid.uuid4(), "session_id": uuid.uuid4()}
    write(db, "tutor_notes", id=note_id, body_enc=body_enc, updated_at=LONG_AGO, **someone)


def notes(db: psycopg.Connection[dict[str, Any]]) -> dict[str, str]:
    """The stored envelopes by the note's id."""
    return {str(row["id"]): row["body_enc"] for row in db.execute("select id, body_enc from private.tutor_notes")}


def test_every_encrypted_column_is_encrypted_anew_and_opens_for_its_service(
    db: psycopg.Connection[dict[str, Any]], rotate: Rotate
) -> None:
    one = str(uuid.uuid4())
    sealed = {
        field: OLD.encrypt(f"the {field}", row_id=one, field=field)
        for field in (ACCESS_FIELD, REFRESH_FIELD, SECRET_FIELD, "transcript", "body", "private_key", "code_verifier")
    }
    tokens = {"access_token_enc": sealed[ACCESS_FIELD], "refresh_token_enc": sealed[REFRESH_FIELD]}
    write(db, "integration_tokens", integration_id=one, **tokens, updated_at=LONG_AGO)
    write(db, "integration_tokens", integration_id=uuid.uuid4(), access_token_enc=NEW.encrypt("x", row_id="", field=""))
    write(db, "lms_connection_secrets", lms_connection_id=one, oauth_client_secret_enc=sealed[SECRET_FIELD])
    write(db, "session_transcripts", session_id=one, transcript_enc=sealed["transcript"])
    write_note(db, sealed["body"], one)
    write(db, "lti_signing_keys", kid=one, private_key_enc=sealed["private_key"], public_jwk="{}")
    ids = {"user_id": uuid.uuid4(), "lms_connection_id": uuid.uuid4()}
    write(db, "oauth_states", state_hash=one, code_verifier_enc=sealed["code_verifier"], **ids)

    status, said = rotate(1, 10)
    assert status == 0, said
    assert "private.integration_tokens.access_token_enc: 1 encrypted anew" in said
    assert said.endswith("No key but 10 is in use: the others may be taken out of ENCRYPTION_KEYS.\n")
    stored = {}
    for column in rotate_keys.encrypted_columns(db):
        query = column.statement("select {column} as value from {table} where {key}::text = %s")
        for row in db.execute(query, (one,)):
            stored[column.field] = NEW.decrypt(row["value"], row_id=one, field=column.field)
    assert stored == {field: f"the {field}" for field in sealed}
    changed = db.execute(
        "select (select updated_at from private.tutor_notes) = %s and "
        "(select updated_at from private.integration_tokens where integration_id = %s) = %s as same",
        (LONG_AGO, one, LONG_AGO),
    ).fetchone()
    assert changed == {"same": True}
    assert ": 1 encrypted anew" not in rotate(1, 10)[1]


def test_a_value_that_is_bound_to_another_id_of_its_row_stays_bound_to_it(
    db: psycopg.Connection[dict[str, Any]], rotate: Rotate
) -> None:
    note, tutor = str(uuid.uuid4()), str(uuid.uuid4())
    body = OLD.encrypt("bound to the tutor", row_id=tutor, field="body")
    write(db, "tutor_notes", id=note, tutor_id=tutor, student_id=uuid.uuid4(), session_id=uuid.uuid4(), body_enc=body)
    assert rotate(1, 10)[0] == 0
    assert NEW.decrypt(notes(db)[note], row_id=tutor, field="body") == "bound to the tutor"


def test_a_run_that_was_stopped_goes_on_where_it_was(
    db: psycopg.Connection[dict[str, Any]], rotate: Rotate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotate_keys, "BATCH_ROWS", 2)
    for number in range(7):
        note = str(uuid.uuid4())
        write_note(db, OLD.encrypt(f"note {number}", row_id=note, field="body"), note)
    replace, left = rotate_keys.replace, iter(range(3))

    def stops_after_three(*given: Any) -> bool:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return replace(*given)

    with monkeypatch.context() as stopping:
        stopping.setattr(rotate_keys, "replace", stops_after_three)
        with pytest.raises(KeyboardInterrupt):
            rotate(1, 10)
    assert sorted(value.split(":")[0] for value in notes(db).values()) == ["v1"] * 4 + ["v10"] * 3
    status, said = rotate(1, 10)
    assert status == 0
    assert "private.tutor_notes.body_enc: 4 encrypted anew" in said
    opened = {NEW.decrypt(value, row_id=note, field="body") for note, value in notes(db).items()}
    assert opened == {f"note {number}" for number in range(7)}


def test_what_a_service_writes_meanwhile_wins(
    db: psycopg.Connection[dict[str, Any]], rotate: Rotate, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = str(uuid.uuid4())
    write_note(db, OLD.encrypt("first", row_id=note, field="body"), note)
    newer = BOTH.encrypt("second", row_id=note, field="body")
    anew = rotate_keys.encrypted_anew

    def is_overtaken(*given: Any) -> str | None:
        db.execute("update private.tutor_notes set body_enc = %s", (newer,))
        return anew(*given)

    monkeypatch.setattr(rotate_keys, "encrypted_anew", is_overtaken)
    status, said = rotate(1, 10)
    assert (status, notes(db)) == (0, {note: newer})
    assert "private.tutor_notes.body_enc: 0 encrypted anew" in said


def test_a_row_that_somebody_holds_is_left_for_the_next_run(
    db: psycopg.Connection[dict[str, Any]], rotate: Rotate, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotate_keys, "MAX_LOCK_MILLISECONDS", 50)
    held, free = sorted(str(uuid.uuid4()) for _ in range(2))
    for note in (held, free):
        write_note(db, OLD.encrypt("x", row_id=note, field="body"), note)
    with psycopg.connect(url) as other:
        other.execute("select from private.tutor_notes where id = %s for update", (held,))
        status, said = rotate(1, 10)
    assert status == 1
    assert "key 1 is in use: 1 in private.tutor_notes.body_enc" in said
    assert "Keep key 1 in ENCRYPTION_KEYS" in said
    assert notes(db)[free].startswith("v10:")
    assert rotate(1, 10)[0] == 0


def test_a_value_that_no_key_opens_is_named_and_kept(db: psycopg.Connection[dict[str, Any]], rotate: Rotate) -> None:
    lost, stranger = str(uuid.uuid4()), str(uuid.uuid4())
    before = {
        lost: Envelope({2: KEYS[2]}).encrypt("x", row_id=lost, field="body"),
        stranger: OLD.encrypt("x", row_id="of another row", field="body"),
    }
    for note, body in before.items():
        write_note(db, body, note)
    status, said = rotate(1, 10)
    assert (status, notes(db)) == (1, before)
    assert f"no key opens the rows {', '.join(sorted(before))}\n" in said
    assert "Keep key 1, key 2 in ENCRYPTION_KEYS" in said


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"DATABASE_URL": ""}, "DATABASE_URL is not set"),
        ({"ENCRYPTION_KEYS": "1:short"}, "ENCRYPTION_KEYS holds a key that is not"),
        ({"DATABASE_URL": "postgresql://postgres:secret@127.0.0.1:9/postgres"}, "127.0.0.1"),
    ],
)
def test_what_is_missing_is_said_in_a_sentence(environment: dict[str, str], said: str) -> None:
    given = {"DATABASE_URL": "postgresql://127.0.0.1:9/x", "ENCRYPTION_KEYS": listed(1), **environment}
    command = [str(REPO / "scripts" / "rotate-keys")]
    done = subprocess.run(command, env={**os.environ, **given}, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr
