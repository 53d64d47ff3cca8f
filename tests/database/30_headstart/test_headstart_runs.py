"""A headstart from request to document: joined, finished once, superseded, streamed."""

from __future__ import annotations

import datetime
import json
import uuid
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from tests.support import rows
from tests.support.machines import outcomes
from tests.support.people import act_as, freeze, persona, refused
from tests.support.races import ring
from tests.support.rows import one

Connection = psycopg.Connection[Any]

START = "select run_id, job_id, created from public.svc_start_headstart_run(%s, %s, %s)"
START_VERSION = "select run_id, job_id, created from public.svc_start_headstart_run(%s, %s, %s, %s)"
FINISH = "select public.svc_finish_headstart_run(%s, %s, %s, %s, %s)"
RUNNING = "update public.headstart_runs set status = 'running' where id = %s"
DOC = json.dumps(
    {"title": "T", "content_md": "# T", "content_html": "<h1>T</h1>", "summary": "S", "extra": {"plan": []}}
)


@dataclass
class Student:
    db: Connection
    id: uuid.UUID
    assignment: uuid.UUID

    def start(self, trigger: str = "manual") -> tuple[uuid.UUID, uuid.UUID, bool]:
        row = self.db.execute(START, (self.id, self.assignment, trigger)).fetchone()
        assert row
        run, job, created = row
        return run, job, created

    def running(self) -> uuid.UUID:
        """A run that a worker has begun."""
        run = self.start()[0]
        self.db.execute(RUNNING, (run,))
        return run

    def finish(self, run: uuid.UUID, status: str = "succeeded", doc: str | None = DOC, error: str | None = None) -> Any:
        return one(self.db, FINISH, (run, status, doc, error, '{"attempts": 1}'))

    def notes(self) -> list[tuple[Any, ...]]:
        return self.db.execute(
            "select type, status, body, payload from public.notifications where user_id = %s order by type", (self.id,)
        ).fetchall()


@pytest.fixture
def student(db: Connection) -> Student:
    person = persona(db)
    return Student(db, person, rows.assignment(db, person, title="Lab report", content_hash="h1"))


def test_states_of_a_run(db: Connection) -> None:
    person = persona(db)

    def born(state: str) -> Any:
        given = {"user_id": person, "assignment_id": rows.assignment(db, person), "status": state}
        return rows.insert(db, "public.headstart_runs", given)

    births, changes = outcomes(db, "headstart_runs", ["queued", "running", "succeeded", "failed", "cancelled"], born)
    assert births == {"queued"}
    assert changes == {
        "queued>running",
        "queued>cancelled",
        "queued>failed",
        "running>succeeded",
        "running>failed",
        "running>cancelled",
    }


def test_states_of_a_document(db: Connection) -> None:
    person = persona(db)

    def born(state: str) -> Any:
        given = {"user_id": person, "assignment_id": rows.assignment(db, person), "status": state}
        return rows.insert(db, "public.headstart_docs", given)

    births, changes = outcomes(db, "headstart_docs", ["draft", "ready", "superseded", "failed"], born)
    assert births == {"draft", "ready"}
    assert changes == {"draft>ready", "draft>failed", "ready>superseded"}


def test_starting_makes_a_run_and_its_job(student: Student) -> None:
    run, job, created = student.start()
    assert created is True
    row = student.db.execute(
        "select user_id, assignment_id, trigger, status, assignment_hash, seq from public.headstart_runs where id = %s",
        (run,),
    ).fetchone()
    assert row == (student.id, student.assignment, "manual", "queued", "h1", 0)
    queued = student.db.execute(
        "select j.type, j.user_id, r.payload from public.jobs as j join private.job_runtime as r on r.job_id = j.id"
        " where j.id = %s",
        (job,),
    ).fetchone()
    assert queued == ("headstart", student.id, {"run_id": str(run)})


def test_a_live_run_is_joined_queued_or_running(student: Student) -> None:
    run, job, _ = student.start()
    assert student.start() == (run, job, False)
    student.db.execute(RUNNING, (run,))
    assert student.start("due_soon") == (run, job, False)
    student.finish(run)
    student.db.execute("update public.jobs set status = 'running' where id = %s", (job,))
    student.db.execute("update public.jobs set status = 'succeeded' where id = %s", (job,))
    again = student.start()
    assert again[0] != run
    assert again[1] != job
    assert again[2] is True


def test_an_automatic_headstart_is_written_once_per_content_and_version(student: Student) -> None:
    def automatic(version: str) -> Any:
        return student.db.execute(START_VERSION, (student.id, student.assignment, "due_soon", version)).fetchone()

    run, _, created = automatic("1")
    assert created
    student.db.execute(RUNNING, (run,))
    student.finish(run)
    assert automatic("1") == (run, None, False)
    second = automatic("2")
    assert second[2] is True
    student.db.execute(RUNNING, (second[0],))
    student.finish(second[0])
    student.db.execute("update public.assignments set content_hash = 'h2' where id = %s", (student.assignment,))
    assert automatic("2")[2] is True


def test_the_guard_on_automatic_runs_is_a_constraint(student: Student) -> None:
    given = {"user_id": student.id, "assignment_id": student.assignment, "assignment_hash": "h", "prompt_version": "1"}
    for trigger, times in [("manual", 2), ("due_soon", 1), ("content_changed", 1)]:
        for _ in range(times):
            made = rows.insert(student.db, "public.headstart_runs", given, {"trigger": trigger})
            student.db.execute("update public.headstart_runs set status = 'cancelled' where id = %s", (made,))
    with pytest.raises(psycopg.errors.UniqueViolation), student.db.transaction():
        rows.insert(student.db, "public.headstart_runs", given, {"trigger": "due_soon"})


def test_what_cannot_be_started(student: Student) -> None:
    other = persona(student.db)
    refused(student.db, "PT404", START, (other, student.assignment, "manual"))
    refused(student.db, "PT404", START, (student.id, uuid.uuid4(), "manual"))
    refused(student.db, "22023", START, (student.id, student.assignment, "whim"))
    refused(student.db, "22004", START, (student.id, student.assignment, None))
    refused(student.db, "22004", START, (None, student.assignment, "manual"))
    student.db.execute("update public.assignments set status = 'removed' where id = %s", (student.assignment,))
    refused(student.db, "PT409", START, (student.id, student.assignment, "manual"))
    assert one(student.db, "select count(*) from public.headstart_runs where user_id = %s", (student.id,)) == 0


def test_a_success_leaves_document_metrics_and_one_notification(student: Student) -> None:
    run = student.running()
    doc = student.finish(run)
    row = student.db.execute(
        "select status, title, content_md, content_html, summary, extra, run_id, user_id, assignment_id"
        " from public.headstart_docs where id = %s",
        (doc,),
    ).fetchone()
    assert row == ("ready", "T", "# T", "<h1>T</h1>", "S", {"plan": []}, run, student.id, student.assignment)
    done = student.db.execute(
        "select status, error, metrics, ended_at is not null from public.headstart_runs where id = %s", (run,)
    ).fetchone()
    assert done == ("succeeded", None, {"attempts": 1}, True)
    payload = {"assignment_id": str(student.assignment), "run_id": str(run), "doc_id": str(doc)}
    assert student.notes() == [("headstart_ready", "sent", "Lab report", payload)]


@pytest.mark.parametrize(
    ("source", "zone", "text"),
    [
        ("person", "Pacific/Auckland", "Saturday 10 May 2031, 09:59 (Pacific/Auckland)"),
        ("default", "Europe/Berlin", "Friday 9 May 2031, 23:59 (Europe/Berlin)"),
        ("default", "Mars/Olympus", "Friday 9 May 2031, 21:59 (UTC)"),
    ],
)
def test_a_notification_tells_the_due_day_of_the_student(student: Student, source: str, zone: str, text: str) -> None:
    student.db.execute(
        "update public.assignments set due_at = '2031-05-09T21:59:00Z' where id = %s", (student.assignment,)
    )
    change = "update public.profiles set timezone = 'Pacific/Auckland', timezone_source = %s where user_id = %s"
    student.db.execute(change, (source, student.id))
    student.db.execute("update public.courses set time_zone = %s where user_id = %s", (zone, student.id))
    student.finish(student.running())
    ((_, _, body, payload),) = student.notes()
    assert body == f"Lab report\nDue {text}"
    assert (payload["due_at"], payload["due_text"]) == ("2031-05-09T21:59:00Z", text)


def test_finishing_again_changes_nothing(student: Student) -> None:
    run = student.running()
    doc = student.finish(run)
    assert student.finish(run, doc=DOC.replace("# T", "# U")) == doc
    assert student.finish(run, "failed", None, "internal: late") == doc
    assert student.finish(run, "cancelled", None) == doc
    assert one(student.db, "select status from public.headstart_runs where id = %s", (run,)) == "succeeded"
    assert one(student.db, "select content_md from public.headstart_docs where id = %s", (doc,)) == "# T"
    assert len(student.notes()) == 1


def test_a_newer_document_supersedes_the_older(student: Student) -> None:
    other = persona(student.db)
    elsewhere = Student(student.db, other, rows.assignment(student.db, other))
    untouched = elsewhere.finish(elsewhere.running())
    first = student.finish(student.running())
    second = student.finish(student.running())
    statuses = dict(student.db.execute("select id, status from public.headstart_docs").fetchall())
    assert statuses[first] == "superseded"
    assert statuses[second] == "ready"
    assert statuses[untouched] == "ready"


def test_a_failure_tells_once_and_keeps_the_older_document(student: Student) -> None:
    doc = student.finish(student.running())
    run = student.start()[0]
    for _ in range(2):
        assert student.finish(run, "failed", None, "provider_unavailable: no answer") is None
    error = one(student.db, "select error from public.headstart_runs where id = %s", (run,))
    assert error == "provider_unavailable: no answer"
    assert one(student.db, "select status from public.headstart_docs where id = %s", (doc,)) == "ready"
    assert [note[0] for note in student.notes()] == ["headstart_ready", "headstart_failed"]


def test_a_cancelled_run_is_quiet(student: Student) -> None:
    run = student.start()[0]
    assert student.finish(run, "cancelled", None) is None
    assert one(student.db, "select status from public.headstart_runs where id = %s", (run,)) == "cancelled"
    assert student.notes() == []


def test_what_cannot_be_finished(student: Student) -> None:
    run = student.start()[0]
    refused(student.db, "23514", FINISH, (run, "succeeded", DOC, None, "{}"))
    student.db.execute(RUNNING, (run,))
    refused(student.db, "22023", FINISH, (run, "running", None, None, "{}"))
    refused(student.db, "22023", FINISH, (run, "succeeded", None, None, "{}"))
    refused(student.db, "22023", FINISH, (run, "succeeded", "[]", None, "{}"))
    refused(student.db, "22023", FINISH, (run, "succeeded", '{"user_id": "x"}', None, "{}"))
    refused(student.db, "22023", FINISH, (run, "failed", DOC, "internal", "{}"))
    refused(student.db, "22004", FINISH, (None, "failed", None, "internal", "{}"))
    refused(student.db, "PT404", FINISH, (uuid.uuid4(), "failed", None, "internal", "{}"))
    assert one(student.db, "select status from public.headstart_runs where id = %s", (run,)) == "running"
    assert student.notes() == []


def test_times_of_a_run_are_the_databases(student: Student) -> None:
    freeze(student.db, "2030-01-01T10:00:00Z")
    run = student.running()
    freeze(student.db, "2030-01-01T10:00:20Z")
    student.finish(run)
    row = student.db.execute("select started_at, ended_at from public.headstart_runs where id = %s", (run,)).fetchone()
    noon = datetime.datetime(2030, 1, 1, 10, tzinfo=datetime.UTC)
    assert row == (noon, noon + datetime.timedelta(seconds=20))


def test_a_document_belongs_to_a_run_of_its_assignment_and_outlives_it(student: Student) -> None:
    run = student.running()
    doc = student.finish(run)
    elsewhere = rows.assignment(student.db, student.id)
    given = {"user_id": student.id, "assignment_id": elsewhere, "run_id": run}
    with pytest.raises(psycopg.errors.ForeignKeyViolation), student.db.transaction():
        rows.insert(student.db, "public.headstart_docs", given)
    student.db.execute("delete from public.headstart_runs where id = %s", (run,))
    row = student.db.execute("select run_id, assignment_id from public.headstart_docs where id = %s", (doc,)).fetchone()
    assert row == (None, student.assignment)


def test_a_person_reads_his_own_and_throws_documents_away(student: Student) -> None:
    run = student.running()
    doc = student.finish(run)
    readers = [(persona(student.db), "authenticated"), (persona(student.db, "admin"), "app_admin")]
    for person, role in readers:
        with act_as(student.db, person, role):
            assert one(student.db, "select count(*) from public.headstart_docs where id = %s", (doc,)) == 0
            assert one(student.db, "select count(*) from public.headstart_runs where id = %s", (run,)) == 0
            assert student.db.execute("delete from public.headstart_docs where id = %s", (doc,)).rowcount == 0
    with act_as(student.db, student.id):
        assert one(student.db, "select count(*) from public.headstart_runs") == 1
        refused(student.db, "42501", "update public.headstart_docs set title = 'x'")
        refused(student.db, "42501", "update public.headstart_runs set status = 'cancelled'")
        refused(student.db, "42501", START, (student.id, student.assignment, "manual"))
        refused(student.db, "42501", FINISH, (run, "failed", None, None, "{}"))
        assert student.db.execute("delete from public.headstart_docs").rowcount == 1


def test_two_requests_at_once_are_one_run(db_url: str) -> None:
    with ring(db_url) as race:
        person = persona(race.owner)
        assignment = rows.assignment(race.owner, person)
        where = one(race.owner, "select lms_connection_id from public.integrations where user_id = %s", (person,))
        race.clean_up("public.lms_connections", where)
        race.clean_up("auth.users", person)
        first, second = race.session(), race.session()
        run = first.execute(START, (person, assignment, "manual")).fetchone()
        assert run is not None
        answer = race.start(second, START, (person, assignment, "manual"))
        race.wait_until_blocked(second)
        first.commit()
        assert answer.result(10) == (run[0], run[1], False)
