"""What a worker may write of a review, and what follows when it ends."""

from __future__ import annotations

import json
import uuid
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.support import queue
from tests.support.people import act_as, freeze, persona, refused
from tests.support.rows import insert, one
from tests.support.usage import limit

Connection = psycopg.Connection[Any]
SHA = "0123456789abcdef0123456789abcdef01234567"
KEY = "ab" * 32
NOTES = {
    "repository_url": "https://github.com/a/b",
    "analysis_summary": "Fine.",
    "code_quality_score": 80,
    "recommendations": [{"file": "a.py", "line": 1, "text": "Test it."}],
    "technical_debt_items": [],
    "best_practices_followed": ["Small parts.", "Tests."],
    "areas_for_improvement": [],
}


def column(db: Connection, name: str, review: uuid.UUID) -> Any:
    """A column of a review, or an expression of its columns."""
    return one(db, f"select {name} from public.reviews where id = %s", (review,))


class Work:
    """A review whose job is claimed."""

    def __init__(self, db: Connection, user_id: uuid.UUID, **columns: Any) -> None:
        self.db = db
        asked = {"user_id": user_id, "github_url": "https://github.com/a/b"}
        self.review = insert(db, "public.reviews", asked, columns)
        self.claim()

    def claim(self) -> None:
        """Takes the review's job."""
        jobs = queue.claim(self.db, 100, types=("code_review",))
        [self.job] = [job for job in jobs if job["payload"]["review_id"] == str(self.review)]
        self.lease: tuple[Any, ...] = (self.review, self.job["job_id"], self.job["lease_token"])

    def call(self, name: str, *arguments: Any) -> Any:
        """One of the functions of the work, under this lease."""
        given = (*self.lease, *arguments)
        row = self.db.execute(f"select * from public.{name}({', '.join(['%s'] * len(given))})".encode(), given)
        found = row.fetchone()
        return found[0] if found and len(found) == 1 else found

    def finish(self) -> Any:
        result = Jsonb({"commit_sha": SHA, "score": 80})
        return self.call("svc_finish_review", result, Jsonb({"attempts": 1}), Jsonb(NOTES))

    def status(self) -> Any:
        return column(self.db, "status::text", self.review)


def week(db: Connection, user_id: uuid.UUID) -> uuid.UUID:
    dates = {"start_date": "2026-11-02", "end_date": "2026-11-08"}
    return insert(db, "public.weeks", {"user_id": user_id, "week_number": 1, **dates})


def test_a_review_is_begun_kept_and_finished_under_its_lease(db: Connection) -> None:
    me = persona(db)
    mine = week(db, me)
    work = Work(db, me, week_id=mine, depth="deep")
    assert (work.job["user_id"], work.job["week_id"], work.job["timeout_s"]) == (me, None, 3600)
    assert work.call("svc_begin_review") == ("https://github.com/a/b", "deep", None)
    assert work.status() == "running"
    assert work.call("svc_note_review_commit", SHA) is True
    assert work.call("svc_begin_review") == ("https://github.com/a/b", "deep", SHA)
    for summary in ("first", "second"):
        assert work.call("svc_store_review_part", KEY, Jsonb({"summary": summary})) is True
    parts = db.execute("select key, result from public.svc_list_review_parts(%s)", (work.review,)).fetchall()
    assert parts == [(KEY, {"summary": "second"})]
    assert work.finish() is True
    assert work.status() == "completed"
    assert column(db, "metrics", work.review) == {"attempts": 1}
    written = "select code_quality_score, best_practices_followed, content ->> 'review_id' from public.engineer_notes"
    rows = db.execute(f"{written} where week_id = %s".encode(), (mine,)).fetchall()
    assert rows == [(80, ["Small parts.", "Tests."], str(work.review))]
    assert db.execute("select * from public.svc_list_review_parts(%s)", (work.review,)).fetchall() == []
    # a worker that was believed dead
    assert work.finish() is False
    assert work.call("svc_begin_review") is None
    assert one(db, "select count(*) from public.engineer_notes where week_id = %s", (mine,)) == 1


def test_nothing_is_written_without_the_lease(db: Connection) -> None:
    me = persona(db)
    work, other = Work(db, me), Work(db, me)
    work.call("svc_begin_review")
    for lease in (
        (work.review, work.job["job_id"], uuid.uuid4()),
        (work.review, other.job["job_id"], other.job["lease_token"]),
        (uuid.uuid4(), work.job["job_id"], work.job["lease_token"]),
    ):
        work.lease = lease
        assert work.call("svc_begin_review") is None
        assert work.call("svc_note_review_commit", SHA) is False
        assert work.call("svc_store_review_part", KEY, Jsonb({})) is False
        assert work.finish() is False
        assert work.call("svc_fail_review", "internal: x") is False
    assert work.status() == "running"
    assert column(db, "commit_sha", work.review) is None


def test_the_week_of_a_review_goes_and_its_notes_are_not_written(db: Connection) -> None:
    me = persona(db)
    mine = week(db, me)
    work = Work(db, me, week_id=mine)
    work.call("svc_begin_review")
    db.execute("delete from public.weeks where id = %s", (mine,))
    assert one(db, "select status::text from public.jobs where id = %s", (work.job["job_id"],)) == "running"
    assert work.finish() is True
    assert work.status() == "completed"
    assert one(db, "select count(*) from public.engineer_notes where week_id = %s", (mine,)) == 0


def test_a_failed_review_is_tried_again_by_its_owner_alone(db: Connection) -> None:
    me, other = persona(db), persona(db)
    work = Work(db, me)
    retry = "select outcome, job_id from public.svc_retry_review(%s, %s)"
    refused(db, "PT409", retry, (me, work.review))
    work.call("svc_note_review_commit", SHA)
    work.call("svc_store_review_part", KEY, Jsonb({}))
    # also one that was never begun
    assert work.call("svc_fail_review", "repository_not_found: It is gone.") is True
    assert work.status() == "failed"
    assert column(db, "error_message", work.review) == "repository_not_found: It is gone."
    refused(db, "PT404", retry, (other, work.review))
    refused(db, "PT404", retry, (me, uuid.uuid4()))
    # its job has not ended yet, and is not joined
    again = db.execute(retry, (me, work.review)).fetchall()
    assert [outcome for outcome, _ in again] == ["queued"]
    assert again[0][1] != work.job["job_id"]
    state = "(status, commit_sha, error_message)::text"
    assert column(db, state, work.review) == "(pending,,)"
    assert work.call("svc_begin_review") is None, "the review belongs to the new job"
    assert db.execute("select * from public.svc_list_review_parts(%s)", (work.review,)).fetchall() == []


def used(db: Connection, user_id: uuid.UUID) -> Any:
    counted = (
        "select coalesce(sum(used), 0)::int from private.usage_counters where user_id = %s and meter = 'code_reviews'"
    )
    return one(db, counted, (user_id,))


def told(db: Connection, user_id: uuid.UUID) -> list[tuple[Any, ...]]:
    rows = "select type::text, event_key, payload from public.notifications where user_id = %s order by created_at"
    return db.execute(rows.encode(), (user_id,)).fetchall()


def test_a_review_counts_once_and_is_told_once_however_often_its_job_runs(db: Connection) -> None:
    freeze(db, "2030-01-31T23:59:00Z")
    me = persona(db)
    mine = week(db, me)
    work = Work(db, me, week_id=mine)
    assert used(db, me) == 1
    for _ in range(2):
        work.call("svc_begin_review")
    assert work.finish() is True
    assert work.finish() is False
    ready = ("review_ready", f"review_ready:{work.review}", {"review_id": str(work.review), "week_id": str(mine)})
    assert (used(db, me), told(db, me)) == (1, [ready])
    # one that fails gives back what it took, in the month in which it took it
    other = Work(db, me)
    assert used(db, me) == 2
    freeze(db, "2030-02-01T00:01:00Z")
    other.call("svc_begin_review")
    assert other.call("svc_fail_review", "internal: x") is True
    assert other.call("svc_fail_review", "internal: x") is False
    assert (used(db, me), told(db, me)) == (1, [ready])
    # and is counted anew, in the new month, when it is tried again
    db.execute("select * from public.svc_retry_review(%s, %s)", (me, other.review))
    assert one(db, "select count(*) from private.usage_counters where user_id = %s and used = 1", (me,)) == 2
    # the sweep of reviews whose job is gone gives back, too
    db.execute("delete from public.jobs where user_id = %s", (me,))
    db.execute("alter table public.reviews disable trigger trg_reviews_updated_at")
    db.execute("update public.reviews set updated_at = '2030-01-01' where id = %s", (other.review,))
    assert one(db, "select public.svc_sweep_generations()") >= 1
    assert (other.status(), used(db, me)) == ("failed", 1)
    # nothing comes back of a review that its person deletes in mid-work
    last = Work(db, me)
    db.execute("delete from public.reviews where id = %s", (last.review,))
    assert used(db, me) == 2
    assert one(db, "select count(*) from private.review_charges") == 0


def test_a_quota_that_is_used_up_makes_no_review(db: Connection) -> None:
    freeze(db, "2030-01-31T23:59:00Z")
    me = persona(db)
    mine = week(db, me)
    limit(db, 1)
    with act_as(db, me):
        ask = "insert into public.reviews (github_url) values ('https://github.com/a/b')"
        db.execute(ask)
        with pytest.raises(psycopg.Error) as caught, db.transaction():
            db.execute(ask)
    said, how = json.loads(caught.value.diag.message_primary or ""), json.loads(caught.value.diag.message_detail or "")
    assert said["code"] == "plan_limit_reached"
    assert json.loads(said["details"]) == {"meter": "code_reviews", "used": 1, "limit": 1}
    assert how == {"status": 429, "headers": {"Retry-After": "60"}}
    begin = "select outcome, used, max_used, job_id from public.svc_begin_week_notes(%s, %s, '{engineer}', %s)"
    assert db.execute(begin, (mine, me, "https://github.com/a/b")).fetchall() == [("limit", 1, 1, None)]
    assert one(db, "select count(*) from public.reviews where user_id = %s", (me,)) == 1
    # a failed one gives its own back, and may be tried again as long as that is free
    reviewed = one(db, "select id from public.reviews where user_id = %s", (me,))
    retry = "select outcome, used, max_used, job_id is null from public.svc_retry_review(%s, %s)"
    for status in ("running", "failed"):
        db.execute("update public.reviews set status = %s where id = %s", (status, reviewed))
    with act_as(db, me):
        db.execute(ask)
    assert db.execute(retry, (me, reviewed)).fetchall() == [("limit", 1, 1, True)]
    assert column(db, "status::text", reviewed) == "failed"
    assert used(db, me) == 1


def test_arguments_and_callers(db: Connection) -> None:
    work = Work(db, persona(db))
    for name, given in (
        ("svc_note_review_commit", (None,)),
        ("svc_store_review_part", (KEY, None)),
        ("svc_fail_review", (None,)),
        ("svc_finish_review", (Jsonb({}), None, Jsonb({}))),
    ):
        with pytest.raises(psycopg.errors.NullValueNotAllowed), db.transaction():
            work.call(name, *given)
    with act_as(db, persona(db)):
        refused(db, "42501", "select public.svc_retry_review(%s, %s)", (uuid.uuid4(), work.review))
