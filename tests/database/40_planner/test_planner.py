"""Study blocks, inbox and nudges."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

import psycopg
import pytest

from tests.support import rows
from tests.support.machines import outcomes
from tests.support.people import act_as, freeze, persona, refused
from tests.support.races import ring
from tests.support.rows import one

Connection = psycopg.Connection[Any]

NOON = datetime.datetime(2030, 1, 1, 12, tzinfo=datetime.UTC)
BLOCK = {"start_at": "2030-01-01T10:00:00Z", "end_at": "2030-01-01T11:00:00Z"}
NUDGE = "select public.svc_create_nudge(%s, 'login', %s, 'Come back')"


def test_states_of_a_study_block(db: Connection) -> None:
    person = persona(db)
    births, changes = outcomes(
        db,
        "study_blocks",
        ["planned", "in_progress", "completed", "missed", "cancelled"],
        lambda state: rows.insert(db, "public.study_blocks", BLOCK, {"user_id": person, "status": state}),
    )
    assert births == {"planned"}
    assert changes == {
        "planned>in_progress",
        "planned>completed",
        "planned>missed",
        "planned>cancelled",
        "in_progress>completed",
        "in_progress>cancelled",
        "missed>planned",
        "missed>completed",
        "cancelled>planned",
    }


def test_states_of_a_notification(db: Connection) -> None:
    given = {"user_id": persona(db), "type": "system", "title": "Hello"}
    births, changes = outcomes(
        db,
        "notifications",
        ["pending", "sent", "dismissed", "failed"],
        lambda state: rows.insert(db, "public.notifications", given, {"status": state}),
    )
    assert births == {"pending", "sent"}
    assert changes == {
        "pending>sent",
        "pending>failed",
        "pending>dismissed",
        "sent>dismissed",
        "failed>pending",
        "failed>dismissed",
    }


def test_a_person_plans_for_himself(db: Connection) -> None:
    person, other = persona(db), persona(db)
    mine, foreign = rows.assignment(db, person), rows.assignment(db, other)
    with act_as(db, person):
        made = rows.insert(db, "public.study_blocks", BLOCK, {"assignment_id": mine, "notes": "Read"})
        row = db.execute("select user_id, status from public.study_blocks where id = %s", (made,)).fetchone()
        assert row == (person, "planned")
        with pytest.raises(psycopg.errors.ForeignKeyViolation), db.transaction():
            rows.insert(db, "public.study_blocks", BLOCK, {"assignment_id": foreign})
        for column in ({"user_id": other}, {"status": "completed"}, {"calendar_event_id": "e"}):
            with pytest.raises(psycopg.errors.InsufficientPrivilege), db.transaction():
                rows.insert(db, "public.study_blocks", BLOCK, column)
        refused(db, "23514", "update public.study_blocks set end_at = start_at")
        refused(db, "23514", "update public.study_blocks set notes = %s", ("x" * 10001,))
        db.execute("update public.study_blocks set status = 'completed', notes = 'Done'")
        refused(db, "23514", "update public.study_blocks set status = 'planned'")
        # blocks may overlap
        rows.insert(db, "public.study_blocks", BLOCK)
    with act_as(db, other):
        assert one(db, "select count(*) from public.study_blocks") == 0
        assert db.execute("update public.study_blocks set notes = 'x'").rowcount == 0
        assert db.execute("delete from public.study_blocks").rowcount == 0
    with act_as(db, person):
        assert db.execute("delete from public.study_blocks").rowcount == 2


def test_anonymous_sign_ins_plan_nothing(db: Connection) -> None:
    guest = persona(db, anonymous=True)
    plan = "insert into public.study_blocks (start_at, end_at) values ('2030-01-01T10:00Z', '2030-01-01T11:00Z')"
    with act_as(db, guest, is_anonymous=True):
        refused(db, "42501", plan)


def test_a_block_outlives_its_assignment_with_its_calendar_event(db: Connection) -> None:
    person = persona(db)
    assignment = rows.assignment(db, person)
    event = {"calendar_provider": "google_calendar", "calendar_event_id": "e1"}
    made = rows.insert(db, "public.study_blocks", BLOCK, {"user_id": person, "assignment_id": assignment}, event)
    db.execute("delete from public.assignments where id = %s", (assignment,))
    row = db.execute(
        "select user_id, assignment_id, calendar_event_id from public.study_blocks where id = %s", (made,)
    ).fetchone()
    assert row == (person, None, "e1")


def test_an_event_belongs_to_one_calendar_and_one_block(db: Connection) -> None:
    owner = {"user_id": persona(db)}
    event = {"calendar_provider": "google_calendar", "calendar_event_id": "e1"}
    rows.insert(db, "public.study_blocks", BLOCK, owner, event)
    with pytest.raises(psycopg.errors.UniqueViolation), db.transaction():
        rows.insert(db, "public.study_blocks", BLOCK, owner, event)
    for wrong in ({"calendar_event_id": "e2"}, {"calendar_provider": "canvas", "calendar_event_id": "e2"}):
        with pytest.raises(psycopg.errors.CheckViolation), db.transaction():
            rows.insert(db, "public.study_blocks", BLOCK, owner, wrong)


def test_a_person_puts_a_line_away_and_nothing_else(db: Connection) -> None:
    freeze(db, "2030-01-01T12:00:00Z")
    person, other = persona(db), persona(db)
    line = {"type": "system", "title": "Hello"}
    made = rows.insert(db, "public.notifications", line, {"user_id": person, "status": "sent"})
    foreign = rows.insert(db, "public.notifications", line, {"user_id": other})
    with act_as(db, person):
        assert [row[0] for row in db.execute("select id from public.notifications")] == [made]
        refused(db, "42501", "update public.notifications set status = 'sent'")
        refused(db, "42501", "update public.notifications set title = 'x'")
        refused(db, "42501", "insert into public.notifications (type, title) values ('system', 'x')")
        refused(db, "42501", "delete from public.notifications")
        assert db.execute("update public.notifications set status = 'dismissed'").rowcount == 1
    row = db.execute("select sent_at, dismissed_at from public.notifications where id = %s", (made,)).fetchone()
    assert row == (NOON, NOON)
    assert one(db, "select status from public.notifications where id = %s", (foreign,)) == "pending"
    with act_as(db, person):
        # once away it stays away; saying so again is harmless
        assert db.execute("update public.notifications set status = 'dismissed'").rowcount == 1
        refused(db, "23514", "update public.notifications set status = 'pending'")


def test_times_of_a_notification_are_set_on_entering_a_state_and_stay(db: Connection) -> None:
    given = {"user_id": persona(db), "type": "system", "title": "Hello"}
    made = rows.insert(db, "public.notifications", given)
    assert one(db, "select sent_at from public.notifications where id = %s", (made,)) is None
    for moment, status in [("12:00", "sent"), ("13:00", "dismissed")]:
        freeze(db, f"2030-01-01T{moment}:00Z")
        db.execute("update public.notifications set status = %s where id = %s", (status, made))
    row = db.execute("select sent_at, dismissed_at from public.notifications where id = %s", (made,)).fetchone()
    assert row == (NOON, NOON + datetime.timedelta(hours=1))


def test_a_nudge_in_the_app_is_a_line_in_the_inbox(db: Connection) -> None:
    freeze(db, "2030-01-01T12:00:00Z")
    person = persona(db)
    db.execute("update public.user_settings set nudge_frequency_cap = 20 where user_id = %s", (person,))
    for channel, lines, sent in [("in_app", 1, NOON), ("both", 1, NOON), ("email", 0, None)]:
        with act_as(db, None, "service_role"):
            made = one(db, NUDGE, (person, channel))
        assert one(db, "select sent_at from public.nudges where id = %s", (made,)) == sent
        inbox = db.execute(
            "select type, status, body, sent_at from public.notifications where nudge_id = %s", (made,)
        ).fetchall()
        assert inbox == [("nudge", "sent", "Come back", NOON)] * lines


def test_a_mail_counts_as_sent_once_it_went_out(db: Connection) -> None:
    made = one(db, NUDGE, (persona(db), "email"))
    mark = "select public.svc_mark_nudge_sent(%s)"
    with act_as(db, None, "service_role"):
        freeze(db, "2030-01-01T12:00:00Z")
        assert one(db, mark, (made,)) == made
        freeze(db, "2030-01-01T13:00:00Z")
        assert one(db, mark, (made,)) == made
        assert one(db, mark, (uuid.uuid4(),)) is None
        assert one(db, "select sent_at from public.nudges where id = %s", (made,)) == NOON


@pytest.mark.parametrize(("cap", "made"), [(0, 0), (1, 1), (3, 3)])
def test_the_cap_of_a_day_holds(db: Connection, cap: int, made: int) -> None:
    person = persona(db)
    db.execute("update public.user_settings set nudge_frequency_cap = %s where user_id = %s", (cap, person))
    freeze(db, "2030-01-01T12:00:00Z")
    answers = [one(db, NUDGE, (person, "in_app")) for _ in range(made + 2)]
    assert [answer is not None for answer in answers] == [True] * made + [False] * 2
    assert one(db, "select count(*) from public.notifications where user_id = %s", (person,)) == made


@pytest.mark.parametrize(
    ("zone", "first", "second", "allowed"),
    [
        ("UTC", "2030-01-01T23:59:59Z", "2030-01-02T00:00:00Z", True),
        ("UTC", "2030-01-01T00:00:00Z", "2030-01-01T23:59:59Z", False),
        # midnight in Auckland is 11:00 UTC
        ("Pacific/Auckland", "2030-01-01T10:59:59Z", "2030-01-01T11:00:00Z", True),
        ("Pacific/Auckland", "2030-01-01T11:00:00Z", "2030-01-02T10:59:59Z", False),
        # Berlin loses an hour on 31 March 2030 and gains one on 27 October
        ("Europe/Berlin", "2030-03-30T23:00:00Z", "2030-03-31T21:59:59Z", False),
        ("Europe/Berlin", "2030-03-30T23:00:00Z", "2030-03-31T22:00:00Z", True),
        ("Europe/Berlin", "2030-10-26T22:00:00Z", "2030-10-27T22:59:59Z", False),
        ("Europe/Berlin", "2030-10-26T22:00:00Z", "2030-10-27T23:00:00Z", True),
        ("Europe/Berlin", "2030-10-27T22:10:00Z", "2030-10-27T22:50:00Z", False),
    ],
)
def test_the_day_is_the_persons(db: Connection, zone: str, first: str, second: str, allowed: bool) -> None:
    person = persona(db)
    db.execute("update public.profiles set timezone = %s where user_id = %s", (zone, person))
    db.execute("set local time zone 'America/Los_Angeles'")
    freeze(db, first)
    assert one(db, NUDGE, (person, "in_app")) is not None
    freeze(db, second)
    assert (one(db, NUDGE, (person, "in_app")) is not None) is allowed


def test_bad_nudges(db: Connection) -> None:
    person = persona(db)
    call = "select public.svc_create_nudge(%s, %s, %s, %s)"
    refused(db, "PT404", call, (uuid.uuid4(), "login", "in_app", "Hi"))
    refused(db, "22023", call, (person, "spam", "in_app", "Hi"))
    refused(db, "22023", call, (person, "login", "sms", "Hi"))
    refused(db, "22004", call, (person, "login", "in_app", None))
    refused(db, "23514", call, (person, "login", "in_app", ""))
    assert one(db, "select count(*) from public.nudges where user_id = %s", (person,)) == 0


def test_two_workers_at_once_keep_the_cap(db_url: str) -> None:
    with ring(db_url) as race:
        person = persona(race.owner)
        race.clean_up("auth.users", person)
        first, second = race.session(), race.session()
        assert one(first, NUDGE, (person, "in_app")) is not None
        answer = race.start(second, NUDGE, (person, "in_app"))
        race.wait_until_blocked(second)
        first.commit()
        assert answer.result(10) == (None,)


def test_opening_and_clicking_count_the_first_time(db: Connection) -> None:
    person, other = persona(db), persona(db)
    made = one(db, NUDGE, (person, "in_app"))
    mark = "select opened_at, clicked_at from public.mark_nudge(%s, %s)"
    hour = datetime.timedelta(hours=1)
    for moment, event, expected in [
        (NOON, "opened", (NOON, None)),
        (NOON + hour, "opened", (NOON, None)),
        (NOON + 2 * hour, "clicked", (NOON, NOON + 2 * hour)),
        (NOON + 3 * hour, "clicked", (NOON, NOON + 2 * hour)),
    ]:
        freeze(db, moment.isoformat())
        with act_as(db, person):
            assert db.execute(mark, (made, event)).fetchone() == expected
    with act_as(db, person):
        refused(db, "22023", mark, (made, "read"))
        refused(db, "22004", mark, (made, None))
        refused(db, "42501", "update public.nudges set opened_at = now()")
        refused(db, "42501", NUDGE, (person, "in_app"))
    with act_as(db, other):
        assert one(db, "select count(*) from public.nudges") == 0
        refused(db, "PT404", mark, (made, "opened"))
        refused(db, "PT404", mark, (uuid.uuid4(), "opened"))
    with act_as(db, None, "anon"):
        refused(db, "42501", mark, (made, "opened"))


def test_a_click_is_an_opening(db: Connection) -> None:
    freeze(db, "2030-01-01T12:00:00Z")
    person = persona(db)
    made = one(db, NUDGE, (person, "in_app"))
    with act_as(db, person):
        row = db.execute("select opened_at, clicked_at from public.mark_nudge(%s, 'clicked')", (made,)).fetchone()
    assert row == (NOON, NOON)


def test_putting_the_line_away_leaves_the_nudge_and_the_reverse(db: Connection) -> None:
    person = persona(db)
    made = one(db, NUDGE, (person, "in_app"))
    db.execute("delete from public.nudges where id = %s", (made,))
    assert one(db, "select nudge_id is null from public.notifications where user_id = %s", (person,))
