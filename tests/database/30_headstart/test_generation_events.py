"""The text of a model as it is written: numbered without gaps, one writer at a time, readable from any number."""

from __future__ import annotations

import json
import uuid
from typing import Any

import psycopg

from tests.support import rows
from tests.support.people import act_as, persona, refused
from tests.support.races import ring
from tests.support.rows import one

Connection = psycopg.Connection[Any]

APPEND = "select public.svc_append_generation(%s, %s, %s::jsonb[])"
READ = "select seq, part ->> 'delta' from public.svc_read_generation(%s, %s, %s)"


def parts(*deltas: str) -> list[str]:
    return [json.dumps({"type": "text-delta", "delta": delta}) for delta in deltas]


def test_parts_are_numbered_from_one_without_gaps(db: Connection) -> None:
    stream = uuid.uuid4()
    with act_as(db, None, "service_role"):
        assert one(db, APPEND, (stream, 1, parts("a", "b"))) == 2
        assert one(db, APPEND, (stream, 3, parts("c"))) == 3
        assert db.execute(READ, (stream, 0, 500)).fetchall() == [(1, "a"), (2, "b"), (3, "c")]


def test_a_wrong_number_changes_nothing(db: Connection) -> None:
    stream = uuid.uuid4()
    for wrong in (0, 2, -1):
        assert one(db, APPEND, (stream, wrong, parts("x"))) is None
    assert one(db, APPEND, (stream, 1, parts("a", "b"))) == 2
    for wrong in (1, 2, 4):
        assert one(db, APPEND, (stream, wrong, parts("x"))) is None
    assert db.execute(READ, (stream, 0, 500)).fetchall() == [(1, "a"), (2, "b")]


def test_nothing_appended_is_the_last_number(db: Connection) -> None:
    stream = uuid.uuid4()
    assert one(db, APPEND, (stream, 1, [])) == 0
    one(db, APPEND, (stream, 1, parts("a")))
    assert one(db, APPEND, (stream, 2, [])) == 1


def test_reading_goes_on_where_it_was(db: Connection) -> None:
    stream, other = uuid.uuid4(), uuid.uuid4()
    one(db, APPEND, (stream, 1, parts(*"abcde")))
    one(db, APPEND, (other, 1, parts("z")))
    assert db.execute(READ, (stream, 3, 500)).fetchall() == [(4, "d"), (5, "e")]
    assert db.execute(READ, (stream, 1, 2)).fetchall() == [(2, "b"), (3, "c")]
    assert db.execute(READ, (stream, 5, 500)).fetchall() == []
    assert len(db.execute(READ, (stream, None, None)).fetchall()) == 5
    assert len(db.execute(READ, (stream, 0, -1)).fetchall()) == 1


def test_the_run_knows_its_last_number(db: Connection) -> None:
    person = persona(db)
    given = {"user_id": person, "assignment_id": rows.assignment(db, person)}
    run = rows.insert(db, "public.headstart_runs", given)
    one(db, APPEND, (run, 1, parts("a", "b")))
    assert one(db, "select seq from public.headstart_runs where id = %s", (run,)) == 2
    one(db, APPEND, (run, 9, parts("x")))
    assert one(db, "select seq from public.headstart_runs where id = %s", (run,)) == 2


def test_null_is_an_error(db: Connection) -> None:
    stream = uuid.uuid4()
    refused(db, "22004", APPEND, (None, 1, parts("a")))
    refused(db, "22004", APPEND, (stream, None, parts("a")))
    refused(db, "22004", APPEND, (stream, 1, None))
    refused(db, "22004", APPEND, (stream, 1, [*parts("a"), None]))


def test_two_writers_at_once_and_one_wins(db_url: str) -> None:
    stream = uuid.uuid4()
    with ring(db_url) as race:
        first, second = race.session(), race.session()
        assert one(first, APPEND, (stream, 1, parts("a"))) == 1
        answer = race.start(second, APPEND, (stream, 1, parts("b")))
        race.wait_until_blocked(second)
        first.commit()
        assert answer.result(10) == (None,)
        assert race.owner.execute(READ, (stream, 0, 500)).fetchall() == [(1, "a")]
        race.owner.execute("delete from private.generation_events where stream_id = %s", (stream,))


def test_only_the_service_reads_and_writes(db: Connection) -> None:
    stream = uuid.uuid4()
    for role in ("anon", "authenticated", "app_admin"):
        with act_as(db, persona(db), role):
            refused(db, "42501", APPEND, (stream, 1, parts("a")))
            refused(db, "42501", READ, (stream, 0, 1))
            refused(db, "42501", "select from private.generation_events")


def test_many_streams_are_read_in_one_call(db: Connection) -> None:
    one_stream, other, unknown = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    for stream in (one_stream, other):
        parts = """array['{"delta": "a"}', '{"delta": "b"}', '{"delta": "c"}']::jsonb[]"""
        db.execute(f"select public.svc_append_generation(%s, 1, {parts})", (stream,))
    asked = json.dumps({str(one_stream): 1, str(other): 3, str(unknown): 0})
    row = db.execute("select public.svc_read_generations(%s)", (asked,)).fetchone()
    assert row == ({str(one_stream): [[2, {"delta": "b"}], [3, {"delta": "c"}]]},)
    refused(db, "22023", "select public.svc_read_generations('[]')")
    refused(db, "22004", "select public.svc_read_generations(null)")
