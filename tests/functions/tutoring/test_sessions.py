"""Sessions over HTTP: transcripts, their summaries, a tutor's corrections and notes; and the rules behind them."""

from __future__ import annotations

import json
import uuid
from typing import Any

import psycopg
import pytest

from functions.shared.llm.errors import InvalidResponse
from functions.tutoring import jobs
from functions.tutoring.sessions.errors import TranscriptUnreadable
from functions.tutoring.sessions.quotes import without_false_quotes, words
from functions.tutoring.sessions.summarising import CUT, Written, checked, excerpt, from_topics, kind_of
from functions.tutoring.sessions.transcripts import text_of
from scripts.native.stack import Stack
from tests.standins.model import ModelStandIn
from tests.support.canvas import Runner, Student, student
from tests.support.people import act_as
from tests.support.rows import insert, one
from tests.support.tutoring import assign, session, subject

Connection = psycopg.Connection[Any]
SAID = "Tutor: What happens to the mass?\nAda: It cancels. I don't know why.\nTutor: Look at both sides."
VTT = (
    "WEBVTT\n\n00:00.000 --> 00:02.000\n<v Tutor>What happens to\n\n00:02.000 --> 00:04.000\n<v Tutor>the mass?\n\n"
    "00:04.000 --> 00:06.000\n<v Ada>It cancels. I don&apos;t know why.\n\n"
    "00:06.000 --> 00:09.000\nTutor: Look at both sides.\n"
)
SRT = "1\n00:00:00,000 --> 00:00:02,000\nTutor: Look at\n\n2\n00:00:02,000 --> 00:00:04,000\nTutor: both sides.\n"


@pytest.mark.parametrize(
    ("text", "kept", "false"),
    [
        ('Ada said "it cancels". Then we wrote it down.', 'Ada said "it cancels". Then we wrote it down.', 0),
        ('Ada said "It is zero." Then we wrote it down.', "Then we wrote it down.", 1),
        ("We began. Ada said “it is  Zero” and “it cancels”. We ended.", "We began. We ended.", 1),
        ("Sie sagte: „It cancels.“ Gut.", "Sie sagte: „It cancels.“ Gut.", 0),
        ("Elle a dit « it grows ». Bien.", "Bien.", 1),
        ("Ada doesn't know, the students' words: 'I don't know why'.", None, 0),
        ("Ada said \u2018I don\u2019t know why\u2019.", None, 0),
        ("Ada said \u2018I don\u2019t care\u2019.", "", 1),
        ('A mark "alone. Then we ended.', "Then we ended.", 1),
        ('First.\nShe said "no" twice, "never" once.\nLast.', "First.\nLast.", 2),
        ('Ada said "cancel".', "", 1),
        ('Ada said "".', "", 1),
    ],
)
def test_quotes_stand_in_the_transcript(text: str, kept: str | None, false: int) -> None:
    assert without_false_quotes(text, words(SAID)) == (text if kept is None else kept, false)


def test_transcripts_become_turns() -> None:
    assert text_of(VTT, "text/vtt") == SAID
    assert text_of(SRT, "application/x-subrip") == "Tutor: Look at both sides."
    assert text_of("\ufeffA: hi\r\nB: ho\n", "text/plain") == "A: hi\nB: ho"
    for text, kind in (("A: hi", "text/vtt"), ("WEBVTT\n", "text/vtt"), ("nothing", "application/x-subrip")):
        with pytest.raises(TranscriptUnreadable):
            text_of(text, kind)


def test_what_a_summary_is_made_of() -> None:
    held: dict[str, Any] = {"duration_minutes": 9, "subject": {"name": "Physics"}, "topics_covered": ["mass", " ", "g"]}
    assert [kind_of({"duration_minutes": minutes}, "word") for minutes in (9, 10, None)] == ["brief", "normal", "brief"]
    assert kind_of({"duration_minutes": None}, "word " * 1300) == "normal"
    made = from_topics(held)
    assert made.narrative == (
        "This session in Physics took 9 minutes. There is no transcript of it. The topics were: mass, g."
    )
    assert (made.kind, made.next_steps, made.subjects_covered) == (
        "missing_transcript", ["Practise mass.", "Practise g."], ["Physics"],
    )  # fmt: skip
    assert "No topics" in from_topics({"duration_minutes": None, "subject": None, "topics_covered": []}).narrative
    long = " ".join(f"word{number}" for number in range(20_000))
    short = excerpt(long, 1000)
    assert (short.startswith("word0 "), short.endswith("word19999"), short.count(CUT)) == (True, True, 5)
    assert len(short) < len(long) / 10
    written = Written(
        narrative='Ada said "no".', next_steps=['Say "no".', "Look\u200b at both sides."], subjects_covered=[]
    )
    with pytest.raises(InvalidResponse):
        checked(written, "normal", SAID)
    written.narrative = "We looked."
    assert checked(written, "normal", SAID)[1:] == ("We looked.", ["Look at both sides."], [], 1)


def summary_job(db: Connection, session_id: uuid.UUID) -> str:
    """The job that is to write a session's summary."""
    key = f"session_summary:{session_id}"
    return str(one(db, "select id from public.jobs where dedupe_key = %s and status = 'queued'", (key,)))


def says(**answer: Any) -> str:
    """What the model answers."""
    return json.dumps({"narrative": "We met.", "next_steps": [], "subjects_covered": []} | answer)


def test_a_tutor_has_the_last_word_on_a_session(
    db: Connection, stack: Stack, model: ModelStandIn, person: Student, stranger: Student
) -> None:
    tutor_id, student_id, physics = uuid.UUID(stranger.user_id), uuid.UUID(person.user_id), subject(db)
    db.execute("update public.profiles set role = 'tutor' where user_id = %s", (tutor_id,))
    tie = assign(db, tutor_id, student_id, physics)
    held = session(db, student_id, tutor_id=tutor_id, subject_id=physics, duration_minutes=45, topics_covered=["mass"])
    db.commit()
    path, mine = f"/tutoring/sessions/{held}", {"summary_type": "eq.normal"}
    settings = {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "test", "OPENAI_MODEL": "standin-normal"}
    runner = Runner({**stack.service_environment(), **settings}, jobs)
    try:
        # without a transcript, by rule
        started = stranger.functions.post(f"{path}/summary")
        assert started.status_code == 202, started.text
        assert runner.run(started.json()["job_id"]).result == {
            "status": "written", "summary_type": "missing_transcript", "false_quotes": 0,
        }  # fmt: skip
        assert model.requests == []
        assert "mass" in person.rows("summaries")[0]["narrative"]

        # a stored transcript asks for its summary, whose false quote goes
        sent = stranger.functions.put(f"{path}/transcript", content=VTT, headers={"Content-Type": "text/vtt"})
        assert (sent.status_code, sent.text) == (204, "")
        sealed = one(db, "select transcript_enc from private.session_transcripts where session_id = %s", (held,))
        assert sealed.startswith("v")
        assert "mass" not in sealed
        for reader in (person, stranger):
            assert reader.functions.get(f"{path}/transcript").json() == {"text": SAID}
        said = 'The student said "it cancels". The tutor said "well done". Both sides were compared.'
        model.say("normal", text=says(narrative=said, next_steps=["Compare both sides."], subjects_covered=["Mass"]))
        job = runner.claim(summary_job(db, held))
        assert runner.handle(job) == {"status": "written", "summary_type": "normal", "false_quotes": 1}
        seen = person.rows("summaries", **mine)[0]
        assert seen["narrative"] == 'The student said "it cancels". Both sides were compared.'
        assert (seen["next_steps"], seen["subjects_covered"]) == (["Compare both sides."], ["Mass"])
        assert SAID in model.requests[-1]["body"]["messages"][-1]["content"]
        agent = (
            "select type::text from public.agents as a join public.agent_assignments as w on w.agent_id = a.id"
            " where w.job_id = %s"
        )
        assert one(db, agent, (job.job_id,)) == "tutor_companion"
        db.rollback()

        # the tutor corrects it, and from then on no job writes
        override = {
            "p_type": "summary", "p_target_id": seen["id"], "p_action": "correct",
            "p_new_content": {"narrative": "Ada explained why the mass cancels."}, "p_reason": "Heard it.",
        }  # fmt: skip
        stranger.rest.post("/rpc/apply_override", json=override).raise_for_status()
        assert runner.handle(job) == {"status": "overridden"}
        refused = stranger.functions.post(f"{path}/summary")
        assert (refused.status_code, refused.json()["code"]) == (409, "summary_overridden")
        again = stranger.functions.put(f"{path}/transcript", json={"text": "Tutor: Hello again."})
        assert again.status_code == 204
        assert runner.handle(runner.claim(summary_job(db, held))) == {"status": "overridden"}
        assert [row["narrative"] for row in person.rows("summaries")] == ["Ada explained why the mass cancels."]
    finally:
        runner.close()

    # notes are for their author
    for note in (f"{path}/notes", f"/tutoring/assignments/{tie}/notes"):
        assert stranger.functions.get(note).json() == {"body": None}
        for body in ("Slow down.", "Slow down at fractions."):
            assert stranger.functions.put(note, json={"body": body}).status_code == 204
        assert stranger.functions.get(note).json() == {"body": "Slow down at fractions."}
        assert person.functions.get(note).status_code == 404
        assert person.functions.put(note, json={"body": "Mine"}).status_code == 404
    assert (
        one(db, "select count(*) from private.tutor_notes where body_enc not like 'v%%' or body_enc like '%%Slow%%'")
        == 0
    )
    assert stranger.functions.delete(f"{path}/notes").status_code == 204
    assert stranger.functions.get(f"{path}/notes").json() == {"body": None}
    looked = (
        "select count(*) from private.audit_log where entity = 'session_transcripts' and detail ->> 'reader_id' = %s"
    )
    assert one(db, looked, (person.user_id,)) == 1


def test_others_neither_read_nor_write_a_session(
    db: Connection, stack: Stack, person: Student, stranger: Student
) -> None:
    student_id, tutor_id = uuid.UUID(person.user_id), uuid.UUID(stranger.user_id)
    with student(stack) as parent:
        parent_id = uuid.UUID(parent.user_id)
        db.execute("update public.profiles set role = 'tutor' where user_id = %s", (tutor_id,))
        db.execute("update public.profiles set role = 'parent' where user_id = %s", (parent_id,))
        assign(db, tutor_id, student_id)
        care = insert(db, "public.guardianships", {"parent_id": parent_id, "student_id": student_id})
        db.execute(
            "update public.guardianships set status = 'active', consent_basis = 'student_consent' where id = %s",
            (care,),
        )
        held, foreign = session(db, student_id, tutor_id=tutor_id), session(db, student_id)
        db.commit()
        assert [row["id"] for row in parent.rows("tutoring_sessions", id=f"eq.{held}")] == [str(held)]
        for caller, session_id in ((parent, held), (person, held), (stranger, foreign), (stranger, uuid.uuid4())):
            path = f"/tutoring/sessions/{session_id}"
            for method, end in (
                ("PUT", "transcript"),
                ("PUT", "notes"),
                ("GET", "notes"),
                ("DELETE", "notes"),
                ("POST", "summary"),
            ):
                body = {"PUT": {"text": "x"} if end == "transcript" else {"body": "x"}}.get(method)
                found = caller.functions.request(method, f"{path}/{end}", json=body)
                assert (found.status_code, found.json()["code"]) == (404, "not_found"), (method, end)
        assert (
            stranger.functions.put(f"/tutoring/sessions/{held}/transcript", json={"text": "Hello"}).status_code == 204
        )
        assert parent.functions.get(f"/tutoring/sessions/{held}/transcript").status_code == 404
        assert person.functions.get(f"/tutoring/sessions/{held}/transcript").json() == {"text": "Hello"}
        refusals: list[tuple[bytes, str, int, str]] = [
            (b"", "text/plain", 422, "validation_failed"), (b" \n", "text/plain", 422, "validation_failed"),
            (b"a\0b", "text/plain", 422, "validation_failed"), (b"\xff\xfe", "text/vtt", 422, "validation_failed"),
            (b"nothing", "text/vtt", 422, "transcript_unreadable"),
            (b"hello", "text/html", 415, "unsupported_media_type"),
            (b'{"text": "a", "more": 1}', "application/json", 422, "validation_failed"),
            (b"x" * (5 * 2**20 + 1), "text/plain", 413, "payload_too_large"),
        ]  # fmt: skip
        for sent, kind, status, code in refusals:
            found = stranger.functions.put(
                f"/tutoring/sessions/{held}/transcript", content=sent, headers={"Content-Type": kind}
            )
            assert (found.status_code, found.json()["code"]) == (status, code), (sent[:20], kind)
        # a tutor whose assignment is paused sees nothing any more
        with act_as(db, None, "service_role"):
            db.execute("update public.tutor_student_assignments set status = 'paused' where tutor_id = %s", (tutor_id,))
        db.commit()
        assert stranger.functions.get(f"/tutoring/sessions/{held}/transcript").status_code == 404
