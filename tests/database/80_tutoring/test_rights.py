"""Which rows of a student a tutor and a parent see, and when that begins and ends."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from tests.support.machines import outcomes
from tests.support.people import act_as, freeze, persona, refused
from tests.support.rows import insert, one
from tests.support.tutoring import (
    ai_practice,
    assign,
    column,
    goal,
    item,
    practice,
    question,
    session,
    subject,
    summary,
)

Connection = psycopg.Connection[Any]
SUBJECT_TABLES = ["goals", "tutoring_sessions", "summaries", "practice_assignments", "student_ratings"]


@dataclass
class School:
    """A student with one row in maths, one in art and one without subject in every table, and a stranger's rows."""

    db: Connection
    student: uuid.UUID
    maths: uuid.UUID
    art: uuid.UUID

    def seen(self, table: str, reader: uuid.UUID) -> set[str]:
        """The subjects of the student's rows that a reader gets; every other row would show as ``foreign``."""
        names = {self.maths: "maths", self.art: "art", None: "none"}
        with act_as(self.db, reader):
            rows = self.db.execute(f"select student_id, subject_id from public.{table}".encode()).fetchall()
        return {names[row[1]] if row[0] == self.student else "foreign" for row in rows}


def fill(db: Connection, student: uuid.UUID, subject_id: uuid.UUID | None) -> None:
    goal(db, student, subject_id=subject_id)
    summary(db, student, subject_id=subject_id)
    ai_practice(db, student, subject_id=subject_id)
    if subject_id:
        insert(db, "public.student_ratings", {"student_id": student, "subject_id": subject_id})


@pytest.fixture
def school(db: Connection) -> School:
    made = School(db, persona(db), subject(db), subject(db))
    stranger = persona(db)
    for person in (made.student, stranger):
        for subject_id in (made.maths, made.art, None):
            fill(db, person, subject_id)
    return made


def everything(table: str) -> set[str]:
    return {"maths", "art"} | (set() if table == "student_ratings" else {"none"})


@pytest.mark.parametrize("table", SUBJECT_TABLES)
def test_a_student_sees_his_own_rows_and_no_other(school: School, table: str) -> None:
    assert school.seen(table, school.student) == everything(table)
    assert school.seen(table, persona(school.db)) == set()


@pytest.mark.parametrize("table", SUBJECT_TABLES)
def test_a_tutor_in_all_subjects_sees_every_row(school: School, table: str) -> None:
    tutor = persona(school.db, "tutor")
    assert school.seen(table, tutor) == set()
    assign(school.db, tutor, school.student)
    assert school.seen(table, tutor) == everything(table)


@pytest.mark.parametrize("table", SUBJECT_TABLES)
def test_a_tutor_of_one_subject_sees_its_rows_alone(school: School, table: str) -> None:
    tutor = persona(school.db, "tutor")
    assign(school.db, tutor, school.student, school.maths)
    # tutoring another student in the other subject gives no right here
    assign(school.db, tutor, persona(school.db), school.art)
    assert school.seen(table, tutor) == {"maths"}


@pytest.mark.parametrize("table", SUBJECT_TABLES)
def test_one_subject_here_and_all_there_do_not_mix(school: School, table: str) -> None:
    tutor = persona(school.db, "tutor")
    assign(school.db, tutor, school.student, school.maths)
    elsewhere = persona(school.db)
    fill(school.db, elsewhere, school.art)
    assign(school.db, tutor, elsewhere)
    assert school.seen(table, tutor) == {"maths", "foreign"}
    # an assignment for all subjects counts beside one for a single subject
    assign(school.db, tutor, school.student)
    assert school.seen(table, tutor) == everything(table) | {"foreign"}


@pytest.mark.parametrize("table", SUBJECT_TABLES)
def test_a_parent_with_consent_sees_every_row(school: School, table: str) -> None:
    parent = persona(school.db, "parent")
    assert school.seen(table, parent) == set()
    consent = {"status": "active", "consent_basis": "student_consent", "consented_at": "2020-01-01T00:00:00Z"}
    made = insert(school.db, "public.guardianships", {"parent_id": parent, "student_id": school.student})
    school.db.execute(
        "update public.guardianships set status = %(status)s, consent_basis = %(consent_basis)s where id = %(id)s",
        consent | {"id": made},
    )
    assert school.seen(table, parent) == everything(table)


@pytest.mark.parametrize(
    ("today", "start", "end", "sees"),
    [
        ("2030-03-10T00:00:00Z", "2030-03-10", "2030-03-12", True),
        ("2030-03-12T23:59:59Z", "2030-03-10", "2030-03-12", True),
        ("2030-03-09T23:59:59Z", "2030-03-10", "2030-03-12", False),
        ("2030-03-13T00:00:00Z", "2030-03-10", "2030-03-12", False),
        ("2030-03-13T00:00:00Z", None, None, True),
    ],
)
@pytest.mark.parametrize("one_subject", [False, True])
def test_an_assignment_counts_between_its_dates_in_utc(
    school: School, today: str, start: str | None, end: str | None, sees: bool, one_subject: bool
) -> None:
    tutor = persona(school.db, "tutor")
    subject_id = school.maths if one_subject else None
    assign(school.db, tutor, school.student, subject_id, start_date=start, end_date=end)
    freeze(school.db, today)
    school.db.execute("set local time zone 'Pacific/Kiritimati'")
    assert bool(school.seen("goals", tutor)) is sees
    school.db.execute("select set_config('request.jwt.claims', %s, true)", (f'{{"sub": "{tutor}"}}',))
    row = school.db.execute(
        """select private.tutors(%(s)s, %(m)s), private.tutors_any(%(s)s),
                  %(s)s = any(private.tutored_students()), %(s)s = any(private.visible_students()),
                  %(s)s in (select private.partly_tutored_students()), private.tutors(%(s)s, null)""",
        {"s": school.student, "m": school.maths},
    ).fetchone()
    assert row == (sees, sees, sees, sees, sees and one_subject, sees and not one_subject)


@pytest.mark.parametrize("one_subject", [False, True])
def test_a_pause_the_end_and_a_lost_role_end_it_at_once(school: School, one_subject: bool) -> None:
    tutor = persona(school.db, "tutor")
    made = assign(school.db, tutor, school.student, school.maths if one_subject else None)
    for state, sees in (("paused", False), ("active", True), ("completed", False), ("active", True)):
        school.db.execute("update public.tutor_student_assignments set status = %s where id = %s", (state, made))
        assert bool(school.seen("tutoring_sessions", tutor)) is sees
        assert bool(school.seen("goals", tutor)) is sees
    # without the role, an assignment gives no right
    school.db.execute("alter table public.profiles disable trigger trg_profiles_role")
    school.db.execute("update public.profiles set role = 'student' where user_id = %s", (tutor,))
    assert school.seen("goals", tutor) == school.seen("summaries", tutor) == set()


def test_a_paused_tutor_sees_who_his_student_is_and_the_student_him(school: School) -> None:
    tutor = persona(school.db, "tutor")
    assign(school.db, tutor, school.student, status="paused")
    profile = "select count(*) from public.profiles where user_id = %s"
    with act_as(school.db, tutor):
        assert one(school.db, profile, (school.student,)) == 1
    with act_as(school.db, school.student):
        assert one(school.db, profile, (tutor,)) == 1
    with act_as(school.db, persona(school.db)):
        assert one(school.db, profile, (tutor,)) == one(school.db, profile, (school.student,)) == 0


def test_questions_are_for_the_student_his_whole_tutor_and_the_one_they_were_handed_to(db: Connection) -> None:
    student, maths = persona(db), subject(db)
    whole, part, handed, former, parent = (persona(db, r) for r in ("tutor", "tutor", "tutor", "tutor", "parent"))
    assign(db, whole, student)
    for tutor in (part, handed):
        assign(db, tutor, student, maths)
    gone = assign(db, former, student, maths)
    made = insert(db, "public.guardianships", {"parent_id": parent, "student_id": student})
    db.execute(
        "update public.guardianships set status = 'active', consent_basis = 'student_consent' where id = %s", (made,)
    )
    ordinary = question(db, student)
    to_handed, to_former = (
        question(db, student, escalated_to_tutor_id=handed),
        question(db, student, escalated_to_tutor_id=former),
    )
    db.execute("update public.tutor_student_assignments set status = 'completed' where id = %s", (gone,))

    def seen(reader: uuid.UUID) -> set[uuid.UUID]:
        with act_as(db, reader):
            return {row[0] for row in db.execute("select id from public.qa_interactions")}

    assert seen(student) == seen(whole) == {ordinary, to_handed, to_former}
    assert seen(handed) == {to_handed}
    assert seen(part) == seen(former) == seen(parent) == set()


def test_assignments_are_made_by_staff_and_audited(db: Connection) -> None:
    tutor, student, admin = persona(db, "tutor"), persona(db), persona(db, "admin")
    statement = "insert into public.tutor_student_assignments (tutor_id, student_id) values (%s, %s) returning id"
    with act_as(db, tutor):
        refused(db, "42501", statement, (tutor, student))
    with act_as(db, admin, "app_admin"):
        made = one(db, statement, (tutor, student))
        db.execute("update public.tutor_student_assignments set status = 'paused' where id = %s", (made,))
    lines = db.execute(
        """select action, actor_id, actor_role, subject_user_id, detail #>> '{after,status}'
           from private.audit_log where entity_id = %s order by id""",
        (str(made),),
    ).fetchall()
    assert lines == [
        ("insert", admin, "app_admin", student, "active"),
        ("update", admin, "app_admin", student, "paused"),
    ]
    for reader, rows in ((tutor, 1), (student, 1), (persona(db, "tutor"), 0)):
        with act_as(db, reader):
            assert one(db, "select count(*) from public.tutor_student_assignments where id = %s", (made,)) == rows


def test_assignments_need_a_tutor_and_a_student(db: Connection) -> None:
    tutor, student, art = persona(db, "tutor"), persona(db), subject(db)
    statement = """insert into public.tutor_student_assignments (tutor_id, student_id, subject_id, start_date, end_date)
                   values (%s, %s, %s, %s, %s)"""
    refused(db, "23514", statement, (student, student, None, None, None))
    refused(db, "23514", statement, (tutor, persona(db, "parent"), None, None, None))
    refused(db, "23514", statement, (tutor, student, None, "2030-01-02", "2030-01-01"))
    assign(db, tutor, student)
    assign(db, tutor, student, art)
    refused(db, "23505", statement, (tutor, student, None, None, None))
    refused(db, "23505", statement, (tutor, student, art, None, None))
    refused(db, "23503", "delete from public.subjects where id = %s", (art,))


def test_states_of_assignments(db: Connection) -> None:
    births, changes = outcomes(
        db,
        "tutor_student_assignments",
        ["active", "paused", "completed"],
        lambda state: assign(db, persona(db, "tutor"), persona(db), status=state),
    )
    assert births == {"active", "paused"}
    assert changes == {"active>paused", "active>completed", "paused>active", "paused>completed", "completed>active"}


def test_states_of_goals_and_their_time_stamp(db: Connection) -> None:
    student = persona(db)
    births, changes = outcomes(
        db,
        "goals",
        ["active", "completed", "paused", "cancelled"],
        lambda state: goal(db, student, status=state),
    )
    assert births == {"active"}
    assert changes == {
        "active>paused", "active>completed", "active>cancelled", "paused>active", "paused>completed",
        "paused>cancelled", "completed>active", "cancelled>active",
    }  # fmt: skip
    made = goal(db, student)
    freeze(db, "2030-01-01T00:00:00Z")
    db.execute("update public.goals set status = 'completed' where id = %s", (made,))
    assert column(db, "goals", "completed_at = '2030-01-01T00:00:00Z'", made)
    db.execute("update public.goals set status = 'active' where id = %s", (made,))
    assert column(db, "goals", "completed_at is null", made)


def test_who_sets_and_shapes_goals(school: School) -> None:
    db, student = school.db, school.student
    tutor, foreign = persona(db, "tutor"), persona(db, "tutor")
    assign(db, tutor, student, school.maths)
    setting = "insert into public.goals (student_id, subject_id, title) values (%s, %s, 'Read') returning id"
    with act_as(db, tutor):
        theirs = one(db, setting, (student, school.maths))
        refused(db, "42501", setting, (student, school.art))
        refused(db, "42501", setting, (student, None))
        moved = "update public.goals set subject_id = %s where id = %s"
        refused(db, "42501", moved, (school.art, theirs))
        refused(db, "42501", "update public.goals set xp_earned = 9 where id = %s", (theirs,))
        db.execute("update public.goals set status = 'paused' where id = %s", (theirs,))
        assert db.execute("delete from public.goals where id = %s", (theirs,)).rowcount == 0
    assert column(db, "goals", "created_by", theirs) == tutor
    with act_as(db, foreign):
        refused(db, "42501", setting, (student, school.maths))
    with act_as(db, student):
        own = one(db, "insert into public.goals (title) values ('Sleep') returning id")
        refused(db, "42501", "insert into public.goals (title, created_by) values ('x', %s)", (tutor,))
        db.execute("update public.goals set status = 'cancelled' where id = %s", (theirs,))
        assert db.execute("delete from public.goals where id = %s", (theirs,)).rowcount == 0
        assert db.execute("delete from public.goals where id = %s", (own,)).rowcount == 1


def test_a_tutor_keeps_his_own_sessions_only(school: School) -> None:
    db, student = school.db, school.student
    tutor, colleague = persona(db, "tutor"), persona(db, "tutor")
    assign(db, tutor, student, school.maths)
    assign(db, colleague, student, school.maths)
    statement = """insert into public.tutoring_sessions (student_id, tutor_id, session_date, subject_id)
                   values (%s, %s, now(), %s) returning id"""
    with act_as(db, tutor):
        made = one(db, statement, (student, tutor, school.maths))
        refused(db, "42501", statement, (student, colleague, school.maths))
        refused(db, "42501", statement, (student, tutor, school.art))
        refused(db, "42501", statement, (student, tutor, None))
        refused(db, "42501", "delete from public.tutoring_sessions where id = %s", (made,))
    change = "update public.tutoring_sessions set duration_minutes = 30 where id = %s"
    with act_as(db, colleague):
        assert db.execute(change, (made,)).rowcount == 0
    with act_as(db, tutor):
        assert db.execute(change, (made,)).rowcount == 1
        refused(db, "42501", "update public.tutoring_sessions set subject_id = %s where id = %s", (school.art, made))


def test_a_student_meets_an_item_with_its_assignment_and_the_answer_with_its_end(db: Connection) -> None:
    student, tutor, maths = persona(db), persona(db, "tutor"), subject(db)
    assign(db, tutor, student, maths)
    known, other = item(db, maths), item(db, maths)
    for each in (known, other):
        db.execute("insert into public.practice_bank_answers (item_id, answer_text) values (%s, '2')", (each,))

    def reads(person: uuid.UUID, table: str, key: str) -> set[uuid.UUID]:
        with act_as(db, person):
            return {row[0] for row in db.execute(f"select {key} from public.{table}".encode())} & {known, other}

    assert reads(student, "practice_bank_items", "id") == set()
    made = practice(db, student, known)
    assert reads(student, "practice_bank_items", "id") == {known}
    assert reads(student, "practice_bank_answers", "item_id") == set()
    db.execute("select public.complete_practice_assignment(%s, 1)", (made,))
    assert reads(student, "practice_bank_answers", "item_id") == {known}
    assert (
        reads(tutor, "practice_bank_items", "id") == reads(tutor, "practice_bank_answers", "item_id") == {known, other}
    )


def test_the_models_answer_is_for_the_tutor_and_for_the_student_who_is_done(db: Connection) -> None:
    student, tutor, parent, maths = persona(db), persona(db, "tutor"), persona(db, "parent"), subject(db)
    assign(db, tutor, student, maths)
    guarded = insert(db, "public.guardianships", {"parent_id": parent, "student_id": student})
    db.execute(
        "update public.guardianships set status = 'active', consent_basis = 'student_consent' where id = %s", (guarded,)
    )
    made = ai_practice(db, student, subject_id=maths)
    db.execute("insert into public.practice_assignment_answers values (%s, 'Because.')", (made,))

    def readers() -> list[bool]:
        found = []
        for person in (student, tutor, parent, persona(db, "tutor")):
            with act_as(db, person):
                found.append(one(db, "select count(*) from public.practice_assignment_answers") == 1)
        return found

    assert readers() == [False, True, False, False]
    db.execute("select public.complete_practice_assignment(%s, 0.5)", (made,))
    assert readers() == [True, True, False, False]


def test_a_tutor_puts_bank_items_to_his_students_of_the_subject(db: Connection) -> None:
    student, tutor, maths, art = persona(db), persona(db, "tutor"), subject(db), subject(db)
    assign(db, tutor, student, maths)
    in_maths, in_art = item(db, maths), item(db, art)
    statement = "insert into public.practice_assignments (student_id, bank_item_id) values (%s, %s) returning id"
    with act_as(db, tutor):
        made = one(db, statement, (student, in_maths))
        refused(db, "42501", statement, (student, in_art))
        refused(db, "42501", statement.replace("bank_item_id)", "ai_question_text)"), (student, "Why?"))
        assert db.execute("update public.practice_assignments set flagged = true where id = %s", (made,)).rowcount == 1
        refused(db, "42501", "update public.practice_assignments set completed = true where id = %s", (made,))
    with act_as(db, student):
        refused(db, "42501", statement, (student, in_maths))
        assert db.execute("update public.practice_assignments set flagged = false where id = %s", (made,)).rowcount == 0


def test_sessions_need_a_tutor_and_a_student_but_forget_a_tutor_who_went(db: Connection) -> None:
    student, tutor = persona(db), persona(db, "tutor")
    made = session(db, student, tutor_id=tutor)
    refused(db, "23514", "update public.tutoring_sessions set tutor_id = %s where id = %s", (persona(db), made))
    refused(db, "23514", "update public.tutoring_sessions set duration_minutes = 0 where id = %s", (made,))
    # the student's role has changed since: clearing the tutor must not check it again
    db.execute("update public.profiles set role = 'teacher' where user_id = %s", (student,))
    db.execute("delete from auth.users where id = %s", (tutor,))
    assert column(db, "tutoring_sessions", "tutor_id is null", made)


@pytest.mark.parametrize(
    "write",
    [
        "update public.practice_bank_items set is_active = false",
        "update public.practice_bank_answers set answer_text = '3'",
        "insert into public.practice_bank_items (question_text, subject_id, difficulty_level)"
        " values ('x', %(subject)s, 1)",
        "insert into public.practice_bank_answers (item_id, answer_text) select %(open)s, '4'",
    ],
)
def test_who_is_no_tutor_any_more_writes_nothing_into_the_bank(db: Connection, write: str) -> None:
    """Not even by a write without a condition or an answer, which no select policy looks at."""
    tutor, maths = persona(db, "tutor"), subject(db)
    items = {name: item(db, maths, created_by=tutor) for name in ("answered", "open")}
    db.execute("insert into public.practice_bank_answers (item_id, answer_text) values (%s, '2')", (items["answered"],))

    def written() -> bool | int:
        try:
            with db.transaction(force_rollback=True):
                return db.execute(write.encode(), items | {"subject": maths}).rowcount
        except psycopg.errors.InsufficientPrivilege:
            return False

    with act_as(db, tutor):
        assert written()
    db.execute("update public.profiles set role = 'student' where user_id = %s", (tutor,))
    with act_as(db, tutor):
        assert not written()


@pytest.mark.parametrize("table", [*SUBJECT_TABLES, "qa_interactions"])
def test_an_anonymous_sign_in_has_no_rows(school: School, table: str) -> None:
    question(school.db, school.student)
    with act_as(school.db, school.student, is_anonymous=True):
        assert one(school.db, f"select count(*) from public.{table}") == 0
    with act_as(school.db, school.student):
        assert one(school.db, f"select count(*) from public.{table}") > 0


def test_an_anonymous_sign_in_writes_no_goals(db: Connection) -> None:
    guest = persona(db, anonymous=True)
    made = goal(db, guest)
    with act_as(db, guest, is_anonymous=True):
        refused(db, "42501", "insert into public.goals (title) values ('x')")
        assert db.execute("update public.goals set title = 'x'").rowcount == 0
        assert db.execute("delete from public.goals").rowcount == 0
    assert column(db, "goals", "title", made) == "Pass"


READS_BY_DATE = {
    "tutoring_sessions": "session_date",
    "practice_assignments": "assigned_at",
    "qa_interactions": "created_at",
}


@pytest.mark.parametrize("who", ["student", "tutor"])
@pytest.mark.parametrize("table", READS_BY_DATE)
def test_the_newest_rows_are_found_by_student(db: Connection, table: str, who: str) -> None:
    """A school of few students with many rows each: by date, a caller with few rows would read the whole table."""
    student, tutor = persona(db), persona(db, "tutor")
    assign(db, tutor, student, subject(db))
    crowd = [persona(db) for _ in range(20)]
    many = "from unnest(%s::uuid[]) as who, generate_series(1, 1000)"
    for statement in (
        f"""insert into public.practice_assignments (student_id, source, ai_question_text)
            select who, 'ai_generated', 'Why?' {many}""",
        f"insert into public.qa_interactions (student_id, query, answer, confidence) select who, 'a', '', 'Low' {many}",
        f"insert into public.tutoring_sessions (student_id, tutor_id, session_date) select who, null, now() {many}",
    ):
        if table in statement:
            db.execute(statement.encode(), (crowd,))
    db.execute(f"analyze public.{table}".encode())
    page = f"explain select * from public.{table} order by {READS_BY_DATE[table]} desc limit 50"
    with act_as(db, student if who == "student" else tutor):
        plan = "\n".join(row[0] for row in db.execute(page.encode()))
    assert "Index Cond: (student_id = ANY" in plan, plan
    assert f"Seq Scan on {table}" not in plan, plan
