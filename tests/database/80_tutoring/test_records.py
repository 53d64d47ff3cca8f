"""Sessions, summaries, transcripts, notes, the practice bank, derived figures and views."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from tests.support.people import act_as, persona, refused
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
ENVELOPE = "v1:abc"


def pending_file(db: Connection, key: str) -> bool:
    return bool(one(db, "select count(*) from private.storage_deletions where storage_key = %s", (key,)))


def test_a_summary_follows_its_session(db: Connection) -> None:
    student, tutor, maths, art = persona(db), persona(db, "tutor"), subject(db), subject(db)
    held = session(db, student, tutor_id=tutor, subject_id=maths)
    made = summary(db, student, session_id=held)
    assert column(db, "summaries", "(tutor_id, subject_id)::text", made) == f"({tutor},{maths})"
    db.execute("update public.tutoring_sessions set subject_id = %s where id = %s", (art, held))
    assert column(db, "summaries", "subject_id", made) == art
    db.execute("update public.summaries set subject_id = %s where id = %s", (maths, made))
    assert column(db, "summaries", "subject_id", made) == art
    db.execute("update public.tutoring_sessions set subject_id = null where id = %s", (held,))
    assert column(db, "summaries", "subject_id", made) is None
    with pytest.raises(psycopg.errors.ForeignKeyViolation), db.transaction():
        summary(db, persona(db), session_id=session(db, student))


def test_a_transcript_marks_its_session_and_its_reading_is_audited(db: Connection) -> None:
    student = persona(db)
    held = session(db, student)
    put = "select public.svc_put_transcript(%s, %s, %s)"
    with act_as(db, None, "service_role"):
        assert db.execute("select * from public.svc_get_transcript(%s)", (held,)).fetchall() == []
        db.execute(put, (held, ENVELOPE, "session-transcripts/a.txt"))
        read = db.execute("select transcript_enc from public.svc_get_transcript(%s)", (held,)).fetchall()
        refused(db, "23514", put, (held, "plain text", None))
        refused(db, "22004", put, (held, None, None))
        refused(db, "PT404", put, (uuid.uuid4(), ENVELOPE, None))
    assert read == [(ENVELOPE,)]
    assert column(db, "tutoring_sessions", "transcript_available", held) is True
    looked = "select count(*) from private.audit_log where action = 'read' and subject_user_id = %s and entity_id = %s"
    assert one(db, looked, (student, str(held))) == 2
    db.execute(put, (held, ENVELOPE, "session-transcripts/b.txt"))
    assert pending_file(db, "session-transcripts/a.txt")
    db.execute("delete from private.session_transcripts where session_id = %s", (held,))
    assert column(db, "tutoring_sessions", "transcript_available", held) is False
    assert pending_file(db, "session-transcripts/b.txt")


def test_a_deleted_student_leaves_the_file_of_his_transcript_to_the_outbox(db: Connection) -> None:
    student = persona(db)
    db.execute("select public.svc_put_transcript(%s, null, 'session-transcripts/c.txt')", (session(db, student),))
    db.execute("delete from auth.users where id = %s", (student,))
    assert pending_file(db, "session-transcripts/c.txt")


def test_notes_are_for_their_author(db: Connection) -> None:
    tutor, colleague, student = persona(db, "tutor"), persona(db, "tutor"), persona(db)
    made, held = assign(db, tutor, student), session(db, student, tutor_id=tutor)
    put = "select public.svc_put_tutor_note(%s, %s, %s, %s, %s, %s)"
    chosen = uuid.uuid4()
    with act_as(db, None, "service_role"):
        assert one(db, put, (tutor, student, ENVELOPE, held, None, chosen)) == chosen
        about = one(db, put, (tutor, student, "v2:xyz", None, made, None))
        assert one(db, put, (tutor, student, "v1:new", held, None, chosen)) == chosen
        refused(db, "PT404", put, (colleague, student, "v1:x", held, None, None))
        refused(db, "PT404", put, (tutor, persona_of(db), "v1:x", held, None, None))
        refused(db, "22023", put, (tutor, student, "v1:x", held, made, None))
        refused(db, "22023", put, (tutor, student, "v1:x", None, None, None))
        refused(db, "22004", put, (tutor, student, None, held, None, None))
        refused(db, "23514", put, (tutor, student, "plain", held, None, None))
        notes = "select id, body_enc from public.svc_list_tutor_notes(%s, %s) order by body_enc"
        assert db.execute(notes, (tutor, student)).fetchall() == [(chosen, "v1:new"), (about, "v2:xyz")]
        assert db.execute(notes, (colleague, student)).fetchall() == []
        gone = "select public.svc_delete_tutor_note(%s, %s)"
        assert one(db, gone, (chosen, colleague)) is False
        assert one(db, gone, (chosen, tutor)) is True
    held_by_colleague = session(db, student, tutor_id=colleague)
    refused(db, "PT404", put, (colleague, student, "v1:x", held_by_colleague, None, about))
    read = "select count(*) from private.audit_log where entity = 'tutor_notes' and subject_user_id = %s"
    assert one(db, read, (student,)) == 2
    db.execute("delete from public.tutor_student_assignments where id = %s", (made,))
    assert one(db, "select count(*) from private.tutor_notes where tutor_id = %s", (tutor,)) == 0


def persona_of(db: Connection) -> uuid.UUID:
    """A student made inside a block that acts as the service."""
    db.execute("reset role")
    made = persona(db)
    db.execute("set local role service_role")
    return made


@pytest.mark.parametrize(("level", "rating"), [(1, 550), (5, 950), (10, 1450)])
def test_a_new_item_starts_at_the_rating_of_its_level(db: Connection, level: int, rating: int) -> None:
    made = item(db, subject(db), difficulty_level=level)
    assert column(db, "practice_bank_items", "elo_rating", made) == rating
    db.execute("update public.practice_bank_items set difficulty_level = 3 where id = %s", (made,))
    assert column(db, "practice_bank_items", "(elo_rating, version)::text", made) == f"({rating},1)"


def test_another_question_or_answer_is_another_version(db: Connection) -> None:
    author, maths = persona(db, "tutor"), subject(db)
    with act_as(db, author):
        made = one(
            db,
            "insert into public.practice_bank_items (question_text, subject_id, difficulty_level) "
            "values ('1 + 1?', %s, 2) returning id",
            (maths,),
        )
        db.execute("insert into public.practice_bank_answers (item_id, answer_text) values (%s, '3')", (made,))
        db.execute("update public.practice_bank_items set question_text = '1 + 2?' where id = %s", (made,))
        db.execute("update public.practice_bank_items set is_active = false where id = %s", (made,))
        db.execute("update public.practice_bank_answers set answer_text = '3!' where item_id = %s", (made,))
        db.execute("update public.practice_bank_answers set answer_text = '3!' where item_id = %s", (made,))
        refused(db, "42501", "update public.practice_bank_items set version = 9 where id = %s", (made,))
        refused(db, "42501", "update public.practice_bank_items set elo_rating = 9 where id = %s", (made,))
    assert column(db, "practice_bank_items", "version", made) == 3
    change = "update public.practice_bank_items set topic_tags = '{x}' where id = %s"
    with act_as(db, persona(db, "tutor")):
        assert db.execute(change, (made,)).rowcount == 0
        answer = "insert into public.practice_bank_answers (item_id, answer_text) values (%s, 'x')"
        refused(db, "42501", answer, (item_of(db, maths),))
    db.execute("update public.profiles set role = 'teacher' where user_id = %s", (author,))
    with act_as(db, author):
        assert db.execute(change, (made,)).rowcount == 0


def item_of(db: Connection, subject_id: uuid.UUID) -> uuid.UUID:
    """Somebody's item, made inside a block that acts as a person."""
    db.execute("reset role")
    made = item(db, subject_id)
    db.execute("set local role authenticated")
    return made


def test_what_was_asked_is_frozen_with_the_assignment(db: Connection) -> None:
    student, maths = persona(db), subject(db)
    asked = item(db, maths, goal_tags=["exam"], difficulty_level=7)
    state = "(subject_id, difficulty_level, bank_item_version, goal_tags, flagged)::text"
    first = practice(db, student, asked, flagged=False)
    assert column(db, "practice_assignments", state, first) == f"({maths},7,1,{{exam}},f)"
    assert column(db, "practice_assignments", "goal_tags", practice(db, student, asked, goal_tags=["mine"])) == ["mine"]
    db.execute("update public.practice_bank_items set question_text = 'New' where id = %s", (asked,))
    assert column(db, "practice_assignments", "bank_item_version", practice(db, student, asked)) == 2
    assert column(db, "practice_assignments", "bank_item_version", first) == 1
    assert column(db, "practice_assignments", "flagged", ai_practice(db, student, flagged=False)) is True
    db.execute("update public.practice_bank_items set is_active = false where id = %s", (asked,))
    for wrong in ({}, {"ai_question_text": "Why?"}, {"source": "ai_generated"}):
        with pytest.raises(psycopg.errors.CheckViolation), db.transaction():
            practice(db, student, asked, **wrong)
    refused(db, "23503", "delete from public.practice_bank_items where id = %s", (asked,))


def test_a_departed_tutor_leaves_the_students_record(db: Connection) -> None:
    tutor, student, maths = persona(db, "tutor"), persona(db), subject(db)
    assign(db, tutor, student)
    rows = {
        "goals": goal(db, student, created_by=tutor),
        "tutoring_sessions": session(db, student, tutor_id=tutor),
        "summaries": summary(db, student, tutor_id=tutor),
        "qa_interactions": question(db, student, escalated_to_tutor_id=tutor),
        "practice_bank_items": item(db, maths, created_by=tutor),
    }
    db.execute("delete from auth.users where id = %s", (tutor,))
    for table, row in rows.items():
        assert column(db, table, "id", row) == row
    assert one(db, "select count(*) from public.tutor_student_assignments where student_id = %s", (student,)) == 0
    db.execute("delete from auth.users where id = %s", (student,))
    for table, row in rows.items():
        assert column(db, table, "id", row) == (row if table == "practice_bank_items" else None)


def test_progress_counts_each_thing_once_in_the_goals_subject(db: Connection) -> None:
    student, maths, art = persona(db), subject(db, name=f"Maths {uuid.uuid4()}"), subject(db)
    in_maths, in_all = goal(db, student, subject_id=maths), goal(db, student)
    goal(db, student, subject_id=art, status="active")
    for held_in in (maths, maths, art, None):
        session(db, student, subject_id=held_in)
    session(db, student, subject_id=maths, session_date="2999-01-01T00:00:00Z")
    for done_in in (maths, maths, maths, art):
        made = ai_practice(db, student, subject_id=done_in)
        db.execute("select public.complete_practice_assignment(%s, 0.5)", (made,))
    ai_practice(db, student, subject_id=maths)
    db.execute("update public.student_ratings set rating = 1001 where subject_id = %s", (art,))
    db.execute("update public.student_ratings set rating = 1100 where subject_id = %s", (maths,))
    seen = """select goal_id, sessions_count, practice_items_completed, average_rating
              from public.v_student_progress where goal_id = any(%s)"""
    with act_as(db, student):
        rows = {row[0]: row[1:] for row in db.execute(seen, ([in_maths, in_all],))}
        assert one(db, "select count(*) from public.v_student_progress") == 3
    assert rows == {in_maths: (2, 3, Decimal("1100.00")), in_all: (4, 4, Decimal("1050.50"))}
    with act_as(db, persona(db)):
        assert one(db, "select count(*) from public.v_student_progress") == 0
    db.execute("update public.goals set status = 'paused' where id = %s", (in_all,))
    assert one(db, "select count(*) from public.v_student_progress where goal_id = %s", (in_all,)) == 0


def test_confidence_is_shared_out_per_student(db: Connection) -> None:
    student = persona(db)
    for confidence in ("High", "High", "Low"):
        question(db, student, confidence=confidence)
    question(db, persona(db), confidence="Medium")
    for status in ("streaming", "interrupted", "failed"):
        # an answer without an end has no confidence of its own
        question(db, student, confidence="Low", status=status)
    db.execute("select public.refresh_user_stats(%s)", (student,))
    stored = "select analytics -> 'confidence_distribution' from public.user_stats where user_id = %s"
    assert one(db, stored, (student,)) == {"High": 66.67, "Medium": 0, "Low": 33.33}
    with act_as(db, student):
        rows = db.execute("select confidence, count, percentage from public.v_confidence_distribution").fetchall()
    assert sorted(rows) == [("High", 2, Decimal("66.67")), ("Low", 1, Decimal("33.33"))]


def test_overrides_are_counted_by_utc_day(db: Connection) -> None:
    student, tutor, admin = persona(db), persona(db, "tutor"), persona(db, "admin")
    maths = subject(db)
    for at, author in (
        ("2031-05-01T23:59:00Z", tutor),
        ("2031-05-01T00:01:00Z", None),
        ("2031-05-02T00:00:00Z", tutor),
    ):
        insert(
            db,
            "public.overrides",
            {"student_id": student, "tutor_id": author, "override_type": "summary", "action": "x", "created_at": at,
             "summary_id": summary(db, student, subject_id=maths), "original_content": "{}", "new_content": "{}",
             "subject_id": maths},
        )  # fmt: skip
    view = """select override_date::text, override_count, unique_tutors, unique_students
              from public.v_override_analytics where subject_id = %s order by 1"""
    with act_as(db, admin, "app_admin"):
        db.execute("set local time zone 'Asia/Tokyo'")
        assert db.execute(view, (maths,)).fetchall() == [("2031-05-01", 2, 1, 1), ("2031-05-02", 1, 1, 1)]
    with act_as(db, tutor):
        assert db.execute(view, (maths,)).fetchall() == []


def test_derived_figures(db: Connection) -> None:
    student = persona(db)
    refresh = "select public.refresh_user_stats(%s)"
    stats = "select analytics || gamification from public.user_stats where user_id = %s"
    db.execute("""update public.user_stats set gamification = '{"level": 3, "xp": 1}' where user_id = %s""", (student,))
    db.execute(refresh, (student,))
    assert one(db, stats, (student,)) == {
        "override_count": 0, "confidence_distribution": {"High": 0, "Medium": 0, "Low": 0},
        "nudge_engagement": {"opened": 0, "clicked": 0}, "xp": 0, "streaks": 0, "level": 3, "badges": [],
    }  # fmt: skip
    goal(db, student, xp_earned=30, current_streak=2)
    goal(db, student, xp_earned=12, current_streak=7)
    for confidence in ("High", "Low", "Low"):
        question(db, student, confidence=confidence)
    sent = {"user_id": student, "type": "login", "channel": "in_app", "message": "Hello", "sent_at": "2030-01-01Z"}
    for more in ({}, {"opened_at": "2030-01-02Z"}, {"opened_at": "2030-01-02Z", "clicked_at": "2030-01-02Z"}):
        insert(db, "public.nudges", sent, more)
    insert(db, "public.nudges", sent, {"sent_at": None})
    db.execute(refresh, (student,))
    assert one(db, stats, (student,)) == {
        "override_count": 0, "confidence_distribution": {"High": 33.33, "Medium": 0, "Low": 66.67},
        "nudge_engagement": {"opened": 66.67, "clicked": 33.33}, "xp": 42, "streaks": 7, "level": 3,
        "badges": ["streak_7"],
    }  # fmt: skip
    db.execute("update public.goals set current_streak = 0, status = 'completed' where student_id = %s", (student,))
    db.execute(refresh, (student,))
    badges = "select gamification -> 'badges' from public.user_stats where user_id = %s"
    assert one(db, badges, (student,)) == ["goal_completed", "streak_7"], "what was earned stays"
    refused(db, "22004", refresh, (None,))
    refused(db, "PT404", refresh, (uuid.uuid4(),))
    with act_as(db, student):
        refused(db, "42501", refresh, (student,))
