"""The trigger functions that several rooms share, on tables made for the tests."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.support.people import act_as, persona, refused
from tests.support.rows import one

Connection = psycopg.Connection[Any]


@pytest.fixture
def light(db: Connection) -> Connection:
    """A traffic light: begins red, goes from red to green and from green to red, never to yellow."""
    db.execute("""
        create type public.probe_colour as enum ('red', 'green', 'yellow');
        create table public.probe_lights (id int primary key, status public.probe_colour, note text);
        create trigger trg_probe_lights_status before insert or update of status on public.probe_lights
        for each row execute function private.enforce_transition('status', '>red', 'red>green', 'green>red');
        insert into public.probe_lights values (1, 'red');
    """)
    return db


def test_listed_changes_pass_and_staying_passes(light: Connection) -> None:
    for colour in ("red", "green", "green", "red"):
        light.execute("update public.probe_lights set status = %s", (colour,))
    assert one(light, "select status from public.probe_lights") == "red"


def test_an_unlisted_change_is_refused_and_named(light: Connection) -> None:
    message = refused(light, "23514", "update public.probe_lights set status = 'yellow'")
    assert "probe_lights cannot go from status red to yellow" in message
    assert one(light, "select status from public.probe_lights") == "red"


def test_a_wrong_birth_is_refused(light: Connection) -> None:
    message = refused(light, "23514", "insert into public.probe_lights values (2, 'green')")
    assert "probe_lights cannot begin with status green" in message


@pytest.mark.parametrize("start", ["null", "'red'"])
def test_no_state_is_no_way_around(light: Connection, start: str) -> None:
    if start == "null":
        refused(light, "23514", "insert into public.probe_lights values (2, null)")
    else:
        refused(light, "23514", "update public.probe_lights set status = null")


def test_service_role_is_bound_too(light: Connection) -> None:
    light.execute("grant all on public.probe_lights to service_role")
    with act_as(light, None, "service_role"):
        refused(light, "23514", "update public.probe_lights set status = 'yellow'")


def test_another_column_may_hold_the_state(db: Connection) -> None:
    db.execute("""
        create table public.probe_doors (id int primary key, door text);
        create trigger trg_probe_doors_door before insert or update of door on public.probe_doors
        for each row execute function private.enforce_transition('door', '>shut', 'shut>open');
        insert into public.probe_doors values (1, 'shut');
        update public.probe_doors set door = 'open';
    """)
    assert "from door open to shut" in refused(db, "23514", "update public.probe_doors set door = 'shut'")
    refused(db, "23514", "insert into public.probe_doors values (2, 'open')")


def test_updated_at_is_the_databases(db: Connection) -> None:
    person = persona(db)
    db.execute("update public.profiles set updated_at = '2000-01-01' where user_id = %s", (person,))
    assert one(db, "select updated_at = now() from public.profiles where user_id = %s", (person,))


@pytest.fixture
def lessons(db: Connection) -> Connection:
    """A table that requires a tutor and a student, is audited, and owns two stored files."""
    db.execute("""
        create table public.probe_lessons (
            id uuid primary key default gen_random_uuid(), tutor_id uuid, student_id uuid, room text, secret text,
            file_key text, cover_key text
        );
        create trigger trg_probe_lessons_roles after insert or update of tutor_id, student_id on public.probe_lessons
        for each row execute function private.check_profile_role('tutor_id', 'tutor', 'student_id', 'student');
        create trigger trg_probe_lessons_audit after insert or update or delete on public.probe_lessons
        for each row execute function private.audit('id', 'student_id', 'room');
        create trigger trg_probe_lessons_storage after update or delete on public.probe_lessons
        for each row execute function private.enqueue_storage_deletion('file_key', 'cover_key');
    """)
    return db


def test_roles_are_checked_for_changed_columns_that_are_not_null(lessons: Connection) -> None:
    tutor, student, other = persona(lessons, "tutor"), persona(lessons), persona(lessons)
    insert = "insert into public.probe_lessons (tutor_id, student_id) values (%s, %s)"
    lessons.execute(insert, (tutor, student))
    lessons.execute(insert, (None, student))
    assert "tutor_id must be a tutor" in refused(lessons, "23514", insert, (other, student))
    assert "student_id must be a student" in refused(lessons, "23514", insert, (tutor, tutor))
    # the student becomes a teacher; clearing the tutor must not check the student's role again
    lessons.execute("update public.profiles set role = 'teacher' where user_id = %s", (student,))
    lessons.execute("update public.probe_lessons set tutor_id = null, student_id = student_id")
    refused(lessons, "23514", "update public.probe_lessons set student_id = %s", (tutor,))


def test_audit_keeps_the_named_columns_and_the_caller(lessons: Connection) -> None:
    student = persona(lessons)
    lessons.execute("grant all on public.probe_lessons to authenticated")
    with act_as(lessons, student):
        lessons.execute(
            "insert into public.probe_lessons (student_id, room, secret) values (%s, 'A', 'hidden')", (student,)
        )
        lessons.execute("update public.probe_lessons set secret = 'more'")
        lessons.execute("update public.probe_lessons set room = 'B'")
        lessons.execute("delete from public.probe_lessons")
    lines = lessons.execute(
        "select action, actor_id, actor_role, subject_user_id, detail from private.audit_log"
        " where entity = 'probe_lessons' order by id"
    ).fetchall()
    assert lines == [
        ("insert", student, "authenticated", student, {"after": {"room": "A"}}),
        ("update", student, "authenticated", student, {"before": {"room": "A"}, "after": {"room": "B"}}),
        ("delete", student, "authenticated", student, {"before": {"room": "B"}}),
    ]


def test_every_key_that_loses_its_row_is_queued_once(lessons: Connection) -> None:
    lessons.execute(
        "insert into public.probe_lessons (file_key, cover_key) values ('probe/a', 'probe/b'), ('probe/c', null)"
    )
    lessons.execute("update public.probe_lessons set file_key = 'probe/d' where file_key = 'probe/c'")
    lessons.execute("update public.probe_lessons set room = 'X'")
    lessons.execute("delete from public.probe_lessons")
    lessons.execute("insert into public.probe_lessons (file_key) values ('probe/a')")
    lessons.execute("delete from public.probe_lessons")
    queued = lessons.execute(
        "select storage_key, reason from private.storage_deletions where storage_key like 'probe/%'"
        " order by storage_key"
    ).fetchall()
    assert queued == [
        ("probe/a", "probe_lessons delete"),
        ("probe/b", "probe_lessons delete"),
        ("probe/c", "probe_lessons update"),
        ("probe/d", "probe_lessons delete"),
    ]


@pytest.fixture
def ask(db: Connection) -> Callable[..., Any]:
    """Calls a function of `private` about the caller inside a definer function, as those that clients call do."""
    for name in ("caller_id", "require_caller"):
        db.execute(
            f"create function public.probe_{name}() returns uuid language sql security definer set search_path = '' "
            f"return private.{name}(); "
            f"grant execute on function public.probe_{name}() to anon, authenticated, service_role".encode()
        )
    return lambda name: one(db, f"select public.probe_{name}()")


def test_the_caller_is_the_person_of_the_token(db: Connection, ask: Callable[..., Any]) -> None:
    person = persona(db)
    with act_as(db, person):
        assert ask("caller_id") == ask("require_caller") == person


@pytest.mark.parametrize("anonymous", [True, "true"])
def test_an_anonymous_sign_in_is_nobody(db: Connection, ask: Callable[..., Any], anonymous: Any) -> None:
    with act_as(db, persona(db, anonymous=True), is_anonymous=anonymous):
        assert ask("caller_id") is None
        refused(db, "42501", "select public.probe_require_caller()")


@pytest.mark.parametrize("role", ["anon", "service_role"])
def test_a_token_without_a_person_is_nobody(db: Connection, ask: Callable[..., Any], role: str) -> None:
    with act_as(db, None, role):
        assert ask("caller_id") is None
        refused(db, "42501", "select public.probe_require_caller()")
    # what PostgREST leaves behind after a transaction
    db.execute("select set_config('request.jwt.claims', '', true)")
    assert ask("caller_id") is None


def test_the_audit_log_notes_the_service_by_its_role(db: Connection) -> None:
    db.execute("select private.write_audit('probe', 'probe_entity', '1', null)")
    row = db.execute(
        "select actor_id, actor_role, detail, occurred_at from private.audit_log where entity = 'probe_entity'"
    ).fetchone()
    assert row is not None
    assert row[:3] == (None, "postgres", {})
    assert isinstance(row[3], datetime.datetime)


BIG = 2**60 + 1


@pytest.fixture
def notes(db: Connection) -> Connection:
    """A table of which clients may change the text alone; its number is past what JavaScript can hold."""
    db.execute(f"""
        create table public.probe_notes (id bigint primary key, text text, tags jsonb, at timestamptz default now());
        create trigger trg_probe_notes_columns before update on public.probe_notes
        for each row execute function private.keep_columns('text');
        grant all on public.probe_notes to authenticated, service_role;
        insert into public.probe_notes values ({BIG}, 'first', '{{"a": [1, 2.50]}}');
    """)
    return db


def test_a_whole_row_may_be_sent_back(notes: Connection) -> None:
    with act_as(notes, persona(notes)):
        notes.execute(
            "update public.probe_notes as n set (id, text, tags, at) = (select id, 'second', tags, at from "
            "jsonb_populate_record(null::public.probe_notes, (select to_jsonb(p) from public.probe_notes as p)))"
        )
    assert one(notes, "select text from public.probe_notes") == "second"


@pytest.mark.parametrize("change", ["tags = '[]'", "tags = null", "at = now() + interval '1 second'", "id = 7"])
def test_another_column_is_refused_by_its_name(notes: Connection, change: str) -> None:
    with act_as(notes, persona(notes)):
        message = refused(notes, "42501", f"update public.probe_notes set text = 'second', {change}")
    assert f'column "{change.split()[0]}" of "probe_notes" cannot be changed' in message
    assert one(notes, "select text from public.probe_notes") == "first"


def test_a_number_that_javascript_rounded_keeps_its_stored_value(notes: Connection) -> None:
    with act_as(notes, persona(notes)):
        notes.execute("update public.probe_notes set text = 'second', id = %s", (int(float(BIG)),))
        refused(notes, "42501", f"update public.probe_notes set id = {BIG + 10_000}")
    assert notes.execute("select id, text from public.probe_notes").fetchone() == (BIG, "second")


def test_the_service_writes_every_column(notes: Connection) -> None:
    with act_as(notes, None, "service_role"):
        notes.execute("update public.probe_notes set tags = null, id = 7")
    assert notes.execute("select id, tags from public.probe_notes").fetchone() == (7, None)


@pytest.fixture
def shelf(db: Connection) -> Connection:
    """A table with an id of Canvas as number and as text."""
    db.execute("""
        create table public.probe_shelf (
            canvas_course_id bigint, canvas_id text, constraint same check (canvas_id = canvas_course_id::text)
        );
        create trigger trg_probe_shelf_text_id before insert or update on public.probe_shelf
        for each row execute function private.keep_canvas_id('canvas_course_id');
    """)
    return db


@pytest.mark.parametrize(
    ("number", "text"), [(BIG, None), (None, str(BIG)), (int(float(BIG)), str(BIG)), (BIG, str(BIG)), (None, None)]
)
def test_an_id_of_canvas_is_kept_as_number_and_text(shelf: Connection, number: int | None, text: str | None) -> None:
    shelf.execute("insert into public.probe_shelf values (%s, %s)", (number, text))
    wanted = (BIG, str(BIG)) if number or text else (None, None)
    assert shelf.execute("select canvas_course_id, canvas_id from public.probe_shelf").fetchone() == wanted
    shelf.execute("update public.probe_shelf set canvas_course_id = 5")
    assert shelf.execute("select canvas_course_id, canvas_id from public.probe_shelf").fetchone() == (5, "5")


@pytest.mark.parametrize(
    ("number", "text"),
    [("5", "'6'"), ("null", "'x'"), ("null", "'-5'"), ("null", "'05'"), ("null", "'9223372036854775808'")],
)
def test_an_id_of_canvas_that_is_none_is_refused(shelf: Connection, number: str, text: str) -> None:
    refused(shelf, "23514", f"insert into public.probe_shelf values ({number}, {text})")
