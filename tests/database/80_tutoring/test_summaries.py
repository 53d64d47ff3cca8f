"""Storing summaries: one a session, of the transcript that is there, and never over a tutor's correction."""

from __future__ import annotations

import json
import os
import threading
import uuid
from typing import Any

import psycopg

from tests.support.people import act_as, become, persona, refused
from tests.support.rows import one
from tests.support.tutoring import assign, column, session, subject, summary

Connection = psycopg.Connection[Any]
ENVELOPE = "v1:abc"
STORE = "select public.svc_store_summary(%s, %s, %s, %s, '{Rest}', '{Maths}')"
# 1000 before a release; a few show the order of the locks
RACES = int(os.environ.get("SUMMARY_RACES", "25"))


def test_a_summary_is_of_the_transcript_that_is_there(db: Connection) -> None:
    student, tutor = persona(db), persona(db, "tutor")
    held = session(db, student, tutor_id=tutor, subject_id=subject(db))
    ask = "select public.svc_request_summary(%s, %s)"
    with act_as(db, None, "service_role"):
        first = one(db, ask, (held, tutor))
        assert one(db, ask, (held, tutor)) == first
        assert one(db, STORE, (held, None, "missing_transcript", "By topics")) == "written"
        db.execute("select public.svc_put_transcript(%s, %s)", (held, ENVELOPE))
        assert one(db, STORE, (held, None, "missing_transcript", "By topics")) == "stale"
        assert one(db, STORE, (held, 1, "normal", "Of the first")) == "written"
        db.execute("select public.svc_put_transcript(%s, %s)", (held, ENVELOPE))
        assert one(db, STORE, (held, 1, "normal", "Of the first, late")) == "stale"
        assert one(db, STORE, (held, 2, "brief", "Of the second")) == "written"
        assert one(db, STORE, (uuid.uuid4(), 2, "brief", "Of nothing")) == "gone"
        refused(db, "22023", STORE, (held, 2, "long", "x"))
        refused(db, "22023", STORE, (held, 2, "missing_transcript", "x"))
        refused(db, "22023", STORE, (held, None, "normal", "x"))
        refused(db, "22004", STORE, (held, 2, "normal", None))
        refused(db, "PT404", ask, (held, student))
    rows = db.execute("select narrative, summary_type::text from public.summaries where session_id = %s", (held,))
    assert rows.fetchall() == [("Of the second", "brief")]
    # keys that are changed encrypt again, which is no other transcript
    db.execute("update private.session_transcripts set transcript_enc = 'v2:abc' where session_id = %s", (held,))
    assert one(db, "select version from private.session_transcripts where session_id = %s", (held,)) == 2
    refused(
        db, "23505", "insert into public.summaries (session_id, student_id, narrative, summary_type)"
        " values (%s, %s, 'Another', 'brief')", (held, student),
    )  # fmt: skip


def test_a_correction_is_never_written_over(db_url: str) -> None:
    override = "select public.apply_override('summary', %s, 'correct', %s::jsonb)"
    with psycopg.connect(db_url, autocommit=True) as owner, psycopg.connect(db_url) as tutoring:
        student, tutor, maths = persona(owner), persona(owner, "tutor"), subject(owner)
        try:
            assign(owner, tutor, student, maths)
            targets = []
            for _ in range(RACES):
                held = session(owner, student, tutor_id=tutor, subject_id=maths)
                owner.execute("select public.svc_put_transcript(%s, %s)", (held, ENVELOPE))
                targets.append((held, summary(owner, student, session_id=held)))
            outcomes = []
            for number, (held, target) in enumerate(targets):
                ready = threading.Barrier(2)

                def regenerate(held: uuid.UUID = held, ready: threading.Barrier = ready) -> None:
                    with psycopg.connect(db_url, autocommit=True) as service:
                        ready.wait(10)
                        outcomes.append(one(service, STORE, (held, 1, "normal", "By the model")))

                racer = threading.Thread(target=regenerate)
                racer.start()
                become(tutoring, tutor)
                ready.wait(10)
                tutoring.execute(override.encode(), (target, json.dumps({"narrative": f"By the tutor {number}"})))
                tutoring.commit()
                racer.join(10)
                assert column(owner, "summaries", "narrative", target) == f"By the tutor {number}"
                assert one(owner, STORE, (held, 1, "normal", "Again")) == "overridden"
            assert len(outcomes) == RACES
            assert set(outcomes) <= {"written", "overridden"}
        finally:
            owner.execute("delete from auth.users where id in (%s, %s)", (student, tutor))
            owner.execute("delete from public.subjects where id = %s", (maths,))
