"""Practice that a model wrote, in SQL: requests that end once, reviews by tutors, and what an accepted question is."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.support.materials import document, replace_chunks
from tests.support.people import act_as, persona, refused
from tests.support.rows import one
from tests.support.tutoring import ai_practice, assign, column, first, item, practice, subject

Connection = psycopg.Connection[Any]
REVIEW = "select source::text from public.review_practice(%s, %s, %s)"
PICK = "select id from public.svc_pick_practice(%s, %s, 10)"
CITED = [
    {"kind": "document", "source_id": str(uuid.uuid4()), "chunk_id": str(uuid.uuid4()), "quote": "the answer is 2"}
]


@dataclass
class Desk:
    """A student and their tutor in one subject."""

    db: Connection
    student: uuid.UUID
    tutor: uuid.UUID
    maths: uuid.UUID

    def question(self, citations: Any = (), **columns: Any) -> uuid.UUID:
        """A question of a model with its key."""
        given = {"subject_id": self.maths, "difficulty_level": 3, "topic_tags": ["sums"], **columns}
        made = ai_practice(self.db, self.student, ai_question_text=f"1 + 1? {uuid.uuid4()}", **given)
        self.db.execute(
            "insert into public.practice_assignment_answers"
            " (practice_assignment_id, ai_answer_text, accepted_answers, citations) values (%s, '2', '{two}', %s)",
            (made, Jsonb(list(citations))),
        )
        return made

    def review(self, assignment: uuid.UUID, accept: bool, who: uuid.UUID | None = None) -> str:
        """The source that the assignment has after a review."""
        with act_as(self.db, who or self.tutor):
            return str(one(self.db, REVIEW, (assignment, accept, "read")))

    def refuses(self, sqlstate: str, assignment: Any, accept: Any, who: uuid.UUID | None = None) -> None:
        """Asserts that a review fails and leaves nothing behind."""
        before = one(self.db, "select count(*) from public.overrides")
        with act_as(self.db, who or self.tutor):
            refused(self.db, sqlstate, REVIEW, (assignment, accept, None))
        assert one(self.db, "select count(*) from public.overrides") == before

    def record(self, assignment: uuid.UUID, score: float | None = 1) -> Any:
        """What the student is told about an answer."""
        statement = "select public.svc_record_answer(%s, %s, %s, '2', %s::numeric, 'rule')"
        return one(self.db, statement, (self.student, assignment, f"key-{assignment}", score))

    def picked(self) -> set[uuid.UUID]:
        """What the student is asked."""
        return {row[0] for row in self.db.execute(PICK, (self.student, self.maths))}

    def actions(self, assignment: uuid.UUID) -> list[str]:
        """What tutors did with an assignment."""
        statement = "select action from public.overrides where practice_assignment_id = %s order by created_at, action"
        return [row[0] for row in self.db.execute(statement, (assignment,))]


@pytest.fixture
def desk(db: Connection) -> Desk:
    made = Desk(db, persona(db), persona(db, "tutor"), subject(db))
    assign(db, made.tutor, made.student, made.maths)
    return made


def test_an_accepted_question_is_an_item_of_the_bank(desk: Desk) -> None:
    target = desk.question(answer_kind="numeric", tolerance="0.5", language="de")
    assert (desk.review(target, True), desk.review(target, True)) == ("bank", "bank")
    assert desk.actions(target) == ["accept"], "the second review is the first"
    made = first(
        desk.db,
        "select i.created_by, i.is_generated, i.student_id, i.topic_tags, i.answer_kind::text, i.tolerance, i.language,"
        " i.elo_rating, k.answer_text, k.accepted_answers, a.flagged, a.reviewed_by, a.bank_item_version"
        " from public.practice_assignments as a join public.practice_bank_items as i on i.id = a.bank_item_id"
        " join public.practice_bank_answers as k on k.item_id = i.id where a.id = %s",
        (target,),
    )
    assert made[:7] == (desk.tutor, True, None, ["sums"], "numeric", pytest.approx(0.5), "de")
    assert made[7:] == (750, "2", ["two"], False, desk.tutor, 1)
    desk.refuses("23514", target, False)
    told = desk.record(target)
    assert told["rating_after"] > told["rating_before"] == 1000
    calibrated = "select variance_initial from private.item_calibration where item_id = %s"
    assert one(desk.db, calibrated, (column(desk.db, "practice_assignments", "bank_item_id", target),)) == 1
    attempt = "select is_first, is_rated, item_version from public.practice_attempts where practice_assignment_id = %s"
    assert first(desk.db, attempt, (target,)) == (True, True, 1)
    # the service had graded it as a question of the model, so a job makes the review
    replay = "select count(*) from public.jobs where dedupe_key = %s"
    assert one(desk.db, replay, (f"review:{target}",)) == 1


def test_an_answer_from_before_the_review_moves_nothing(desk: Desk) -> None:
    done, doubtful = desk.question(CITED), desk.question(CITED)
    told = desk.record(done)
    assert (told["rating_before"], told["rating_after"], told["xp"]) == (1000, 1000, 10)
    assert told["citations"] == CITED
    assert desk.record(doubtful, None)["needs_review"]
    assert (desk.review(done, True), desk.review(doubtful, True)) == ("bank", "bank")
    assert desk.record(done) == {**told, "answer_text": "2"}, "told as before"
    rated = "select count(*) from public.practice_attempts where student_id = %s and (is_rated or is_first)"
    assert one(desk.db, rated, (desk.student,)) == 0
    known = column(desk.db, "practice_assignments", "bank_item_id", done)
    again = desk.record(practice(desk.db, desk.student, known, is_review=True))
    assert (again["rating_before"], again["rating_after"]) == (1000, 1000), "the student has seen the answer"
    desk.db.execute("select private.replay_practice(%s, %s)", (desk.student, desk.maths))
    assert one(desk.db, rated, (desk.student,)) == 0
    with act_as(desk.db, desk.tutor):
        desk.db.execute("select public.grade_practice(%s, 1, 'right')", (doubtful,))
    assert first(
        desk.db,
        "select completed, performance_score, student_rating_after from public.practice_assignments where id = %s",
        (doubtful,),
    ) == (True, 1, 1000)
    assert one(desk.db, "select count(*) from private.xp_events where student_id = %s", (desk.student,)) == 2 + 1


def test_a_refused_question_is_not_asked(desk: Desk) -> None:
    target, other, done = desk.question(), desk.question(), desk.question()
    desk.record(done)
    assert desk.picked() == {target, other}
    for _ in range(2):
        assert desk.review(target, False) == "ai_generated"
    desk.review(done, False)
    assert desk.actions(target) == ["refuse"]
    assert desk.picked() == {other}
    statement = "select public.svc_record_answer(%s, %s, 'key-of-mine', '2', 1, 'rule')"
    refused(desk.db, "PT409", statement, (desk.student, target))
    refused(desk.db, "PT409", "select public.svc_submit_answer(%s, %s, 'key-of-mine', '2')", (desk.student, target))
    assert desk.record(done)["score"] == 1, "what was answered stays"
    keys = one(desk.db, "select public.svc_question_keys(%s)", (desk.student,))
    assert len(keys["practice"]) == 1, "its key silences no answer"
    # a tutor may think again
    assert desk.review(target, True) == "bank"
    assert (desk.actions(target), desk.picked()) == (["accept", "refuse"], {target, other})


def test_a_correction_is_a_review(desk: Desk) -> None:
    target = desk.question()
    desk.review(target, False)
    override = "select id from public.apply_override('practice', %s, 'clearer', %s)"
    with act_as(desk.db, desk.tutor):
        desk.db.execute(override, (target, Jsonb({"ai_question_text": "2 + 2?"})))
    # as it is now, it may be refused again
    desk.review(target, False)
    assert (desk.actions(target).count("refuse"), desk.picked()) == (2, set())
    with act_as(desk.db, desk.tutor):
        desk.db.execute(override, (target, Jsonb({"ai_answer_text": "4"})))
    assert column(desk.db, "practice_assignments", "source::text", target) == "ai_generated", "until it is asked"
    assert desk.picked() == {target}
    row = first(
        desk.db,
        "select i.question_text, k.answer_text, i.created_by from public.practice_assignments as a"
        " join public.practice_bank_items as i on i.id = a.bank_item_id"
        " join public.practice_bank_answers as k on k.item_id = i.id where a.id = %s",
        (target,),
    )
    assert row == ("2 + 2?", "4", desk.tutor)
    assert desk.record(target)["rating_after"] > 1000


def test_reviews_that_are_refused(desk: Desk) -> None:
    target = desk.question()
    for who in (persona(desk.db, "tutor"), desk.student, persona(desk.db, "admin")):
        desk.refuses("42501", target, True, who)
    desk.refuses("42501", uuid.uuid4(), True)
    desk.refuses("42501", desk.question(subject_id=subject(desk.db)), True)
    desk.refuses("22004", target, None)
    desk.refuses("22004", None, True)
    desk.refuses("23514", practice(desk.db, desk.student, item(desk.db, desk.maths)), True)
    desk.refuses("23514", ai_practice(desk.db, desk.student, subject_id=desk.maths, difficulty_level=3), True)
    desk.refuses("23514", desk.question(difficulty_level=None), True)
    desk.db.execute("select public.svc_submit_answer(%s, %s, 'key-of-mine', 'two')", (desk.student, target))
    for accept in (True, False):
        desk.refuses("23514", target, accept)
    desk.db.execute("update public.tutor_student_assignments set status = 'paused' where tutor_id = %s", (desk.tutor,))
    desk.refuses("42501", target, True)


def test_what_is_made_of_a_students_material_stays_theirs(desk: Desk) -> None:
    db = desk.db
    target = desk.question(CITED)
    desk.review(target, True)
    made = column(db, "practice_assignments", "bank_item_id", target)
    other = persona(db)
    colleague, stranger = persona(db, "tutor"), persona(db, "tutor")
    assign(db, colleague, desk.student)
    assign(db, stranger, other, desk.maths)
    for who, sees in ((desk.tutor, 1), (colleague, 1), (stranger, 0), (other, 0), (desk.student, 1)):
        with act_as(db, who):
            assert one(db, "select count(*) from public.practice_bank_items where id = %s", (made,)) == sees
            keys = one(db, "select count(*) from public.practice_bank_answers where item_id = %s", (made,))
            assert keys == (sees if who != desk.student else 0), "the student has not answered"
    assert db.execute(PICK, (other, desk.maths)).fetchall() == []
    given = "insert into public.practice_assignments (student_id, bank_item_id) values (%s, %s)"
    with act_as(db, stranger):
        refused(db, "23514", given, (other, made))
    mine = practice(db, other, item(db, desk.maths))
    with act_as(db, stranger):
        swap = "select id from public.apply_override('practice', %s, 'swap', %s)"
        refused(db, "23514", swap, (mine, Jsonb({"bank_item_id": str(made)})))
    # its author keeps no hold on it when they no longer tutor the student
    change = "update public.practice_bank_items set question_text = 'x' where id = %s"
    with act_as(db, desk.tutor):
        assert db.execute(change, (made,)).rowcount == 1
    db.execute("update public.tutor_student_assignments set status = 'completed' where tutor_id = %s", (desk.tutor,))
    with act_as(db, desk.tutor):
        assert db.execute(change, (made,)).rowcount == 0
    desk.db.execute("update public.practice_assignments set bank_item_version = 2 where id = %s", (target,))
    desk.record(target)
    db.execute("delete from auth.users where id = %s", (desk.student,))
    assert one(db, "select count(*) from public.practice_bank_items where id = %s", (made,)) == 0


def begin(desk: Desk, who: uuid.UUID | None = None, count: int = 3, sources: Any = ()) -> uuid.UUID:
    """A request for practice; its id."""
    statement = "select job_id from public.svc_begin_practice_generation(%s, %s, %s, %s, p_source_ids => %s)"
    job = one(desk.db, statement, (who or desk.student, desk.student, desk.maths, count, list(sources)))
    made = one(desk.db, "select id from private.practice_generations where job_id = %s", (job,))
    assert isinstance(made, uuid.UUID)
    return made


def used(desk: Desk, who: uuid.UUID | None = None) -> int:
    """How many questions count."""
    statement = "select sum(used) from private.usage_counters where user_id = %s and meter = 'practice_ai_items'"
    return int(one(desk.db, statement, (who or desk.student,)) or 0)


def wrote(*texts: str, **columns: Any) -> Jsonb:
    """Questions as the service sends them."""
    given = {"answer_kind": "exact", "difficulty_level": 3, "answer_text": "2", "language": "en", **columns}
    return Jsonb([{"question_text": text, **given} for text in texts])


def test_a_request_ends_once(desk: Desk) -> None:
    store = "select public.svc_store_practice_items(%s, %s, %s)"
    open_ = item(desk.db, desk.maths, question_text="What  is IT?")
    desk.db.execute("insert into public.practice_bank_answers (item_id, answer_text) values (%s, '2')", (open_,))
    practice(desk.db, desk.student, open_)
    made = begin(desk)
    assert used(desk) == 3
    told = one(desk.db, store, (made, wrote("what is it?", "Why?", "How?", "Too many?"), Jsonb({"level": 2})))
    assert (told["status"], told["stored"], told["dropped"]) == ("stored", 2, {"level": 2, "duplicate": 1})
    assert used(desk) == 2
    assert one(desk.db, store, (made, wrote("Again?"), Jsonb({}))) == told
    assert one(desk.db, "select public.svc_fail_practice_generation(%s, 'interrupted')", (made,)) == told
    assert (used(desk), len(desk.picked())) == (2, 3)
    notified = "select count(*) from public.notifications where user_id = %s"
    assert one(desk.db, notified, (desk.tutor,)) == 1

    failed = begin(desk)
    desk.db.execute("update private.practice_generations set instructions = 'secret' where id = %s", (failed,))
    told = one(desk.db, "select public.svc_fail_practice_generation(%s, 'provider_auth')", (failed,))
    assert (told, used(desk)) == ({"status": "failed", "error_code": "provider_auth"}, 2)
    assert one(desk.db, "select instructions from private.practice_generations where id = %s", (failed,)) is None
    assert one(desk.db, store, (failed, wrote("Again?"), Jsonb({}))) == told
    assert one(desk.db, store, (uuid.uuid4(), wrote("Again?"), Jsonb({}))) is None
    # an odd question stores none of its deck
    odd = begin(desk)
    refused(desk.db, "22P02", store, (odd, wrote("Odd?", answer_kind="essay"), Jsonb({})))
    refused(desk.db, "23514", store, (odd, wrote("Odd?", answer_kind="choice"), Jsonb({})))
    assert len(desk.picked()) == 3

    # nobody will write what was cancelled
    job = one(desk.db, "select job_id from private.practice_generations where id = %s", (odd,))
    desk.db.execute("update public.jobs set status = 'cancelled' where id = %s", (job,))
    assert one(desk.db, "select private.fail_stuck_practice()") >= 1
    loaded = one(desk.db, "select public.svc_load_practice_generation(%s)", (odd,))
    assert (loaded["result"]["error_code"], used(desk)) == ("cancelled", 2)


def test_rights_are_those_of_now(desk: Desk) -> None:
    made = begin(desk, desk.tutor)
    assert (used(desk), used(desk, desk.tutor)) == (0, 3)
    desk.db.execute("update public.tutor_student_assignments set status = 'paused' where tutor_id = %s", (desk.tutor,))
    assert not one(desk.db, "select public.svc_load_practice_generation(%s)", (made,))["is_allowed"]
    told = one(desk.db, "select public.svc_store_practice_items(%s, %s)", (made, wrote("Why?")))
    assert (told["status"], desk.picked(), used(desk, desk.tutor)) == ("failed", set(), 0)
    statement = "select * from public.svc_begin_practice_generation(%s, %s, %s, 1)"
    refused(desk.db, "PT404", statement, (desk.tutor, desk.student, desk.maths))
    refused(desk.db, "PT404", statement, (persona(desk.db, "admin"), desk.student, desk.maths))
    refused(desk.db, "PT404", statement, (desk.student, desk.student, uuid.uuid4()))


def test_sources_are_those_that_whoever_asks_may_see(desk: Desk) -> None:
    db = desk.db
    notes, foreign, empty = document(db, desk.student), document(db, persona(db)), document(db, desk.student)
    replace_chunks(db, "document", notes, ["Cells have walls.", "Mass is not weight.", "Water boils."])
    replace_chunks(db, "document", foreign, ["Not yours."])
    statement = "select * from public.svc_begin_practice_generation(%s, %s, %s, 1, p_source_ids => %s)"
    for sources, sqlstate in (([foreign], "PT404"), ([notes, foreign], "PT404"), ([empty], "PT409"), ([None], "22023")):
        refused(db, sqlstate, statement, (desk.student, desk.student, desk.maths, sources))
    refused(db, "PT404", statement, (desk.tutor, desk.student, desk.maths, [notes]))
    made = begin(desk, sources=[notes])
    load = "select public.svc_load_practice_generation(%s)"
    found = one(db, load, (made,))
    assert [row["content"] for row in found["fragments"]] == [
        "Cells have walls.",
        "Mass is not weight.",
        "Water boils.",
    ]
    db.execute("update private.practice_generations set topic_tags = '{weight, walls}' where id = %s", (made,))
    on_topic = [row["content"] for row in one(db, load, (made,))["fragments"]]
    assert on_topic == ["Cells have walls.", "Mass is not weight."]
    # the document was given away meanwhile
    db.execute("update public.documents set owner_id = %s where id = %s", (desk.tutor, notes))
    assert one(db, load, (made,))["fragments"] == []
