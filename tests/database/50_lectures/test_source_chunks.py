"""Fragments keep their ids as long as their text stays, and retire when it goes."""

from __future__ import annotations

import json
import uuid
from typing import Any, cast

import psycopg
import pytest

from functions.shared import chunks
from functions.shared.chunks import Chunk
from tests.support import rows
from tests.support.materials import content_source, document, lecture, replace_chunks, teacher
from tests.support.people import persona, refused
from tests.support.races import ring
from tests.support.rows import one

Connection = psycopg.Connection[Any]

CALL = "select kept, inserted, retired from public.svc_replace_chunks(%s, %s, %s)"


def replace(db: Connection, source: uuid.UUID, *texts: str | dict[str, Any], kind: str = "document") -> tuple[int, ...]:
    return replace_chunks(db, kind, source, texts)


def live(db: Connection, source: uuid.UUID) -> list[tuple[str, uuid.UUID]]:
    found = db.execute(
        "select content, id from private.source_chunks where document_id = %s and retired_at is null order by ordinal",
        (source,),
    )
    return [(row[0], row[1]) for row in found]


@pytest.fixture
def source(db: Connection) -> uuid.UUID:
    return document(db, persona(db))


def test_the_same_text_keeps_its_id(db: Connection, source: uuid.UUID) -> None:
    assert replace(db, source, "a", "b", "c") == (0, 3, 0)
    before = dict(live(db, source))
    assert replace(db, source, "c", "a", "d") == (2, 1, 1)
    after = live(db, source)
    assert [content for content, _ in after] == ["c", "a", "d"]
    assert {content: key for content, key in after if content in before} == {key: before[key] for key in ("a", "c")}
    assert replace(db, source, "c", "a", "d") == (3, 0, 0)


def test_what_left_is_retired_and_comes_back_as_it_was(db: Connection, source: uuid.UUID) -> None:
    replace(db, source, "a", "b")
    before = dict(live(db, source))
    assert replace(db, source) == (0, 0, 2)
    assert live(db, source) == []
    assert one(db, "select count(*) from private.source_chunks where document_id = %s", (source,)) == 2
    assert replace(db, source, "b") == (1, 0, 0)
    assert live(db, source) == [("b", before["b"])]


def test_equal_texts_of_one_source_are_several_fragments(db: Connection, source: uuid.UUID) -> None:
    assert replace(db, source, "a", "a", "b") == (0, 3, 0)
    before = live(db, source)
    assert replace(db, source, "a", "a", "b") == (3, 0, 0)
    assert live(db, source) == before
    assert replace(db, source, "a", "b") == (2, 0, 1)
    assert live(db, source) == [before[0], before[2]]


def test_all_columns_are_stored_and_follow_the_text(db: Connection, source: uuid.UUID) -> None:
    given = {"content": "a", "heading": "h", "language": "de", "page_start": 2, "page_end": 3}
    replace(db, source, given)
    replace(db, source, "new", {**given, "page_start": 4, "page_end": 4})
    columns = "ordinal, heading, language, page_start, page_end, start_second, end_second"
    found = db.execute(
        f"select {columns} from private.source_chunks where document_id = %s and heading = 'h'".encode(), (source,)
    )
    assert found.fetchall() == [(1, "h", "de", 4, 4, None, None)]


def test_seconds_are_stored_with_milliseconds(db: Connection) -> None:
    recording = lecture(db, persona(db))
    replace(db, recording, {"content": "a", "start_second": 12.3456, "end_second": 60}, kind="lecture")
    found = db.execute("select start_second, end_second from private.source_chunks where lecture_id = %s", (recording,))
    assert [tuple(map(float, row)) for row in found] == [(12.346, 60.0)]
    again = {"content": "a", "start_second": 12.3456, "end_second": 60}
    assert replace(db, recording, again, kind="lecture") == (1, 0, 0)


def test_python_and_database_compute_the_same_hash(db: Connection, source: uuid.UUID) -> None:
    chunk = Chunk(ordinal=0, content="Größe, 熵\nx", heading="Über")
    replace(db, source, {"content": chunk.content, "heading": chunk.heading}, "b")
    found = one(db, "select content_hash from private.source_chunks where heading = 'Über'")
    assert found == chunk.content_hash
    assert one(db, "select content_hash from private.source_chunks where content = 'b'") == (
        Chunk(ordinal=1, content="b").content_hash
    )


def test_a_given_hash_counts(db: Connection, source: uuid.UUID) -> None:
    replace(db, source, {"content": "a", "content_hash": "one"})
    assert replace(db, source, {"content": "a, corrected", "content_hash": "one"}) == (1, 0, 0)
    assert [content for content, _ in live(db, source)] == ["a, corrected"]


def test_fragments_go_with_their_source(db: Connection) -> None:
    person = persona(db)
    sources = {
        "document": ("documents", document(db, person)),
        "lecture": ("lectures", lecture(db, person)),
        "content_source": ("content_sources", content_source(db, teacher(db))),
    }
    for kind, (table, source) in sources.items():
        assert replace(db, source, f"text of {table}", kind=kind) == (0, 1, 0)
        db.execute(f"delete from public.{table} where id = %s".encode(), (source,))
        assert one(db, "select count(*) from private.source_chunks where content = %s", (f"text of {table}",)) == 0


@pytest.mark.parametrize(
    ("kind", "chunks", "sqlstate"),
    [
        ("document", None, "22004"),
        (None, [], "22004"),
        ("person", [], "22023"),
        ("document", {}, "22023"),
        ("document", ["text"], "22023"),
        ("document", [{"heading": "no content"}], "22023"),
        ("document", [{"content": 1}], "22023"),
        ("document", [{"content": ""}], "23514"),
        ("document", [{"content": "x" * 20_001}], "23514"),
        ("document", [{"content": "x", "page_start": 0, "page_end": 1}], "23514"),
        ("document", [{"content": "x", "page_start": 3, "page_end": 2}], "23514"),
        ("document", [{"content": "x", "start_second": 3, "end_second": 2}], "23514"),
        ("document", [{"content": "x", "language": "English"}], "23514"),
        ("lecture", [], "PT404"),
    ],
)
def test_what_cannot_be_changes_nothing(
    db: Connection, source: uuid.UUID, kind: str | None, chunks: Any, sqlstate: str
) -> None:
    replace(db, source, "a")
    before = live(db, source)
    refused(db, sqlstate, CALL, (kind, source, None if chunks is None else json.dumps(chunks)))
    assert live(db, source) == before


def test_two_replacements_at_once_follow_each_other(db_url: str) -> None:
    with ring(db_url) as race:
        course = rows.catalog_course(race.owner)
        race.clean_up("public.catalog_courses", course)
        person = persona(race.owner)
        race.clean_up("auth.users", person)
        source = document(race.owner, person, catalog_course_id=course)
        first, second = race.session(), race.session()
        assert replace(first, source, "a", "b") == (0, 2, 0)
        waiting = race.start(second, CALL, ("document", source, json.dumps([{"content": "b"}, {"content": "c"}])))
        race.wait_until_blocked(second)
        first.commit()
        assert waiting.result(timeout=60) == (1, 1, 1)
        assert [content for content, _ in live(race.owner, source)] == ["b", "c"]


def test_prepared_fragments_are_found_only_once_they_replace_the_others(db: Connection, source: uuid.UUID) -> None:
    """And they are the rows of the new text, made searchable once."""
    person = one(db, "select owner_id from public.documents where id = %s", (source,))

    def found(word: str) -> list[str]:
        rows = db.execute("select content from public.svc_search_material(%s, %s)", (person, word)).fetchall()
        return [content for (content,) in rows]

    def prepare(*texts: str) -> int:
        given = json.dumps([{"content": text} for text in texts])
        return int(one(db, "select public.svc_prepare_chunks('document', %s, %s)", (source, given)))

    replace_chunks(db, "document", source, ["old entropy", "both"])
    assert prepare("new entropy", "both", "new entropy") == 1, "what is there, or comes twice, is stored once"
    assert prepare("new entropy", "more") == 1
    assert (found("entropy"), found("more"), found("both")) == (["old entropy"], [], ["both"])
    prepared = one(db, "select id from private.source_chunks where content = 'new entropy'")
    db.execute("alter table private.source_chunks disable trigger trg_source_chunks_index")
    new = [{"content": text, "page_start": 3, "page_end": 3} for text in ("both", "new entropy", "more")]
    assert replace_chunks(db, "document", source, new) == (3, 0, 1)
    db.execute("alter table private.source_chunks enable trigger trg_source_chunks_index")
    assert (found("entropy"), found("more"), found("both")) == (["new entropy"], ["more"], ["both"])
    row = db.execute("select ordinal, page_start from private.source_chunks where id = %s", (prepared,)).fetchone()
    assert row == (1, 3)


def test_long_texts_are_prepared_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call stays short, and the counts are those of one call."""
    calls: list[tuple[str, int]] = []

    def answer(client: Any, name: str, args: dict[str, Any], **_: Any) -> Any:
        calls.append((name, len(args["p_chunks"])))
        return 7 if name == "svc_prepare_chunks" else {"kept": 30, "inserted": 1, "retired": 2}

    monkeypatch.setattr(chunks, "rpc", answer)
    monkeypatch.setattr(chunks, "rpc_row", answer)
    size = chunks.CHUNKS_A_CALL
    given = [chunks.Chunk(ordinal=n, content=str(n)) for n in range(2 * size + 1)]
    assert chunks.replace_chunks(cast(Any, None), "document", "id", given) == (9, 22, 2)
    assert calls == [
        ("svc_prepare_chunks", size), ("svc_prepare_chunks", size), ("svc_prepare_chunks", 1),
        ("svc_replace_chunks", 2 * size + 1),
    ]  # fmt: skip
    calls.clear()
    chunks.replace_chunks(cast(Any, None), "document", "id", given[:size])
    assert calls == [("svc_replace_chunks", size)]
