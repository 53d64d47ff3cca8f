"""A chapter of ``./scripts/demo``: a tutor's session, its summary and a correction, and what a parent sees of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import psycopg

Say = Callable[[str], None]
MAX_WAIT_SECONDS = 60.0
TRANSCRIPT = """WEBVTT

00:00.000 --> 00:04.000
<v Tutor>What happens to the mass on both sides?

00:04.000 --> 00:08.000
<v Sam>It cancels, so the fall does not depend on it.
"""
CORRECTED = "Sam explained without help why the mass cancels."


class SessionFailed(RuntimeError):
    """The chapter broke off; the message says where."""


class Person(Protocol):
    """One of the demo's people, as far as this chapter needs them."""

    user_id: str
    functions: Any
    rows: Any

    def call(self, method: str, path: str, expect: int, **more: Any) -> Any: ...

    def select(self, table: str, columns: str = "*", **equals: str) -> list[dict[str, Any]]: ...

    def rpc(self, name: str, args: Mapping[str, Any]) -> Any: ...


def sessions(db_url: str, student: Person, tutor: Person, parent: Person, headline: Say, line: Say) -> None:
    """Staff have said who is a tutor and who a parent; the student invites both by code.

    :raise SessionFailed: the summary does not come
    """
    headline("They invite a tutor and a parent")
    with psycopg.connect(db_url, autocommit=True) as db:
        for person, role in ((tutor, "tutor"), (parent, "parent")):
            db.execute("update public.profiles set role = %s where user_id = %s", (role, person.user_id))
    for person, kind in ((tutor, "tutor"), (parent, "guardian")):
        code = student.rpc("create_invitation", {"p_kind": kind})
        person.rpc("redeem_invitation", {"p_code": code})
        line(f"the {kind} redeemed a code of {len(code)} characters")
    student.rows.table("goals").insert({"student_id": student.user_id, "title": "Pass physics"}).execute()

    headline("The tutor stores the transcript of a session")
    held = {"student_id": student.user_id, "session_date": "2026-01-05T15:00:00Z", "duration_minutes": 45}
    session_id = tutor.rows.table("tutoring_sessions").insert(held).execute().data[0]["id"]
    path = f"tutoring/sessions/{session_id}/transcript"
    tutor.call("PUT", path, 204, content=TRANSCRIPT.encode(), headers={"Content-Type": "text/vtt"})
    summary = _summary(tutor, session_id)
    line(f"{summary['summary_type']} summary: {summary['narrative']}")
    correction = {"p_type": "summary", "p_target_id": summary["id"], "p_action": "correct"}
    tutor.rpc("apply_override", {**correction, "p_new_content": {"narrative": CORRECTED}})
    line(f"the tutor corrects it: {CORRECTED}")

    headline("The parent looks at the dashboard")
    seen = parent.call("GET", f"tutoring/students/{student.user_id}/overview", 200)
    line("goals: " + ", ".join(goal["title"] for goal in seen["goals"]))
    line("summaries: " + " ".join(row["narrative"] for row in seen["summaries"]))
    refused = parent.functions.get(path).status_code
    line(f"answers they see: {len(parent.select('practice_attempts'))}; the transcript: {refused}")


def _summary(tutor: Person, session_id: str) -> dict[str, Any]:
    until = time.monotonic() + MAX_WAIT_SECONDS
    while time.monotonic() < until:
        rows = tutor.select("summaries", session_id=session_id)
        if rows:
            return rows[0]
        time.sleep(0.25)
    raise SessionFailed(f"there is no summary after {MAX_WAIT_SECONDS:.0f} s")
