"""What an answer is made of: the teacher's own material and nobody else's, cited word for word."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest

from functions.chat.grounding import MAX_SOURCES, best, pieces_of
from functions.chat.history import trimmed, turns_of
from functions.search import jobs as search_jobs
from functions.shared.jobs import enqueue
from tests.functions.chat.conftest import Desk
from tests.support import chat
from tests.support.canvas import Runner, Student

LEAVES = "Chlorophyll absorbs red and blue light. Leaves look green because green light is reflected."
ROOTS = "Roots take up water and minerals. Root hairs enlarge the surface of the root."


def source(desk: Desk, owner: Student, text: str, title: str = "Notes", **columns: Any) -> str:
    """A source whose text was extracted."""
    made = chat.add(owner, "content_sources", kind="text", title=title, text_content=text, **columns)
    for status in ("processing", "ready"):
        desk.sql("update public.content_sources set status = %s where id = %s", status, made)
    return made


def prompt(desk: Desk) -> str:
    """The newest request's last message."""
    return str(desk.model.requests[-1]["body"]["messages"][-1]["content"])


def say(desk: Desk, text: str, **more: Any) -> dict[str, Any]:
    """The answer's row after the model said this."""
    desk.model.say("normal", text=text)
    answer_id, _ = desk.answer(chat.body("What do leaves do?", **more))
    return desk.message(answer_id)


def test_a_citation_stands_in_text_list_and_stream(desk: Desk) -> None:
    leaves = source(desk, desk.person, LEAVES, "Leaves")
    row = say(desk, 'They absorb light [1: "absorbs red and blue light"].', content_source_ids=[leaves])
    assert row["content"] == "They absorb light [1]."
    assert row["citations"] == [
        {
            "number": 1,
            "content_source_id": leaves,
            "kind": "text",
            "title": "Leaves",
            "url": None,
            "quote": "absorbs red and blue light",
        }
    ]
    assert (row["metrics"]["citations"], row["metrics"]["citations_dropped"]) == (1, 0)
    kinds = [part["type"] for part in desk.events(row["id"])]
    assert kinds[-4:] == ["text-end", "source-document", "finish-step", "finish"]


@pytest.mark.parametrize(
    "mark",
    [
        '[1: "absorbs ultraviolet light"]',  # not in the source
        '[2: "absorbs red and blue light"]',  # no such source
        "[1]",  # nothing quoted
        '[1: "light"]',  # too short to prove anything
        '[1: "bsorbs red and blue ligh"]',  # cut within words
    ],
)
def test_an_unsupported_citation_is_dropped_and_counted(desk: Desk, mark: str) -> None:
    leaves = source(desk, desk.person, LEAVES)
    row = say(desk, f"They absorb light {mark}. Really.", content_source_ids=[leaves])
    assert row["content"] == "They absorb light. Really."
    assert (row["citations"], row["metrics"]["citations_dropped"]) == ([], 1)
    assert not any(part["type"].startswith("source-") for part in desk.events(row["id"]))


def test_the_model_reads_the_named_sources_alone_between_random_marks(desk: Desk) -> None:
    leaves, _ = source(desk, desk.person, LEAVES), source(desk, desk.person, ROOTS)
    say(desk, "Well.", content_source_ids=[leaves])
    asked = prompt(desk)
    (token,) = set(re.findall(r"<<([0-9a-f]{32}) source_\d", asked))
    assert f"<<{token} source_1>>\nSource 1: Notes\n\n{LEAVES}\n<<{token} end>>" in asked
    assert "Root hairs" not in asked
    assert LEAVES not in desk.model.requests[-1]["body"]["messages"][0]["content"]
    say(desk, "Well.", content_source_ids=[leaves])
    assert token not in prompt(desk)


def test_without_names_the_class_and_then_everything_is_read(desk: Desk, other_teacher: Student) -> None:
    group = chat.add(desk.person, "classes", name="Biology 7b")
    empty = chat.add(desk.person, "classes", name="Chemistry 9a")
    source(desk, desk.person, LEAVES, class_id=group)
    source(desk, desk.person, ROOTS)
    source(desk, other_teacher, "A stranger's notes about leaves.")
    say(desk, "Well.", class_id=group)
    assert "Chlorophyll" in prompt(desk)
    assert "Root hairs" not in prompt(desk)
    assert "name: Biology 7b" in prompt(desk)
    for more in ({}, {"class_id": empty}):
        say(desk, "Well.", **more)
        assert "Chlorophyll" in prompt(desk)
        assert "stranger" not in prompt(desk)


def test_without_names_the_search_finds_an_old_source_among_many(desk: Desk, other_teacher: Student) -> None:
    fragments = (
        "select public.svc_replace_chunks('content_source', %s,"
        " jsonb_build_array(jsonb_build_object('content', %s::text, 'language', 'en')))"
    )
    old = source(desk, desk.person, f"{LEAVES}\n\n{ROOTS}", "Botany")
    desk.sql("update public.content_sources set created_at = now() - interval '1 year' where id = %s", old)
    desk.sql(fragments, old, LEAVES)
    strange = source(desk, other_teacher, "What leaves do, by a stranger.")
    desk.sql(fragments, strange, "What leaves do, by a stranger.")
    for number in range(MAX_SOURCES + 1):
        source(desk, desk.person, f"Handout {number} on the French Revolution.")
    say(desk, "Well.")
    assert "Source 1: Botany" in prompt(desk)
    assert "Chlorophyll" in prompt(desk)
    assert "Root hairs" not in prompt(desk), "only the fragments that were found"
    assert "French" not in prompt(desk)
    assert "stranger" not in prompt(desk)
    desk.sql("update private.source_chunks set retired_at = now() where content_source_id = %s", old)
    say(desk, "Well.")
    assert "French" in prompt(desk), "where nothing is found, the newest are read"


def test_without_names_the_search_compares_meanings_too(desk: Desk) -> None:
    """No word of the question stands in the source; the stand-in's vectors compare groups of letters."""
    old = source(desk, desk.person, LEAVES, "Botany")
    desk.sql("update public.content_sources set created_at = now() - interval '1 year' where id = %s", old)
    desk.sql(
        "select public.svc_replace_chunks('content_source', %s,"
        " jsonb_build_array(jsonb_build_object('content', %s::text, 'language', 'en')))",
        old,
        LEAVES,
    )
    for number in range(MAX_SOURCES + 1):
        source(desk, desk.person, f"Handout {number} on the French Revolution.")
    runner = Runner(desk.environment(), search_jobs)
    try:
        embedding = enqueue(runner.database.service(), "chunk_embedding", {})
        assert runner.run(embedding.job_id).failure is None
    finally:
        runner.close()
    desk.model.say("normal", text="Well.")
    desk.answer(chat.body("chlorophylline bluelights"))
    assert "Chlorophyll" in prompt(desk)
    assert "French" not in prompt(desk)


def test_courses_of_canvas_are_known(desk: Desk, other_teacher: Student) -> None:
    add = "insert into public.courses_cache (teacher_id, canvas_course_id, course_data) values (%s, %s, %s)"
    desk.sql(add, desk.person.user_id, 7, '{"name": "Botany", "course_code": "BOT 1"}')
    desk.sql(add, other_teacher.user_id, 8, '{"name": "Secret course"}')
    say(desk, "Well.")
    assert "Botany · BOT 1" in prompt(desk)
    assert "Secret" not in prompt(desk)


@pytest.mark.parametrize("kind", ["thread", "class", "source", "missing class", "missing source"])
def test_what_belongs_to_others_is_not_found_and_nothing_is_stored(
    desk: Desk, other_teacher: Student, kind: str
) -> None:
    thread_id = desk.thread_id
    more: dict[str, Any] = {}
    if kind == "thread":
        thread_id = chat.thread(other_teacher)
    elif kind == "class":
        more = {"class_id": chat.add(other_teacher, "classes", name="9a")}
    elif kind == "source":
        more = {"content_source_ids": [source(desk, other_teacher, ROOTS)]}
    elif kind == "missing class":
        more = {"class_id": str(uuid.uuid4())}
    else:
        more = {"content_source_ids": [str(uuid.uuid4())]}
    answer = desk.person.functions.post(f"/chat/threads/{thread_id}/messages", json=chat.body(**more))
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert desk.sql("select count(*) from public.messages where thread_id = %s", thread_id) == [(0,)]
    for method, path in (("GET", "stream"), ("POST", "stop")):
        foreign = chat.thread(other_teacher)
        assert desk.person.functions.request(method, f"/chat/threads/{foreign}/{path}").status_code == 404


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"content": ""}, 422),
        ({"content": " \n "}, 422),
        ({"content": "x" * 50_001}, 422),
        ({"content": "x" * (1024 * 1024)}, 413),
        ({"external_id": ""}, 422),
        ({"external_id": "x" * 256}, 422),
        ({"class_id": "seven"}, 422),
        ({"content_source_ids": [str(uuid.uuid4())] * 21}, 422),
        ({"extra": 1}, 422),
        ({"content": "a\x00b"}, 422),
    ],
)
def test_bad_input_changes_nothing(desk: Desk, changes: dict[str, Any], status: int) -> None:
    answer = desk.person.functions.post(f"/chat/threads/{desk.thread_id}/messages", json={**chat.body(), **changes})
    assert answer.status_code == status, answer.text
    assert desk.messages() == []


def test_pieces_are_whole_paragraphs_or_cut_at_spaces() -> None:
    text = "One.\n\nTwo.\n\n" + "long word " * 400
    pieces = pieces_of(text)
    assert pieces[0] == "One.\n\nTwo."
    assert all(0 < len(piece) <= 1500 for piece in pieces)
    assert " ".join(" ".join(pieces).split()) == " ".join(text.split())
    assert "".join(pieces_of("x" * 4000)) == "x" * 4000
    assert pieces_of(" \n\n ") == []


def test_when_not_all_fits_rare_words_of_the_question_decide() -> None:
    pieces = ["the light of the sun " * 10, "the roots " * 10, "the light and chlorophyll " * 10]
    assert best(pieces, "What is the chlorophyll in the light?", 60) == [2]
    assert best(pieces, "What is the chlorophyll in the light?", 10_000) == [2, 0, 1]
    assert best(pieces, "", 0) == []


def test_turns_are_left_out_whole() -> None:
    rows: list[dict[str, Any]] = [
        {"id": "1", "role": "user", "content": "one " * 50, "status": "complete", "parent_id": None},
        {"id": "2", "role": "assistant", "content": "ONE", "status": "complete", "parent_id": "1"},
        {"id": "3", "role": "user", "content": "two", "status": "complete", "parent_id": None},
        {"id": "4", "role": "assistant", "content": "lost", "status": "failed", "parent_id": "3"},
        {"id": "5", "role": "user", "content": "three", "status": "complete", "parent_id": None},
        {"id": "6", "role": "assistant", "content": "THREE", "status": "stopped", "parent_id": "5"},
    ]
    turns = turns_of(rows)
    assert [[message["content"] for message in turn] for turn in turns] == [["one " * 50, "ONE"], ["three", "THREE"]]
    kept, is_cut = trimmed(turns, 20)
    assert ([message["content"] for message in kept], is_cut) == (["three", "THREE"], True)
    assert trimmed(turns, 1000)[1] is False
    assert trimmed(turns, 0) == ([], True)
