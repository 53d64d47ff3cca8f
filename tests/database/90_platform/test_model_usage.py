"""What calls of models used: one row a call, corrected in place, numbered by job and purpose, kept 400 days."""

from __future__ import annotations

import json
import uuid
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from tests.support.people import act_as, freeze, persona, refused
from tests.support.races import ring
from tests.support.rows import assignment, one

Connection = psycopg.Connection[Any]
RECORD = (
    "select public.svc_record_model_usage(p_job_id => %(job)s, p_user_id => %(user)s, p_purpose => %(purpose)s,"
    " p_model => 'm', p_usage_id => %(id)s, p_prompt_tokens => %(prompt)s, p_completion_tokens => %(completion)s,"
    " p_cached_tokens => %(cached)s, p_audio_seconds => %(audio)s, p_cost_usd => %(cost)s,"
    " p_is_estimated => %(estimated)s)"
)
SUM = "select row_to_json(s) from public.svc_sum_model_usage(%s, %s) as s"


def call(job: uuid.UUID | None, **given: Any) -> dict[str, Any]:
    """Arguments of a call."""
    return {
        "job": job, "user": None, "purpose": "chat_answer", "id": None, "prompt": 10, "completion": 0, "cached": 0,
        "audio": None, "cost": Decimal("0.1"), "estimated": False, **given,
    }  # fmt: skip


def test_a_call_is_recorded_before_it_is_sent_and_corrected_afterwards(db: Connection) -> None:
    job, me = uuid.uuid4(), persona(db)
    with act_as(db, None, "service_role"):
        row = one(db, RECORD, call(job, user=me, estimated=True))
        assert one(db, SUM, (job, None))["is_estimated"] is True
        for _ in range(2):
            assert one(db, RECORD, call(job, id=row, completion=7, cached=3, cost=Decimal("0.000123"))) == row
        sums = one(db, SUM, (job, "chat_answer"))
    assert sums == {
        "attempts": 1, "prompt_tokens": 10, "completion_tokens": 7, "cached_tokens": 3, "audio_seconds": None,
        "cost_usd": "0.000123", "is_estimated": False,
    }  # fmt: skip
    assert one(db, "select user_id from private.model_usage where id = %s", (row,)) == me


def test_calls_are_numbered_by_job_and_purpose_and_summed_exactly(db: Connection) -> None:
    job = uuid.uuid4()
    for purpose in ("chat_answer", "embedding", "chat_answer"):
        one(db, RECORD, call(job, purpose=purpose, cost=Decimal("0.10000000000000000001"), audio=Decimal("1.5")))
    found = db.execute("select purpose, attempt from private.model_usage where job_id = %s order by id", (job,))
    assert found.fetchall() == [("chat_answer", 1), ("embedding", 1), ("chat_answer", 2)]
    everything, answers = one(db, SUM, (job, None)), one(db, SUM, (job, "chat_answer"))
    assert (everything["attempts"], everything["cost_usd"]) == (3, "0.30000000000000000003")
    assert (answers["attempts"], answers["cost_usd"], answers["audio_seconds"]) == (2, "0.20000000000000000002", 3)


def test_one_unknown_cost_makes_the_sum_unknown_and_no_call_costs_nothing(db: Connection) -> None:
    job = uuid.uuid4()
    assert one(db, SUM, (job, None))["cost_usd"] == "0"
    one(db, RECORD, call(job))
    one(db, RECORD, call(job, cost=None))
    assert one(db, SUM, (job, None))["cost_usd"] is None


def test_calls_of_requests_have_no_job_and_no_sum(db: Connection) -> None:
    first, second = one(db, RECORD, call(None)), one(db, RECORD, call(None))
    assert first != second
    assert one(db, RECORD, call(None, id=first, prompt=11)) == first
    assert one(db, SUM, (None, None))["attempts"] == 0


def test_a_row_is_corrected_only_by_its_own_job_and_purpose(db: Connection) -> None:
    row = one(db, RECORD, call(uuid.uuid4()))
    job = one(db, "select job_id from private.model_usage where id = %s", (row,))
    for wrong in (call(uuid.uuid4(), id=row), call(job, id=row, purpose="embedding"), call(job, id=-1)):
        refused(db, "PT404", RECORD, wrong)


@pytest.mark.parametrize(
    ("state", "given"),
    [
        ("23514", {"prompt": -1}),
        ("23514", {"cached": 11}),
        ("22003", {"cost": Decimal("-0.1")}),
        ("22003", {"cost": Decimal("Infinity")}),
        ("22003", {"cost": Decimal("NaN")}),
        ("22003", {"audio": Decimal("NaN")}),
        ("23514", {"purpose": "Chat answer"}),
        ("22004", {"purpose": None}),
        ("22004", {"estimated": None}),
    ],
)
def test_nonsense_is_refused(db: Connection, state: str, given: dict[str, Any]) -> None:
    refused(db, state, RECORD, call(uuid.uuid4(), **given))


def test_the_record_outlives_the_person(db: Connection) -> None:
    job, me = uuid.uuid4(), persona(db)
    row = one(db, RECORD, call(job, user=me))
    db.execute("delete from auth.users where id = %s", (me,))
    assert one(db, "select user_id is null from private.model_usage where id = %s", (row,))
    assert one(db, RECORD, call(job, user=me)), "a job that still runs is recorded, too"


def test_the_record_is_kept_400_days(db: Connection) -> None:
    freeze(db, "2031-06-15T12:00:00Z")
    old, kept = one(db, RECORD, call(uuid.uuid4())), one(db, RECORD, call(uuid.uuid4()))
    for row, age in ((old, "400 days 1 minute"), (kept, "399 days")):
        db.execute("update private.model_usage set at = private.clock() - %s::interval where id = %s", (age, row))
    counts = json.loads(one(db, "select public.svc_purge_expired()::text"))
    assert counts["model_usage"] >= 1, "calls of other tests are as old"
    found = db.execute("select id from private.model_usage where id = any (%s)", ([old, kept],)).fetchall()
    assert found == [(kept,)]


def test_calls_at_the_same_moment_have_numbers_of_their_own(db_url: str) -> None:
    job = uuid.uuid4()
    with ring(db_url) as race:
        first, second = race.session(), race.session()
        rows = [one(first, RECORD, call(job))]
        waiting = race.start(second, RECORD, call(job))
        race.wait_until_blocked(second)
        first.commit()
        rows += waiting.result(timeout=60)
        for row in rows:
            race.clean_up("private.model_usage", row)
        numbers = race.owner.execute("select attempt from private.model_usage where id = any (%s) order by id", (rows,))
        assert numbers.fetchall() == [(1,), (2,)]


def test_a_cancelled_headstart_knows_what_its_calls_used(db: Connection) -> None:
    me = persona(db)
    start = "select run_id, job_id from public.svc_start_headstart_run(%s, %s, 'manual')"
    run, job = db.execute(start, (me, assignment(db, me))).fetchone() or (None, None)
    one(db, RECORD, call(job, user=me, purpose="headstart", completion=5, estimated=True))
    db.execute("select public.svc_cancel_headstart_run(%s, %s)", (run, me))
    metrics = one(db, "select metrics from public.headstart_runs where id = %s", (run,))
    assert (metrics["prompt_tokens"], metrics["completion_tokens"], metrics["cost_usd"]) == (10, 5, "0.1")
    assert metrics["usage_estimated"] is True
