"""A chapter of ``./scripts/demo``: a student makes flashcards of their notes, and their tutor reviews them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import psycopg

Say = Callable[[str], None]
MAX_WAIT_SECONDS = 120.0
COUNT = 3


class DeckFailed(RuntimeError):
    """The chapter broke off; the message says where."""


class Person(Protocol):
    """One of the demo's people, as far as this chapter needs them."""

    user_id: str
    functions: Any

    def call(self, method: str, path: str, expect: int, **more: Any) -> Any: ...

    def select(self, table: str, columns: str = "*", **equals: str) -> list[dict[str, Any]]: ...

    def rpc(self, name: str, args: Mapping[str, Any]) -> Any: ...


def deck(db_url: str, student: Person, tutor: Person, headline: Say, line: Say) -> None:
    """The chapter of materials stored the notes, and that of sessions the tutor.

    :raise DeckFailed: the questions do not come, or a refused one is asked
    """
    headline("They make flashcards of their notes")
    notes = student.select("documents", "id,filename")
    if not notes:
        line("there are no notes")
        return
    subject_id = str(uuid.uuid4())
    with psycopg.connect(db_url, autocommit=True) as db:
        name = f"Data structures {subject_id[:8]}"
        db.execute("insert into public.subjects (id, name) values (%s, %s)", (subject_id, name))
    wish = {"subject_id": subject_id, "source_ids": [notes[0]["id"]], "count": COUNT}
    result = _result(student, student.call("POST", "tutoring/practice/generate", 202, json=wish)["job_id"])
    line(f"{result['stored']} of {COUNT} questions out of {notes[0]['filename']} passed; dropped: {result['dropped']}")
    if result["stored"] < 2:
        return

    headline("The tutor accepts one and refuses one")
    accepted, refused = result["assignment_ids"][:2]
    questions = {row["id"]: row["ai_question_text"] for row in tutor.select("practice_assignments")}
    keys = {row["practice_assignment_id"]: row for row in tutor.select("practice_assignment_answers")}
    for assignment_id, accept in ((accepted, True), (refused, False)):
        tutor.rpc("review_practice", {"p_assignment_id": assignment_id, "p_accept": accept, "p_reason": "read"})
        line(f"{'accepted' if accept else 'refused'}: {questions[assignment_id]}")
        cited = keys[assignment_id]["citations"][0]
        line(f'    {keys[assignment_id]["ai_answer_text"]} (page {cited["page_start"]}: "{cited["quote"]}")')
    body = {"subject_id": subject_id, "count": COUNT}
    given = {row["id"]: row for row in student.call("POST", "tutoring/practice/next", 200, json=body)["assignments"]}
    if refused in given or accepted not in given:
        raise DeckFailed(f"the student is asked {sorted(given)}")
    headers = {"Idempotency-Key": f"demo-{accepted}"}
    answer = {"answer": keys[accepted]["ai_answer_text"]}
    told = student.call("POST", f"tutoring/practice/{accepted}/answers?wait=20", 200, json=answer, headers=headers)
    line(f"the student answers the accepted one: {told['feedback']}")
    line(f"    rating {told['rating_before']} to {told['rating_after']}, next review {told['next_review_at']}")


def _result(student: Person, job_id: str) -> dict[str, Any]:
    until = time.monotonic() + MAX_WAIT_SECONDS
    while time.monotonic() < until:
        job = student.select("jobs", "status,result,error_code", id=job_id)[0]
        if job["status"] == "succeeded":
            return dict(job["result"])
        if job["status"] in ("failed", "cancelled"):
            raise DeckFailed(f"the job ended with {job['error_code']}")
        time.sleep(0.25)
    raise DeckFailed(f"there are no questions after {MAX_WAIT_SECONDS:.0f} s")
