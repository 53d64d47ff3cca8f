"""``./scripts/calibrate-confidence`` on tutors' verdicts: which table is made of which, and what is printed."""

from __future__ import annotations

import random
import uuid
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from functions.tutoring.questions.confidence import FEATURES
from scripts import calibrate_confidence
from scripts.calibrate_confidence import MIN_ANSWERS, calibrate, report
from tests.support.people import persona
from tests.support.tutoring import question, subject

Connection = psycopg.Connection[Any]


def judged(
    db: Connection, count: int, subject_id: uuid.UUID | None = None, *, chance: float | None = None, **columns: Any
) -> None:
    """Answers with scores, and a tutor's verdicts: right as often as the score says, or with this chance."""
    chosen, student, tutor = random.Random(count), persona(db), persona(db, "tutor")
    for number in range(count):
        score = number % 10 / 10
        made = question(db, student, raw_score=score, subject_id=subject_id, **columns)
        is_right = chosen.random() < (score if chance is None else chance)
        db.execute(
            "insert into private.qa_verdicts (qa_id, tutor_id, is_correct, seen_label) values (%s, %s, %s, false)",
            (made, tutor, is_right),
        )


def steps(db: Connection, subject_id: uuid.UUID | None) -> list[list[float]]:
    """The table that is at work for a subject."""
    row = db.execute("select steps from public.svc_get_calibrator(%s, %s)", (subject_id, FEATURES)).fetchone()
    assert row is not None
    return list(row["steps"] if isinstance(row, dict) else row[0])


def test_subjects_with_enough_verdicts_have_a_table_of_their_own(
    db: Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    large, small = subject(db), subject(db)
    judged(db, MIN_ANSWERS, large)
    judged(db, MIN_ANSWERS - 20, small, chance=0.1)
    judged(db, 40, None, chance=0.1)
    # what was forced to Low, is no whole answer, or was scored by other features says nothing
    judged(db, 50, large, chance=1, metrics='{"evidence": {"forced_low": "no_source"}}')
    judged(db, 50, large, chance=1, status="stopped")
    judged(db, 50, large, chance=1, out_of_scope=True)
    before = steps(db, None)
    db.row_factory = dict_row
    trial = {one.name: one for one in calibrate(db, is_trial=True)}
    assert steps(db, None) == before
    outcomes = {one.name: one for one in calibrate(db, is_trial=False)}
    pooled = outcomes["all other subjects"]
    (mine,) = [one for one in outcomes.values() if one is not pooled]
    assert (mine.answers, pooled.answers) == (MIN_ANSWERS, MIN_ANSWERS + 20)
    assert trial[mine.name].version is None
    assert trial[mine.name].after == mine.after
    assert steps(db, large)[-1][1] > 0.7
    assert steps(db, small) == steps(db, None) != before
    assert steps(db, None)[-1][1] < 0.3
    assert pooled.before is not None
    assert pooled.after is not None
    assert pooled.before.ece > pooled.after.ece
    assert mine.after is not None
    assert (mine.after.auroc or 0) > 0.7
    active = "select count(*) as n from private.confidence_calibrators where is_active and subject_id is null"
    assert db.execute(active).fetchone() == {"n": 1}
    report(list(outcomes.values()))
    said = capsys.readouterr().out
    assert "ECE" in said
    assert "Brier" in said
    assert "AUROC" in said
    assert f"version {pooled.version}, {MIN_ANSWERS + 20} judged answers, 0 by tutors who saw the label" in said


def test_several_tutors_decide_by_majority_and_few_verdicts_change_nothing(
    db: Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    judged(db, 1, chance=1)
    row = db.execute("select qa_id from private.qa_verdicts").fetchone()
    assert row is not None
    db.execute(
        "insert into private.qa_verdicts (qa_id, tutor_id, is_correct, seen_label) values (%s, %s, false, true)",
        (row[0], persona(db, "tutor")),
    )
    db.row_factory = dict_row
    (verdict,) = db.execute(calibrate_confidence.VERDICTS, {"features": FEATURES}).fetchall()
    assert (verdict["is_right"], verdict["is_seen"]) == (False, True), "a tie is wrong"
    before = steps(db, None)
    report(calibrate(db, is_trial=False))
    assert steps(db, None) == before
    assert "1 judged answers, 199 too few; nothing was changed" in capsys.readouterr().out


def test_without_a_database_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    assert calibrate_confidence.main([]) == 1
    assert "DATABASE_URL is not set" in capsys.readouterr().err
