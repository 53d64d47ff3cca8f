"""Headstarts that start by themselves: wished for, reported once, started once, within the day's number."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from tests.support import rows
from tests.support.people import act_as, freeze, persona, refused
from tests.support.races import ring
from tests.support.rows import one

Connection = psycopg.Connection[Any]

NOON = "2031-05-05T12:00:00Z"
WISH = "update public.user_settings set preferences = %s where user_id = %s"
START = "select outcome from public.svc_start_automatic_headstart(%s, %s, %s, %s)"
APPLY = "select * from public.svc_apply_assignments(%s, %s, '{}')"
REPORTS = (
    "select j.id, r.payload -> 'changes' from public.jobs as j join private.job_runtime as r on r.job_id = j.id"
    " where j.type = 'headstart_scan' and r.payload ->> 'user_id' = %s order by j.created_at, j.id"
)
ROW = {
    "canvas_assignment_id": 8,
    "title": "Essay",
    "status": "open",
    "description_html": "<p>A</p>",
    "content_hash": "1",
}


def wish(db: Connection, person: uuid.UUID, **changes: Any) -> None:
    db.execute(WISH, (json.dumps({"headstart": {"auto": True, **changes}}), person))


@dataclass
class Student:
    db: Connection
    id: uuid.UUID
    course: uuid.UUID

    def assignment(self, **columns: Any) -> uuid.UUID:
        columns.setdefault("due_at", "2031-05-06T12:00:00Z")
        return rows.assignment(self.db, self.id, course_id=self.course, **columns)

    def start(self, assignment: uuid.UUID, trigger: str = "due_soon", version: str = "1") -> str:
        return str(one(self.db, START, (self.id, assignment, trigger, version)))

    def finish(self, assignment: uuid.UUID, status: str = "succeeded") -> None:
        """Ends the live run as a worker with prompt version 1 would."""
        where = "assignment_id = %s and status = 'queued'"
        run = one(self.db, f"select id from public.headstart_runs where {where}", (assignment,))
        self.db.execute("select * from public.svc_begin_headstart_run(%s, 'm', '1', 'h')", (run,))
        doc = json.dumps({"title": "T", "content_md": "# T"}) if status == "succeeded" else None
        self.db.execute("select public.svc_finish_headstart_run(%s, %s, %s, 'internal: x')", (run, status, doc))

    def apply(self, **changes: Any) -> list[dict[str, str]]:
        """Syncs one assignment; what was reported by that."""
        self.db.execute(APPLY, (self.course, json.dumps([{**ROW, **changes}])))
        return self.reports()

    def reports(self) -> list[dict[str, str]]:
        """What was reported since the last time."""
        found = self.db.execute(REPORTS, (str(self.id),)).fetchall()
        self.db.execute("delete from public.jobs where id = any (%s)", ([job for job, _ in found],))
        return [change for _, changes in found for change in changes]

    def due(self, version: str = "1") -> list[uuid.UUID]:
        found = self.db.execute("select user_id, assignment_id from public.svc_due_headstarts(%s)", (version,))
        return [assignment for person, assignment in found.fetchall() if person == self.id]


@pytest.fixture
def student(db: Connection) -> Student:
    freeze(db, NOON)
    person = persona(db)
    wish(db, person)
    return Student(db, person, rows.course(db, person, workflow_state="available"))


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ([], "must be an object"),
        ({"autos": True}, "may only have the keys"),
        ({"auto": "yes"}, "auto must be"),
        ({"lead_hours": 0}, "lead_hours must be"),
        ({"lead_hours": 337}, "lead_hours must be"),
        ({"lead_hours": 1.5}, "lead_hours must be"),
        ({"lead_hours": "48"}, "lead_hours must be"),
        ({"max_per_day": -1}, "max_per_day must be"),
        ({"max_per_day": 21}, "max_per_day must be"),
        ({"max_per_day": None}, "max_per_day must be"),
        ({"excluded_course_ids": "x"}, "excluded_course_ids must be"),
        ({"excluded_course_ids": ["x"]}, "excluded_course_ids must be"),
        ({"excluded_course_ids": [str(uuid.UUID(int=1)), 7]}, "excluded_course_ids must be"),
    ],
)
def test_a_wish_that_is_none_is_refused_by_name(db: Connection, given: Any, fault: str) -> None:
    person = persona(db)
    with act_as(db, person):
        message = refused(db, "23514", WISH, (json.dumps({"theme": "dark", "headstart": given}), person))
        assert fault in message
        fine = {"auto": True, "lead_hours": 336.0, "max_per_day": 0, "excluded_course_ids": [str(uuid.uuid4())]}
        wishes: list[dict[str, Any]] = [{"theme": "dark"}, {"headstart": {}}, {"headstart": fine}]
        for wished in wishes:
            db.execute(WISH, (json.dumps(wished), person))


def test_sync_reports_what_is_new_or_asked_otherwise_once(student: Student) -> None:
    (new,) = student.apply()
    assert new["trigger"] == "assignment_published"
    changed = [{**new, "trigger": "content_changed"}]
    assert student.apply() == []
    assert student.apply(content_hash="2", position=4, due_at="2031-05-07T12:00:00Z") == []
    assert student.apply(content_hash="3", description_html="<p>B</p>") == changed
    assert student.apply(content_hash="4", description_html="<p>B</p>", raw_payload={"rubric": [1]}) == changed
    assert student.apply(content_hash="5", description_html=None) == [], "Canvas locked it"
    assert student.apply(content_hash="6", description_html="<p>B</p>", raw_payload={"rubric": [1]}) == changed
    student.db.execute("select public.svc_finish_assignments(%s, array[8], '{}')", (student.course,))
    assert student.apply(content_hash="6", description_html="<p>B</p>", raw_payload={"rubric": [1]}) == [new]
    assert student.apply(content_hash="7", status="submitted", title="Essay 2") == []
    wish(student.db, student.id, auto=False)
    assert student.apply(content_hash="8", title="Essay 3") == []
    assert student.apply(canvas_assignment_id=9) == []


def test_one_page_is_one_job_and_takes_none_of_the_persons_slots(student: Student) -> None:
    page = [{**ROW, "canvas_assignment_id": number} for number in (1, 2, 3)]
    student.db.execute(APPLY, (student.course, json.dumps(page)))
    ((job, changes),) = student.db.execute(REPORTS, (str(student.id),)).fetchall()
    assert len(changes) == 3
    assert one(student.db, "select user_id from public.jobs where id = %s", (job,)) is None


def test_what_never_starts_by_itself(student: Student) -> None:
    effort = "insert into public.assignment_efforts (user_id, assignment_id, {}) values ('{}', %s, {})".format
    course = f"update public.courses set {{}} where id = '{student.course}' and %s is not null".format
    task = "update public.assignments set {} where id = %s".format
    hindered = [
        (effort("is_hidden", student.id, "true"), "over"),
        (effort("done_at", student.id, "now()"), "over"),
        (course("is_hidden = true"), "over"),
        (course("workflow_state = 'completed'"), "over"),
        (course("access_restricted = true"), "over"),
        (task("status = 'submitted'"), "over"),
        (task("status = 'graded'"), "over"),
        (task("status = 'removed'"), "over"),
        (task("submission = '{\"excused\": true}'"), "over"),
        (task("due_at = '2031-05-05T12:00:00Z'"), "over"),
        (task("lock_at = '2031-05-05T11:00:00Z'"), "over"),
        (task("due_at = '2031-05-07T12:00:01Z'"), "not_due"),
        (task("due_at = null"), "not_due"),
    ]
    assignment = student.assignment()
    for change, reason in hindered:
        with student.db.transaction(force_rollback=True):
            student.db.execute(change.encode(), (assignment,))
            assert student.start(assignment) == reason, change
            assert student.due() == [], change
    wishes: list[tuple[dict[str, Any], str]] = [
        ({"auto": False}, "off"),
        ({"lead_hours": 23}, "not_due"),
        ({"max_per_day": 0}, "quota"),
        ({"excluded_course_ids": [str(student.course)]}, "course_excluded"),
    ]
    for given, reason in wishes:
        with student.db.transaction(force_rollback=True):
            wish(student.db, student.id, **given)
            assert student.start(assignment) == reason, given
            assert student.due() == [], given
    assert one(student.db, START, (persona(student.db), assignment, "due_soon", "1")) == "off"
    assert one(student.db, "select count(*) from public.headstart_runs where user_id = %s", (student.id,)) == 0
    assert student.due() == [assignment]
    assert student.start(assignment) == "started"
    assert student.due() == []


def test_once_for_each_assignment_trigger_task_and_prompt_version(student: Student) -> None:
    assignment = student.assignment()
    change = "update public.assignments set title = %s, content_hash = %s where id = %s"
    assert student.start(assignment, "assignment_published") == "started"
    assert student.start(assignment, "assignment_published") == "written"
    student.db.execute(change, ("queued", "2", assignment))
    assert student.start(assignment, "content_changed") == "written", "a queued run reads the new text"
    student.finish(assignment)
    for trigger in ("assignment_published", "content_changed", "due_soon"):
        assert student.start(assignment, trigger) == "written", "the student can read one of the same task"
    student.db.execute(change, ("other", "3", assignment))
    assert student.start(assignment, "content_changed") == "started"
    queued = "select id from public.headstart_runs where status = 'queued' and assignment_id = %s"
    run = one(student.db, queued, (assignment,))
    student.db.execute("select * from public.svc_begin_headstart_run(%s, 'm', '1', 'h')", (run,))
    student.db.execute(change, ("third", "4", assignment))
    assert student.start(assignment, "content_changed") == "busy", "the running one has read an older text"
    student.db.execute("select public.svc_finish_headstart_run(%s, 'failed', null, 'internal: x')", (run,))
    assert student.start(assignment, "content_changed") == "started"
    student.finish(assignment, "failed")
    assert student.start(assignment, "content_changed") == "written", "a failure is not tried again by itself"
    assert student.start(assignment, "content_changed", "2") == "started"
    statuses = student.db.execute(
        "select status from public.headstart_docs where assignment_id = %s order by created_at", (assignment,)
    ).fetchall()
    assert statuses == [("ready",)]


def test_what_is_due_soon_gets_a_plan_of_these_days(student: Student) -> None:
    assignment = student.assignment(due_at="2031-05-20T12:00:00Z")
    assert student.start(assignment, "assignment_published") == "started"
    student.finish(assignment)
    freeze(student.db, "2031-05-18T12:00:00Z")
    assert student.due() == [assignment]
    assert student.start(assignment) == "started"
    student.finish(assignment)
    assert student.due() == []
    assert student.due("2") == [assignment], "another prompt version"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("2031-05-05T21:59:00Z", "2031-05-05T22:00:00Z"),
        # summer time ends on this day, which has 25 hours
        ("2031-10-26T22:59:00Z", "2031-10-26T23:00:00Z"),
    ],
)
def test_the_days_number_counts_the_students_day(student: Student, before: str, after: str) -> None:
    student.db.execute("update public.profiles set timezone = 'Europe/Berlin' where user_id = %s", (student.id,))
    wish(student.db, student.id, max_per_day=2, lead_hours=336)
    freeze(student.db, before)
    made = [student.assignment(due_at="2031-11-01T12:00:00Z") for _ in range(4)]
    manual = student.assignment()
    student.db.execute("select * from public.svc_start_headstart_run(%s, %s, 'manual')", (student.id, manual))
    outcomes = [student.start(one_of, "assignment_published") for one_of in made]
    assert outcomes == ["started", "started", "quota", "quota"]
    assert student.due() == []
    freeze(student.db, after)
    assert student.start(made[2], "assignment_published") == "started"


def test_a_run_whose_work_was_done_meanwhile_ends_quietly(student: Student) -> None:
    assignment, wanted = student.assignment(), student.assignment()
    assert student.start(assignment) == "started"
    student.db.execute("select * from public.svc_start_headstart_run(%s, %s, 'manual')", (student.id, wanted))
    done = "update public.assignments set status = 'submitted' where id = any (%s)"
    student.db.execute(done, ([assignment, wanted],))
    begin = (
        "select (public.svc_begin_headstart_run(r.id, 'm', '1', 'h')).status from public.headstart_runs as r"
        " where assignment_id = %s"
    )
    assert one(student.db, begin, (assignment,)) == "cancelled"
    assert one(student.db, begin, (wanted,)) == "running", "the student asked for it"
    assert one(student.db, "select count(*) from public.notifications where user_id = %s", (student.id,)) == 0


def test_what_the_calls_refuse(student: Student) -> None:
    assignment = student.assignment()
    refused(student.db, "22023", START, (student.id, assignment, "manual", "1"))
    refused(student.db, "22004", START, (student.id, assignment, "due_soon", None))
    refused(student.db, "22003", "select * from public.svc_due_headstarts('1', 0)")
    refused(student.db, "22004", "select * from public.svc_due_headstarts(null)")
    found = student.db.execute("select cron, tz, catch_up from private.job_schedules where name = 'headstart_scan'")
    assert found.fetchone() == ("*/15 * * * *", "UTC", "one")


def test_two_syncs_report_once_and_two_schedulers_start_once(db_url: str) -> None:
    with ring(db_url) as race:
        person = persona(race.owner)
        wish(race.owner, person)
        course = rows.course(race.owner, person)
        where = one(race.owner, "select lms_connection_id from public.integrations where user_id = %s", (person,))
        race.clean_up("public.lms_connections", where)
        race.clean_up("auth.users", person)
        first, second = race.session(), race.session()
        for given in (ROW, {**ROW, "content_hash": "2", "title": "Essay 2"}):
            page = json.dumps([given])
            first.execute(APPLY, (course, page))
            answer = race.start(second, APPLY, (course, page))
            race.wait_until_blocked(second)
            first.commit()
            answer.result(10)
        found = race.owner.execute(REPORTS, (str(person),)).fetchall()
        for job, _ in found:
            race.clean_up("public.jobs", job)
        triggers = [change["trigger"] for _, changes in found for change in changes]
        assert triggers == ["assignment_published", "content_changed"]

        assignment = found[0][1][0]["assignment_id"]
        start = "select outcome from public.svc_start_automatic_headstart(%s, %s, 'assignment_published', '1')"
        outcome = first.execute(start, (person, assignment)).fetchone()
        answer = race.start(second, start, (person, assignment))
        race.wait_until_blocked(second)
        first.commit()
        assert [outcome, answer.result(10)] == [("started",), ("written",)]
