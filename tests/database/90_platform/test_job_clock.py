"""What the clock and outside systems decide: schedules in their time zones, provider buckets and pauses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from tests.support.people import freeze, refused
from tests.support.queue import TYPE, claim, complete, enqueue, one, rows

Connection = psycopg.Connection[Any]
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def noon(db: Connection) -> None:
    """Time stands still; no other job, schedule or bucket is in the way."""
    freeze(db, NOON.isoformat())
    db.execute("delete from public.jobs")
    db.execute("delete from private.job_schedules")
    db.execute("delete from private.provider_buckets")


def at(moment: str) -> datetime:
    """A moment in UTC."""
    return datetime.fromisoformat(moment).replace(tzinfo=UTC)


# ---- schedules -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cron", "tz", "after", "due"),
    [
        ("* * * * *", "UTC", "2026-03-02 12:00", "2026-03-02 12:01"),
        ("*/15 * * * *", "UTC", "2026-03-02 12:14", "2026-03-02 12:15"),
        ("5/20 * * * *", "UTC", "2026-03-02 12:26", "2026-03-02 12:45"),
        ("0 9-17/4 * * 1-5", "UTC", "2026-03-06 17:00", "2026-03-09 09:00"),
        ("0 0 1,15 * *", "UTC", "2026-03-02 12:00", "2026-03-15 00:00"),
        ("0 0 * * 7", "UTC", "2026-03-02 12:00", "2026-03-08 00:00"),
        ("0 0 29 2 *", "UTC", "2026-03-02 12:00", "2028-02-29 00:00"),
        # both days given: either will do
        ("0 0 13 * 5", "UTC", "2026-03-02 12:00", "2026-03-06 00:00"),
        # 8 o'clock stays 8 o'clock when summer time begins (8 March) and ends (1 November)
        ("0 8 * * *", "America/New_York", "2026-03-07 14:00", "2026-03-08 12:00"),
        ("0 8 * * *", "America/New_York", "2026-03-06 14:00", "2026-03-07 13:00"),
        ("0 8 * * *", "America/New_York", "2026-10-31 13:00", "2026-11-01 13:00"),
        # 02:30 does not exist on 8 March: it comes at 03:30
        ("30 2 * * *", "America/New_York", "2026-03-07 12:00", "2026-03-08 07:30"),
        # 01:30 exists twice on 1 November: it comes once
        ("30 1 * * *", "America/New_York", "2026-10-31 12:00", "2026-11-01 06:30"),
        ("30 1 * * *", "America/New_York", "2026-11-01 06:30", "2026-11-02 06:30"),
        # an interval runs through both turns of that hour
        ("*/15 * * * *", "America/New_York", "2026-11-01 04:45", "2026-11-01 05:00"),
        ("*/15 * * * *", "America/New_York", "2026-11-01 05:45", "2026-11-01 06:00"),
        ("0 * * * *", "America/New_York", "2026-11-01 05:00", "2026-11-01 06:00"),
        # and over the hour that does not exist
        ("*/15 * * * *", "America/New_York", "2026-03-08 06:45", "2026-03-08 07:00"),
        ("*/15 * * * *", "America/New_York", "2026-03-08 07:00", "2026-03-08 07:15"),
    ],
)
def test_the_next_due_moment(db: Connection, cron: str, tz: str, after: str, due: str) -> None:
    assert one(db, "select private.cron_next(%s, %s, %s)", (cron, tz, at(after))) == at(due)


@pytest.mark.parametrize(
    "cron",
    ["", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "5-1 * * * *",
     "*/0 * * * *", "a * * * *", "-1 * * * *", "0 0 30 2 *", "@daily"],
)  # fmt: skip
def test_lines_that_are_never_due_are_refused(db: Connection, cron: str) -> None:
    refused(
        db,
        "22023",
        "insert into private.job_schedules (name, cron, next_run_at, type) values ('x', %s, now(), 'stats_refresh')",
        (cron,),
    )


def schedule(db: Connection, catch_up: str = "one", cron: str = "0 * * * *", tz: str = "UTC") -> None:
    """A schedule for hourly jobs whose next moment is noon."""
    db.execute(
        "insert into private.job_schedules (name, cron, tz, next_run_at, type, payload, catch_up)"
        " values ('hourly', %s, %s, %s, %s, '{\"a\": 1}', %s)",
        (cron, tz, NOON, TYPE, catch_up),
    )


def tick(db: Connection) -> int:
    """``svc_tick_schedules``."""
    return int(one(db, "select public.svc_tick_schedules()"))


def test_a_due_moment_comes_once(db: Connection) -> None:
    schedule(db)
    freeze(db, (NOON - timedelta(seconds=1)).isoformat())
    assert tick(db) == 0
    freeze(db, NOON.isoformat())
    assert tick(db) == 1
    assert tick(db) == 0
    [claimed] = claim(db)
    assert (claimed["type"], claimed["payload"], claimed["user_id"]) == (TYPE, {"a": 1}, None)
    complete(db, claimed)
    freeze(db, (NOON + timedelta(hours=1)).isoformat())
    assert tick(db) == 1
    assert len(claim(db)) == 1


@pytest.mark.parametrize(("catch_up", "first", "further"), [("skip", 0, 0), ("one", 1, 0), ("all", 1, 5)])
def test_what_was_missed(db: Connection, catch_up: str, first: int, further: int) -> None:
    schedule(db, catch_up)
    freeze(db, (NOON + timedelta(hours=5, minutes=10)).isoformat())
    assert tick(db) == first
    assert sum(tick(db) for _ in range(10)) == further
    assert len(claim(db)) == first + further
    assert one(db, "select next_run_at from private.job_schedules") == NOON + timedelta(hours=6)


def test_a_day_in_new_york_has_one_eight_o_clock(db: Connection) -> None:
    schedule(db, cron="0 8 * * *", tz="America/New_York")
    moments = []
    moment = at("2026-03-05 00:00")
    db.execute("update private.job_schedules set next_run_at = '2026-03-05 13:00+00'")
    for _ in range(6 * 24):
        freeze(db, moment.isoformat())
        if tick(db):
            moments.append(moment.astimezone(ZoneInfo("America/New_York")))
        moment += timedelta(hours=1)
    assert [local.hour for local in moments] == [8] * 6
    assert len({local.date() for local in moments}) == 6


@pytest.mark.parametrize("cron", ["*/15 * * * *", "0-59/15 * * * *", "*/15 0-23 * * *"])
@pytest.mark.parametrize(
    ("tz", "from_"),
    [
        ("America/New_York", "2026-10-31 22:00"),
        ("Europe/Berlin", "2026-10-24 18:00"),
        ("Europe/Dublin", "2026-10-24 18:00"),
        # half an hour, and two hours
        ("Australia/Lord_Howe", "2026-04-04 08:00"),
        ("Antarctica/Troll", "2026-10-24 18:00"),
        ("America/New_York", "2026-03-07 22:00"),
        ("Europe/Berlin", "2026-03-28 18:00"),
        ("Australia/Lord_Howe", "2026-10-03 08:00"),
        ("UTC", "2026-10-31 22:00"),
    ],
)
def test_every_quarter_of_an_hour_is_that_in_the_nights_the_clocks_change(
    db: Connection, cron: str, tz: str, from_: str
) -> None:
    schedule(db, "all", cron=cron, tz=tz)
    moment = at(from_)
    offsets = set()
    db.execute("update private.job_schedules set next_run_at = %s", (moment,))
    for _ in range(16 * 4):
        offsets.add(moment.astimezone(ZoneInfo(tz)).utcoffset())
        freeze(db, moment.isoformat())
        assert (tick(db), tick(db)) == (1, 0)
        moment += timedelta(minutes=15)
    assert one(db, "select next_run_at from private.job_schedules") == moment
    assert one(db, "select count(*) from public.jobs") == 16 * 4
    assert (len(offsets) == 2) is (tz != "UTC")


# ---- providers -------------------------------------------------------------------------------------------------


def bucket(db: Connection, tokens: float, refill_per_s: float = 2, capacity: float = 10) -> None:
    """A bucket for the provider ``p``."""
    db.execute(
        "insert into private.provider_buckets (provider, tokens, capacity, refill_per_s, refilled_at)"
        " values ('p', %s, %s, %s, private.clock())",
        (tokens, capacity, refill_per_s),
    )


def test_a_bucket_hands_out_its_tokens_and_what_comes_back_in_a_second(db: Connection) -> None:
    bucket(db, tokens=3, refill_per_s=2)
    for _ in range(8):
        enqueue(db, provider="p")
    free = enqueue(db)
    claimed = claim(db)
    with_provider = [row for row in claimed if row["job_id"] != free.job_id]
    assert [row["provider_wait_ms"] for row in with_provider] == [0, 0, 0, 500, 1000]
    assert [row["provider_wait_ms"] for row in claimed if row["job_id"] == free.job_id] == [0]
    assert claim(db) == []
    complete(db, *claimed)
    freeze(db, (NOON + timedelta(seconds=1)).isoformat())
    claimed = claim(db)
    assert [row["provider_wait_ms"] for row in claimed] == [500, 1000]
    complete(db, *claimed)
    freeze(db, (NOON + timedelta(seconds=100)).isoformat())
    [last] = claim(db)
    assert last["provider_wait_ms"] == 0
    assert float(one(db, "select tokens from private.provider_buckets")) == 9


def test_an_empty_bucket_does_not_hold_up_others(db: Connection) -> None:
    bucket(db, tokens=0, refill_per_s=0.1)
    for _ in range(20):
        enqueue(db, provider="p", priority=5)
    others = {enqueue(db, provider="q").job_id, enqueue(db).job_id}
    assert {row["job_id"] for row in claim(db, 5)} == others


def test_a_provider_without_a_bucket_has_no_limit(db: Connection) -> None:
    for _ in range(50):
        enqueue(db, provider="q")
    assert [row["provider_wait_ms"] for row in claim(db, 100)] == [0] * 50


def test_a_paused_provider_waits(db: Connection) -> None:
    paused, other = enqueue(db, provider="p"), enqueue(db, provider="q")
    db.execute("select public.svc_pause_provider('p', 30)")
    assert [row["job_id"] for row in claim(db)] == [other.job_id]
    # a shorter pause does not cut a longer one
    db.execute("select public.svc_pause_provider('p', 1)")
    freeze(db, (NOON + timedelta(seconds=29)).isoformat())
    assert claim(db) == []
    freeze(db, (NOON + timedelta(seconds=30)).isoformat())
    [claimed] = claim(db)
    assert claimed["job_id"] == paused.job_id
    complete(db, claimed)


def test_a_pause_can_be_ended(db: Connection) -> None:
    bucket(db, tokens=5)
    enqueue(db, provider="p")
    db.execute("select public.svc_pause_provider('p', 3600)")
    assert claim(db) == []
    db.execute("select public.svc_pause_provider('p', 0)")
    assert len(claim(db)) == 1
    # its limit is what it was
    assert [row["capacity"] for row in rows(db, "select capacity from private.provider_buckets")] == [10]


def test_a_claim_takes_tokens_of_each_provider(db: Connection) -> None:
    for name in "ab":
        db.execute("insert into private.provider_buckets values (%s, 2, 2, 1, private.clock())", (name,))
        for _ in range(4):
            enqueue(db, provider=name)
    assert sorted(row["provider_wait_ms"] for row in claim(db)) == [0, 0, 0, 0, 1000, 1000]
    assert rows(db, "select provider, tokens::int from private.provider_buckets order by 1") == [
        {"provider": "a", "tokens": -1},
        {"provider": "b", "tokens": -1},
    ]


@pytest.mark.parametrize(
    ("arguments", "sqlstate"),
    [
        ("null, 1", "22004"),
        ("'p', null", "22004"),
        ("'p', -1", "22003"),
        ("'p', 1e9", "22003"),
        ("'p', 'NaN'", "22023"),
        ("'p', 'infinity'", "22023"),
        ("'p', '-infinity'", "22023"),
    ],
)
def test_bad_pauses_are_refused(db: Connection, arguments: str, sqlstate: str) -> None:
    refused(db, sqlstate, f"select public.svc_pause_provider({arguments})")
