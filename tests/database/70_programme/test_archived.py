"""An archived week is readable only: every way in which something could be added to it is shut."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.support import queue
from tests.support.people import act_as, persona, refused
from tests.support.races import ring
from tests.support.rows import insert, one

Connection = psycopg.Connection[Any]
BEGIN = "select outcome, assistant_message_id from public.svc_begin_socratic(%s, %s, %s, 'Hello', 'h')"
ARCHIVE = "update public.weeks set status = 'archived' where id = %s"


class Week:
    """A person's week with one of everything; ``archive`` ends it."""

    def __init__(self, db: Connection) -> None:
        self.db, self.me = db, persona(db)
        dates = {"start_date": "2030-01-07", "end_date": "2030-01-13", "status": "active"}
        self.id = insert(db, "public.weeks", {"user_id": self.me, "week_number": 1}, dates)
        self.notes = [insert(db, "public.clo_notes", {"week_id": self.id, "module_title": "x"}) for _ in range(2)]
        self.talk = insert(db, "public.socratic_sessions", {"user_id": self.me, "week_id": self.id, "topic": "x"})
        self.review = insert(
            db, "public.reviews", {"user_id": self.me, "week_id": self.id, "github_url": "https://github.com/a/b"}
        )

    def claimed(self, kind: str) -> tuple[Any, Any]:
        """The lease of the week's job of a type."""
        [job] = [job for job in queue.claim(self.db, 100, types=(kind,)) if job["user_id"] == self.me]
        return job["job_id"], job["lease_token"]


def test_a_learner_reads_and_deletes_and_adds_nothing(db: Connection) -> None:
    week, other = Week(db), Week(db)
    read = "select public.mark_note_read('clo', %s)"
    with act_as(db, week.me):
        first = one(db, read, (week.notes[0],))
        db.execute(ARCHIVE, (week.id,))
    db.execute(ARCHIVE, (other.id,))
    open_session = "insert into public.socratic_sessions (week_id, topic) values (%s, 'More')"
    say = "insert into public.socratic_messages (session_id, role, content) values (%s, 'user', 'Hello')"
    ask = "insert into public.reviews (github_url, week_id) values ('https://github.com/a/c', %s)"
    with act_as(db, week.me):
        for statement, row in (
            (open_session, week.id),
            (say, week.talk),
            (ask, week.id),
            (read, week.notes[1]),
            ("update public.socratic_sessions set topic = 'Renamed' where id = %s", week.talk),
            ("update public.socratic_sessions set voice_enabled = true where id = %s", week.talk),
            ("update public.weeks set focus_area = 'More' where id = %s", week.id),
            ("update public.weeks set status = 'active' where id = %s", week.id),
        ):
            assert '"week_archived"' in refused(db, "PGRST", statement, (row,)), statement
        # of other people's weeks nothing is told
        for statement, row, code in (
            (open_session, other.id, "23503"),
            (say, other.talk, "42501"),
            (ask, other.id, "23503"),
        ):
            refused(db, code, statement, (row,))
        of_other = "insert into public.socratic_sessions (user_id, week_id, topic) values (%s, %s, 'x')"
        refused(db, "42501", of_other, (other.me, other.id))
        # what was there stays as it is, and is theirs to end and to delete
        assert one(db, read, (week.notes[0],)) == first
        assert one(db, "select count(*) from public.clo_notes") == 2
        assert db.execute("update public.weeks set week_number = 1 where id = %s", (week.id,)).rowcount == 1
        db.execute("insert into public.reviews (github_url) values ('https://github.com/a/c')")
        assert db.execute("update public.socratic_sessions set ended_at = now()").rowcount == 1
        assert db.execute("delete from public.socratic_sessions").rowcount == 1
        assert db.execute("delete from public.weeks").rowcount == 1
    with act_as(db, persona(db, anonymous=True)):
        refused(db, "42501", of_other, (other.me, other.id))
    with act_as(db, None, "service_role"):
        assert '"week_archived"' in refused(db, "PGRST", of_other, (other.me, other.id))


def test_the_service_adds_nothing_either(db: Connection) -> None:
    week = Week(db)
    service = "select public.{}(%s, %s, %s)"
    note = Jsonb({"module_title": "x", "learning_objectives": [], "key_concepts": [], "prerequisites": [],
                  "resources": [], "assessment_criteria": [], "content": {}})  # fmt: skip
    package = Jsonb({"content_themes": [], "kpi_metrics": {}, "social_content_suggestions": [],
                     "engagement_strategies": [], "assets": [], "sources": []})  # fmt: skip
    [(outcome, answer)] = db.execute(BEGIN, (week.talk, week.me, "1")).fetchall()
    assert outcome == "new"
    db.execute("select * from public.svc_begin_week_notes(%s, %s, '{clo}')", (week.id, week.me))
    notes = week.claimed("week_notes")
    db.execute("select public.svc_begin_brand_package(%s, %s)", (week.id, week.me))
    brand = week.claimed("brand_package")
    job, lease = week.claimed("code_review")
    held: tuple[Any, ...] = (week.review, job, lease)
    db.execute("select * from public.svc_begin_review(%s, %s, %s)", held)
    db.execute(ARCHIVE, (week.id,))

    # a line that was said before has its turn, and no further one is taken
    assert db.execute(BEGIN, (week.talk, week.me, "1")).fetchall() == [("existing", answer)]
    assert db.execute(BEGIN, (week.talk, week.me, "2")).fetchall() == [("archived", None)]
    assert one(db, "select public.svc_finish_socratic(%s, 'failed', '')", (answer,)) is True
    assert db.execute(BEGIN, (week.talk, week.me, "1")).fetchall() == [("existing", answer)]
    # jobs that run meanwhile store nothing
    refused(db, "PT409", service.format("svc_store_clo_note"), (*notes, note))
    refused(db, "PT409", service.format("svc_store_brand_package"), (*brand, package))
    finish = "select public.svc_finish_review(%s, %s, %s, %s, '{}', '{}')"
    assert one(db, finish, (*held, Jsonb({"score": 80}))) is True
    assert one(db, "select count(*) from public.engineer_notes where week_id = %s", (week.id,)) == 0
    assert one(db, "select status::text from public.reviews where id = %s", (week.review,)) == "completed"


def test_a_failed_review_of_an_archived_week_is_not_tried_again(db: Connection) -> None:
    week = Week(db)
    for status in ("running", "failed"):
        db.execute("update public.reviews set status = %s where id = %s", (status, week.review))
    db.execute(ARCHIVE, (week.id,))
    retry = "select outcome, job_id from public.svc_retry_review(%s, %s)"
    assert db.execute(retry, (week.me, week.review)).fetchall() == [("archived", None)]
    refused(db, "PT404", retry, (persona(db), week.review))
    refused(db, "PT404", retry, (week.me, uuid.uuid4()))
    assert one(db, "select status::text from public.reviews where id = %s", (week.review,)) == "failed"


def test_a_line_and_the_archive_wait_for_each_other(db_url: str) -> None:
    say = "insert into public.socratic_messages (session_id, role, content) values (%s, 'user', 'Hello')"
    with ring(db_url) as race:
        me = persona(race.owner)
        race.clean_up("public.profiles", me)
        dates = {"start_date": "2030-01-07", "end_date": "2030-01-13", "status": "active"}
        for number, is_line_first in ((1, True), (2, False)):
            made = insert(race.owner, "public.weeks", {"user_id": me, "week_number": number}, dates)
            talk = insert(race.owner, "public.socratic_sessions", {"user_id": me, "week_id": made, "topic": "x"})
            first, second = race.session(), race.session()
            steps = [(say, (talk,)), (ARCHIVE, (made,))]
            (held, row), (waits, other) = steps if is_line_first else reversed(steps)
            first.execute(held.encode(), row)
            waiting = race.start(second, f"{waits} returning 1", other)
            race.wait_until_blocked(second)
            first.commit()
            if is_line_first:
                assert waiting.result(timeout=60) == (1,)
            else:
                with pytest.raises(psycopg.Error, match="week_archived"):
                    waiting.result(timeout=60)
