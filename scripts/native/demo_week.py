"""A chapter of ``./scripts/demo``: a learner's week with notes, numbers and a brand package.

The scripted model invents an address, an objective that nobody can observe, and a prize. None of them is shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from scripts.native.stack import Stack

MAX_WAIT_SECONDS = 120.0

Say = Callable[[str], None]


class Learner(Protocol):
    """The demo's person, as far as this chapter needs them."""

    @property
    def rows(self) -> Any: ...

    def call(self, method: str, path: str, expect: int, **more: Any) -> Any: ...

    def select(self, table: str, columns: str = "*", **equals: str) -> list[dict[str, Any]]: ...

    def rpc(self, name: str, args: Mapping[str, Any]) -> Any: ...


class WeekFailed(RuntimeError):
    """The chapter broke off; the message says where."""


def week(stack: Stack, learner: Learner, headline: Say, line: Say) -> str:
    """Plans a week, has notes written, works, measures, and has a brand package written; the week's id.

    :raise WeekFailed: a job failed or took too long
    """
    headline("They plan a week")
    now = datetime.now(UTC)
    row = {
        "week_number": 1,
        "start_date": now.date().isoformat(),
        "end_date": (now + timedelta(days=6)).date().isoformat(),
        "status": "active",
        "estimated_hours": 3,
        "focus_area": f"Hash tables ({stack.functions_url}/healthz)",
    }
    week_id = str(learner.rows.table("weeks").insert(row).execute().data[0]["id"])
    _notes(learner, week_id, headline, line)
    headline("They work, and the week is measured")
    block = {"start_at": now.isoformat(), "end_at": (now + timedelta(minutes=90)).isoformat()}
    made = learner.rows.table("study_blocks").insert(block).execute().data[0]
    learner.rows.table("study_blocks").update({"status": "completed"}).eq("id", made["id"]).execute()
    for kpi in learner.call("POST", f"programme/weeks/{week_id}/kpis", 200):
        target = "" if kpi["target_value"] is None else f" of {kpi['target_value']:g}"
        line(f"{kpi['metric_name']:18} {kpi['current_value']:g}{target} {kpi['unit']}")
    _package(learner, week_id, headline, line)
    return week_id


def _notes(learner: Learner, week_id: str, headline: Say, line: Say) -> None:
    asked = learner.call("POST", f"programme/weeks/{week_id}/notes", 202, json={"kinds": ["clo"]})
    _wait(learner, asked["job_id"])
    note = learner.select("clo_notes", week_id=week_id)[0]
    headline(f"Their notes: {note['module_title']} ({note['estimated_duration']} min)")
    for objective in note["learning_objectives"]:
        line(f"- {objective}")
    for resource in note["resources"]:
        seen = resource["check"]
        line(f"{resource['title']}: {resource['url'] or 'no link'} (the link {seen['outcome']}, {seen['checked_at']})")
    learner.rpc("mark_note_read", {"p_kind": "clo", "p_id": note["id"]})
    line("the note is read; the week is done to " + str(learner.select("weeks")[0]["completion_percentage"]) + " %")


def _package(learner: Learner, week_id: str, headline: Say, line: Say) -> None:
    asked = learner.call("POST", f"programme/weeks/{week_id}/brand-package", 202, json={"mode": "quiet and exact"})
    _wait(learner, asked["job_id"])
    package = learner.select("brand_packages", week_id=week_id)[0]
    headline(f"A brand package, {package['mode']}")
    for post in package["social_content_suggestions"]:
        sources = ", ".join(source["table"] for source in post["sources"])
        line(f"{post['channel']:10} {post['text'][:70]} [{sources}]")


def _wait(learner: Learner, job_id: str) -> None:
    deadline = time.monotonic() + MAX_WAIT_SECONDS
    while time.monotonic() < deadline:
        job = learner.select("jobs", "status,error_code,error_message", id=job_id)[0]
        if job["status"] == "succeeded":
            return
        if job["status"] in ("failed", "cancelled"):
            raise WeekFailed(f"the job {job['status']}: {job['error_code']} {job['error_message']}")
        time.sleep(0.2)
    raise WeekFailed(f"the job did not end within {MAX_WAIT_SECONDS:.0f} s")
