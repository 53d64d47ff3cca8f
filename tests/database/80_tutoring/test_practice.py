"""Practice in SQL: what an answer moves, beside a model in plain Python; replay, corrections, picking, refusals."""

from __future__ import annotations

import os
import random
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from scripts.benchmarks import _practice as model
from tests.support.people import act_as, freeze, persona, refused
from tests.support.races import ring
from tests.support.rows import insert, one
from tests.support.tutoring import ai_practice, assign, column, first, goal, item, practice, subject

Connection = psycopg.Connection[Any]
RECORD = "select public.svc_record_answer(%s, %s, %s, %s, %s::numeric, 'rule')"
GRADE = "select id from public.grade_practice(%s, %s::numeric, %s)"
PICK = "select id, bank_item_id, expected_success, is_review from public.svc_pick_practice(%s, %s, %s, p_seed => %s)"
NOON = datetime(2031, 5, 9, 12, tzinfo=UTC)


def keyed(db: Connection, subject_id: uuid.UUID, **columns: Any) -> uuid.UUID:
    """An item that can be graded."""
    made = item(db, subject_id, **columns)
    db.execute("insert into public.practice_bank_answers (item_id, answer_text) values (%s, '2')", (made,))
    return made


def record(db: Connection, student: uuid.UUID, assignment: uuid.UUID, score: float | None, key: str = "") -> Any:
    """What the student is told about an answer."""
    return one(db, RECORD, (student, assignment, key or f"key-{assignment}", "2", score))


def chain(db: Connection, student: uuid.UUID) -> list[dict[str, Any]]:
    """The student's answers in their order."""
    cursor = db.cursor(row_factory=psycopg.rows.dict_row)
    statement = "select * from public.practice_attempts where student_id = %s and corrects_id is null order by seq"
    return cursor.execute(statement, (student,)).fetchall()


class Expected:
    """What the model says about a student and the items after a list of answers."""

    def __init__(self, answers: list[dict[str, Any]], scores: dict[uuid.UUID, float | None]) -> None:
        self.student, self.rating, self.elos = model.Estimate(), 1000, {}
        self.items: dict[uuid.UUID, model.Estimate] = {}
        seen: set[uuid.UUID] = set()
        last: datetime | None = None
        scored = []
        for answer in answers:
            name, score = answer["bank_item_id"], scores[answer["id"]]
            scored.append(model.Scored(str(name), score))
            if name in seen or score is None:
                seen.add(name)
                continue
            seen.add(name)
            thing = model.Estimate(answer["b_before"], answer["item_variance_before"])
            idle = max(0, (answer["recorded_at"] - last).days) if last else 0
            model.learn(self.student, thing, score, answer["guess"], idle)
            self.items[name] = thing
            self.rating, self.elos[name] = model.elo(self.rating, answer["question_rating"], score)
            last = answer["recorded_at"]
        self.xp = model.points(scored)


def stored(db: Connection, student: uuid.UUID) -> tuple[Any, ...]:
    """Rating, ability, its variance, answers and points."""
    return first(
        db,
        "select r.rating, a.theta, a.variance, a.answers, r.ability, r.ability_sd,"
        " (select sum(amount)::int from private.xp_events where student_id = a.student_id),"
        " (select (gamification ->> 'xp')::int from public.user_stats where user_id = a.student_id)"
        " from private.practice_ability as a join public.student_ratings as r using (student_id, subject_id)"
        " where student_id = %s",
        (student,),
    )


def agree(db: Connection, student: uuid.UUID, expected: Expected) -> None:
    """The database and the model say the same, to a millionth."""
    rating, theta, variance, _, ability, ability_sd, xp, shown = stored(db, student)
    assert (rating, xp, shown) == (expected.rating, expected.xp, expected.xp)
    assert (theta, variance) == pytest.approx((expected.student.mean, expected.student.variance), abs=1e-6)
    assert ability == pytest.approx(1000 + model.POINTS_PER_LOGIT * expected.student.mean, abs=1e-6)
    assert ability_sd == pytest.approx(model.POINTS_PER_LOGIT * expected.student.variance**0.5, abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_answers_equal_the_model_and_a_correction_replays_them(db: Connection, seed: int) -> None:
    dice = random.Random(seed)
    student, tutor, maths = persona(db), persona(db, "tutor"), subject(db)
    assign(db, tutor, student, maths)
    choices = {"answer_kind": "choice", "choices": ["1", "2", "3", "4"]}
    items = [
        keyed(db, maths, difficulty_level=dice.randint(1, 10), **(choices if n % 3 == 0 else {})) for n in range(12)
    ]
    at = NOON
    for n in range(18):
        at += timedelta(hours=dice.choice([1, 30, 100]))
        freeze(db, at.isoformat())
        # the last six are repeats
        assignment = practice(db, student, items[n] if n < 12 else dice.choice(items[:6]))
        score = dice.choice([0, 1, 1, 0.4567, None if n in (3, 7) else 0.6])
        told = record(db, student, assignment, score)
        assert told["needs_review"] == (score is None)
    answers = chain(db, student)
    scores = {row["id"]: None if row["score"] is None else float(row["score"]) for row in answers}
    expected = Expected(answers, scores)
    agree(db, student, expected)
    for name, thing in expected.items.items():
        found = first(db, "select b, variance from private.item_calibration where item_id = %s", (name,))
        assert found == pytest.approx((thing.mean, thing.variance), abs=1e-6)
        assert column(db, "practice_bank_items", "elo_rating", name) == expected.elos[name]
    for earlier, later in pairwise(answers):
        assert (later["theta_before"], later["rating_before"]) == (earlier["theta_after"], earlier["rating_after"])

    before = stored(db, student)
    db.execute("select private.replay_practice(%s, %s)", (student, maths))
    assert (stored(db, student), chain(db, student)) == (before, answers), "nothing was corrected, so nothing moves"

    for place, score in ((2, 0), (3, 1), (5, 0.75), (2, 1)):
        with act_as(db, tutor):
            row = db.execute(GRADE, (answers[place]["practice_assignment_id"], score, "I read it.")).fetchone()
            assert row is not None
        scores[answers[place]["id"]] = score
        agree(db, student, Expected(answers, scores))
        shown = first(
            db,
            "select performance_score, completed, review_state::text, overridden from public.practice_assignments"
            " where id = %s",
            (answers[place]["practice_assignment_id"],),
        )
        assert shown == (score, True, "reviewed", True)
    told = record(db, student, answers[2]["practice_assignment_id"], 0)
    assert (told["score"], told["graded_by"], told["feedback"]) == (1, "tutor", "I read it.")
    assert one(db, "select count(*) from public.overrides where student_id = %s and action = 'grade'", (student,)) == 4


def test_a_key_or_an_answered_assignment_counts_once(db: Connection) -> None:
    student, maths = persona(db), subject(db)
    one_, two = (practice(db, student, keyed(db, maths)) for _ in range(2))
    told = record(db, student, one_, 1, "the first key")
    before = stored(db, student)
    assert record(db, student, one_, 0, "the first key") == told
    assert record(db, student, one_, 0, "a second key") == told
    assert (told["score"], told["correct"], told["answer_text"], told["xp"]) == (1, True, "2", 10)
    refused(db, "PT422", RECORD, (student, two, "the first key", "2", 1))
    refused(db, "PT422", RECORD, (student, one_, "the first key", "3", 1))
    assert stored(db, student) == before
    assert one(db, "select count(*) from public.practice_attempts where student_id = %s", (student,)) == 1


@pytest.mark.parametrize(
    ("changes", "sqlstate"),
    [
        ({"score": "NaN"}, "22003"),
        ({"score": "1.0004"}, "22003"),
        ({"answer": "x" * 10_001}, "22023"),
        ({"answer": "  "}, "22023"),
        ({"key": "short"}, "22023"),
        ({"at": NOON - timedelta(hours=48, seconds=1)}, "22023"),
        ({"at": NOON + timedelta(minutes=5, seconds=1)}, "22023"),
        ({"duration": -1}, "22003"),
        ({"grader": "tutor"}, "22023"),
        ({"student": uuid.uuid4()}, "PT404"),
        ({"other": True}, "PT404"),
        ({"assignment": uuid.uuid4()}, "PT404"),
        ({"answer": None}, "22004"),
    ],
)
def test_bad_answers_are_refused_and_move_nothing(db: Connection, changes: dict[str, Any], sqlstate: str) -> None:
    freeze(db, NOON.isoformat())
    student, maths = persona(db), subject(db)
    assignment = practice(db, student, keyed(db, maths))
    given = {
        "student": persona(db) if changes.pop("other", False) else student, "assignment": assignment,
        "key": "key-12345", "answer": "2", "score": 1, "grader": "rule", "duration": None, "at": None, **changes,
    }  # fmt: skip
    statement = (
        "select public.svc_record_answer(%(student)s, %(assignment)s, %(key)s, %(answer)s, %(score)s, %(grader)s,"
        " p_duration_ms => %(duration)s, p_answered_at => %(at)s)"
    )
    refused(db, sqlstate, statement, given)
    assert one(db, "select count(*) from public.practice_attempts where student_id = %s", (student,)) == 0
    assert one(db, "select count(*) from private.xp_events where student_id = %s", (student,)) == 0


def test_hints_cap_the_score_and_an_edited_item_is_asked_again(db: Connection) -> None:
    student, maths = persona(db), subject(db)
    thing = keyed(db, maths)
    hinted = practice(db, student, thing)
    store = "select hint from public.svc_store_hint(%s, %s, %s, %s)"
    assert one(db, store, (student, hinted, 2, "Count your fingers.")) == "Count your fingers."
    assert one(db, store, (student, hinted, 2, "Another.")) == "Count your fingers."
    refused(db, "PT404", store, (persona(db), hinted, 1, "Mine?"))
    told = record(db, student, hinted, 1)
    assert (told["score"], told["correct"], told["xp"]) == (0.5, True, 2)
    refused(db, "PT409", store, (student, hinted, 3, "Too late."))

    edited = practice(db, student, keyed(db, maths))
    item_id = column(db, "practice_assignments", "bank_item_id", edited)
    db.execute("update public.practice_bank_items set question_text = '2 + 2?' where id = %s", (item_id,))
    refused(db, "PT409", RECORD, (student, edited, "key-12345", "4", 1))
    assert one(db, PICK, (student, maths, 1, 1)) == edited
    assert record(db, student, edited, 1)["score"] == 1


def test_questions_of_the_model_move_no_rating(db: Connection) -> None:
    student, maths = persona(db), subject(db)
    told = record(db, student, ai_practice(db, student, subject_id=maths), 1)
    assert (told["rating_before"], told["rating_after"], told["xp"]) == (1000, 1000, 10)
    assert one(db, "select theta from private.practice_ability where student_id = %s", (student,)) == 0
    assert record(db, student, ai_practice(db, student), 1)["rating_after"] is None


def test_the_next_review_is_stored_once_and_only_over_the_one_that_was_seen(db: Connection) -> None:
    freeze(db, NOON.isoformat())
    student, maths = persona(db), subject(db)
    thing = keyed(db, maths)
    review = {
        "state": 2, "step": None, "stability": 2.5, "difficulty": 5, "scheduler_version": "fsrs 6.3.2",
        "last_review_at": NOON.isoformat(), "due_at": (NOON + timedelta(days=2)).isoformat(),
    }  # fmt: skip
    statement = (
        "select public.svc_record_answer(%s, %s, %s, '2', %s, 'rule', p_review => %s, p_review_seen => %s)"
        " ->> 'next_review_at'"
    )
    assignment = practice(db, student, thing)
    refused(db, "PT409", statement, (student, assignment, "key-0000", 1, Jsonb(review), NOON))
    assert (
        one(db, statement, (student, assignment, "key-0001", 1, Jsonb(review), None)) == "2031-05-11T12:00:00.000000Z"
    )
    assert db.execute(PICK, (student, maths, 1, 1)).fetchall() == [], "not yet due"

    later = NOON + timedelta(days=2)
    freeze(db, later.isoformat())
    picked = first(db, PICK, (student, maths, 1, 1))
    assert (picked[1], picked[3]) == (thing, True)
    review |= {"last_review_at": later.isoformat(), "due_at": (later + timedelta(days=1)).isoformat()}
    refused(db, "PT409", statement, (student, picked[0], "key-0002", 0, Jsonb(review), None))
    assert one(db, statement, (student, picked[0], "key-0002", 0, Jsonb(review), NOON)).startswith("2031-05-12")
    assert first(db, "select reps, lapses from public.practice_reviews where student_id = %s", (student,)) == (2, 1)
    assert one(db, "select sum(amount) from private.xp_events where student_id = %s", (student,)) == 15


def test_a_withheld_score_asks_the_tutors_of_the_subject(db: Connection) -> None:
    student, maths, physics = persona(db), subject(db), subject(db)
    mine, general, other, strange = (persona(db, "tutor") for _ in range(4))
    for tutor, subject_id in ((mine, maths), (general, None), (other, physics)):
        assign(db, tutor, student, subject_id)
    assignment = practice(db, student, keyed(db, maths))
    told = record(db, student, assignment, None)
    assert (told["score"], told["needs_review"], told["answer_text"]) == (None, True, None)
    asked = db.execute("select user_id from public.notifications where payload ->> 'student_id' = %s", (str(student),))
    assert {row[0] for row in asked} == {mine, general}
    assert db.execute(PICK, (student, maths, 5, 1)).fetchall() == []
    for person in (other, strange, student):
        with act_as(db, person):
            refused(db, "42501", GRADE, (assignment, 1, None))
    with act_as(db, mine):
        refused(db, "22003", GRADE, (assignment, "NaN", None))
        refused(db, "42501", GRADE, (uuid.uuid4(), 1, None))
        db.execute(GRADE, (assignment, 1, None))
    with act_as(db, mine):
        refused(db, "23514", GRADE, (practice_of(db, student, maths), 1, None))
    refused(db, "23514", "update public.practice_assignments set performance_score = 0 where id = %s", (assignment,))


def practice_of(db: Connection, student: uuid.UUID, maths: uuid.UUID) -> uuid.UUID:
    """An open assignment of a student, made by the owner in the middle of somebody's transaction."""
    db.execute("reset role")
    return practice(db, student, keyed(db, maths))


@pytest.mark.parametrize("answers", [0, 9])
def test_picks_equal_the_model(db: Connection, answers: int) -> None:
    student, maths = persona(db), subject(db)
    dice = random.Random(answers)
    for _ in range(answers):
        record(db, student, practice(db, student, keyed(db, maths, difficulty_level=5)), dice.choice([0, 1]))
    unseen: dict[str, tuple[float, float]] = {}
    for _ in range(40):
        level, few = dice.randint(1, 10), dice.random() < 0.5
        columns = {"answer_kind": "choice", "choices": ["1", "2"]} if few else {}
        name = keyed(db, maths, difficulty_level=level, **columns)
        unseen[str(name)] = ((450 + 100 * level - 1000) / model.POINTS_PER_LOGIT, 0.5 if few else 0.0)
    keyless, retired = item(db, maths), keyed(db, maths, is_active=False)
    theta, variance, rated = (
        first(db, "select theta, variance, answers from private.practice_ability where student_id = %s", (student,))
        if answers
        else (0.0, 1.0, 0)
    )
    for seed in range(6):
        picked = db.execute(PICK, (student, maths, 5, seed)).fetchall()
        assert not {keyless, retired} & {row[1] for row in picked}
        for slot, (assignment, name, chance, _) in enumerate(picked, 1):
            wanted, expected = model.pick(seed, slot, model.Estimate(theta, variance), rated, unseen)
            assert str(name) == wanted
            assert chance == pytest.approx(expected, abs=1e-9)
            del unseen[wanted]
            # seen, but neither answered nor open
            db.execute(
                "update public.practice_assignments set completed = true, completed_at = now(), performance_score = 0"
                " where id = %s",
                (assignment,),
            )
    left = db.execute(PICK, (student, maths, 10, 99)).fetchall()
    assert len(left) == 10, "ten are left of forty"
    assert set(db.execute(PICK, (student, maths, 10, 99))) == set(left), "open ones are given again"
    refused(db, "PT404", PICK, (student, uuid.uuid4(), 1, 1))
    refused(db, "22003", PICK, (student, maths, 11, 1))
    refused(
        db, "22023", "select public.svc_pick_practice(%s, %s, 1, p_goal_id => %s)",
        (student, maths, goal(db, persona(db))),
    )  # fmt: skip


def test_recentring_takes_the_mean_drift_from_every_active_item(db: Connection) -> None:
    maths = subject(db)
    items = [keyed(db, maths, difficulty_level=5) for _ in range(4)]
    for thing in items[:2]:
        record(db, student := persona(db), practice(db, student, thing), 1)
    drift = "select sum(b - b_initial) from private.item_calibration where item_id = any(%s)"
    before = one(db, drift, (items,))
    assert before < -0.1
    moved = "select shift, alarms from public.svc_recenter_items() where subject_id = %s"
    shift, alarms = first(db, moved, (maths,))
    assert shift == pytest.approx(before / 4)
    assert alarms == ["error"], "everybody did better than was expected"
    assert one(db, drift, (items,)) == pytest.approx(0, abs=1e-12)
    assert one(db, "select answers from private.calibration_log where subject_id = %s", (maths,)) == 2


def test_goals_with_a_target_follow_the_work(db: Connection) -> None:
    student, maths = persona(db), subject(db)
    answers = goal(db, student, subject_id=maths, target_kind="answers", target_count=3)
    by_hand = goal(db, student, completion_percentage=40)
    done = "select completion_percentage, current_streak, xp_earned from public.v_student_progress where goal_id = %s"
    for n in range(2):
        assignment = practice(db, student, keyed(db, maths), goal_id=answers)
        told = record(db, student, assignment, 1)
        assert told["goal_progress"]["completion_percentage"] == pytest.approx([33.33, 66.67][n])
    with act_as(db, student):
        assert [float(value) for value in first(db, done, (answers,))] == [66.67, 1, 20]
        assert [float(value) for value in first(db, done, (by_hand,))] == [40, 0, 0]
        refused(db, "23514", "insert into public.goals (title, target_count) values ('x', 3)")


def test_sessions_at_once_lose_no_answer(db_url: str) -> None:
    answers = int(os.environ.get("PRACTICE_ANSWERS", "12"))
    with ring(db_url) as here:
        maths = subject(here.owner)
        people = [persona(here.owner) for _ in range(2)]
        items = [keyed(here.owner, maths) for _ in range(answers)]
        for table, keys in (("public.subjects", [maths]), ("public.practice_bank_items", items)):
            for key in keys:
                here.clean_up(table, key)
        for person in people:
            here.clean_up("auth.users", person)
        work = [(person, practice(here.owner, person, thing)) for person in people for thing in items]

        def answer(given: tuple[uuid.UUID, uuid.UUID]) -> Any:
            with psycopg.connect(db_url, autocommit=True) as session:
                return record(session, *given, 1)

        with ThreadPoolExecutor(8) as pool:
            told = list(pool.map(answer, work))
            seen = [stored(here.owner, person) for person in people]
            assert list(pool.map(answer, work)) == told, "the same keys again"
        for person, figures in zip(people, seen, strict=True):
            rows = chain(here.owner, person)
            assert len(rows) == len(items)
            agree(here.owner, person, Expected(rows, {row["id"]: 1.0 for row in rows}))
            assert stored(here.owner, person) == figures
        statement = "select sum(answers) from private.item_calibration where item_id = any(%s)"
        assert one(here.owner, statement, (items,)) == len(work)


def test_minutes_and_sessions_count_for_goals(db: Connection) -> None:
    student, maths = persona(db), subject(db)
    minutes = goal(db, student, target_kind="minutes", target_count=10)
    sessions = goal(db, student, subject_id=maths, target_kind="sessions", target_count=2, created_at="2020-01-01Z")
    statement = "select public.svc_record_answer(%s, %s, 'key-12345', '2', 1, 'rule', p_duration_ms => 180000)"
    db.execute(statement, (student, practice(db, student, keyed(db, maths), goal_id=minutes)))
    insert(db, "public.tutoring_sessions", {"student_id": student, "session_date": "2020-02-01Z", "tutor_id": None,
                                            "subject_id": maths})  # fmt: skip
    shown = "select completion_percentage from public.v_student_progress where goal_id = %s"
    assert one(db, shown, (minutes,)) == 30
    assert one(db, shown, (sessions,)) == 50
