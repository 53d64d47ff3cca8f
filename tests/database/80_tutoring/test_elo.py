"""Elo ratings: known values, bounds, bad input, and no lost update."""

from __future__ import annotations

import threading
import uuid
from typing import Any

import psycopg
import pytest

from tests.support.people import act_as, freeze, persona, refused
from tests.support.races import ring
from tests.support.rows import insert, one
from tests.support.tutoring import ai_practice, column, item, practice, subject

Connection = psycopg.Connection[Any]
RATE = "select public.update_student_rating(%s, %s, %s, %s)"
COMPLETE = "select (public.complete_practice_assignment(%s, %s)).*"


def rating(db: Connection, student: uuid.UUID, subject_id: uuid.UUID) -> Any:
    return one(
        db, "select rating from public.student_ratings where student_id = %s and subject_id = %s", (student, subject_id)
    )


def set_rating(db: Connection, student: uuid.UUID, subject_id: uuid.UUID, value: int) -> None:
    insert(db, "public.student_ratings", {"student_id": student, "subject_id": subject_id, "rating": value})


@pytest.mark.parametrize(
    ("question", "score", "after"),
    [
        (1000, "1", 1016),
        (1000, "0", 984),
        (1000, "0.5", 1000),
        (1000, "0.609375", 1004),
        (1400, "1", 1029),
        (1400, "0", 997),
        (600, "0", 971),
        (600, "1", 1003),
        (2147483647, "1", 1032),
        (-2147483648, "0", 968),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_fixed_points(db: Connection, question: int, score: str, after: int, first: bool) -> None:
    student, maths = persona(db), subject(db)
    if not first:
        set_rating(db, student, maths, 1000)
    assert one(db, RATE, (student, maths, question, score)) == after
    assert rating(db, student, maths) == after


@pytest.mark.parametrize(("start", "question", "score"), [(100, 100, "0"), (3000, 3000, "1")])
def test_ratings_stay_within_bounds(db: Connection, start: int, question: int, score: str) -> None:
    student, maths = persona(db), subject(db)
    set_rating(db, student, maths, start)
    assert one(db, RATE, (student, maths, question, score)) == start


@pytest.mark.parametrize("score", ["-0.0001", "1.0001", "9.9", "NaN", "Infinity", "-Infinity"])
def test_scores_outside_are_refused_and_leave_nothing(db: Connection, score: str) -> None:
    student, maths = persona(db), subject(db)
    refused(db, "22003", RATE, (student, maths, 1000, score))
    assert rating(db, student, maths) is None


@pytest.mark.parametrize("missing", range(4))
def test_missing_arguments_are_refused(db: Connection, missing: int) -> None:
    arguments: list[Any] = [persona(db), subject(db), 1000, "0.5"]
    arguments[missing] = None
    refused(db, "22004", RATE, arguments)


def test_only_the_service_rates(db: Connection) -> None:
    student, maths = persona(db), subject(db)
    for role in ("authenticated", "app_admin", "anon"):
        with act_as(db, student, role):
            refused(db, "42501", RATE, (student, maths, 1000, 1))
            refused(db, "42501", COMPLETE, (uuid.uuid4(), 1))
    with act_as(db, None, "service_role"):
        assert one(db, RATE, (student, maths, 1000, 1)) == 1016


def test_a_hundred_answers_at_once_equal_a_hundred_in_turn(db_url: str, db: Connection) -> None:
    with ring(db_url) as race:
        student, turn, maths = persona(race.owner), persona(race.owner), subject(race.owner)
        race.clean_up("public.subjects", maths)
        for person in (student, turn):
            race.clean_up("auth.users", person)

        def answers() -> None:
            with psycopg.connect(db_url, autocommit=True) as session:
                for _ in range(10):
                    session.execute(RATE.encode(), (student, maths, 1000, 1))

        threads = [threading.Thread(target=answers) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for _ in range(100):
            race.owner.execute(RATE.encode(), (turn, maths, 1000, 1))
        assert rating(race.owner, student, maths) == rating(race.owner, turn, maths)


def test_completing_rates_student_and_item_from_the_ratings_before(db: Connection) -> None:
    student, maths = persona(db), subject(db)
    hard = item(db, maths, difficulty_level=10)
    assert column(db, "practice_bank_items", "elo_rating", hard) == 1450
    made = practice(db, student, hard)
    freeze(db, "2030-01-01T00:00:00Z")
    db.execute(COMPLETE.encode(), (made, "0.75"))
    row = db.execute(
        """select student_rating_before, student_rating_after, performance_score, completed,
                  completed_at = '2030-01-01T00:00:00Z'
           from public.practice_assignments where id = %s""",
        (made,),
    ).fetchone()
    assert row is not None
    assert row[:2] == (1000, 1022)
    assert (float(row[2]), *row[3:]) == (0.75, True, True)
    assert column(db, "practice_bank_items", "elo_rating", hard) == 1445
    assert column(db, "practice_bank_items", "version", hard) == 1


def test_completing_twice_rates_once(db: Connection) -> None:
    student, maths = persona(db), subject(db)
    made = practice(db, student, item(db, maths))
    first = db.execute(COMPLETE.encode(), (made, 1)).fetchone()
    # the second score is not even looked at
    assert db.execute(COMPLETE.encode(), (made, 7)).fetchone() == first
    assert rating(db, student, maths) == first[list_index(db, "student_rating_after")]  # type: ignore[index]


def list_index(db: Connection, name: str) -> int:
    """The position of a column of practice_assignments in its row."""
    rows = db.execute(
        """select attname from pg_attribute where attrelid = 'public.practice_assignments'::regclass and attnum > 0
           and not attisdropped order by attnum"""
    ).fetchall()
    return [row[0] for row in rows].index(name)


@pytest.mark.parametrize("score", ["1.004", "-0.004", "NaN"])
def test_a_score_is_looked_at_before_it_is_rounded(db: Connection, score: str) -> None:
    made = practice(db, persona(db), item(db, subject(db)))
    refused(db, "22003", COMPLETE, (made, score))
    assert column(db, "practice_assignments", "completed", made) is False


def test_completing_needs_an_assignment_and_a_score(db: Connection) -> None:
    refused(db, "PT404", COMPLETE, (uuid.uuid4(), 1))
    refused(db, "22004", COMPLETE, (None, 1))
    refused(db, "22004", COMPLETE, (practice(db, persona(db), item(db, subject(db))), None))


@pytest.mark.parametrize(("level", "after"), [(None, 1014), (10, 1030), (1, 1002)])
def test_a_question_of_the_model_counts_by_its_level(db: Connection, level: int | None, after: int) -> None:
    student, maths = persona(db), subject(db)
    made = ai_practice(db, student, subject_id=maths, difficulty_level=level)
    db.execute(COMPLETE.encode(), (made, 1))
    assert column(db, "practice_assignments", "student_rating_after", made) == after == rating(db, student, maths)


def test_without_a_subject_nothing_is_rated(db: Connection) -> None:
    student = persona(db)
    made = ai_practice(db, student)
    db.execute(COMPLETE.encode(), (made, 1))
    assert column(db, "practice_assignments", "student_rating_before is null and student_rating_after is null", made)
    assert one(db, "select count(*) from public.student_ratings where student_id = %s", (student,)) == 0


def test_a_completed_practice_stays_so(db: Connection) -> None:
    made = practice(db, persona(db), item(db, subject(db)))
    refused(db, "23514", "update public.practice_assignments set completed = true where id = %s", (made,))
    db.execute(COMPLETE.encode(), (made, 1))
    for change in (
        "completed = false, completed_at = null, performance_score = null",
        "performance_score = 0.5",
        "completed_at = now() + interval '1 day'",
    ):
        refused(db, "23514", f"update public.practice_assignments set {change} where id = %s", (made,))
    db.execute("update public.practice_assignments set flagged = true where id = %s", (made,))


def test_two_students_completing_one_item_wait_for_each_other_and_both_count(db_url: str) -> None:
    with ring(db_url) as race:
        maths = subject(race.owner)
        race.clean_up("public.subjects", maths)
        shared = item(race.owner, maths)
        race.clean_up("public.practice_bank_items", shared)
        students = [persona(race.owner), persona(race.owner)]
        for student in students:
            race.clean_up("auth.users", student)
        works = [practice(race.owner, student, shared) for student in students]
        one_session, other_session = race.session(), race.session()
        one_session.execute(COMPLETE.encode(), (works[0], 1))
        waiting = race.start(other_session, COMPLETE, (works[1], 1))
        race.wait_until_blocked(other_session)
        one_session.commit()
        waiting.result(timeout=60)
        # 950, then from where the first left it
        assert column(race.owner, "practice_bank_items", "elo_rating", shared) == 944
