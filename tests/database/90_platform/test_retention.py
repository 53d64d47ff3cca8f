"""What is forgotten when, and what is tidied."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import pytest

from tests.support.people import act_as, freeze, persona, refused
from tests.support.queue import claim, complete, enqueue, fail
from tests.support.races import ring
from tests.support.rows import assignment, connection, insert, lecture, one
from tests.support.tutoring import assign, column, first, goal, question, summary

Connection = psycopg.Connection[Any]
PURGE = "select public.svc_purge_expired()"
NOW = "2031-06-15T12:00:00Z"


def purge(db: Connection) -> dict[str, Any]:
    """Runs the purge at NOW; how many rows went, by name."""
    freeze(db, NOW)
    with act_as(db, None, "service_role"):
        return dict(one(db, PURGE))


def row(db: Connection, table: str, *parts: dict[str, Any], key: str = "id") -> Any:
    """Inserts a row and returns the column that names it."""
    columns = {name: value for part in parts for name, value in part.items()}
    marks = ", ".join(["%s"] * len(columns))
    return one(
        db, f"insert into {table} ({', '.join(columns)}) values ({marks}) returning {key}", list(columns.values())
    )


def there(db: Connection, table: str, key: str, value: Any) -> bool:
    return bool(one(db, f"select count(*) from {table} where {key} = %s", (value,)))


@pytest.mark.parametrize("kept", [True, False])
def test_what_goes_by_age(db: Connection, kept: bool) -> None:
    me, teacher = persona(db), persona(db, "teacher")
    home = connection(db)
    insert(db, "public.teachers", {"id": teacher, "lms_connection_id": home, "canvas_user_id": "1"})

    def age(limit: str) -> str:
        """A moment just inside or just outside the limit."""
        nudge = "+ interval '1 minute'" if kept else "- interval '1 minute'"
        return str(one(db, f"select (%s::timestamptz - %s::interval {nudge})::text", (NOW, limit)))

    work = assignment(db, me)
    run = {"user_id": me, "assignment_id": work, "trigger": "manual"}
    old_run = row(db, "public.headstart_runs", run, {"created_at": age("180 days")})
    db.execute("update public.headstart_runs set status = 'cancelled' where id = %s", (old_run,))
    event = row(
        db,
        "public.payment_events",
        {"stripe_event_id": f"evt_{uuid.uuid4()}", "event_type": "x", "event_created": NOW, "payload": '{"a": 1}',
         "processed": True, "processed_at": age("90 days")},
    )  # fmt: skip
    notice = {"user_id": me, "type": "system", "title": "x", "status": "sent", "sent_at": age("90 days")}
    expected = {
        ("private.oauth_states", "state_hash"): row(
            db, "private.oauth_states",
            {"state_hash": uuid.uuid4().hex, "user_id": me, "lms_connection_id": home, "expires_at": age("1 day")},
            key="state_hash",
        ),
        ("public.courses_cache", "id"): row(
            db, "public.courses_cache", {"teacher_id": teacher, "canvas_course_id": 1, "cached_at": age("24 hours")}
        ),
        ("public.headstart_runs", "id"): old_run,
        ("private.generation_events", "stream_id"): row(
            db, "private.generation_events",
            {"stream_id": uuid.uuid4(), "seq": 1, "part": "{}", "at": age("1 day")}, key="stream_id",
        ),
        ("public.notifications", "id"): row(db, "public.notifications", notice),
        ("public.nudges", "id"): row(
            db, "public.nudges",
            {"user_id": me, "type": "login", "channel": "email", "message": "x", "created_at": age("400 days")},
        ),
        ("private.storage_deletions", "id"): row(
            db, "private.storage_deletions",
            {"storage_key": uuid.uuid4().hex, "reason": "x", "done_at": age("30 days")},
        ),
        ("private.idempotency_keys", "key"): row(
            db, "private.idempotency_keys",
            {"user_id": me, "route": "x", "key": uuid.uuid4().hex, "request_hash": "h", "expires_at": age("0 days")},
            key="key",
        ),
        ("private.rate_buckets", "bucket"): row(
            db, "private.rate_buckets",
            {"bucket": uuid.uuid4().hex, "window_start": "2030-01-01Z", "window_end": age("0 days"), "count": 1},
            key="bucket",
        ),
        ("private.audit_log", "id"): row(
            db, "private.audit_log", {"occurred_at": age("7 years"), "action": "read", "entity": "x"}
        ),
    }  # fmt: skip
    purge(db)
    assert {table for (table, key), value in expected.items() if there(db, table, key, value)} == (
        {table for table, _ in expected} if kept else set()
    )
    # the row is proof against replay and stays
    assert one(db, "select payload = '{}' from public.payment_events where id = %s", (event,)) is not kept
    db.execute("select private.write_audit('read', 'x', 'y', null)")
    refused(db, "42501", "delete from private.audit_log")


def test_what_is_not_finished_does_not_go_by_age(db: Connection) -> None:
    me = persona(db)
    waiting = row(
        db, "private.storage_deletions",
        {"storage_key": uuid.uuid4().hex, "reason": "x", "enqueued_at": "2020-01-01Z"},
    )  # fmt: skip
    pending = row(
        db, "public.notifications", {"user_id": me, "type": "system", "title": "x", "created_at": "2020-01-01Z"}
    )
    event = row(
        db,
        "public.payment_events",
        {"stripe_event_id": f"evt_{uuid.uuid4()}", "event_type": "x", "event_created": NOW, "payload": '{"a": 1}',
         "received_at": "2020-01-01Z"},
    )  # fmt: skip
    purge(db)
    assert there(db, "private.storage_deletions", "id", waiting)
    assert there(db, "public.notifications", "id", pending)
    assert one(db, "select payload from public.payment_events where id = %s", (event,)) == {"a": 1}


def test_education_records_stay(db: Connection) -> None:
    me = persona(db)
    old = {"created_at": "2000-01-01Z"}
    rows = {
        "goals": goal(db, me, **old),
        "summaries": summary(db, me, **old),
        "qa_interactions": question(db, me, **old),
    }
    purge(db)
    assert all(column(db, table, "id", made) == made for table, made in rows.items())


def test_assignments_end_with_their_last_day(db: Connection) -> None:
    tutor = persona(db, "tutor")
    ends = {"2031-06-14": "completed", "2031-06-15": "active", None: "active"}
    made = {end: assign(db, tutor, persona(db), end_date=end) for end in ends}
    paused = assign(db, tutor, persona(db), end_date="2031-06-14", status="paused")
    assert purge(db)["assignments_ended"] >= 2
    assert {end: column(db, "tutor_student_assignments", "status", row) for end, row in made.items()} == ends
    assert column(db, "tutor_student_assignments", "status", paused) == "completed"


def test_a_lecture_nobody_was_ever_linked_to_goes_after_an_hour(db: Connection) -> None:
    me = persona(db)
    old, fresh, linked = lecture(db), lecture(db), lecture(db)
    db.execute("insert into public.user_lectures (user_id, lecture_id) values (%s, %s)", (me, linked))
    for made, at in ((old, "2031-06-15T10:59:00Z"), (fresh, "2031-06-15T11:01:00Z"), (linked, "2031-01-01Z")):
        db.execute("update public.lectures set created_at = %s where id = %s", (at, made))
    purge(db)
    assert [column(db, "lectures", "id", made) for made in (old, fresh, linked)] == [None, fresh, linked]


def age_rows(db: Connection, table: str, at: str, made: uuid.UUID) -> None:
    """Sets updated_at, which a trigger otherwise keeps."""
    db.execute(f"alter table public.{table} disable trigger trg_{table}_updated_at".encode())
    db.execute(f"update public.{table} set updated_at = %s where id = %s".encode(), (at, made))
    db.execute(f"alter table public.{table} enable trigger trg_{table}_updated_at".encode())


def test_rows_that_stood_still_without_a_live_job_fail(db: Connection) -> None:
    me, teacher = persona(db), persona(db, "teacher")
    insert(db, "public.teachers", {"id": teacher, "lms_connection_id": connection(db), "canvas_user_id": "1"})

    def made(table: str) -> uuid.UUID:
        if table == "lectures":
            found = lecture(db)
            db.execute("insert into public.user_lectures (user_id, lecture_id) values (%s, %s)", (me, found))
            return found
        if table == "reviews":
            asked = insert(db, "public.reviews", {"user_id": me, "github_url": "https://github.com/a/b"})
            # its insert has enqueued one
            db.execute("delete from public.jobs where dedupe_key = %s", (f"reviews:{asked}",))
            return asked
        given = {"teacher_id": teacher, "kind": "text", "title": "x", "text_content": "x"}
        source = insert(db, "public.content_sources", given)
        # its insert has enqueued one
        db.execute("delete from public.jobs where dedupe_key = %s", (f"content_sources:{source}",))
        return source

    jobs = {
        "lectures": ("lecture_download", "lecture_id"),
        "reviews": ("code_review", "review_id"),
        "content_sources": ("content_source", "content_source_id"),
    }
    working = {"lectures": "downloading", "reviews": "running", "content_sources": "processing"}
    expected: dict[tuple[str, uuid.UUID], str] = {}
    for table, (kind, key) in jobs.items():
        waiting, running, fresh, alive = (made(table) for _ in range(4))
        db.execute(f"update public.{table} set status = %s where id = %s".encode(), (working[table], running))
        for each, at in ((waiting, "10:59"), (running, "10:59"), (fresh, "11:01"), (alive, "10:59")):
            age_rows(db, table, f"2031-06-15T{at}:00Z", each)
        db.execute("select public.svc_enqueue_job(%s, jsonb_build_object(%s::text, %s::text))", (kind, key, str(alive)))
        expected |= {
            (table, waiting): "failed",
            (table, running): "failed",
            (table, fresh): "pending",
            (table, alive): "pending",
        }
    assert purge(db)["stuck_rows"] >= 6
    assert {place: column(db, place[0], "status", place[1]) for place in expected} == expected
    failed = next(place for place, state in expected.items() if state == "failed")
    assert column(db, failed[0], "error_message is not null", failed[1])


def test_a_row_whose_job_ended_badly_fails_at_once(db: Connection) -> None:
    me = persona(db)
    asked = insert(db, "public.reviews", {"user_id": me, "github_url": "https://github.com/a/b"})
    job = one(db, "select id from public.jobs where dedupe_key = %s", (f"reviews:{asked}",))
    sweep = "select public.svc_sweep_generations()"
    db.execute(sweep)
    assert column(db, "reviews", "status", asked) == "pending"
    db.execute("select private.end_live_job(%s)", (job,))
    db.execute(sweep)
    assert column(db, "reviews", "status", asked) == "failed"
    # asked again, it is not failed by the old job before the new one is there
    db.execute("update public.reviews set status = 'pending' where id = %s", (asked,))
    db.execute("update public.jobs set completed_at = now() - interval '1 second' where id = %s", (job,))
    db.execute(sweep)
    assert column(db, "reviews", "status", asked) == "pending"


def test_a_headstart_run_without_a_live_job_fails_and_opens_the_way(db: Connection) -> None:
    me = persona(db)
    work = assignment(db, me)
    start = "select run_id, job_id, created from public.svc_start_headstart_run(%s, %s, 'manual')"
    run, job, _ = first(db, start, (me, work))
    freeze(db, one(db, "select (now() + interval '2 hours')::text"))
    sweep = "select public.svc_sweep_generations()"
    db.execute(sweep)
    assert column(db, "headstart_runs", "status", run) == "queued"
    db.execute("delete from public.jobs where id = %s", (job,))
    db.execute(sweep)
    assert column(db, "headstart_runs", "(status, error is not null)::text", run) == "(failed,t)"
    assert first(db, start, (me, work))[2] is True


def test_a_headstart_run_whose_job_failed_fails_at_once(db: Connection) -> None:
    me = persona(db)
    start = "select run_id, job_id from public.svc_start_headstart_run(%s, %s, 'manual')"
    run, job = first(db, start, (me, assignment(db, me)))
    db.execute("select private.end_live_job(%s)", (job,))
    db.execute("select public.svc_sweep_generations()")
    assert column(db, "headstart_runs", "status", run) == "failed"


def test_old_jobs_are_forgotten(db: Connection) -> None:
    db.execute("delete from public.jobs")
    made: dict[str, list[uuid.UUID]] = {"kept": [], "gone": []}
    for status, days in {"succeeded": 30, "cancelled": 30, "failed": 90}.items():
        for minutes, into in ((1, "kept"), (-1, "gone")):
            made[into].append(end_job(db, status))
            db.execute(
                "update public.jobs set completed_at = %s::timestamptz - make_interval(days => %s, mins => -%s)"
                " where id = %s",
                (NOW, days, minutes, made[into][-1]),
            )
    made["kept"].append(enqueue(db).job_id)
    assert purge(db)["jobs"] == 3
    assert {found[0] for found in db.execute("select id from public.jobs")} == set(made["kept"])
    assert one(db, "select count(*) from private.job_runtime where job_id = any (%s)", (made["gone"],)) == 0


def end_job(db: Connection, status: str) -> uuid.UUID:
    """A job that ended so."""
    job = enqueue(db).job_id
    if status == "cancelled":
        db.execute("select private.end_live_job(%s)", (job,))
        return job
    [taken] = claim(db)
    assert complete(db, taken) == [True] if status == "succeeded" else fail(db, taken, retryable=False)
    return job


def test_a_call_deletes_at_most_five_thousand_rows_of_a_table(db: Connection) -> None:
    db.execute("delete from private.rate_buckets")
    db.execute(
        "insert into private.rate_buckets (bucket, window_start, window_end, count)"
        " select n::text, '2030-01-01Z', '2030-01-02Z', 1 from generate_series(1, 5001) as n"
    )
    assert [purge(db)["rate_buckets"] for _ in range(3)] == [5000, 1, 0]


def test_what_somebody_is_using_waits_for_the_next_call(db_url: str) -> None:
    with ring(db_url) as race:
        made = lecture(race.owner)
        race.clean_up("public.lectures", made)
        race.owner.execute("update public.lectures set created_at = '2020-01-01Z' where id = %s", (made,))
        person = persona(race.owner)
        race.clean_up("auth.users", person)
        links = race.session()
        links.execute("insert into public.user_lectures (user_id, lecture_id) values (%s, %s)", (person, made))
        race.owner.execute("set lock_timeout = '2s'")
        race.owner.execute(PURGE)
        links.commit()
        assert there(race.owner, "public.user_lectures", "lecture_id", made)


def test_only_the_service_purges(db: Connection) -> None:
    for role in ("authenticated", "app_admin", "anon"):
        with act_as(db, persona(db, "admin"), role):
            refused(db, "42501", PURGE)
            refused(db, "42501", "select public.svc_sweep_generations()")
