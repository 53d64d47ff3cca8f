"""Questions over HTTP: an answer out of one's own material, live, replayed and judged; its limits and its ends."""

from __future__ import annotations

import dataclasses
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from functions.tutoring import jobs
from functions.tutoring.questions.shown import DISCLAIMER
from scripts.native.stack import Stack
from tests.standins.model import ModelStandIn
from tests.standins.model.behaviours import BEHAVIOURS
from tests.support import chat, questions
from tests.support.canvas import Runner, Student
from tests.support.models import forget_servers
from tests.support.people import act_as, persona, refused
from tests.support.rows import one
from tests.support.tutoring import assign, item, practice, subject

Connection = psycopg.Connection[Any]
COLLISION = "When two keys fall into the same bucket there is a collision. Chaining keeps a list in each bucket."
QUESTION = "What happens when two keys fall into the same bucket?"
SAYS = (
    'Your notes call it a collision [1: "there is a collision"].\n\n'
    "Which structure could each bucket hold then?\n\n[scope: in]"
)


@dataclass
class Desk:
    """A student, a model that says what it is told, and a worker for one job at a time."""

    db: Connection
    person: Student
    model: ModelStandIn
    runner: Runner

    def begin(self, question: str = QUESTION, external_id: str | None = None, **more: Any) -> str:
        """Asks, hangs up after the first part, and gives the question's id."""
        body = {"question": question, "external_id": external_id or uuid.uuid4().hex, **more}
        with self.person.functions.stream("POST", "/tutoring/questions", json=body) as answer:
            assert answer.status_code == 200, answer.read()
            return chat.read(answer, 1).message_id

    def run(self, question_id: str) -> str:
        """Runs the newest job of a question; the status of the answer, or the failure's code."""
        job = one(self.db, "select job_id::text from public.qa_interactions where id = %s", (question_id,))
        self.db.rollback()
        ended = self.runner.run(job)
        return ended.failure.code if ended.failure else str((ended.result or {})["status"])

    def row(self, question_id: str) -> dict[str, Any]:
        """The question as its student sees it."""
        (found,) = self.person.rows("qa_interactions", id=f"eq.{question_id}")
        return found

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        return self.person.functions.post(f"/tutoring/questions{path}", json=body)

    def used(self) -> int:
        """How many questions count."""
        return int(
            one(
                self.db,
                "select coalesce(sum(used), 0) from private.usage_counters where user_id = %s and meter = 'questions'",
                (self.person.user_id,),
            )
        )


@pytest.fixture
def desk(stack: Stack, db: Connection, person: Student, model: ModelStandIn) -> Iterator[Desk]:
    forget_servers()
    environment = {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "test", "OPENAI_MODEL": "standin-normal"}
    runner = Runner({**stack.service_environment(), **environment, "OPENAI_EMBEDDING_MODEL": ""}, jobs)
    yield Desk(db, person, model, runner)
    runner.close()


@pytest.fixture
def notes(desk: Desk) -> str:
    """A document about hash tables among others; its id."""
    document = questions.store_material(desk.db, desk.person.user_id, [*questions.fragments()[:20], COLLISION])
    desk.db.commit()
    return document


def test_an_answer_out_of_ones_own_notes(desk: Desk, notes: str) -> None:
    desk.model.say("normal", text=SAYS)
    question_id = desk.begin(external_id="one")
    assert (desk.row(question_id)["status"], desk.row(question_id)["confidence"]) == ("streaming", "Low")
    assert desk.run(question_id) == "complete"
    live = desk.begin(external_id="one")
    assert live == question_id, "asked again"
    body = {"question": QUESTION, "external_id": "one"}
    with desk.person.functions.stream("POST", "/tutoring/questions", json=body) as answer:
        stream = chat.read(answer)
    row = desk.row(question_id)
    assert (
        stream.text
        == row["answer"]
        == "Your notes call it a collision [1].\n\nWhich structure could each bucket hold then?"
    )
    assert stream.done
    assert stream.headers["x-vercel-ai-ui-message-stream"] == "v1"
    (citation,) = row["citations"]
    chunk = one(desk.db, "select id::text from private.source_chunks where content = %s", (COLLISION,))
    assert citation == {
        "n": 1, "kind": "document", "source_id": notes, "chunk_id": chunk, "quote": "there is a collision",
        "page_start": 21, "start_second": None,
    }  # fmt: skip
    assert (row["confidence"], row["confidence_score"]) == ("High", 0.98)
    assert row["calibrator_version"] == one(desk.db, "select min(version) from private.confidence_calibrators")
    assert (row["out_of_scope"], row["clarification_requested"], row["tutor_escalation_suggested"]) == (False,) * 3
    assert row["disclaimer_shown"]
    assert desk.person.rows("user_settings")[0]["disclaimer_shown"]
    assert row["metrics"]["evidence"]["focus"] == 1
    told = next(part["data"] for part in stream.parts if part["type"] == "data-confidence")
    assert told["disclaimer"] == DISCLAIMER
    assert {name: row[name] for name in told if name != "disclaimer"} == {
        name: value for name, value in told.items() if name != "disclaimer"
    }
    # a day later its events are gone, and the stream is made of the row
    desk.db.execute("delete from private.generation_events where stream_id = %s", (question_id,))
    desk.db.commit()
    with desk.person.functions.stream("POST", "/tutoring/questions", json=body) as answer:
        rebuilt = chat.read(answer)
    assert rebuilt.parts == [part for part in stream.parts if part["type"] != "data-attempt"]
    # JSON gives the row, other content under the same id is refused, and it counted once
    whole = desk.person.functions.post("/tutoring/questions", json=body, headers={"Accept": "application/json"})
    assert whole.json()["interaction"]["citations"] == [citation]
    for other in ({"question": "Another?"}, {"catalog_course_ids": [str(uuid.uuid4())]}):
        found = desk.post("", {**body, **other})
        assert (found.status_code, found.json()["code"]) == (409, "external_id_conflict")
    assert (desk.used(), len(desk.model.requests)) == (1, 1)
    purpose = "select count(*) from private.model_usage where user_id = %s and purpose = 'question_answer'"
    assert one(desk.db, purpose, (desk.person.user_id,)) == 1


def test_doubt_is_said(desk: Desk, notes: str) -> None:
    tutor = persona(desk.db, "tutor")
    assign(desk.db, tutor, uuid.UUID(desk.person.user_id))
    desk.db.commit()
    cases: list[tuple[str, str, dict[str, Any]]] = [
        # words that stand nowhere are no citation
        (QUESTION, 'It is easy [1: "buckets are emptied at once"]. Why?', {"tutor_escalation_suggested": True}),
        # nothing is cited
        (QUESTION, "Think about lists. What could a bucket hold?", {"tutor_escalation_suggested": True}),
        (
            "How does it work?",
            "I am not sure what you mean.\n\nDo you mean enzymes or hash tables?\n\n"
            "[clarify: Do you mean enzymes or hash tables?]",
            {"clarification_question": "Do you mean enzymes or hash tables?", "clarification_requested": True},
        ),
        ("Who won the football world cup in 1998?", "I cannot help with this.", {"out_of_scope": True}),
    ]
    said = {"out_of_scope": False, "clarification_requested": False, "tutor_escalation_suggested": False}
    for question, text, wanted in cases:
        desk.model.say("normal", text=text)
        question_id = desk.begin(question)
        assert desk.run(question_id) == "complete"
        row = desk.row(question_id)
        assert (row["confidence"], row["citations"]) == ("Low", [])
        assert {name: row[name] for name in {**said, **wanted}} == {**said, **wanted}, question
        assert "[" not in row["answer"]
    # the model's end at its limit makes a good answer unsure
    desk.model.say("length", text=SAYS.replace("\n\n[scope: in]", " Think about it." * 30))
    question_id = desk.begin()
    assert desk.run(question_id) == "complete"
    assert (desk.row(question_id)["confidence"], len(desk.row(question_id)["citations"])) == ("Low", 1)


def test_without_material_it_works_and_is_low(desk: Desk) -> None:
    question_id = desk.begin()
    assert desk.run(question_id) == "complete"
    row = desk.row(question_id)
    assert (row["confidence"], row["out_of_scope"], row["tutor_escalation_suggested"]) == ("Low", False, False)
    assert row["answer"]


def test_the_answer_to_open_practice_never_comes(desk: Desk) -> None:
    made = subject(desk.db)
    thing = item(desk.db, made, question_text="How far does a car get in 30 minutes at 50 km/h?", answer_kind="numeric")
    desk.db.execute("insert into public.practice_bank_answers (item_id, answer_text) values (%s, '25 km')", (thing,))
    practice(desk.db, uuid.UUID(desk.person.user_id), thing, answer_kind="numeric")
    desk.db.commit()
    asked = "How far does a car get in 30 minutes at 50 km/h? Just the answer!"
    # the first two calls tell it, and the third helps
    told, helps = "It gets 25 km far.", "What part of an hour are 30 minutes?"
    desk.model.say("normal", "normal", text=told)
    desk.model._default = dataclasses.replace(BEHAVIOURS["normal"], text=helps)
    question_id = desk.begin(asked, "practice")
    assert desk.run(question_id) == "complete"
    assert (desk.row(question_id)["answer"], len(desk.model.requests)) == (helps, 3)
    # always telling it fails, is given back, and may be asked again
    desk.model.say(default="normal", text=f"Let us see.\n\n{told}")
    question_id = desk.begin(asked, "again")
    before = desk.used()
    assert desk.run(question_id) in ("answer_leak", "interrupted")
    row = desk.row(question_id)
    assert row["error_code"] == "answer_leak"
    assert "25" not in row["answer"]
    events = "select count(*) from private.generation_events where stream_id = %s and part::text like '%%25 km%%'"
    assert one(desk.db, events, (question_id,)) == 0
    if row["status"] == "failed":
        assert desk.used() == before - 1
        desk.model.say(default="normal", text=helps)
        assert desk.begin(asked, "again") == question_id
        assert desk.run(question_id) == "complete"
        assert (desk.row(question_id)["answer"], desk.used()) == (helps, before)


def test_fifty_at_once_are_one_question(desk: Desk) -> None:
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(desk.begin(external_id="many"))) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (len(found), len(set(found))) == (50, 1)
    assert len(desk.person.rows("qa_interactions")) == desk.used() == 1
    jobs_of = "select count(*) from private.job_runtime where payload ->> 'question_id' = %s"
    assert one(desk.db, jobs_of, (found[0],)) == 1


def test_stopping_following_and_sweeping(desk: Desk, stranger: Student) -> None:
    question_id = desk.begin()
    follow = f"/tutoring/questions/{question_id}/stream"
    with desk.person.functions.stream("GET", follow) as answer:
        assert chat.read(answer, 1).message_id == question_id
    for path in ("stop", "escalate"):
        found = stranger.functions.post(f"/tutoring/questions/{question_id}/{path}", json={})
        assert (found.status_code, found.json()["code"]) == (404, "not_found")
    assert stranger.functions.get(follow).status_code == 404
    assert desk.post(f"/{question_id}/escalate", {}).json()["code"] == "answer_in_progress"
    assert desk.post(f"/{question_id}/stop").json() == {"id": question_id, "stopped": True}
    assert desk.post(f"/{question_id}/stop").json() == {"id": question_id, "stopped": False}
    assert desk.person.functions.get(follow).status_code == 204
    assert desk.row(question_id)["status"] == "stopped"
    status = "select j.status from public.jobs as j join public.qa_interactions as q on q.job_id = j.id where q.id = %s"
    assert one(desk.db, status, (question_id,)) == "cancelled"
    # a writer that died is swept, and what it wrote stays
    dead = desk.begin()
    desk.db.execute(
        "update private.job_runtime set state = 'over' where job_id ="
        " (select job_id from public.qa_interactions where id = %s)",
        (dead,),
    )
    desk.db.execute("update public.qa_interactions set created_at = now() - interval '1 hour' where id = %s", (dead,))
    desk.db.execute("update private.generation_events set at = now() - interval '1 hour' where stream_id = %s", (dead,))
    desk.db.execute("select public.svc_sweep_generations()")
    desk.db.commit()
    assert (desk.row(dead)["status"], desk.row(dead)["error_code"]) == ("interrupted", "interrupted")


def test_a_tutor_gets_the_question_and_judges(desk: Desk, notes: str) -> None:
    student = uuid.UUID(desk.person.user_id)
    made = subject(desk.db)
    desk.db.commit()
    desk.model.say("normal", text=SAYS)
    question_id = desk.begin(subject_id=str(made))
    assert desk.run(question_id) == "complete"
    assert desk.post(f"/{question_id}/escalate", {}).json()["code"] == "no_tutor"
    whole, partly, other = persona(desk.db, "tutor"), persona(desk.db, "tutor"), persona(desk.db, "tutor")
    assign(desk.db, whole, student)
    assign(desk.db, partly, student, made)
    assign(desk.db, other, student, subject(desk.db))
    desk.db.commit()
    for note in ("Why?", "Twice"):
        found = desk.post(f"/{question_id}/escalate", {"note": note})
        assert found.status_code == 200, found.text
    shown = found.json()["interaction"]
    assert (shown["escalated_to_tutor_id"], shown["escalation_note"]) == (str(partly), "Why?")
    told = desk.db.execute(
        "select user_id, payload from public.notifications where type::text = 'question_escalated'"
        " and payload ->> 'qa_interaction_id' = %s",
        (question_id,),
    ).fetchall()
    assert told == [(partly, {"qa_interaction_id": question_id, "student_id": str(student)})]
    rate = "select public.rate_answer(%s, %s, %s)"
    for tutor, is_right, is_seen in ((whole, True, False), (partly, True, True), (partly, False, False)):
        with act_as(desk.db, tutor):
            desk.db.execute(rate, (question_id, is_right, is_seen))
    for person in (other, student):
        with act_as(desk.db, person):
            refused(desk.db, "42501", rate, (question_id, True, True))
    verdicts = "select tutor_id, is_correct, seen_label from private.qa_verdicts where qa_id = %s"
    found = desk.db.execute(verdicts, (question_id,)).fetchall()
    assert sorted(found) == sorted([(whole, True, False), (partly, False, True)]), "seen once stays seen"
    desk.db.execute("update public.qa_interactions set status = 'stopped' where id = %s", (question_id,))
    with act_as(desk.db, whole):
        refused(desk.db, "23514", rate, (question_id, True, True))


def test_bad_input_changes_nothing(desk: Desk) -> None:
    good = {"question": "Why?", "external_id": "x"}
    bodies: list[dict[str, Any]] = [
        {}, {"question": ""}, {"question": " \n"}, {"question": "x" * 10_001}, {"question": None}, {"external_id": ""},
        {"external_id": "x" * 256}, {"confidence": "High"}, {"subject_id": "no"}, {"question": "a\u0000b"},
        {"catalog_course_ids": [str(uuid.uuid4()) for _ in range(21)]},
    ]  # fmt: skip
    for body in bodies:
        found = desk.post("", {**good, **body} if body else {})
        assert found.status_code == 422, (body, found.text)
        assert set(found.json()) == {"code", "message", "details", "hint", "request_id"}
    assert desk.post("", {**good, "subject_id": str(uuid.uuid4())}).json()["code"] == "subject_not_found"
    assert desk.post("", {**good, "assignment_id": str(uuid.uuid4())}).json()["code"] == "not_found"
    plain = desk.person.functions.post("/tutoring/questions", json=good, headers={"Accept": "image/png"})
    assert plain.status_code == 406
    assert desk.post(f"/{uuid.uuid4()}/escalate", {"note": "x" * 2001}).status_code == 422
    assert desk.person.rows("qa_interactions") == []
    assert desk.used() == 0
