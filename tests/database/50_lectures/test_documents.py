"""How a document gets its row: once for each person, course and content, whatever happens at the same time."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg

from tests.support.people import act_as, freeze, persona, refused
from tests.support.races import ring
from tests.support.rows import catalog_course, one

Connection = psycopg.Connection[Any]
BEGIN = "select outcome, document from public.svc_begin_document(%s, %s, %s)"
STORE = "select outcome, document from public.svc_store_document(%s, %s, %s, %s, %s, %s, %s, %s)"
JOBS = "select count(*) from private.job_runtime where type = 'document_ingest' and payload ->> 'document_id' = %s"


def first_row(db: Connection, statement: str, parameters: Any) -> tuple[Any, ...]:
    """The first row of an answer."""
    row = db.execute(statement.encode(), parameters).fetchone()
    assert row is not None
    return tuple(row)


def upload(owner: uuid.UUID, course: uuid.UUID, checksum: str, key: uuid.UUID | None = None) -> tuple[Any, ...]:
    """The arguments of ``STORE``."""
    key = key or uuid.uuid4()
    return owner, key, course, "notes.pdf", f"documents/{key}.pdf", checksum, "application/pdf", 10


def test_a_document_is_stored_once_for_each_person_course_and_content(db: Connection) -> None:
    me, other = persona(db), persona(db)
    course, second = catalog_course(db), catalog_course(db)
    checksum = uuid.uuid4().hex * 2
    mine = upload(me, course, checksum)
    with act_as(db, None, "service_role"):
        assert db.execute(BEGIN, (me, course, checksum)).fetchone() == ("new", None)
        outcome, row = first_row(db, STORE, mine)
        assert (outcome, row["id"], row["ingest_status"]) == ("created", str(mine[1]), "pending")
        assert db.execute(STORE, mine).fetchone() == ("created", row), "the answer was lost, and the call repeated"
        assert db.execute(BEGIN, (me, course, checksum)).fetchone() == ("existing", row)
        assert db.execute(STORE, upload(me, course, checksum)).fetchone() == ("existing", row)
        for owner, where in ((other, course), (me, second)):
            assert db.execute(BEGIN, (owner, where, checksum)).fetchone() == ("new", None)
            assert first_row(db, STORE, upload(owner, where, checksum))[0] == "created"
    assert one(db, JOBS, (str(mine[1]),)) == 1
    assert one(db, "select count(*) from public.documents where checksum = %s", (checksum,)) == 3


def test_a_row_that_lost_its_file_is_used_again(db: Connection) -> None:
    me, course, checksum = persona(db), catalog_course(db), uuid.uuid4().hex * 2
    first = upload(me, course, checksum)
    db.execute(STORE, first)
    db.execute("delete from public.jobs where user_id = %s", (me,))
    db.execute(
        "update public.documents set status = 'failed', ingest_status = 'failed', ingest_error = 'x' where id = %s",
        (first[1],),
    )
    outcome, row = first_row(db, BEGIN, (me, course, checksum))
    assert (outcome, row["id"]) == ("failed", str(first[1]))
    assert first_row(db, STORE, upload(me, course, checksum))[0] == "changed", "not under another id"
    outcome, row = first_row(db, STORE, first)
    assert (outcome, row["status"], row["ingest_status"], row["ingest_error"]) == (
        "created",
        "uploaded",
        "pending",
        None,
    )
    assert one(db, JOBS, (str(first[1]),)) == 1


def test_a_row_deleted_while_it_was_to_be_used_again_does_not_come_back(db: Connection) -> None:
    me, course, checksum = persona(db), catalog_course(db), uuid.uuid4().hex * 2
    first = upload(me, course, checksum)
    db.execute(STORE, first)
    db.execute("update public.documents set status = 'failed' where id = %s", (first[1],))
    db.execute("delete from public.documents where id = %s", (first[1],))
    # its file waits to be deleted, under the key that the new row would have
    assert db.execute(STORE, first).fetchone() == ("changed", None)
    assert one(db, "select count(*) from public.documents where id = %s", (first[1],)) == 0
    waiting = "select count(*) from private.storage_deletions where storage_key = %s and done_at is null"
    assert one(db, waiting, (first[4],)) == 1
    assert first_row(db, STORE, upload(me, course, checksum))[0] == "created"


def test_only_an_interrupted_reading_is_tried_again(db: Connection) -> None:
    me, course, checksum = persona(db), catalog_course(db), uuid.uuid4().hex * 2
    first = upload(me, course, checksum)
    db.execute(STORE, first)
    change = "update public.documents set ingest_status = 'failed', ingest_error = %s where id = %s"
    for error, state, jobs in (("document_encrypted", "failed", 0), ("ingest_interrupted", "pending", 1)):
        db.execute("delete from public.jobs where user_id = %s", (me,))
        db.execute(change, (error, first[1]))
        outcome, row = first_row(db, BEGIN, (me, course, checksum))
        assert (outcome, row["ingest_status"]) == ("existing", state)
        assert one(db, JOBS, (str(first[1]),)) == jobs


def test_a_reading_without_a_job_is_interrupted(db: Connection) -> None:
    freeze(db, "2031-01-01T12:00:00Z")
    me, course = persona(db), catalog_course(db)
    old, young, working, done = (upload(me, course, uuid.uuid4().hex * 2) for _ in range(4))
    for document in (old, young, working, done):
        db.execute(STORE, document)
    db.execute("update public.documents set ingest_status = 'ready' where id = %s", (done[1],))
    db.execute("alter table public.documents disable trigger trg_documents_updated_at")
    for document, at in ((old, "11:49"), (young, "11:51"), (working, "09:00"), (done, "09:00")):
        db.execute("update public.documents set updated_at = %s where id = %s", (f"2031-01-01 {at}+00", document[1]))
    db.execute("delete from public.jobs where user_id = %s and dedupe_key <> %s", (me, f"document:{working[1]}"))
    with act_as(db, None, "service_role"):
        db.execute("select public.svc_sweep_generations()")
    states = db.execute("select id, ingest_status::text, ingest_error from public.documents where owner_id = %s", (me,))
    assert {row[0]: row[1:] for row in states} == {
        old[1]: ("failed", "ingest_interrupted"),
        young[1]: ("pending", None),
        working[1]: ("pending", None),
        done[1]: ("ready", None),
    }


def test_arguments(db: Connection) -> None:
    me, course, checksum = persona(db), catalog_course(db), uuid.uuid4().hex * 2
    given = upload(me, course, checksum)
    for place in range(len(given)):
        refused(db, "22004", STORE, [None if place == i else v for i, v in enumerate(given)])
    for place in range(3):
        refused(db, "22004", BEGIN, [None if place == i else v for i, v in enumerate((me, course, checksum))])
    refused(db, "PT404", BEGIN, (me, uuid.uuid4(), checksum))
    refused(db, "PT404", STORE, upload(me, uuid.uuid4(), checksum))
    refused(db, "PT404", STORE, upload(uuid.uuid4(), course, checksum))


def test_of_two_uploads_at_once_one_makes_the_row(db_url: str) -> None:
    with ring(db_url) as race:
        me, course = persona(race.owner), catalog_course(race.owner)
        race.clean_up("public.catalog_courses", course)
        race.clean_up("public.profiles", me)
        checksum = uuid.uuid4().hex * 2
        first, second = race.session(), race.session()
        made = first.execute(STORE, upload(me, course, checksum)).fetchone()
        waiting = race.start(second, STORE, upload(me, course, checksum))
        race.wait_until_blocked(second)
        first.commit()
        assert made is not None
        assert waiting.result(timeout=60) == ("existing", made[1])
