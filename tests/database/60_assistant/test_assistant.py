"""Teachers, conversations, answers, classes and material."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import pytest

from tests.support.machines import outcomes
from tests.support.people import act_as, freeze, persona, refused
from tests.support.races import ring
from tests.support.rows import connection, insert, one
from tests.support.tutoring import first

Connection = psycopg.Connection[Any]
BEGIN = "select * from public.svc_begin_answer(%s, %s, %s, %s, %s)"
FINISH = "select public.svc_finish_answer(%s, %s, %s)"


def teacher(db: Connection) -> uuid.UUID:
    person = persona(db, "teacher")
    given = {"id": person, "lms_connection_id": connection(db), "canvas_user_id": "1", "name": "Ms Moss"}
    return insert(db, "public.teachers", given)


def thread(db: Connection, teacher_id: uuid.UUID) -> uuid.UUID:
    return insert(db, "public.threads", {"teacher_id": teacher_id})


def stored(db: Connection, thread_id: uuid.UUID) -> list[tuple[Any, ...]]:
    return db.execute(
        "select role, status, content from public.messages where thread_id = %s order by seq", (thread_id,)
    ).fetchall()


def test_a_teacher_is_a_teacher_and_corrects_his_name_only(db: Connection) -> None:
    made = teacher(db)
    with pytest.raises(psycopg.errors.CheckViolation), db.transaction():
        insert(db, "public.teachers", {"id": persona(db), "lms_connection_id": connection(db), "canvas_user_id": "2"})
    with act_as(db, made):
        assert db.execute("update public.teachers set name = 'Moss' where id = %s", (made,)).rowcount == 1
        refused(db, "42501", "update public.teachers set canvas_user_id = '7' where id = %s", (made,))
    used = one(db, "select lms_connection_id from public.teachers where id = %s", (made,))
    with pytest.raises(psycopg.IntegrityError), db.transaction():
        db.execute("delete from public.lms_connections where id = %s", (used,))


def test_a_teacher_speaks_for_himself_in_his_own_thread(db: Connection) -> None:
    me, other = teacher(db), teacher(db)
    foreign = thread(db, other)
    say = "insert into public.messages (thread_id, role, content) values (%s, %s, 'Hello')"
    with act_as(db, me):
        own = one(db, "insert into public.threads (title) values ('Plan') returning id")
        db.execute(say, (own, "user"))
        refused(db, "42501", say, (own, "assistant"))
        refused(db, "42501", say, (foreign, "user"))
        status = "insert into public.messages (thread_id, role, content, status) values (%s, 'user', 'x', 'failed')"
        refused(db, "42501", status, (own,))
        refused(db, "42501", "update public.messages set content = 'x' where thread_id = %s", (own,))
        refused(db, "42501", "delete from public.messages where thread_id = %s", (own,))
        assert one(db, "select count(*) from public.messages") == 1
    with act_as(db, other):
        assert one(db, "select count(*) from public.messages") == 0
        assert db.execute("delete from public.threads where id = %s", (own,)).rowcount == 0
    with act_as(db, persona(db)):
        refused(db, "23503", "insert into public.threads (title) values ('x')")


def test_the_thread_with_the_newest_message_comes_first(db: Connection) -> None:
    me = teacher(db)
    first, second = thread(db, me), thread(db, me)
    db.execute("alter table public.threads disable trigger trg_threads_updated_at")
    db.execute("update public.threads set updated_at = '2020-01-01Z' where teacher_id = %s", (me,))
    with act_as(db, me):
        db.execute("insert into public.messages (thread_id, role, content) values (%s, 'user', 'Hi')", (first,))
    newest = "select id from public.threads where teacher_id = %s order by updated_at desc limit 1"
    assert one(db, newest, (me,)) == first != second


def test_a_question_and_its_answer(db: Connection) -> None:
    me = teacher(db)
    talk = thread(db, me)
    asked = (talk, me, "q1", "What now?", "hash-1")
    question, answer, outcome = first(db, BEGIN, asked)
    assert outcome == "new"
    assert stored(db, talk) == [("user", "complete", "What now?"), ("assistant", "streaming", "")]
    assert db.execute(BEGIN, asked).fetchone() == (question, answer, "existing")
    assert db.execute(BEGIN, (talk, me, "q1", "What?", "hash-2")).fetchone() == (question, None, "conflict")
    assert db.execute(BEGIN, (talk, me, "q2", "And then?", "hash-2")).fetchone() == (None, answer, "busy")
    assert len(stored(db, talk)) == 2
    db.execute(FINISH, (answer, "complete", "Rest."))
    db.execute(FINISH, (answer, "failed", "Too late."))
    assert stored(db, talk)[1] == ("assistant", "complete", "Rest.")
    assert db.execute(BEGIN, asked).fetchone() == (question, answer, "existing")
    assert first(db, BEGIN, (talk, me, "q2", "And then?", "hash-2"))[2] == "new"


@pytest.mark.parametrize(("end", "outcome"), [("failed", "new"), ("stopped", "existing"), ("interrupted", "existing")])
def test_only_a_failed_answer_is_tried_again(db: Connection, end: str, outcome: str) -> None:
    me = teacher(db)
    asked = (thread(db, me), me, "q1", "What now?", "hash-1")
    question, answer, _ = first(db, BEGIN, asked)
    db.execute(FINISH, (answer, end, "Half"))
    again = first(db, BEGIN, asked)
    assert (again[0], again[2]) == (question, outcome)
    assert (again[1] == answer) is (outcome == "existing")


def test_a_question_sent_over_rest_is_answered_by_its_text(db: Connection) -> None:
    me = teacher(db)
    talk = thread(db, me)
    with act_as(db, me):
        question = one(
            db,
            "insert into public.messages (thread_id, role, content, external_id) values (%s, 'user', 'Hi', 'q1') "
            "returning id",
            (talk,),
        )
    assert first(db, BEGIN, (talk, me, "q1", "Ho", "h"))[2] == "conflict"
    found, _, outcome = first(db, BEGIN, (talk, me, "q1", "Hi", "h"))
    assert (found, outcome) == (question, "new")
    assert one(db, "select content_hash from public.messages where id = %s", (question,)) == "h"


def test_arguments_of_answers(db: Connection) -> None:
    me = teacher(db)
    talk = thread(db, me)
    refused(db, "PT404", BEGIN, (talk, teacher(db), "q1", "x", "h"))
    refused(db, "PT404", BEGIN, (uuid.uuid4(), me, "q1", "x", "h"))
    for place in range(5):
        refused(db, "22004", BEGIN, [None if i == place else v for i, v in enumerate((talk, me, "q1", "x", "h"))])
    _, answer, _ = first(db, BEGIN, (talk, me, "q1", "x", "h"))
    refused(db, "22023", FINISH, (answer, "streaming", "x"))
    refused(db, "22023", FINISH, (answer, "odd", "x"))
    refused(db, "22004", FINISH, (answer, "complete", None))
    refused(db, "PT404", FINISH, (uuid.uuid4(), "complete", "x"))
    with act_as(db, me):
        refused(db, "42501", BEGIN, (talk, me, "q2", "x", "h"))
        refused(db, "42501", FINISH, (answer, "complete", "x"))


def test_two_questions_at_once_get_one_answer(db_url: str) -> None:
    with ring(db_url) as race:
        installation = connection(race.owner)
        race.clean_up("public.lms_connections", installation)
        me = persona(race.owner, "teacher")
        race.clean_up("auth.users", me)
        insert(race.owner, "public.teachers", {"id": me, "lms_connection_id": installation, "canvas_user_id": "9"})
        talk = thread(race.owner, me)
        one_session, other_session = race.session(), race.session()
        one_session.execute(BEGIN, (talk, me, "q1", "First", "h1"))
        waiting = race.start(other_session, BEGIN, (talk, me, "q2", "Second", "h2"))
        race.wait_until_blocked(other_session)
        one_session.commit()
        assert waiting.result(timeout=60)[2] == "busy"
        assert len(stored(race.owner, talk)) == 2


def begun(db: Connection, **more: Any) -> tuple[uuid.UUID, uuid.UUID, uuid.UUID]:
    """A teacher, a thread of theirs, and an answer that is being written in it."""
    me = teacher(db)
    talk = thread(db, me)
    _, answer, outcome = first(db, BEGIN, (talk, me, "q1", "x", "h"))
    assert outcome == "new"
    return me, talk, answer


def write(db: Connection, answer: uuid.UUID) -> None:
    """What a worker appends before it dies."""
    parts = """array['{"type":"data-attempt"}', '{"type":"start-step"}', '{"type":"text-start","id":"t"}',
                     '{"type":"text-delta","delta":"Half "}', '{"type":"text-delta","delta":"a word"}']::jsonb[]"""
    assert one(db, f"select public.svc_append_generation(%s, 2, {parts})", (answer,)) == 6


def kinds(db: Connection, answer: uuid.UUID) -> list[str]:
    """The types of the stream's parts."""
    statement = "select part ->> 'type' from private.generation_events where stream_id = %s order by seq"
    return [kind for (kind,) in db.execute(statement, (answer,))]


def jobs_of(db: Connection, answer: uuid.UUID) -> list[tuple[Any, ...]]:
    """The answer's jobs: state, owner, payload."""
    statement = """select j.status::text, j.user_id, r.payload from public.jobs as j
                   join private.job_runtime as r on r.job_id = j.id where j.dedupe_key = %s"""
    return db.execute(statement, (f"chat_answer:{answer}",)).fetchall()


def test_an_answer_begins_with_its_stream_and_a_job_that_takes_no_slot(db: Connection) -> None:
    me, _, answer = begun(db)
    assert kinds(db, answer) == ["start"]
    payload: dict[str, Any] = {"message_id": str(answer), "class_id": None, "content_source_ids": []}
    assert jobs_of(db, answer) == [("queued", None, payload)]
    loaded = one(db, "select public.svc_load_answer(%s)", (answer,))
    assert (loaded["status"], loaded["seq"], loaded["attempts"], loaded["text"]) == ("streaming", 1, 0, "")
    assert (loaded["user_id"], loaded["question"], loaded["history"]) == (str(me), "x", [])
    write(db, answer)
    loaded = one(db, "select public.svc_load_answer(%s)", (answer,))
    assert (loaded["seq"], loaded["attempts"], loaded["text"]) == (6, 1, "Half a word")
    refused(db, "PT404", "select public.svc_load_answer(%s)", (uuid.uuid4(),))
    refused(db, "22004", "select public.svc_load_answer(null)")


def test_foreign_classes_and_sources_store_nothing(db: Connection) -> None:
    me, other = teacher(db), teacher(db)
    talk = thread(db, me)
    begin = "select * from public.svc_begin_answer(%s, %s, 'q1', 'x', 'h', %s, %s)"
    source = {"kind": "text", "title": "Notes", "text_content": "x"}
    group = insert(db, "public.classes", {"teacher_id": me, "name": "7b"})
    mine = insert(db, "public.content_sources", {"teacher_id": me, **source})
    foreign = insert(db, "public.classes", {"teacher_id": other, "name": "9a"})
    theirs = insert(db, "public.content_sources", {"teacher_id": other, **source})
    refused(db, "PT404", begin, (talk, me, foreign, []))
    refused(db, "PT404", begin, (talk, me, None, [mine, theirs]))
    refused(db, "PT404", begin, (talk, me, None, [uuid.uuid4()]))
    assert stored(db, talk) == []
    _, answer, _ = first(db, begin, (talk, me, group, [mine, mine]))
    assert jobs_of(db, answer)[0][2]["content_source_ids"] == [str(mine)]


@pytest.mark.parametrize(
    ("status", "reason", "code", "last"),
    [
        ("complete", "stop", None, {"type": "finish", "finishReason": "stop"}),
        ("complete", "length", None, {"type": "finish", "finishReason": "length"}),
        ("complete", "content_filter", None, {"type": "finish", "finishReason": "content-filter"}),
        ("stopped", None, None, {"type": "abort"}),
        ("failed", None, "refused", {"type": "error", "code": "refused", "errorText": "No."}),
    ],
)
def test_every_end_is_the_end_of_the_stream(
    db: Connection, status: str, reason: str | None, code: str | None, last: dict[str, str]
) -> None:
    _, talk, answer = begun(db)
    write(db, answer)
    finish = """select public.svc_finish_answer(%s, %s, 'Half a word', %s, p_error_code => %s, p_seq => %s,
                    p_parts => array['{"type":"source-url"}']::jsonb[], p_error_message => 'No.', p_title => 'Words')"""
    assert one(db, finish, (answer, status, reason, code, 5)) is False
    assert stored(db, talk)[1][1] == "streaming"
    assert one(db, finish, (answer, status, reason, code, 6)) is True
    ends = ["text-end", "source-url", *(["finish-step"] if status == "complete" else []), last["type"]]
    assert kinds(db, answer)[6:] == ends
    newest = "select part from private.generation_events where stream_id = %s order by seq desc limit 1"
    assert one(db, newest, (answer,)) == last
    assert one(db, "select title from public.threads where id = %s", (talk,)) == "Words"
    # a stopped answer still takes its worker's metrics
    assert one(db, finish, (answer, status, reason, code, 6)) is (status == "stopped")
    assert len(kinds(db, answer)) == 6 + len(ends)


def test_stopping_keeps_the_text_ends_the_job_and_takes_the_cost_later(db: Connection) -> None:
    me, talk, answer = begun(db)
    write(db, answer)
    stop = "select public.svc_stop_answer(%s, %s)"
    refused(db, "PT404", stop, (talk, teacher(db)))
    refused(db, "22004", stop, (talk, None))
    assert one(db, stop, (talk, me)) == answer
    assert stored(db, talk)[1] == ("assistant", "stopped", "Half a word")
    assert kinds(db, answer)[6:] == ["text-end", "abort"]
    assert jobs_of(db, answer)[0][0] == "cancelled"
    assert one(db, stop, (talk, me)) is None
    costs = """select public.svc_finish_answer(%s, 'stopped', 'other', p_metrics => '{"attempts": 1}', p_seq => 3)"""
    assert one(db, costs, (answer,)) is True
    assert one(db, costs, (answer,)) is False
    assert stored(db, talk)[1][2] == "Half a word"
    assert one(db, "select metrics from public.messages where id = %s", (answer,)) == {"attempts": 1}


def test_the_sweep_keeps_the_text_of_an_answer_whose_writer_died(db: Connection) -> None:
    _, talk, answer = begun(db)
    write(db, answer)
    sweep = "select public.svc_sweep_generations()"
    delete = "delete from public.jobs where dedupe_key = %s"
    freeze(db, one(db, "select (now() + interval '5 minutes')::text"))
    db.execute(sweep)
    assert stored(db, talk)[1][1] == "streaming", "its job lives"
    db.execute(delete, (f"chat_answer:{answer}",))
    freeze(db, one(db, "select now()::text"))
    db.execute(sweep)
    assert stored(db, talk)[1][1] == "streaming", "it was written a moment ago"
    freeze(db, one(db, "select (now() + interval '5 minutes')::text"))
    db.execute(sweep)
    assert stored(db, talk)[1] == ("assistant", "interrupted", "Half a word")
    assert kinds(db, answer)[6:] == ["text-end", "error"]
    assert one(db, "select error_code from public.messages where id = %s", (answer,)) == "interrupted"


def test_states_of_classes_sources_and_content(db: Connection) -> None:
    me = teacher(db)
    births, changes = outcomes(
        db, "classes", ["active", "archived"],
        lambda state: insert(db, "public.classes", {"teacher_id": me, "name": "7b", "status": state}),
    )  # fmt: skip
    assert (births, changes) == ({"active"}, {"active>archived", "archived>active"})
    source = {"teacher_id": me, "kind": "text", "title": "Notes", "text_content": "x"}
    births, changes = outcomes(
        db, "content_sources", ["pending", "processing", "ready", "failed"],
        lambda state: insert(db, "public.content_sources", source, {"status": state}),
    )  # fmt: skip
    assert births == {"pending"}
    assert changes == {
        "pending>processing", "processing>ready", "processing>failed", "failed>pending", "ready>pending"
    }  # fmt: skip
    births, changes = outcomes(
        db, "generated_content", ["draft", "approved", "archived"],
        lambda state: insert(
            db, "public.generated_content", {"teacher_id": me, "kind": "quiz", "title": "Quiz", "status": state}
        ),
    )  # fmt: skip
    assert births == {"draft"}
    assert changes == {"draft>approved", "draft>archived", "approved>draft", "approved>archived", "archived>draft"}


def test_a_teacher_adds_links_and_texts_but_no_files(db: Connection) -> None:
    me, other = teacher(db), teacher(db)
    theirs = insert(db, "public.classes", {"teacher_id": other, "name": "9a"})
    add = """insert into public.content_sources (kind, title, source_url, text_content, class_id)
             values (%s, 'Notes', %s, %s, %s) returning id"""
    with act_as(db, me):
        assert one(db, add, ("url", "https://example.test/a", None, None))
        refused(db, "42501", add, ("upload", "https://example.test/a", None, None))
        refused(db, "42501", add.replace("text_content", "storage_key"), ("text", None, "content/x", None))
        refused(db, "23514", add, ("text", None, None, None))
        refused(db, "23514", add, ("url", "javascript:alert(1)", None, None))
        refused(db, "23503", add, ("text", None, "x", theirs))


def test_material_outlives_its_class_and_its_file_goes_to_the_outbox(db: Connection) -> None:
    me = teacher(db)
    group = insert(db, "public.classes", {"teacher_id": me, "name": "7b"})
    source = insert(
        db, "public.content_sources",
        {"teacher_id": me, "class_id": group, "kind": "upload", "title": "File", "storage_key": "content/abc"},
    )  # fmt: skip
    work = insert(
        db, "public.generated_content",
        {"teacher_id": me, "class_id": group, "content_source_id": source, "kind": "quiz", "title": "Quiz",
         "thread_id": thread(db, me)},
    )  # fmt: skip
    db.execute("delete from public.classes where id = %s", (group,))
    db.execute("delete from public.threads where teacher_id = %s", (me,))
    with act_as(db, me):
        db.execute("delete from public.content_sources where id = %s", (source,))
    kept = "select num_nonnulls(class_id, content_source_id, thread_id) from public.generated_content where id = %s"
    assert one(db, kept, (work,)) == 0
    assert one(db, "select reason from private.storage_deletions where storage_key = 'content/abc'")
    db.execute("delete from auth.users where id = %s", (me,))
    assert one(db, "select count(*) from public.generated_content where id = %s", (work,)) == 0


def test_a_refetched_course_is_fresh_again(db: Connection) -> None:
    me = teacher(db)
    made = insert(db, "public.courses_cache", {"teacher_id": me, "canvas_course_id": 7, "cached_at": "2020-01-01Z"})
    db.execute("""update public.courses_cache set course_data = '{"name": "Art"}' where id = %s""", (made,))
    assert one(db, "select cached_at = now() from public.courses_cache where id = %s", (made,))
