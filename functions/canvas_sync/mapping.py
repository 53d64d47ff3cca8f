"""Maps Canvas's JSON to our rows: only what belongs to this person, and nothing that changes by itself.

Everything is optional in Canvas's JSON, so a missing or malformed value becomes null and never an error. The hash
covers exactly what is stored: a row with the same hash need not be written.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from functions.shared.canvas.client import row_id
from functions.shared.markup.html import Page, read_html, without_secrets

Row = dict[str, Any]

MAX_TEXT_CHARACTERS = 1000
MAX_NOTES_CHARACTERS = 50_000
MAX_POINTS = 10**9
MAX_INT = 2**31 - 1
MAX_ATTACHMENTS = 50

# The keys of a course that are stored. Enrolments, teachers, grades and the secret calendar address are not.
COURSE_KEYS = (
    "id",
    "original_name",
    "account_id",
    "root_account_id",
    "enrollment_term_id",
    "start_at",
    "end_at",
    "default_view",
    "is_public",
)
# The keys of an assignment that are stored. Submissions of others, counts and signed addresses are not.
ASSIGNMENT_KEYS = (
    "id",
    "course_id",
    "assignment_group_id",
    "grading_type",
    "workflow_state",
    "allowed_attempts",
    "allowed_extensions",
    "is_quiz_assignment",
    "is_quiz_lti_assignment",
    "quiz_id",
    "group_category_id",
    "omit_from_final_grade",
    "peer_reviews",
    "rubric",
    "locked_for_user",
    "created_at",
)
WEB_ADDRESS = re.compile(r"https?://[^\s]+$")
CANONICAL = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"))
SUBMISSION_STATES = {"graded": "graded", "submitted": "submitted", "pending_review": "submitted"}


def is_stub(course: Row) -> bool:
    """Whether Canvas shows only the id of a course, because it is closed at this date."""
    return course.get("access_restricted_by_date") is True


def course_row(course: Row, canvas_id: int) -> Row:
    """A row for ``svc_apply_courses``."""
    name, code = text(course.get("name")), text(course.get("course_code"))
    row: Row = {
        "canvas_course_id": canvas_id,
        "name": name or code or f"Course {canvas_id}",
        "course_code": code,
        "term": text(part(course, "term").get("name")),
        "workflow_state": text(course.get("workflow_state")),
        "time_zone": text(course.get("time_zone")),
        "raw_payload": {key: clean(course[key]) for key in COURSE_KEYS if key in course},
    }
    return {**row, "access_restricted": is_stub(course), "content_hash": digest(row)}


def assignment_row(assignment: Row, canvas_id: int) -> Row:
    """A row for ``svc_apply_assignments``."""
    page = page_of(assignment.get("description"))
    html, is_cut = page.stored() if page else (None, False)
    submission = own_submission(assignment.get("submission"))
    state = submission.get("workflow_state") if submission else None
    row: Row = {
        "canvas_assignment_id": canvas_id,
        "title": text(assignment.get("name")) or f"Assignment {canvas_id}",
        "description_html": html,
        "due_at": moment(assignment.get("due_at")),
        "unlock_at": moment(assignment.get("unlock_at")),
        "lock_at": moment(assignment.get("lock_at")),
        "points_possible": number(assignment.get("points_possible"), minimum=0, maximum=MAX_POINTS),
        "submission_types": texts(assignment.get("submission_types")),
        "position": whole(assignment.get("position")),
        "canvas_url": web_address(assignment.get("html_url")),
        "published_at": moment(assignment.get("published_at")),
        "status": SUBMISSION_STATES.get(state or "", "open"),
        "submission": submission,
        "raw_payload": {key: clean(assignment[key]) for key in ASSIGNMENT_KEYS if key in assignment},
        "html_hash": hashlib.sha256(html.encode()).hexdigest() if html else None,
    }
    if page and page.embedded:
        row["raw_payload"]["embedded"] = list(page.embedded)
    if page and (only := page.only()):
        row["raw_payload"]["description_only"] = only
    if topic := row_id(part(assignment, "discussion_topic")):
        row["raw_payload"]["discussion_topic_id"] = str(topic)
    if files := attachments(assignment.get("attachments")):
        row["raw_payload"]["attachments"] = files
    if page and page.hidden:
        row["hidden_notes"] = "\n\n".join(page.hidden)[:MAX_NOTES_CHARACTERS]
    if is_cut:
        row["is_description_cut"] = True
    return {**row, "content_hash": digest(row)}


def is_published(assignment: Row) -> bool:
    """Whether learners see an assignment. Teachers also get unpublished ones in the list."""
    return assignment.get("published") is not False and assignment.get("workflow_state") != "unpublished"


def own_submission(submission: object) -> Row | None:
    """The person's own submission. Observers get a list with the submissions of others, which is not stored."""
    if not isinstance(submission, dict):
        return None
    return {
        "workflow_state": text(submission.get("workflow_state")),
        "submitted_at": moment(submission.get("submitted_at")),
        "score": number(submission.get("score"), minimum=-MAX_POINTS, maximum=MAX_POINTS),
        "late": submission.get("late") is True,
        "missing": submission.get("missing") is True,
        "excused": submission.get("excused") is True,
    }


def attachments(files: object) -> list[Row]:
    """Name and link of each attached file, without what opens it for everybody."""
    found = []
    for file in files[:MAX_ATTACHMENTS] if isinstance(files, list) else []:
        given = file if isinstance(file, dict) else {}
        name, url = text(given.get("display_name")) or text(given.get("filename")), web_address(given.get("url"))
        if name:
            found.append({"name": name, "url": without_secrets(url) if url else None})
    return found


def page_of(html: object) -> Page | None:
    """A description, read by the one cleaner of HTML; None when there is none."""
    return read_html(clean_text(html)) if isinstance(html, str) and html.strip() else None


def digest(row: Mapping[str, Any]) -> str:
    """A hash of everything that is stored."""
    return hashlib.sha256(CANONICAL.encode(row).encode()).hexdigest()


# ---- values -------------------------------------------------------------------------------------------------------


def clean_text(value: str) -> str:
    """Text that the database can store: without NUL and lone surrogates."""
    return value.replace("\0", "").encode("utf-8", "replace").decode()


def clean(value: object, depth: int = 0) -> object:
    """JSON that the database can store. What is nested deeper than 20 levels is cut off."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {clean_text(str(k)): clean(v, depth + 1) for k, v in value.items()} if depth < 20 else None
    if isinstance(value, list):
        return [clean(item, depth + 1) for item in value] if depth < 20 else None
    return value


def part(row: Row, key: str) -> Row:
    """A nested object, or an empty one."""
    value = row.get(key)
    return value if isinstance(value, dict) else {}


def text(value: object) -> str | None:
    """Trimmed text of at most ``MAX_TEXT_CHARACTERS``, or None."""
    if not isinstance(value, str):
        return None
    return clean_text(value).strip()[:MAX_TEXT_CHARACTERS].strip() or None


def texts(value: object) -> list[str]:
    """A list of texts, or an empty one."""
    return [found for item in value if (found := text(item))] if isinstance(value, list) else []


def moment(value: object) -> str | None:
    """A time as ISO 8601 in UTC, or None."""
    if not isinstance(value, str):
        return None
    try:
        parsed = datetime.fromisoformat(value)
        aware = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
        return aware.astimezone(UTC).isoformat()
    except (ValueError, OverflowError):
        return None


def number(value: object, *, minimum: float, maximum: float) -> float | None:
    """A finite number within bounds, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not minimum <= value <= maximum:
        return None
    return float(value)


def whole(value: object) -> int | None:
    """A whole number that fits into an int column, or None."""
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_INT else None


def web_address(value: object) -> str | None:
    """An http(s) address, or None."""
    found = value if isinstance(value, str) and len(value) <= 2000 else ""
    return clean_text(found) if WEB_ADDRESS.match(found) else None
