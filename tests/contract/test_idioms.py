"""The ordinary idioms of supabase-js work on every table that a signed-in person may write."""

from __future__ import annotations

import json
import secrets
from typing import Any

import httpx
import psycopg
import pytest

from scripts.native.stack import Stack
from tests.support.javascript import run_js

BIG = 2**60 + 1  # JavaScript keeps it as 2**60

# (table, the owner's column, what a form would send, a change) of tables where a person's own rows need no others
OWN: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    (
        "study_blocks",
        "user_id",
        {"start_at": "2026-11-28T10:00:00Z", "end_at": "2026-11-28T11:00:00Z"},
        {"notes": "Bring paper"},
    ),
    (
        "weeks",
        "user_id",
        {"week_number": 1, "start_date": "2026-11-23", "end_date": "2026-11-29"},
        {"focus_area": "Recursion"},
    ),
    ("goals", "student_id", {"title": "Read more"}, {"description": "A book a month"}),
]
TEACHERS: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    ("threads", "teacher_id", {"title": "Plans"}, {"title": "Plans for May"}),
    ("classes", "teacher_id", {"name": "7b"}, {"section": "Morning"}),
    ("content_sources", "teacher_id", {"kind": "text", "title": "Notes", "text_content": "x"}, {"title": "My notes"}),
]

SIGN_IN = """
const [email, password, table, owner, form, change] = given
must(await client.auth.signInWithPassword({ email, password }))
const me = must(await client.auth.getUser()).user.id
"""

IDIOMS = (
    SIGN_IN
    + """
const rows = () => client.from(table)
const id = crypto.randomUUID()
const made = must(await rows().insert({ id, [owner]: me, ...JSON.parse(form) }).select('*').single())
const changed = must(await rows().update({ ...made, ...JSON.parse(change) }).eq('id', id).select('*').single())
// the row as it was read first, sent back once more
must(await rows().update({ ...made, ...JSON.parse(change) }).eq('id', id))
const put = must(await rows().upsert({ id, [owner]: me, ...JSON.parse(form) }).select('*').single())
const stolen = await rows().update({ [owner]: crypto.randomUUID() }).eq('id', id)
const all = await rows().delete()
const gone = must(await rows().delete().eq('id', id).select('id'))
say({ me, id, made, changed, put, stolen: stolen.error, all: all.error, gone })
"""
)

BIG_IDS = (
    SIGN_IN
    + """
const courses = () => client.from('courses')
const course = must(await courses().select('*').eq('canvas_id', table).single())
const sent = must(await courses().update({ ...course, is_hidden: true }).eq('id', course.id).select('*').single())
say({ canvas_id: sent.canvas_id, is_hidden: sent.is_hidden, rounded: String(sent.canvas_course_id) })
"""
)
CANVAS_JSON = (
    SIGN_IN
    + """
say(must(await client.from(table).select(owner).single())[owner])
"""
)


def sign_up(stack: Stack, role: str) -> tuple[str, str]:
    """A new person of that role with an address and a password; a teacher has their row in ``teachers``."""
    email, password = f"{role}-{secrets.token_hex(5)}@example.test", "correct-horse-7"
    made = httpx.post(
        f"{stack.url}/auth/v1/admin/users",
        headers={"apikey": stack.keys.secret_key},
        json={"email": email, "password": password, "email_confirm": True, "app_metadata": {"role": role}},
    )
    assert made.status_code == 200, made.text
    if role == "teacher":
        with psycopg.connect(stack.db_url) as db:
            db.execute(
                "with school as (insert into public.lms_connections (instance_domain, name) values (%s, 'A school') "
                "returning id) insert into public.teachers (id, lms_connection_id, canvas_user_id) "
                "select %s, id, '1' from school",
                (f"{secrets.token_hex(5)}.example.test", made.json()["id"]),
            )
    return email, password


@pytest.mark.parametrize(("table", "owner", "form", "change"), OWN + TEACHERS, ids=lambda value: str(value)[:20])
def test_insert_update_and_upsert_take_ids_owners_and_whole_rows(
    stack: Stack, node: str, table: str, owner: str, form: dict[str, Any], change: dict[str, Any]
) -> None:
    email, password = sign_up(stack, "teacher" if owner == "teacher_id" else "student")
    seen = run_js(node, stack, IDIOMS, email, password, table, owner, json.dumps(form), json.dumps(change))
    assert seen["made"]["id"] == seen["id"]
    assert seen["made"][owner] == seen["me"]
    assert change.items() <= seen["changed"].items()
    assert seen["put"]["id"] == seen["id"]
    assert seen["stolen"]["code"] == "42501"
    assert owner in seen["stolen"]["message"]
    assert seen["all"]["code"] == "21000"
    assert seen["gone"] == [{"id": seen["id"]}]


def write_course(db: psycopg.Connection[Any], email: str, raw: str = "{}") -> None:
    """A connected school of the person's own, with a course and an assignment of this raw payload."""
    db.execute(
        """
        with person as (select id from auth.users where email = %s),
        school as (insert into public.lms_connections (instance_domain, name) values (%s, 'A school') returning id),
        connected as (
            insert into public.integrations (user_id, provider, lms_connection_id, instance_domain, status)
            select person.id, 'canvas', school.id, 'canvas.example.test', 'pending' from person, school
            returning id, user_id
        ),
        course as (
            insert into public.courses (user_id, integration_id, canvas_course_id, name, raw_payload)
            select user_id, id, %s, 'Big', %s from connected
            returning id, user_id
        )
        insert into public.assignments (user_id, course_id, canvas_assignment_id, title, raw_payload)
        select user_id, id, 1, 'Big', %s from course
        """,
        (email, f"{secrets.token_hex(5)}.example.test", BIG, raw, raw),
    )


def test_an_id_that_javascript_rounds_survives_reading_filtering_and_sending_back(stack: Stack, node: str) -> None:
    email, password = sign_up(stack, "student")
    with psycopg.connect(stack.db_url) as db:
        write_course(db, email, json.dumps({"id": BIG}))
    seen = run_js(node, stack, BIG_IDS, email, password, str(BIG))
    assert seen == {"canvas_id": str(BIG), "is_hidden": True, "rounded": "1152921504606847000"}
    with psycopg.connect(stack.db_url) as db:
        stored = db.execute("select canvas_course_id from public.courses where canvas_id = %s", (str(BIG),)).fetchone()
    assert stored == (BIG,)


@pytest.mark.parametrize(
    ("table", "column"), [("courses", "raw_payload"), ("assignments", "raw_payload"), ("courses_cache", "course_data")]
)
def test_what_canvas_sent_has_every_digit_of_its_numbers(stack: Stack, node: str, table: str, column: str) -> None:
    sent = {"id": BIG, "points": 2**53 - 1, "part": 0.5, "nested": [{"id": -BIG, "none": None, "empty": [{}, []]}, "x"]}
    email, password = sign_up(stack, "teacher" if table == "courses_cache" else "student")
    with psycopg.connect(stack.db_url) as db:
        if table == "courses_cache":
            db.execute(
                "insert into public.courses_cache (teacher_id, canvas_course_id, course_data) "
                "select id, 7, %s from auth.users where email = %s",
                (json.dumps(sent), email),
            )
        else:
            write_course(db, email, json.dumps(sent))
    seen = run_js(node, stack, CANVAS_JSON, email, password, table, column)
    nested = [{"id": str(-BIG), "none": None, "empty": [{}, []]}, "x"]
    assert seen == {"id": str(BIG), "points": 2**53 - 1, "part": 0.5, "nested": nested}
