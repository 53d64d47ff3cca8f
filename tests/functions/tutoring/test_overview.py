"""The overview: each reader sees a part as far as their rights go; stored figures are refreshed every night."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg

from functions.tutoring import jobs
from functions.tutoring.overview.service import weak_topics
from scripts.native.stack import Stack
from tests.support.canvas import Runner, Student, student
from tests.support.rows import insert, one
from tests.support.tutoring import ai_practice, assign, goal, item, practice, question, subject, summary

Connection = psycopg.Connection[Any]


def test_weak_topics_have_enough_answers() -> None:
    def answered(score: float, *topics: str) -> dict[str, Any]:
        return {"performance_score": score, "item": {"topic_tags": list(topics)}}

    rows = [answered(0.5, "mass", "mass", "force")] * 3 + [answered(0.59, "light")] * 3 + [answered(0, "rare")] * 2
    rows += [answered(0.9, "force")] * 3 + [{"performance_score": 0, "item": None}] * 5 + [answered(0.6, "edge")] * 3
    assert weak_topics(rows) == [
        {"topic": "mass", "mean_score": 0.5, "answers": 3},
        {"topic": "light", "mean_score": 0.59, "answers": 3},
    ]


def test_a_dashboard_shows_what_its_reader_may_see(
    db: Connection, stack: Stack, person: Student, stranger: Student
) -> None:
    me, tutor = uuid.UUID(person.user_id), uuid.UUID(stranger.user_id)
    with student(stack) as parent, student(stack) as nobody:
        db.execute("update public.profiles set role = 'tutor' where user_id = %s", (tutor,))
        db.execute("update public.profiles set role = 'parent' where user_id = %s", (parent.user_id,))
        care = insert(db, "public.guardianships", {"parent_id": uuid.UUID(parent.user_id), "student_id": me})
        db.execute(
            "update public.guardianships set status = 'active', consent_basis = 'student_consent' where id = %s",
            (care,),
        )
        maths, art = subject(db), subject(db)
        assign(db, tutor, me, maths)
        goal(db, me, subject_id=maths, title="Pass maths", target_kind="answers", target_count=4)
        for subject_id in (maths, art):
            summary(db, me, subject_id=subject_id)
            insert(
                db,
                "public.student_ratings",
                {"student_id": me, "subject_id": subject_id, "ability": 1100, "ability_sd": 50},
            )
        for _ in range(3):
            thing = item(db, maths, topic_tags=["mass"])
            done = {"completed": True, "completed_at": "2030-01-01Z", "performance_score": 0.2}
            practice(db, me, thing, **done)
        ai_practice(db, me, subject_id=maths, review_state="needs_review")
        question(db, me)
        db.commit()

        seen = {
            name: reader.functions.get(f"/tutoring/students/{me}/overview").json()
            for name, reader in (("student", person), ("tutor", stranger), ("parent", parent))
        }
        for found in seen.values():
            assert [row["title"] for row in found["goals"]] == ["Pass maths"]
            assert found["open_practice"] == {"count": 1, "needs_review": 1}
        for name, whole in (("student", True), ("parent", True), ("tutor", False)):
            counts = [len(seen[name][part]) for part in ("ratings", "sessions", "summaries")]
            assert counts == ([2, 2, 2] if whole else [1, 1, 1])
            assert (seen[name]["points"] is not None) == whole
        rating = seen["tutor"]["ratings"][0]
        assert (rating["low"], rating["high"], rating["calibrating"]) == (1018, 1182, False)
        weak = [{"topic": "mass", "mean_score": 0.2, "answers": 3}]
        assert seen["student"]["weak_topics"] == seen["tutor"]["weak_topics"] == weak
        assert (seen["parent"]["weak_topics"], seen["parent"]["confidence"]) == ([], [])
        assert seen["student"]["confidence"] == [{"confidence": "Medium", "count": 1, "percentage": 100}]
        for reader, target in ((nobody, me), (person, tutor), (person, uuid.uuid4())):
            refused = reader.functions.get(f"/tutoring/students/{target}/overview")
            assert (refused.status_code, refused.json()["code"]) == (404, "not_found")

    # every night the stored figures follow, and a second run changes nothing
    db.execute("update public.goals set status = 'completed' where student_id = %s", (me,))
    nightly = one(db, "select job_id::text from public.svc_enqueue_job('stats_refresh', '{}')")
    db.commit()
    runner = Runner(stack.service_environment(), jobs)
    try:
        job = runner.claim(nightly)
        stats = []
        for _ in range(2):
            result = runner.handle(job)
            assert result is not None
            assert result["people"] >= 1
            stats.append(person.rows("user_stats", select="analytics,gamification")[0])
    finally:
        runner.close()
    assert stats[0] == stats[1]
    assert stats[0]["gamification"]["badges"] == ["goal_completed"]
    assert stats[0]["analytics"]["confidence_distribution"]["Medium"] == 100
