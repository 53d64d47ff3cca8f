"""What a worker may write of a review, and what follows when it ends."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.support import queue
from tests.support.people import act_as, persona, refused
from tests.support.rows import insert, one

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
    retry = "select public.svc_retry_review(%s, %s)"
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
    job = one(db, retry, (me, work.review))
    assert job != work.job["job_id"]
    state = "(status, commit_sha, error_message)::text"
    assert column(db, state, work.review) == "(pending,,)"
    assert work.call("svc_begin_review") is None, "the review belongs to the new job"
    assert db.execute("select * from public.svc_list_review_parts(%s)", (work.review,)).fetchall() == []


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
