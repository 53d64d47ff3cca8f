"""What a worker may write of a lecture, and what follows when it ends."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.support import queue, rows
from tests.support.people import persona, refused
from tests.support.rows import one

Connection = psycopg.Connection[Any]
CALL = "select lecture_id from public.svc_submit_lecture(%s, %s, %s, 'video.test', %s, 'https://video.test/stream')"
TYPES = ("lecture_download", "lecture_transcription", "lecture_ingest")


def submitted(db: Connection, *people: uuid.UUID) -> uuid.UUID:
    """A new lecture that these people follow, in this order."""
    course, session = rows.catalog_course(db), str(uuid.uuid4())
    for number, person in enumerate(people):
        url = f"https://video.test/Panopto/Pages/Viewer.aspx?id={session}"
        lecture = one(db, CALL, (person, course, url, session))
        db.execute(
            "update public.user_lectures set created_at = now() + make_interval(secs => %s) where user_id = %s",
            (number, person),
        )
    made: uuid.UUID = lecture
    return made


class Lease:
    """The claimed job of a lecture's next stage."""

    def __init__(self, db: Connection, lecture: uuid.UUID) -> None:
        self.db, self.lecture = db, lecture
        [self.job] = [job for job in queue.claim(db, 100, types=TYPES) if job["payload"]["lecture_id"] == str(lecture)]

    def call(self, name: str, *arguments: Any) -> Any:
        """One of the functions of the work, under this lease."""
        given = (self.lecture, self.job["job_id"], self.job["lease_token"], *arguments)
        return one(self.db, f"select public.{name}({', '.join(['%s'] * len(given))})", given)

    def store_audio(self, seconds: int = 3600) -> Any:
        return self.call("svc_store_lecture_audio", f"audio/{self.lecture}.m4a", seconds)

    def end(self, error: str | None = None, state: str | None = None) -> Any:
        return self.call("svc_end_lecture", error, state)


def transcribed(db: Connection, lecture: uuid.UUID) -> Lease:
    """The lease of the last stage."""
    first = Lease(db, lecture)
    first.call("svc_begin_lecture")
    assert first.store_audio() == "stored"
    second = Lease(db, lecture)
    keys = f"transcripts/{lecture}.json", f"transcripts/{lecture}.vtt"
    assert second.call("svc_store_lecture_transcript", *keys) == "stored"
    return Lease(db, lecture)


def used(db: Connection, person: uuid.UUID) -> int | None:
    found: int | None = one(db, "select sum(used)::int from private.usage_counters where user_id = %s", (person,))
    return found


def notes(db: Connection, person: uuid.UUID) -> list[str]:
    return [row[0] for row in db.execute("select type::text from public.notifications where user_id = %s", (person,))]


def test_each_stage_enqueues_the_next_with_its_result(db: Connection) -> None:
    first, second = persona(db), persona(db)
    lecture = submitted(db, first, second)
    last = transcribed(db, lecture)
    assert last.job["type"] == "lecture_ingest"
    assert last.end(None, "ready") is True
    row = db.execute("select status, ingest_status from public.lectures where id = %s", (lecture,)).fetchone()
    assert row == ("completed", "ready")
    assert (notes(db, first), notes(db, second)) == (["lecture_ready"], ["lecture_ready"])
    assert (used(db, first), used(db, second)) == (60, None), "the quota of the person who came first"
    assert last.end(None, "ready") is False


def test_a_lecture_that_fails_gives_everything_back(db: Connection) -> None:
    person = persona(db)
    lecture = submitted(db, person)
    lease = Lease(db, lecture)
    lease.call("svc_begin_lecture")
    lease.store_audio(61)
    assert used(db, person) == 2
    second = Lease(db, lecture)
    second.call("svc_store_lecture_piece", 0, 1000, "m", Jsonb({"segments": []}))
    assert second.end("transcription_failed: It did not work.") is True
    assert used(db, person) == 0
    assert one(db, "select count(*) from private.lecture_pieces where lecture_id = %s", (lecture,)) == 0
    assert notes(db, person) == ["lecture_failed"]
    # the job that failed it is still live for a moment
    db.execute("select public.svc_retry_lecture(%s, %s)", (person, lecture))
    assert Lease(db, lecture).job["type"] == "lecture_download"


def test_nothing_is_written_without_the_lease(db: Connection) -> None:
    person = persona(db)
    lecture = submitted(db, person)
    lease = Lease(db, lecture)
    lease.call("svc_begin_lecture")
    queue.run_out(db, lease.job)
    queue.reap(db)
    later = Lease(db, lecture)
    assert later.job["job_id"] == lease.job["job_id"]
    assert lease.call("svc_begin_lecture") is None
    assert lease.call("svc_note_lecture_progress", "downloading", 1, 2) is False
    assert lease.store_audio() == "lost"
    assert lease.call("svc_store_lecture_piece", 0, 1, "m", Jsonb({})) is False
    assert lease.call("svc_store_lecture_transcript", "transcripts/x.json", "transcripts/x.vtt") == "lost"
    assert lease.end("internal: x") is False
    row = db.execute("select status, audio_storage_key, progress from public.lectures where id = %s", (lecture,))
    assert row.fetchone() == ("downloading", None, {})
    assert later.store_audio() == "stored"
    assert later.store_audio() == "stored", "an answer that was lost is asked for again"
    assert used(db, person) == 60


def test_a_lease_of_another_lecture_counts_for_nothing(db: Connection) -> None:
    person = persona(db)
    one_lecture, other = submitted(db, person), submitted(db, person)
    lease = Lease(db, one_lecture)
    queue.release(db, *list(queue.claim(db, 10, types=TYPES)))
    lease.lecture = other
    assert lease.store_audio() == "lost"


def test_a_deleted_lecture_is_gone_for_its_worker(db: Connection) -> None:
    person = persona(db)
    lecture = submitted(db, person)
    lease = Lease(db, lecture)
    lease.call("svc_begin_lecture")
    db.execute("delete from public.user_lectures where user_id = %s", (person,))
    assert lease.store_audio() == "gone"
    assert lease.call("svc_note_lecture_progress", "downloading", 1) is False
    assert used(db, person) is None


def test_a_job_of_a_stage_that_is_done_learns_of_the_next(db: Connection) -> None:
    person = persona(db)
    lecture = submitted(db, person)
    lease = Lease(db, lecture)
    lease.store_audio()
    stage = one(
        db,
        "select stage from public.svc_begin_lecture(%s, %s, %s)",
        (lecture, lease.job["job_id"], lease.job["lease_token"]),
    )
    assert stage == "transcription"
    again = one(db, CALL, (person, *address(db, lecture)))
    assert again == lecture
    live = "select count(*) from public.jobs where dedupe_key = %s and status in ('queued', 'running')"
    assert one(db, live, (f"lecture:{lecture}:transcription",)) == 1


def address(db: Connection, lecture: uuid.UUID) -> tuple[Any, ...]:
    row = db.execute(
        "select catalog_course_id, panopto_url, panopto_session_id from public.lectures where id = %s", (lecture,)
    ).fetchone()
    assert row is not None
    return tuple(row)


def test_a_quota_that_is_used_up_stops_the_work(db: Connection) -> None:
    person = persona(db)
    db.execute(
        "create or replace function private.usage_terms(p_user_id uuid, p_meter text)"
        " returns table (max_used bigint, period_start timestamptz, period_end timestamptz)"
        " language sql stable security definer set search_path = '' as"
        " $$ select 30::bigint, date_trunc('month', now()), date_trunc('month', now()) + interval '1 month' $$"
    )
    lease = Lease(db, submitted(db, person))
    assert lease.store_audio(31 * 60) == "over_quota"
    assert lease.store_audio(30 * 60) == "stored"
    assert used(db, person) == 30


def test_only_a_follower_tries_a_failed_lecture_again(db: Connection) -> None:
    person, stranger = persona(db), persona(db)
    lecture = submitted(db, person)
    retry = "select public.svc_retry_lecture(%s, %s)"
    refused(db, "PT409", retry, (person, lecture))
    Lease(db, lecture).end("internal: x")
    refused(db, "PT404", retry, (stranger, lecture))
    refused(db, "PT404", retry, (person, uuid.uuid4()))
    db.execute(retry, (person, lecture))
    assert one(db, "select status::text from public.lectures where id = %s", (lecture,)) == "pending"


@pytest.mark.parametrize(
    ("name", "arguments", "state"),
    [
        ("svc_note_lecture_progress", ("sleeping", 1), "22023"),
        ("svc_note_lecture_progress", (None, 1), "22004"),
        ("svc_store_lecture_audio", (None, 1), "22004"),
        ("svc_store_lecture_piece", (0, 0, "m", None), "22004"),
        ("svc_store_lecture_transcript", ("x", None), "22004"),
        ("svc_end_lecture", (None, None), "22023"),
        ("svc_end_lecture", (None, "pending"), "22023"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(
    db: Connection, name: str, arguments: tuple[Any, ...], state: str
) -> None:
    lease = Lease(db, submitted(db, persona(db)))
    given = (lease.lecture, lease.job["job_id"], lease.job["lease_token"], *arguments)
    refused(db, state, f"select public.{name}({', '.join(['%s'] * len(given))})", given)
