"""Reads what the caller may see of a student, in the caller's name: row level security decides each part."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from functions.shared.database import Database, run
from functions.shared.errors import NotFound
from functions.shared.tokens import Caller
from functions.tutoring.grading import PASS_SCORE

LATEST = 5
MAX_ANSWERS = 200
MAX_ROWS = 1000
MIN_TOPIC_ANSWERS = 3
MAX_TOPICS = 5
# of the normal distribution: nine of ten lie within
BAND = 1.64
MAX_SD = 100
GOALS = (
    "goal_id,subject_name,completion_percentage,current_streak,xp_earned,target_completion_date,sessions_count,"
    "practice_items_completed"
)
SESSIONS = "id,session_date,duration_minutes,topics_covered,transcript_available,subject:subjects(name)"
SUMMARIES = "id,session_id,narrative,next_steps,summary_type,overridden,created_at"
RATINGS = "subject_id,rating,ability,ability_sd,answers,subject:subjects(name)"


class OverviewService:
    """What the route calls. It knows nothing of HTTP."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, caller: Caller, student_id: str) -> dict[str, Any]:
        """The parts of the overview.

        :raise NotFound: the caller has nothing to do with this student
        """
        rest = self._database.user(caller.token)
        people = run(rest.from_("profiles").select("display_name,role").eq("user_id", student_id))
        # students see the profiles of their tutors, too
        if not people or (people[0]["role"] != "student" and caller.user_id != student_id):
            raise NotFound

        def rows(table: str, columns: str, owner: str = "student_id") -> Any:
            return rest.from_(table).select(columns).eq(owner, student_id)

        titles = {row["id"]: row["title"] for row in run(rows("goals", "id,title").eq("status", "active"))}
        goals = run(rows("v_student_progress", GOALS).order("goal_id"))
        stats = run(rows("user_stats", "gamification", "user_id"))
        held = run(rows("tutoring_sessions", SESSIONS).order("session_date", desc=True).order("id").limit(LATEST))
        written = run(rows("summaries", SUMMARIES).order("created_at", desc=True).order("id").limit(LATEST))
        open_ = run(
            rows("practice_assignments", "review_state,source,reviewed_at").eq("completed", False).limit(MAX_ROWS)
        )
        # a question of a model that a tutor refused is not asked again
        open_ = [row for row in open_ if row["source"] == "bank" or row["reviewed_at"] is None]
        answered = rows("practice_assignments", "performance_score,item:practice_bank_items(topic_tags)")
        answered = run(answered.eq("completed", True).order("completed_at", desc=True).limit(MAX_ANSWERS))
        return {
            "student_id": student_id,
            "display_name": people[0]["display_name"],
            # a goal that was ended between the two reads is left out
            "goals": [{**row, "title": titles[row["goal_id"]]} for row in goals if row["goal_id"] in titles],
            "ratings": [_rating(row) for row in run(rows("student_ratings", RATINGS).order("subject_id"))],
            "points": _points(stats[0]["gamification"]) if stats else None,
            "sessions": [_named(row) for row in held],
            "summaries": written,
            "open_practice": {
                "count": len(open_),
                "needs_review": sum(row["review_state"] == "needs_review" for row in open_),
            },
            "weak_topics": weak_topics(answered),
            "confidence": run(rows("v_confidence_distribution", "confidence,count,percentage").order("confidence")),
        }


def weak_topics(answered: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Topics that go badly, the worst first. Whoever may not see the items gets none."""
    scores: dict[str, list[float]] = defaultdict(list)
    for row in answered:
        for topic in set(row["item"]["topic_tags"]) if row["item"] else ():
            scores[topic].append(row["performance_score"])
    means = [(sum(of) / len(of), topic, len(of)) for topic, of in scores.items() if len(of) >= MIN_TOPIC_ANSWERS]
    weak = sorted(found for found in means if found[0] < PASS_SCORE)[:MAX_TOPICS]
    return [{"topic": topic, "mean_score": round(mean, 3), "answers": answers} for mean, topic, answers in weak]


def _named(row: Mapping[str, Any]) -> dict[str, Any]:
    rest = {name: value for name, value in row.items() if name != "subject"}
    return {**rest, "subject_name": row["subject"] and row["subject"]["name"]}


def _rating(row: Mapping[str, Any]) -> dict[str, Any]:
    named = _named(row)
    ability, deviation = named["ability"], named.pop("ability_sd")
    is_known = ability is not None and deviation is not None
    named["low"] = ability - BAND * deviation if is_known else None
    named["high"] = ability + BAND * deviation if is_known else None
    return {**named, "calibrating": not is_known or deviation > MAX_SD}


def _points(gamification: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "xp": gamification.get("xp", 0),
        "level": gamification.get("level", 1),
        "streak": gamification.get("streaks", 0),
        "badges": gamification.get("badges", []),
    }
