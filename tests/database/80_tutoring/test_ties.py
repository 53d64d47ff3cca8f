"""When the tie between a tutor and a student, or a parent and a child, begins and ends, for rows, profiles and writes.

Each case is one tie on one day. Whatever a policy or a function asks about the tie, it has to ask all of it: the state,
both dates, both people, and the role the account still has.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.support.people import act_as, freeze, persona
from tests.support.rows import insert, one
from tests.support.tutoring import ai_practice, assign, goal, item, question, subject, summary

Connection = psycopg.Connection[Any]
TODAY = "2030-03-10T12:00:00Z"
OF_SUBJECT = {"goals", "tutoring_sessions", "summaries", "practice_assignments", "student_ratings"}
OF_STUDENT = OF_SUBJECT | {"student_subjects", "qa_interactions", "overrides"}
PERSON = {"user_stats": "user_id"}  # the column that names the student, where it is not student_id


@dataclass(frozen=True)
class Tie:
    """An assignment on 10 March 2030; ``rows``: the tutor sees and writes, ``profile``: each sees the other."""

    name: str
    status: str = "active"
    start: str | None = None
    end: str | None = None
    is_tutor: bool = True
    rows: bool = False
    profile: bool = False


TIES = [
    Tie("without dates", rows=True, profile=True),
    Tie("from today", start="2030-03-10", rows=True, profile=True),
    Tie("until today", end="2030-03-10", rows=True, profile=True),
    Tie("from tomorrow", start="2030-03-11"),
    Tie("until yesterday", end="2030-03-09"),
    Tie("paused", "paused", profile=True),
    Tie("paused until yesterday", "paused", end="2030-03-09"),
    Tie("paused from tomorrow", "paused", start="2030-03-11"),
    Tie("completed", "completed"),
    Tie("no tutor any more", is_tutor=False),
]


@dataclass
class Pair:
    """A tutor and their student, who has rows in every table."""

    db: Connection
    tutor: uuid.UUID
    student: uuid.UUID
    subject: uuid.UUID
    question: uuid.UUID

    def can(self, statement: str, parameters: Any) -> bool:
        """Whether a write of the tutor is done; it is undone."""
        try:
            with self.db.transaction(force_rollback=True), act_as(self.db, self.tutor):
                return self.db.execute(statement.encode(), parameters).rowcount == 1
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.CheckViolation):
            return False


def give_up_role(db: Connection, person: uuid.UUID) -> None:
    """The account gets the role student and keeps its ties, which the product itself never allows."""
    db.execute("alter table public.profiles disable trigger trg_profiles_role")
    db.execute("update public.profiles set role = 'student' where user_id = %s", (person,))


def pair(db: Connection, tie: Tie, *, one_subject: bool) -> Pair:
    """A tutor and a student with this tie, another student of the tutor, and another tutor of the student."""
    freeze(db, TODAY)
    tutor, student, maths = persona(db, "tutor"), persona(db), subject(db)
    assign(db, tutor, persona(db), maths if one_subject else None)
    assign(db, persona(db, "tutor"), student, maths if one_subject else None)
    made = assign(
        db,
        tutor,
        student,
        maths if one_subject else None,
        start_date=tie.start,
        end_date=tie.end,
        status="active" if tie.status == "completed" else tie.status,
    )
    goal(db, student, subject_id=maths)
    corrected = summary(db, student, subject_id=maths)
    ai_practice(db, student, subject_id=maths)
    insert(db, "public.student_ratings", {"student_id": student, "subject_id": maths})
    db.execute("insert into public.student_subjects (student_id, subject_id) values (%s, %s)", (student, maths))
    # rows that a tutor of one subject sees beyond it: what was escalated to the tutor, and the tutor's own corrections
    asked = question(db, student, escalated_to_tutor_id=tutor if one_subject else None)
    written = {"student_id": student, "override_type": "summary", "action": "edited", "summary_id": corrected}
    insert(db, "public.overrides", written, {"tutor_id": tutor if one_subject else None})
    if tie.status == "completed":
        db.execute("update public.tutor_student_assignments set status = 'completed' where id = %s", (made,))
    if not tie.is_tutor:
        give_up_role(db, tutor)
    return Pair(db, tutor, student, maths, asked)


def seen(db: Connection, reader: uuid.UUID, student: uuid.UUID) -> set[str]:
    """The tables in which a reader gets rows of a student."""
    found = set()
    with act_as(db, reader):
        for table in OF_STUDENT | set(PERSON):
            statement = sql.SQL("select from {} where {} = %s").format(
                sql.Identifier("public", table), sql.Identifier(PERSON.get(table, "student_id"))
            )
            if db.execute(statement, (student,)).rowcount:
                found.add(table)
    return found


def sees_profile(db: Connection, reader: uuid.UUID, person: uuid.UUID) -> bool:
    """Whether a reader gets a person's profile."""
    with act_as(db, reader):
        return db.execute("select from public.profiles where user_id = %s", (person,)).rowcount == 1


@pytest.mark.parametrize("one_subject", [False, True], ids=["all subjects", "one subject"])
@pytest.mark.parametrize("tie", TIES, ids=lambda tie: tie.name)
def test_a_tutor_sees_rows_while_he_tutors(db: Connection, tie: Tie, one_subject: bool) -> None:
    made = pair(db, tie, one_subject=one_subject)
    everything = OF_STUDENT if one_subject else OF_STUDENT | set(PERSON)
    assert seen(db, made.tutor, made.student) == (everything if tie.rows else set())


@pytest.mark.parametrize("one_subject", [False, True], ids=["all subjects", "one subject"])
@pytest.mark.parametrize("tie", TIES, ids=lambda tie: tie.name)
def test_a_tutor_writes_while_he_tutors(db: Connection, tie: Tie, one_subject: bool) -> None:
    made = pair(db, tie, one_subject=one_subject)
    bank_item = item(db, made.subject)
    ids = {"s": made.student, "m": made.subject, "t": made.tutor, "i": bank_item, "q": made.question}
    correction = json.dumps({"answer": "Otherwise."})
    for statement in (
        "insert into public.goals (student_id, subject_id, title) values (%(s)s, %(m)s, 'Pass')",
        "insert into public.tutoring_sessions (student_id, subject_id, session_date)"
        " values (%(s)s, %(m)s, '2030-03-09T10:00:00Z')",
        "insert into public.practice_assignments (student_id, bank_item_id) values (%(s)s, %(i)s)",
        "update public.goals set title = 'Pass well' where student_id = %(s)s",
        "update public.practice_assignments set flagged = true where student_id = %(s)s",
        f"select public.apply_override('qa_answer', %(q)s, 'edited', '{correction}', null)",
    ):
        assert made.can(statement, ids) is tie.rows, statement


@pytest.mark.parametrize("tie", TIES, ids=lambda tie: tie.name)
def test_tutor_and_student_see_who_the_other_is(db: Connection, tie: Tie) -> None:
    made = pair(db, tie, one_subject=False)
    assert sees_profile(db, made.tutor, made.student) is tie.profile
    assert sees_profile(db, made.student, made.tutor) is tie.profile
    assert not sees_profile(db, persona(db), made.tutor)
    assert not sees_profile(db, persona(db, "tutor"), made.student)


@pytest.mark.parametrize("tie", TIES, ids=lambda tie: tie.name)
def test_a_parent_sees_who_tutors_the_child(db: Connection, tie: Tie) -> None:
    made = pair(db, tie, one_subject=False)
    parent, stranger = persona(db, "parent"), persona(db, "parent")
    consent(db, parent, made.student)
    consent(db, stranger, persona(db))
    assert sees_profile(db, parent, made.tutor) is tie.profile
    assert not sees_profile(db, stranger, made.tutor)


def consent(db: Connection, parent: uuid.UUID, child: uuid.UUID, valid_until: str | None = None) -> uuid.UUID:
    """A guardianship the student has agreed to."""
    made = insert(db, "public.guardianships", {"parent_id": parent, "student_id": child})
    db.execute(
        "update public.guardianships set status = 'active', consent_basis = 'student_consent', valid_until = %s"
        " where id = %s",
        (valid_until, made),
    )
    return made


@pytest.mark.parametrize(
    ("status", "valid_until", "is_parent", "counts"),
    [
        ("active", None, True, True),
        ("active", "2030-03-10", True, True),
        ("active", "2030-03-09", True, False),
        ("pending", None, True, False),
        ("revoked", None, True, False),
        ("active", None, False, False),
    ],
)
def test_parent_and_child_see_each_other_while_consent_lasts(
    db: Connection, status: str, valid_until: str | None, is_parent: bool, counts: bool
) -> None:
    freeze(db, TODAY)
    parent, child = persona(db, "parent"), persona(db)
    # people with a child, or a parent, of their own have no tie to these two
    other_parent, other_child = persona(db, "parent"), persona(db)
    consent(db, other_parent, other_child)
    goal(db, child)
    assign(db, persona(db, "tutor"), child)
    if status == "pending":
        insert(db, "public.guardianships", {"parent_id": parent, "student_id": child})
    else:
        made = consent(db, parent, child, valid_until)
        if status == "revoked":
            db.execute("update public.guardianships set status = 'revoked' where id = %s", (made,))
    if not is_parent:
        give_up_role(db, parent)
    assert sees_profile(db, parent, child) is sees_profile(db, child, parent) is counts
    assert ("goals" in seen(db, parent, child)) is counts
    with act_as(db, parent):
        assert one(db, "select count(*) from public.tutor_student_assignments") == int(counts)
    for stranger, person in ((other_parent, child), (other_child, parent), (parent, other_child)):
        assert not sees_profile(db, stranger, person)
    assert seen(db, other_parent, child) == set()


def test_a_tutor_of_one_subject_moves_no_goal_out_of_it(db: Connection) -> None:
    """Not even by an update without a condition, whose new rows no select policy looks at."""
    made = pair(db, TIES[0], one_subject=True)
    for other in (subject(db), None):
        assert not made.can("update public.goals set subject_id = %s", (other,))
    assert made.can("update public.goals set subject_id = %s", (made.subject,))
