"""Searching over HTTP: what is found, where its links lead, and what odd requests get."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.types.json import Jsonb

from functions.search import jobs
from functions.shared.jobs import enqueue
from scripts.native.stack import Stack
from tests.support.canvas import Ended, Runner, Student, student
from tests.support.waiting import wait_until

Connection = psycopg.Connection[Any]
TEXT = "Such collisions are resolved by chaining <b>or</b> by open addressing."


def chunk(text: str, ordinal: int = 0, **place: Any) -> dict[str, Any]:
    """A fragment as svc_replace_chunks takes it."""
    return {"ordinal": ordinal, "content": text, "content_hash": uuid.uuid4().hex, "language": "en", **place}


@pytest.fixture
def course_id(db: Connection) -> str:
    """A course of the catalogue."""
    row = db.execute(
        "insert into public.catalog_courses (code, title) values (%s, 'Data Structures') returning id::text",
        (f"CSC {uuid.uuid4().int % 900 + 100}",),
    ).fetchone()
    db.commit()
    assert row is not None
    return str(row[0])


@pytest.fixture
def material(db: Connection, person: Student, course_id: str) -> Iterator[dict[str, str]]:
    """A document with two pages and a lecture with two minutes, both about collisions; the ids by kind."""
    document, lecture, session = str(uuid.uuid4()), str(uuid.uuid4()), str(uuid.uuid4())
    viewer = f"https://school.hosted.panopto.com/Panopto/Pages/Viewer.aspx?id={session}"
    db.execute(
        "insert into public.documents (id, owner_id, catalog_course_id, filename, storage_key, checksum, mime_type,"
        " size_bytes) values (%s, %s, %s, 'Notes.pdf', %s, %s, 'application/pdf', 10)",
        (document, person.user_id, course_id, f"documents/{document}.pdf", uuid.uuid4().hex * 2),
    )
    db.execute(
        "insert into public.lectures (id, catalog_course_id, panopto_host, panopto_session_id, panopto_url,"
        " stream_url, title) values (%s, %s, 'school.hosted.panopto.com', %s, %s, %s, 'Week 3')",
        (lecture, course_id, session, viewer, viewer),
    )
    db.execute("insert into public.user_lectures (user_id, lecture_id) values (%s, %s)", (person.user_id, lecture))
    pages = [chunk("A hash table has slots.", page_start=1, page_end=1), chunk(TEXT, 1, page_start=2, page_end=2)]
    said = [chunk("Good morning.", start_second=0, end_second=60), chunk(TEXT, 1, start_second=65.5, end_second=90)]
    db.execute("select public.svc_replace_chunks('document', %s, %s)", (document, Jsonb(pages)))
    db.execute("select public.svc_replace_chunks('lecture', %s, %s)", (lecture, Jsonb(said)))
    db.commit()
    yield {"document": document, "lecture": lecture, "session": session}
    db.rollback()
    db.execute("delete from public.documents where id = %s", (document,))
    db.execute("delete from public.lectures where id = %s", (lecture,))
    db.commit()


def found(person: Student, mode: str = "lexical", **body: Any) -> list[dict[str, Any]]:
    """The results of a search that must succeed."""
    answer = person.functions.post("/search", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["mode"] == mode
    return list(answer.json()["results"])


def test_a_question_finds_the_page_and_the_second(stack: Stack, person: Student, material: dict[str, str]) -> None:
    results = {row["kind"]: row for row in found(person, query="How are collisions resolved?")}
    page, second = results["document"], results["lecture"]
    front_end = stack.service_environment()["FRONTEND_URL"]
    assert (page["title"], page["source_id"], page["page_start"]) == ("Notes.pdf", material["document"], 2)
    assert page["link"] == f"{front_end}/documents/{material['document']}#page=2"
    assert (second["title"], second["start_second"], second["page_start"]) == ("Week 3", 65.5, None)
    viewer = f"https://school.hosted.panopto.com/Panopto/Pages/Viewer.aspx?id={material['session']}"
    assert second["link"] == f"{viewer}&start=65"
    assert page["text"] == TEXT
    assert "<b>" not in page["highlight"]
    assert "<mark>collisions</mark>" in page["highlight"]


def test_once_embedded_material_is_found_by_meaning(
    stack: Stack, db: Connection, person: Student, material: dict[str, str]
) -> None:
    """No word of the question, nor its stem, stands in the text; the stand-in's vectors compare groups of letters."""
    question = "collisional chainwork"
    assert found(person, query=question) == []
    runner = Runner(stack.service_environment(), jobs)
    service = runner.database.service()

    def embed(**changes: Any) -> Ended:
        runner.settings = replace(runner.settings, **changes)
        return runner.run(enqueue(service, "chunk_embedding", {}).job_id)

    first = embed().result or {}
    assert first["embedded"] >= 4
    assert first["is_complete"]
    assert embed().result == {"embedded": 0, "is_complete": True, "note": None}
    answers: list[Any] = []

    def is_found_by_meaning() -> bool:
        # on a busy machine the model may answer later than a search waits
        answers.append(person.functions.post("/search", json={"query": question}).json())
        return bool(answers[-1]["mode"] == "hybrid")

    wait_until(is_found_by_meaning)
    results = answers[-1]["results"]
    assert {row["text"] for row in results[:2]} == {TEXT}
    assert results[0]["highlight"].startswith("Such collisions are resolved by chaining &lt;b&gt;")
    assert found(person, mode="lexical", query="the of and") == []
    with student(stack) as stranger:
        assert found(stranger, query=question) == []
    # each call is on record: those of the job, and those of the searches for the person who asked
    used = db.execute(
        "select count(*) filter (where job_id is not null), count(*) filter (where user_id = %s and job_id is null)"
        " from private.model_usage where purpose = 'embedding' and not is_estimated",
        (person.user_id,),
    ).fetchone()
    assert used is not None
    assert used[0] >= 1
    # the first search of a process also loads the library, which may take longer than a search waits
    assert used[1] >= 2
    # without a model the job says so, with a dead one it fails and can be repeated
    assert (embed(openai_embedding_model=None).result or {})["note"].startswith("OPENAI_EMBEDDING_MODEL is not set")
    failure = embed(openai_embedding_model="standin-500").failure
    assert failure is not None
    assert (failure.code, failure.retryable) == ("provider_unavailable", True)
    runner.close()


def test_kinds_courses_and_limit_narrow_it(person: Student, material: dict[str, str], course_id: str) -> None:
    query = "collisions"
    assert [row["kind"] for row in found(person, query=query, kinds=["lecture"])] == ["lecture"]
    assert len(found(person, query=query, limit=1)) == 1
    assert len(found(person, query=query, catalog_course_ids=[course_id])) == 2
    assert found(person, query=query, catalog_course_ids=[str(uuid.uuid4())]) == []
    assert found(person, query=query, catalog_course_ids=[]) == []


def test_others_find_nothing_of_it(stack: Stack, material: dict[str, str]) -> None:
    with student(stack) as stranger:
        assert found(stranger, query="collisions") == []


@pytest.mark.parametrize("query", ["", "   ", "the of and", "-", '"', "()&|!:*<>", "%", "\u202e", "a" * 20_000])
def test_an_odd_query_gives_an_empty_list(person: Student, material: dict[str, str], query: str) -> None:
    assert found(person, query=query) == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"query": None},
        {"query": "x", "limit": 0},
        {"query": "x", "limit": 51},
        {"query": "x", "kinds": ["thread"]},
        {"query": "x", "kinds": []},
        {"query": "x", "catalog_course_ids": ["7"]},
        {"query": "x", "page": 2},
    ],
)
def test_a_malformed_request_is_refused(person: Student, body: dict[str, Any]) -> None:
    answer = person.functions.post("/search", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")


def test_nobody_searches_without_signing_in(stack: Stack) -> None:
    answer = httpx.post(f"{stack.functions_url}/search", json={"query": "x"})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
