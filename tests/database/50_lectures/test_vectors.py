"""The search by meaning: what is near, how it is fused with the search by words, and a database without vectors."""

from __future__ import annotations

import json
import uuid
from typing import Any

import psycopg
import pytest

from scripts.native.paths import REPO
from tests.support.materials import document, replace_chunks
from tests.support.people import persona, refused
from tests.support.rows import one

Connection = psycopg.Connection[Any]

MODEL = "m"
FIND = """
select content, score, mode
from public.svc_search_material(%s, %s, p_embedding => %s, p_model => %s, p_limit => %s)
"""
SCHEMA_FILE = REPO / "sql" / "50_lectures" / "chunk_embeddings.sql"


def owner_of(db: Connection, texts: dict[str, str | None]) -> uuid.UUID:
    """A person with one document of these fragments and their vectors."""
    person = persona(db)
    source = document(db, person)
    replace_chunks(db, "document", source, [{"content": text, "language": "en"} for text in texts])
    store(db, source, texts)
    return person


def store(db: Connection, source: uuid.UUID, vectors: dict[str, str | None], model: str = MODEL) -> int:
    chunks = db.execute(
        "select id::text, content_hash, content from private.source_chunks where document_id = %s", (source,)
    ).fetchall()
    given = [
        {"chunk_id": chunk, "content_hash": digest, "embedding": vectors[text]}
        for chunk, digest, text in chunks
        if text in vectors
    ]
    return int(one(db, "select public.svc_store_embeddings(%s, %s)", (model, json.dumps(given))))


def find(
    db: Connection,
    person: uuid.UUID,
    query: str,
    vector: str | None = "[1,0]",
    model: str | None = MODEL,
    limit: int = 10,
) -> list[tuple[str, float, str]]:
    return db.execute(FIND, (person, query, vector, model, limit)).fetchall()


def test_places_by_words_and_by_meaning_are_fused(db: Connection) -> None:
    person = owner_of(
        db, {"heat heat": "[0,1]", "heat flows": "[0.8,0.6]", "warmth": "[1,0]", "birds": "[-1,0]", "heat of": None}
    )
    words = {"heat heat": 1, "heat of": 2, "heat flows": 3}
    assert [row[0] for row in find(db, person, "heat", None, None)] == list(words)
    meaning = {"warmth": 1, "heat flows": 2, "heat heat": 3, "birds": 4}
    found = find(db, person, "heat")
    expected = {
        text: sum(1 / (60 + places[text]) for places in (words, meaning) if text in places)
        for text in {*words, *meaning}
    }
    assert {text: score for text, score, _ in found} == pytest.approx(expected)
    assert [row[1] for row in found] == sorted(expected.values(), reverse=True)
    assert {row[2] for row in found} == {"hybrid"}
    assert [row[0] for row in find(db, person, "heat", limit=1)] == [found[0][0]]


def test_phrases_and_words_to_leave_out_count_for_both(db: Connection) -> None:
    person = owner_of(db, {"heat flows": "[0.8,0.6]", "flows of heat": "[1,0]", "birds": "[1,0]"})
    assert [row[0] for row in find(db, person, '"heat flows"')] == ["heat flows"]
    assert {row[0] for row in find(db, person, "heat -birds")} == {"heat flows", "flows of heat"}
    assert find(db, person, "-heat") == find(db, person, "") == []


def test_vectors_of_another_model_or_length_are_not_compared(db: Connection) -> None:
    person = owner_of(db, {"heat": "[0,1]", "warmth": "[1,0]"})
    for vector, model in (("[1,0]", "other"), ("[1,0,0]", MODEL)):
        assert [(text, mode) for text, _, mode in find(db, person, "heat", vector, model)] == [("heat", "lexical")]


def test_retired_fragments_have_no_meaning(db: Connection) -> None:
    person = persona(db)
    source = document(db, person)
    replace_chunks(db, "document", source, ["warmth", "birds"])
    assert store(db, source, {"warmth": "[1,0]", "birds": "[0,1]"}) == 2
    replace_chunks(db, "document", source, ["birds"])
    assert [row[0] for row in find(db, person, "heat")] == ["birds"]
    replace_chunks(db, "document", source, ["warmth"])
    assert [row[0] for row in find(db, person, "heat")] == ["warmth"], "what comes back still has its vector"


def test_what_has_no_vector_of_the_model_is_asked_for(db: Connection) -> None:
    source = document(db, persona(db))
    replace_chunks(db, "document", source, [{"content": "warmth", "heading": "Heat"}, "birds", "old", "odd"])
    replace_chunks(db, "document", source, [{"content": "warmth", "heading": "Heat"}, "birds", "odd"])

    def missing(model: str) -> set[str]:
        found = one(db, "select public.svc_chunks_to_embed(%s, 1000)", (model,))
        return {chunk["content"] for chunk in found} & {"warmth", "birds", "old", "odd"}

    assert missing(MODEL) == {"warmth", "birds", "odd"}
    assert len(one(db, "select public.svc_chunks_to_embed(%s, 2)", (MODEL,))) == 2
    # a text that the model refused is not asked for again
    assert store(db, source, {"warmth": "[1,0]", "odd": None}) == 2
    assert missing(MODEL) == {"birds"}
    # another model begins anew, and its vectors replace the old ones
    assert missing("new") == {"warmth", "birds", "odd"}
    assert store(db, source, {"warmth": "[1,0,0]"}, "new") == 1
    assert missing(MODEL) == {"warmth", "birds"}
    stale = {"chunk_id": str(uuid.uuid4()), "content_hash": "x", "embedding": "[1,0]"}
    chunk = one(db, "select id::text from private.source_chunks where content = 'birds'")
    given = json.dumps([stale, {**stale, "chunk_id": chunk}])
    assert one(db, "select public.svc_store_embeddings(%s, %s)", (MODEL, given)) == 0, "gone, or another text by now"


@pytest.mark.parametrize(
    ("sql", "args", "sqlstate"),
    [
        ("select public.svc_chunks_to_embed(%s, %s)", (None, 1), "22004"),
        ("select public.svc_chunks_to_embed(%s, %s)", ("m", 0), "22023"),
        ("select public.svc_store_embeddings(%s, %s)", ("m", None), "22004"),
        ("select public.svc_store_embeddings(%s, %s)", ("m", "{}"), "22023"),
        (FIND, (uuid.uuid4(), "x", "[1]", None, 10), "22023"),
        (FIND, (uuid.uuid4(), "x", None, "m", 10), "22023"),
        (FIND, (uuid.uuid4(), "x", "warm", "m", 10), "22P02"),
    ],
)
def test_bad_arguments(db: Connection, sql: str, args: tuple[Any, ...], sqlstate: str) -> None:
    refused(db, sqlstate, sql, args)


def test_without_the_extension_the_search_is_by_words(db: Connection) -> None:
    """The file that makes the table goes on without it, and so does everything that would use it."""
    person = owner_of(db, {"heat": "[0,1]", "warmth": "[1,0]"})
    db.execute("drop table private.chunk_embeddings")
    # a view in front of the system's: this server has no such extension
    db.execute("create schema bare")
    db.execute("create view bare.pg_available_extensions as select name from pg_available_extensions where false")
    db.execute("set local search_path to bare, pg_catalog")
    db.execute(SCHEMA_FILE.read_bytes())
    db.execute("reset search_path")
    assert one(db, "select to_regclass('private.chunk_embeddings')") is None
    assert [(text, mode) for text, _, mode in find(db, person, "heat")] == [("heat", "lexical")]
    assert one(db, "select public.svc_chunks_to_embed('m', 5)") is None
    assert one(db, "select public.svc_store_embeddings('m', '[]')") == 0
    # and once it can be had, the same file makes the table
    db.execute(SCHEMA_FILE.read_bytes())
    assert one(db, "select public.svc_chunks_to_embed('m', 1000)") != []
