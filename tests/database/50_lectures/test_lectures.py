"""Lectures live as long as somebody follows them, documents as long as their owner keeps them."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import pytest

from tests.support import rows
from tests.support.machines import outcomes
from tests.support.people import act_as, persona, refused
from tests.support.races import ring
from tests.support.rows import one

Connection = psycopg.Connection[Any]

HOST = "video.test"
CALL = "select lecture_id, created from public.svc_submit_lecture(%s, %s, %s, %s, %s, %s)"
SUBMIT = (
    f"select lecture_id, created from public.svc_submit_lecture(%s, %s, %s, '{HOST}', %s, 'https://video.test/stream')"
)
VIEWER = "https://video.test/Panopto/Pages/Viewer.aspx"
STREAM = "https://video.test/stream"


def queued(db: Connection, *keys: str) -> set[str]:
    found = db.execute("select storage_key from private.storage_deletions where storage_key = any(%s)", (list(keys),))
    return {row[0] for row in found}


def exists(db: Connection, lecture: uuid.UUID) -> bool:
    return bool(one(db, "select exists (select from public.lectures where id = %s)", (lecture,)))


def follow(db: Connection, person: uuid.UUID, lecture: uuid.UUID) -> None:
    db.execute("insert into public.user_lectures (user_id, lecture_id) values (%s, %s)", (person, lecture))


def stored(db: Connection, lecture: uuid.UUID) -> tuple[str, str]:
    """Brings a lecture to downloading with both files written; their keys."""
    audio, transcript = f"audio/{lecture}.m4a", f"transcripts/{lecture}.json"
    db.execute("update public.lectures set status = 'downloading' where id = %s", (lecture,))
    db.execute(
        "update public.lectures set audio_storage_key = %s, transcript_storage_key = %s where id = %s",
        (audio, transcript, lecture),
    )
    return audio, transcript


def test_states_of_a_lecture(db: Connection) -> None:
    births, changes = outcomes(
        db, "lectures", ["pending", "downloading", "completed", "failed"], lambda state: rows.lecture(db, status=state)
    )
    assert births == {"pending"}
    assert changes == {
        "pending>downloading",
        "pending>failed",
        "downloading>completed",
        "downloading>failed",
        "completed>failed",
        "failed>pending",
    }


def document(db: Connection, owner: uuid.UUID, **columns: Any) -> uuid.UUID:
    given = {
        "owner_id": owner,
        "catalog_course_id": columns.pop("catalog_course_id", None) or rows.catalog_course(db),
        "filename": "notes.pdf",
        "storage_key": f"documents/{uuid.uuid4()}.pdf",
        "checksum": uuid.uuid4().hex * 2,
        "mime_type": "application/pdf",
        "size_bytes": 10,
    }
    return rows.insert(db, "public.documents", given, columns)


def test_states_of_a_document(db: Connection) -> None:
    person = persona(db)
    births, changes = outcomes(
        db, "documents", ["uploaded", "failed"], lambda state: document(db, person, status=state)
    )
    assert births == {"uploaded", "failed"}
    assert changes == {"uploaded>failed", "failed>uploaded"}


def test_a_failed_lecture_keeps_no_files(db: Connection) -> None:
    lecture = rows.lecture(db)
    audio, transcript = stored(db, lecture)
    db.execute("update public.lectures set status = 'failed', error_message = 'No sound' where id = %s", (lecture,))
    kept = "select audio_storage_key, transcript_storage_key, error_message from public.lectures where id = %s"
    assert db.execute(kept, (lecture,)).fetchone() == (None, None, "No sound")
    assert queued(db, audio, transcript) == {audio, transcript}
    db.execute("update public.lectures set status = 'pending' where id = %s", (lecture,))
    assert db.execute(kept, (lecture,)).fetchone() == (None, None, None)


def test_a_completed_lecture_keeps_them_until_it_goes(db: Connection) -> None:
    lecture = rows.lecture(db)
    audio, transcript = stored(db, lecture)
    db.execute("update public.lectures set status = 'completed' where id = %s", (lecture,))
    assert queued(db, audio, transcript) == set()
    db.execute("delete from public.lectures where id = %s", (lecture,))
    assert queued(db, audio, transcript) == {audio, transcript}


@pytest.mark.parametrize(
    "columns",
    [
        {"panopto_url": "http://video.test/x"},
        {"stream_url": "ftp://video.test/x"},
        {"stream_url": "http://localhost.video.test/x"},
        {"panopto_host": "Video.test"},
        {"progress": "[]"},
        {"duration_seconds": -1},
        {"error_message": "x" * 501},
    ],
    ids=["url", "stream", "loopback", "host", "progress", "duration", "error"],
)
def test_values_that_make_no_sense_are_refused(db: Connection, columns: dict[str, Any]) -> None:
    with pytest.raises(psycopg.errors.CheckViolation), db.transaction():
        rows.lecture(db, **columns)


def test_the_last_link_takes_the_lecture_along(db: Connection) -> None:
    first, second, lecture = persona(db), persona(db), rows.lecture(db)
    follow(db, first, lecture)
    follow(db, second, lecture)
    keys = stored(db, lecture)
    with act_as(db, first):
        assert db.execute("delete from public.user_lectures").rowcount == 1
        assert one(db, "select count(*) from public.lectures where id = %s", (lecture,)) == 0, "no link, no sight"
    assert exists(db, lecture)
    db.execute("delete from auth.users where id = %s", (second,))
    assert not exists(db, lecture)
    assert queued(db, *keys) == set(keys)


def test_people_see_the_lectures_they_follow(db: Connection) -> None:
    person, other, lecture = persona(db), persona(db), rows.lecture(db)
    follow(db, person, lecture)
    with act_as(db, person):
        assert [row[0] for row in db.execute("select id from public.lectures")] == [lecture]
        refused(db, "42501", "update public.lectures set title = 'x'")
        refused(db, "42501", "delete from public.lectures")
        refused(db, "42501", "update public.user_lectures set lecture_id = lecture_id")
    for reader, role in [(other, "authenticated"), (persona(db, "admin"), "app_admin")]:
        with act_as(db, reader, role):
            assert one(db, "select count(*) from public.lectures") == 0
            assert one(db, "select count(*) from public.user_lectures") == 0
            refused(db, "42501", "insert into public.user_lectures values (%s, %s)", (reader, lecture))
            assert db.execute("delete from public.user_lectures").rowcount == 0
    assert exists(db, lecture)


def test_submitting_links_and_enqueues_once(db: Connection) -> None:
    first, second, course = persona(db), persona(db), rows.catalog_course(db)
    with act_as(db, None, "service_role"):
        made = db.execute(SUBMIT, (first, course, f"{VIEWER}?a=1&id=abc-1&start=5", "ABC-1 ")).fetchone()
        assert made is not None
        assert made[1] is True
        again = [db.execute(SUBMIT, (who, course, f"{VIEWER}?id=abc-1", "abc-1")).fetchone() for who in (first, second)]
    assert again == [(made[0], False)] * 2
    session = one(db, "select panopto_session_id from public.lectures where id = %s", (made[0],))
    assert session == "abc-1"
    links = db.execute("select user_id from public.user_lectures where lecture_id = %s", (made[0],)).fetchall()
    assert {row[0] for row in links} == {first, second}
    jobs = db.execute(
        "select j.type, j.dedupe_key, r.payload from public.jobs as j join private.job_runtime as r on r.job_id = j.id"
        " where j.user_id is null and r.payload ->> 'lecture_id' = %s",
        (str(made[0]),),
    ).fetchall()
    assert jobs == [("lecture_download", f"lecture:{made[0]}", {"lecture_id": str(made[0])})]


def test_without_a_session_the_address_is_the_key(db: Connection) -> None:
    person, course = persona(db), rows.catalog_course(db)
    made = one(db, SUBMIT, (person, course, f"{VIEWER}?other=1", None))
    assert one(db, SUBMIT, (person, course, f"{VIEWER}?other=1", None)) == made
    assert one(db, SUBMIT, (person, course, f"{VIEWER}?other=2", None)) != made
    assert one(db, SUBMIT, (person, course, f"{VIEWER}#id=abc", None)) != made
    assert one(db, SUBMIT, (person, rows.catalog_course(db), f"{VIEWER}?other=1", None)) != made
    sessions = db.execute(
        "select distinct panopto_session_id from public.lectures as l join public.user_lectures as u"
        " on u.lecture_id = l.id where u.user_id = %s",
        (person,),
    ).fetchall()
    assert sessions == [(None,)]


def test_a_failed_lecture_is_tried_again_and_a_stored_one_is_not(db: Connection) -> None:
    person, course = persona(db), rows.catalog_course(db)
    lecture = one(db, SUBMIT, (person, course, f"{VIEWER}?id=s1", "s1"))
    stored(db, lecture)
    key = f"lecture:{lecture}"
    db.execute("update public.jobs set status = 'running' where dedupe_key = %s", (key,))
    db.execute("update public.jobs set status = 'failed' where dedupe_key = %s", (key,))
    db.execute("update public.lectures set status = 'failed', error_message = 'x' where id = %s", (lecture,))
    db.execute(CALL, (person, course, f"{VIEWER}?id=s1", HOST, "s1", f"{STREAM}/new"))
    row = db.execute("select status, stream_url from public.lectures where id = %s", (lecture,)).fetchone()
    assert row == ("pending", f"{STREAM}/new")
    live = "select count(*) from public.jobs where dedupe_key = %s and status = 'queued'"
    assert one(db, live, (key,)) == 1
    db.execute("update public.jobs set status = 'cancelled' where dedupe_key = %s and status = 'queued'", (key,))
    for status in ("downloading", "completed"):
        db.execute("update public.lectures set status = %s where id = %s", (status, lecture))
    db.execute(SUBMIT, (person, course, f"{VIEWER}?id=s1", "s1"))
    assert one(db, live, (key,)) == 0


def test_the_same_session_at_another_host_is_another_lecture(db: Connection) -> None:
    person, course = persona(db), rows.catalog_course(db)
    made = one(db, CALL, (person, course, f"{VIEWER}?id=s1", "video.test", "s1", STREAM))
    for same in ("VIDEO.test", " video.test:443", "video.test."):
        assert one(db, CALL, (person, course, f"{VIEWER}?id=s1", same, "S1", STREAM)) == made
    for other in ("other.test", "video.test:8443"):
        assert one(db, CALL, (person, course, f"https://{other}/?id=s1", other, "s1", STREAM)) != made


def test_bad_submissions(db: Connection) -> None:
    person, course = persona(db), rows.catalog_course(db)
    for url, stream in (
        ("http://video.test/x", STREAM),
        ("http://localhost.video.test/x", STREAM),
        ("http://127.0.0.1@video.test/x", STREAM),
        (VIEWER, "http://video.test/x"),
    ):
        refused(db, "22023", CALL, (person, course, url, HOST, "s1", stream))
    for host in ("", "video test", "video.test/x", "user@video.test"):
        refused(db, "22023", CALL, (person, course, VIEWER, host, "s1", STREAM))
    refused(db, "22004", CALL, (person, course, VIEWER, HOST, "s1", None))
    refused(db, "22004", CALL, (person, course, VIEWER, None, "s1", STREAM))
    refused(db, "PT404", CALL, (uuid.uuid4(), course, VIEWER, HOST, "s1", STREAM))
    refused(db, "PT404", CALL, (person, uuid.uuid4(), VIEWER, HOST, "s1", STREAM))
    for role in ("anon", "authenticated", "app_admin"):
        with act_as(db, person, role):
            refused(db, "42501", CALL, (person, course, VIEWER, HOST, "s1", STREAM))


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1:8080", "[::1]:8080"])
def test_a_loopback_host_may_be_asked_without_tls(db: Connection, host: str) -> None:
    person, course = persona(db), rows.catalog_course(db)
    made = one(db, CALL, (person, course, f"http://{host}/?id=s1", host, "s1", f"http://{host}/stream"))
    assert one(db, "select panopto_host from public.lectures where id = %s", (made,)) == host


def shared(owner: Connection) -> tuple[uuid.UUID, uuid.UUID, uuid.UUID, uuid.UUID]:
    """Two people, a course and a lecture that the first of them follows, committed."""
    first, second, course = persona(owner), persona(owner), rows.catalog_course(owner)
    lecture = one(owner, SUBMIT, (first, course, f"{VIEWER}?id=s1", "s1"))
    return first, second, course, lecture


UNFOLLOW = "delete from public.user_lectures where user_id = %s and lecture_id = %s"


def test_the_last_link_goes_while_a_new_one_comes(db_url: str) -> None:
    with ring(db_url) as race:
        first, second, course, lecture = shared(race.owner)
        race.clean_up("public.catalog_courses", course)
        race.clean_up("auth.users", second)
        race.clean_up("auth.users", first)
        leaving, coming = race.session(), race.session()
        leaving.execute(UNFOLLOW, (first, lecture))
        answer = race.start(coming, SUBMIT, (second, course, f"{VIEWER}?id=s1", "s1"))
        race.wait_until_blocked(coming)
        leaving.commit()
        made, created = answer.result(10)
        assert created is True, "the old lecture went with its last link, so this is a new one"
        assert made != lecture
        assert exists(race.owner, made)
        assert not exists(race.owner, lecture)


def test_a_new_link_comes_while_the_last_one_goes(db_url: str) -> None:
    with ring(db_url) as race:
        first, second, course, lecture = shared(race.owner)
        race.clean_up("public.catalog_courses", course)
        race.clean_up("auth.users", second)
        race.clean_up("auth.users", first)
        coming, leaving = race.session(), race.session()
        assert coming.execute(SUBMIT, (second, course, f"{VIEWER}?id=s1", "s1")).fetchone() == (lecture, False)
        answer = race.start(leaving, UNFOLLOW + " returning lecture_id", (first, lecture))
        race.wait_until_blocked(leaving)
        coming.commit()
        assert answer.result(10) == (lecture,)
        assert exists(race.owner, lecture)


def test_the_last_two_links_go_at_once(db_url: str) -> None:
    with ring(db_url) as race:
        first, second, course, lecture = shared(race.owner)
        race.clean_up("public.catalog_courses", course)
        race.clean_up("auth.users", second)
        race.clean_up("auth.users", first)
        race.owner.execute(SUBMIT, (second, course, f"{VIEWER}?id=s1", "s1"))
        one_leaves, other_leaves = race.session(), race.session()
        one_leaves.execute(UNFOLLOW, (first, lecture))
        answer = race.start(other_leaves, UNFOLLOW + " returning lecture_id", (second, lecture))
        race.wait_until_blocked(other_leaves)
        one_leaves.commit()
        assert answer.result(10) == (lecture,)
        assert not exists(race.owner, lecture)


def test_a_document_is_its_owners_who_renames_and_deletes_it(db: Connection) -> None:
    owner, other = persona(db), persona(db)
    made = document(db, owner, storage_key="documents/mine.pdf")
    for reader, role in [(other, "authenticated"), (persona(db, "admin"), "app_admin")]:
        with act_as(db, reader, role):
            assert one(db, "select count(*) from public.documents") == 0
            assert db.execute("update public.documents set filename = 'x'").rowcount == 0
            assert db.execute("delete from public.documents").rowcount == 0
    with act_as(db, owner):
        assert db.execute("update public.documents set filename = 'renamed.pdf'").rowcount == 1
        for change in ("storage_key = 'documents/other.pdf'", "status = 'failed'", f"owner_id = '{other}'"):
            refused(db, "42501", f"update public.documents set {change}")
        refused(db, "23514", "update public.documents set filename = ''")
        refused(db, "42501", "insert into public.documents default values")
        assert db.execute("delete from public.documents").rowcount == 1
    assert not one(db, "select exists (select from public.documents where id = %s)", (made,))
    assert queued(db, "documents/mine.pdf") == {"documents/mine.pdf"}


def test_a_file_is_kept_once_per_owner_and_course(db: Connection) -> None:
    owner, course = persona(db), rows.catalog_course(db)
    same = {"catalog_course_id": course, "checksum": "a" * 64}
    document(db, owner, **same)
    document(db, persona(db), **same)
    document(db, owner, **{**same, "catalog_course_id": None})
    with pytest.raises(psycopg.errors.UniqueViolation), db.transaction():
        document(db, owner, **same)


@pytest.mark.parametrize(
    "columns", [{"checksum": "a" * 63}, {"checksum": "G" * 64}, {"size_bytes": -1}, {"page_count": -1}]
)
def test_documents_that_make_no_sense_are_refused(db: Connection, columns: dict[str, Any]) -> None:
    with pytest.raises(psycopg.errors.CheckViolation), db.transaction():
        document(db, persona(db), **columns)


def test_the_files_of_a_person_who_goes_are_queued(db: Connection) -> None:
    owner = persona(db)
    document(db, owner, storage_key="documents/gone.pdf")
    db.execute("delete from auth.users where id = %s", (owner,))
    assert queued(db, "documents/gone.pdf") == {"documents/gone.pdf"}


def test_a_course_in_use_is_not_deleted(db: Connection) -> None:
    course = rows.catalog_course(db)
    rows.lecture(db, catalog_course_id=course)
    with act_as(db, persona(db, "admin"), "app_admin"):
        with pytest.raises(psycopg.IntegrityError) as caught, db.transaction():
            db.execute("delete from public.catalog_courses where id = %s", (course,))
        assert caught.value.sqlstate in ("23503", "23001")
