"""Announcements become notifications: each once, and only what is news."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.support import rows
from tests.support.people import act_as, freeze, persona, refused
from tests.support.rows import one

Connection = psycopg.Connection[Any]
NOON = datetime(2031, 5, 9, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def enrolled(db: Connection) -> tuple[uuid.UUID, uuid.UUID, uuid.UUID]:
    """A person, their integration and one course, since noon."""
    freeze(db, NOON.isoformat())
    person = persona(db)
    integration = rows.integration(db, person, external_user_id="101")
    course = rows.course(db, person, integration_id=integration, canvas_course_id=7, name="Biology", created_at=NOON)
    return person, integration, course


def tell(db: Connection, integration: uuid.UUID, *announcements: dict[str, Any], moment: datetime) -> int:
    freeze(db, moment.isoformat())
    given = [
        {"canvas_course_id": 7, "title": "Moved", "posted_at": (NOON + HOUR).isoformat(), "author_id": "9", **row}
        for row in announcements
    ]
    with act_as(db, None, "service_role"):
        return int(one(db, "select public.svc_apply_announcements(%s, %s)", (integration, json.dumps(given))))


def test_news_is_told_once(db: Connection, enrolled: tuple[uuid.UUID, uuid.UUID, uuid.UUID]) -> None:
    person, integration, course = enrolled
    news = {"canvas_announcement_id": 2**60, "url": "https://canvas.test/courses/7/discussion_topics/1"}
    assert [tell(db, integration, news, moment=NOON + 2 * HOUR) for _ in range(2)] == [1, 0]
    found = db.execute(
        "select type::text, status::text, title, body, payload from public.notifications where user_id = %s", (person,)
    )
    assert found.fetchall() == [
        (
            "announcement",
            "sent",
            "New announcement",
            "Moved\nBiology",
            {"course_id": str(course), "canvas_announcement_id": str(2**60), "url": news["url"]},
        )
    ]
    # a dismissed one does not come back either
    with act_as(db, person):
        db.execute("update public.notifications set status = 'dismissed'")
    assert tell(db, integration, news, moment=NOON + 3 * HOUR) == 0


def test_what_is_no_news(db: Connection, enrolled: tuple[uuid.UUID, uuid.UUID, uuid.UUID]) -> None:
    _, integration, course = enrolled
    at = NOON + 2 * HOUR
    for posted_at, told in ((NOON - HOUR, 0), (at + HOUR, 0), (None, 0), (at, 1)):
        stamp = posted_at and posted_at.isoformat()
        row = {"canvas_announcement_id": 1, "posted_at": stamp}
        assert tell(db, integration, row, moment=at) == told, posted_at
    assert tell(db, integration, {"canvas_announcement_id": 2, "author_id": "101"}, moment=at) == 0, "their own"
    assert tell(db, integration, {"canvas_announcement_id": 3, "canvas_course_id": 8}, moment=at) == 0
    # what came while nobody was connected
    db.execute("update public.integrations set status = 'expired' where id = %s", (integration,))
    freeze(db, (NOON + DAY).isoformat())
    db.execute("update public.integrations set status = 'connected' where id = %s", (integration,))
    assert tell(db, integration, {"canvas_announcement_id": 4}, moment=NOON + 2 * DAY) == 0
    later = (NOON + DAY + HOUR).isoformat()
    assert tell(db, integration, {"canvas_announcement_id": 5, "posted_at": later}, moment=NOON + 2 * DAY) == 1
    db.execute("update public.courses set is_hidden = true where id = %s", (course,))
    assert tell(db, integration, {"canvas_announcement_id": 6, "posted_at": later}, moment=NOON + 2 * DAY) == 0
    refused(db, "22023", "select public.svc_apply_announcements(%s, '{}')", (integration,))


def test_whose_announcements_are_asked_for(db: Connection, enrolled: tuple[uuid.UUID, uuid.UUID, uuid.UUID]) -> None:
    person, integration, _ = enrolled
    asked = "select public.svc_announcement_courses(%s)"
    changes: tuple[dict[str, Any], ...] = (
        {"is_hidden": True},
        {"is_active": False},
        {"access_restricted": True},
        {"workflow_state": "completed"},
    )
    for number, change in enumerate(changes, 100):
        rows.course(db, person, integration_id=integration, canvas_course_id=number, **change)
    assert one(db, asked, (integration,)) == ["7"]
    db.execute("update public.integrations set scopes = '{url:GET|/api/v1/courses}' where id = %s", (integration,))
    assert one(db, asked, (integration,)) == [], "a grant from before we asked for announcements"
    db.execute("update public.integrations set scopes = scopes || '{url:GET|/api/v1/announcements}'::text[]")
    assert one(db, asked, (integration,)) == ["7"]
