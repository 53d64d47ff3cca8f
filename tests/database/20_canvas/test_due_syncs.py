"""Syncs by the clock: which are due, how they are spread, and what a person's own request does to them."""

from __future__ import annotations

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
INTERVAL = 6 * HOUR


@pytest.fixture(autouse=True)
def alone(db: Connection) -> None:
    """No other test's integrations, and noon."""
    db.execute("delete from private.integration_schedules")
    freeze(db, NOON.isoformat())


def look(db: Connection, moment: datetime, limit: int = 200) -> tuple[int, int]:
    """One call at this moment: started, postponed."""
    freeze(db, moment.isoformat())
    with act_as(db, None, "service_role"):
        row = db.execute("select * from public.svc_start_due_syncs(%s, %s)", (INTERVAL.seconds, limit)).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def connected(db: Connection, *, asked: timedelta = 2 * INTERVAL, **columns: Any) -> tuple[uuid.UUID, uuid.UUID]:
    """A person and their integration, due at noon; its owner last asked so long before."""
    person = persona(db)
    integration = rows.integration(db, person, **columns)
    db.execute(
        "update private.integration_schedules set asked_at = %s where integration_id = %s",
        (NOON - asked, integration),
    )
    db.execute("update public.integrations set created_at = %s where id = %s", (NOON - asked, integration))
    return person, integration


def next_sync(db: Connection, integration: uuid.UUID) -> datetime | None:
    found = one(db, "select next_sync_at from private.integration_schedules where integration_id = %s", (integration,))
    assert found is None or isinstance(found, datetime)
    return found


def jobs_of(db: Connection, person: uuid.UUID) -> list[Any]:
    found = db.execute(
        "select j.priority, j.scheduled_at, r.state::text, r.payload -> 'integration_ids' ->> 0 from public.jobs as j"
        " join private.job_runtime as r on r.job_id = j.id"
        " where j.user_id = %s and j.type = 'canvas_sync' and j.status = 'queued' order by j.created_at",
        (person,),
    )
    return found.fetchall()


def test_what_is_due_starts_once_and_comes_back_after_the_interval(db: Connection) -> None:
    person, integration = connected(db)
    assert look(db, NOON - timedelta(seconds=1)) == (0, 0)
    assert look(db, NOON) == (1, 0)
    ((priority, scheduled_at, state, synced),) = jobs_of(db, person)
    assert (priority, synced) == (-10, str(integration))
    assert NOON <= scheduled_at <= NOON + timedelta(minutes=5)
    assert state == ("later" if scheduled_at > NOON else "waiting")
    following = next_sync(db, integration)
    assert following is not None
    assert NOON + 0.9 * INTERVAL <= following <= NOON + 1.1 * INTERVAL
    assert look(db, NOON + 0.9 * INTERVAL - timedelta(seconds=1)) == (0, 0)
    assert look(db, NOON + 1.1 * INTERVAL)[0] == 1
    assert len(jobs_of(db, person)) == 1, "the live run is joined"


def test_a_class_that_connects_in_one_minute_is_spread_over_the_interval(db: Connection) -> None:
    school = rows.connection(db)
    for _ in range(60):
        connected(db, asked=timedelta(0), lms_connection_id=school)
    assert look(db, NOON) == (0, 60), "connecting has synced them"
    assert look(db, NOON + INTERVAL - timedelta(seconds=1)) == (0, 0)
    began = []
    for hour in range(6, 13):
        began.append(look(db, NOON + hour * HOUR)[0])
    # each sixth of the interval has 10 of them on average, and more than 25 in one once in a million runs
    assert max(began) <= 25
    assert sum(began) >= 60


def test_what_waited_while_no_worker_ran_is_spread_too(db: Connection) -> None:
    people = [connected(db)[0] for _ in range(20)]
    assert look(db, NOON + 2 * HOUR) == (20, 0)
    starts = [jobs_of(db, person)[0][1] - (NOON + 2 * HOUR) for person in people]
    assert timedelta(0) <= min(starts)
    assert timedelta(minutes=30) < max(starts) <= 2 * HOUR, "all within the first quarter once in 4^20 runs"


@pytest.mark.parametrize(("idle", "every"), [(6 * DAY, INTERVAL), (8 * DAY, DAY), (31 * DAY, 7 * DAY)])
def test_who_is_not_seen_is_synced_less_often(db: Connection, idle: timedelta, every: timedelta) -> None:
    person, integration = connected(db, asked=60 * DAY)
    db.execute("update public.user_stats set last_active = %s where user_id = %s", (NOON - idle, person))
    assert look(db, NOON) == (1, 0)
    following = next_sync(db, integration)
    assert following is not None
    assert NOON + 0.9 * every <= following <= NOON + 1.1 * every
    freeze(db, (NOON + HOUR).isoformat())
    with act_as(db, person):
        db.execute("select public.touch_last_active()")
    back = next_sync(db, integration)
    assert back == (NOON + HOUR if idle > 7 * DAY else following), "who comes back is synced at the next look"


def test_a_persons_own_request_comes_first_and_moves_the_schedule(db: Connection) -> None:
    person, integration = connected(db)
    other, _ = connected(db)
    assert look(db, NOON) == (2, 0)
    freeze(db, (NOON + timedelta(seconds=1)).isoformat())
    with act_as(db, None, "service_role"):
        asked = db.execute("select created from public.svc_start_canvas_sync(%s, %s)", (person, [integration]))
        assert asked.fetchone() == (False,)
    ((priority, scheduled_at, state, _),) = jobs_of(db, person)
    assert (priority, state) == (0, "ready")
    assert scheduled_at <= NOON + timedelta(seconds=1)
    assert jobs_of(db, other)[0][0] == -10
    # the schedule's next moment comes too soon after the request
    db.execute("update private.integration_schedules set next_sync_at = %s", (NOON + HOUR,))
    db.execute("delete from private.integration_schedules where integration_id <> %s", (integration,))
    assert look(db, NOON + HOUR) == (0, 1)
    following = next_sync(db, integration)
    assert following is not None
    assert NOON + INTERVAL <= following <= NOON + 2 * INTERVAL + timedelta(seconds=1)


def test_a_dead_grant_is_suspended_and_connecting_again_brings_it_back(db: Connection) -> None:
    person, integration = connected(db)
    with act_as(db, None, "service_role"):
        assert one(db, "select public.svc_expire_integration(%s)", (integration,)) is True
        assert one(db, "select public.svc_expire_integration(%s)", (integration,)) is False
    inbox = "select status::text from public.notifications where user_id = %s and type = 'integration_error'"
    assert db.execute(inbox, (person,)).fetchall() == [("sent",)]
    assert next_sync(db, integration) is None
    assert look(db, NOON + DAY) == (0, 0)
    db.execute("update public.integrations set status = 'connected' where id = %s", (integration,))
    assert db.execute(inbox, (person,)).fetchall() == [("dismissed",)]
    assert look(db, NOON + DAY) == (0, 1)
    assert look(db, NOON + 2 * DAY) == (1, 0)


def test_an_installation_that_is_switched_off_waits(db: Connection) -> None:
    person, integration = connected(db)
    db.execute("update public.lms_connections set status = 'disabled'")
    assert look(db, NOON) == (0, 1)
    assert jobs_of(db, person) == []
    following = next_sync(db, integration)
    assert following is not None
    assert following > NOON


def test_the_batch_and_its_bounds(db: Connection) -> None:
    for _ in range(3):
        connected(db)
    assert [look(db, NOON, 2) for _ in range(3)] == [(2, 0), (1, 0), (0, 0)]
    for arguments in ((59, 1), (3600, 0), (3600, 1001)):
        refused(db, "22003", "select public.svc_start_due_syncs(%s, %s)", arguments)
    refused(db, "22004", "select public.svc_start_due_syncs(null)")


def test_a_look_reads_no_table_whole(db: Connection) -> None:
    person, _ = connected(db)
    db.execute("alter table private.integration_schedules drop constraint integration_schedules_integration_id_fkey")
    db.execute(
        "insert into private.integration_schedules (integration_id, next_sync_at)"
        " select gen_random_uuid(), %s + n * interval '1 second' from generate_series(1, 100000) as n",
        (NOON,),
    )
    db.execute("set constraints all immediate")
    db.execute("analyze private.integration_schedules")
    db.execute("set local enable_seqscan = on")
    scans = "select seq_scan from pg_stat_xact_user_tables where relname = 'integration_schedules'"
    before = one(db, scans)
    assert look(db, NOON) == (1, 0)
    assert one(db, scans) == before
    assert len(jobs_of(db, person)) == 1
