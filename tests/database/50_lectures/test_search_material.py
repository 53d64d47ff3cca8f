"""The search finds what a person may see, ranks it by BM25, and tells nothing of what they may not see."""

from __future__ import annotations

import html
import json
import math
import os
import random
import re
import uuid
from collections import Counter
from typing import Any

import psycopg
import pytest

from tests.support import rows
from tests.support.materials import content_source, document, lecture, replace_chunks, teacher
from tests.support.people import act_as, persona, refused

Connection = psycopg.Connection[Any]

FIND = """
select *
from public.svc_search_material(
    %s, %s, p_catalog_course_ids => %s, p_kinds => %s, p_limit => %s, p_embedding => %s, p_model => %s
)
"""
# person and query pairs of the isolation test
PAIRS = int(os.environ.get("SEARCH_PAIRS", "500"))


def find(
    db: Connection,
    person: uuid.UUID,
    query: str,
    courses: list[uuid.UUID] | None = None,
    kinds: list[str] | None = None,
    limit: int = 10,
    vector: str | None = None,
) -> list[dict[str, Any]]:
    model = None if vector is None else "m"
    with db.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        return cursor.execute(FIND, (person, query, courses, kinds, limit, vector, model)).fetchall()


def texts(db: Connection, person: uuid.UUID, query: str) -> list[str]:
    return [row["content"] for row in find(db, person, query)]


def given(db: Connection, *chunks: str | dict[str, Any]) -> uuid.UUID:
    """A person with one document of these fragments, in English unless they say otherwise."""
    person = persona(db)
    made = [{"content": c, "language": "en"} if isinstance(c, str) else c for c in chunks]
    replace_chunks(db, "document", document(db, person), made)
    return person


def test_any_word_is_enough_and_more_words_rank_higher(db: Connection) -> None:
    person = given(db, "Heat flows.", "Entropy grows while heat flows.", "Birds sing.")
    assert texts(db, person, "entropy of heat") == ["Entropy grows while heat flows.", "Heat flows."]


def test_scores_are_bm25(db: Connection) -> None:
    """Against the formula, computed here: k1 1.2, b 0.75, frequencies over the person's own fragments."""
    docs = ["heat heat flow", "flow of air and heat through walls", "air", "walls walls walls heat", "cold"]
    person = given(db, *docs)
    bags = [Counter(re.sub(r"\b(of|and|through)\b", "", d).replace("walls", "wall").split()) for d in docs]
    mean = sum(sum(bag.values()) for bag in bags) / len(bags)
    query = ["heat", "wall"]
    expected = {}
    for text, bag in zip(docs, bags, strict=True):
        score = 0.0
        for word in query:
            df = sum(word in other for other in bags)
            idf = math.log(1 + (len(docs) - df + 0.5) / (df + 0.5))
            score += idf * bag[word] * 2.2 / (bag[word] + 1.2 * (0.25 + 0.75 * sum(bag.values()) / mean))
        if score:
            expected[text] = score
    found = find(db, person, "heat walls")
    assert {row["content"]: row["score"] for row in found} == pytest.approx(expected)
    assert [row["score"] for row in found] == pytest.approx(sorted(expected.values(), reverse=True))


def test_each_fragment_is_read_in_its_own_language(db: Connection) -> None:
    person = given(
        db,
        {"content": "The runners were running.", "language": "en"},
        {"content": "Die Häuser der Stadt.", "language": "de"},
        {"content": "running shoes", "language": "und"},
    )
    assert texts(db, person, "run") == ["The runners were running."]
    assert texts(db, person, "Haus") == ["Die Häuser der Stadt."]
    assert set(texts(db, person, "running")) == {"running shoes", "The runners were running."}


def test_phrases_must_occur_and_minus_leaves_out(db: Connection) -> None:
    person = given(db, "heat flows from hot to cold", "flows of heat", "hot heat in cold rooms")
    assert texts(db, person, '"heat flows"') == ["heat flows from hot to cold"]
    assert set(texts(db, person, "heat -flows")) == {"hot heat in cold rooms"}
    assert set(texts(db, person, 'heat -"heat flows"')) == {"flows of heat", "hot heat in cold rooms"}
    assert texts(db, person, "-heat") == []
    assert len(texts(db, person, "hot-heat")) == 3, "a minus sign inside a word leaves nothing out"


def test_code_names_and_scripts_without_spaces_are_found(db: Connection) -> None:
    person = given(
        db,
        "Written in C++ by hand",
        "Written in C# by hand",
        "the value of my_variable is set",
        "So said Thomas Bayes of chance",
        "the bay of the river, and who will go",
        "we asked Will about it",
        {"content": "孤立系统的熵永远不会减少", "language": "zh"},
        {"content": "東京都に住んでいます", "language": "ja"},
        {"content": "שלום עולם", "language": "und"},
        {"content": "Kurt Gödel proved it", "language": "en"},
    )
    assert texts(db, person, "C++")[0] == "Written in C++ by hand"
    assert texts(db, person, "C#")[0] == "Written in C# by hand"
    assert texts(db, person, '"C++"') == ["Written in C++ by hand"]
    assert texts(db, person, "my_variable")[0] == "the value of my_variable is set"
    assert texts(db, person, "bayes")[0] == "So said Thomas Bayes of chance"
    assert texts(db, person, "Will") == ["we asked Will about it"]
    assert texts(db, person, "godel") == ["Kurt Gödel proved it"]
    assert texts(db, person, "熵") == ["孤立系统的熵永远不会减少"]
    assert texts(db, person, "不会")[0] == "孤立系统的熵永远不会减少"
    assert texts(db, person, '"不会减少"') == ["孤立系统的熵永远不会减少"]
    assert texts(db, person, "東京") == ["東京都に住んでいます"]
    assert texts(db, person, "עולם") == ["שלום עולם"]


@pytest.mark.parametrize(
    "query",
    [
        "", " ", "the of and", "don't", "-", "--", '"', '""', '"""', "!!!", "& | ! ( ) :* <->", "\\", "'",
        "' or 1=1 --",
        "%", "_", "*", "\u202e\u05d0", "a" * 10_000, "heat " * 2000, "-heat " * 2000, '"heat" ' * 2000, "熵" * 10_000,
        "C++ " * 2500, "\u0301" * 50, "😀", "\t\n\r", "<script>", "=heat", "'=heat':1", "\ue000\ue001",
    ],
)  # fmt: skip
def test_odd_queries_are_no_errors(db: Connection, query: str) -> None:
    person = given(db, "Heat flows, don't you see C++ and 熵?")
    assert len(find(db, person, query)) <= 1


def test_stop_words_alone_find_nothing(db: Connection) -> None:
    person = given(db, "It is what it is and the rest of it.")
    assert find(db, person, "is it the") == []


HOSTILE = [
    "<script>alert('heat')</script> heat & \"more\" <b>heat</b>",
    "heat <img src=x onerror=alert(1)> heat",
    "heat </mark><mark>heat</mark> &lt;heat&gt;",
    "heat \ue000<b>\ue001 heat",
    "<heat onclick='heat'>heat",
    "x" * 500 + " heat " + "<" * 500,
    'C++ <a href="javascript:C++">C++</a> heat',
    "熵<b>熵</b> heat",
    "heat" + "&amp;" * 200,
    "\\1 heat \\& heat $1",
]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("query", ["heat", "heat C++ 熵", '"heat"', "heat amp lt mark script b"])
def test_a_highlight_is_escaped_html_with_bare_marks(db: Connection, text: str, query: str) -> None:
    (row,) = find(db, given(db, text), query)
    assert row["content"] == text
    bare = row["highlight"].replace("<mark>", "").replace("</mark>", "")
    assert not set(bare) & set("<>\"'\ue000\ue001")
    assert re.sub(r"&(amp|lt|gt|quot|#39);", "", bare).count("&") == 0
    shown = html.unescape(bare).strip("…")
    assert shown in text.translate({0xE000: None, 0xE001: None})
    depth = 0
    for mark in re.findall("</?mark>", row["highlight"]):
        depth += 1 if mark == "<mark>" else -1
        assert depth in (0, 1)
    assert depth == 0
    assert "<mark>" in row["highlight"]


def test_marks_stand_around_the_words_that_were_found(db: Connection) -> None:
    person = given(db, "Running C++ code, the runner said 100 times; C stays.")
    (row,) = find(db, person, "run C++")
    assert row["highlight"].startswith("<mark>Running</mark> <mark>C++</mark> code, the runner")
    person = given(db, {"content": "孤立系统的熵永远", "language": "zh"})
    assert find(db, person, "熵")[0]["highlight"] == "孤立系统的<mark>熵</mark>永远"


def test_a_highlight_shows_the_part_with_the_term(db: Connection) -> None:
    person = given(db, "filler words " * 100 + "entropy " + "more words " * 100)
    highlight = find(db, person, "entropy")[0]["highlight"]
    assert "<mark>entropy</mark>" in highlight
    assert len(highlight) < 450
    assert highlight[0] == highlight[-1] == "…"


def test_answers_say_where_the_fragment_stands(db: Connection) -> None:
    person, course = persona(db), rows.catalog_course(db)
    notes = document(db, person, filename="heat.pdf", catalog_course_id=course)
    talk = lecture(db, person, title="Talk")
    replace_chunks(db, "document", notes, [{"content": "entropy a", "page_start": 2, "page_end": 3, "language": "en"}])
    replace_chunks(db, "lecture", talk, [{"content": "entropy b", "start_second": 754.5, "end_second": 800}])
    found = {row["kind"]: row for row in find(db, person, "entropy")}
    assert found["document"]["source_id"] == notes
    assert (found["document"]["title"], found["document"]["page_start"], found["document"]["page_end"]) == (
        "heat.pdf",
        2,
        3,
    )
    assert (found["lecture"]["title"], float(found["lecture"]["start_second"])) == ("Talk", 754.5)
    assert [row["kind"] for row in find(db, person, "entropy", kinds=["lecture"])] == ["lecture"]
    assert [row["kind"] for row in find(db, person, "entropy", courses=[course])] == ["document"]
    assert find(db, person, "entropy", courses=[], kinds=None) == []
    assert len(find(db, person, "entropy", limit=1)) == 1


def test_clients_search_for_themselves(db: Connection) -> None:
    person = given(db, "entropy")
    other = persona(db)
    call = "select content from public.search_material('entropy')"
    with act_as(db, person):
        assert db.execute(call.encode()).fetchall() == [("entropy",)]
        refused(db, "42501", "select * from public.svc_search_material(%s, 'x')", (person,))
        refused(db, "42501", "select * from private.find_chunks(%s, 'x', null, null, 10)", (person,))
    with act_as(db, other):
        assert db.execute(call.encode()).fetchall() == []
    with act_as(db, persona(db, anonymous=True), is_anonymous=True):
        refused(db, "42501", call)


@pytest.mark.parametrize(
    ("query", "kinds", "limit", "sqlstate"),
    [(None, None, 10, "22004"), ("x", None, None, "22004"), ("x", None, 0, "22023"), ("x", None, 51, "22023"),
     ("x", ["person"], 10, "22023"), ("x", [None], 10, "22023")],
)  # fmt: skip
def test_bad_arguments(db: Connection, query: Any, kinds: Any, limit: Any, sqlstate: str) -> None:
    refused(db, sqlstate, FIND, (persona(db), query, None, kinds, limit, None, None))


def test_who_loses_a_right_finds_nothing_more(db: Connection) -> None:
    person, guide = persona(db), teacher(db)
    talk, source = lecture(db, person, persona(db)), content_source(db, guide)
    replace_chunks(db, "lecture", talk, ["entropy"])
    replace_chunks(db, "content_source", source, ["entropy"])
    assert len(find(db, person, "entropy")) == len(find(db, guide, "entropy")) == 1
    db.execute("delete from public.user_lectures where user_id = %s", (person,))
    db.execute("update public.profiles set role = 'student' where user_id = %s", (guide,))
    assert find(db, person, "entropy") == find(db, guide, "entropy") == []


VOCABULARY = [f"word{n}" for n in range(40)] + ["C++", "熵", "Bayes"]


def school(db: Connection, rng: random.Random) -> tuple[list[uuid.UUID], dict[uuid.UUID, set[uuid.UUID]]]:
    """People with documents, shared lectures and teachers' material, some retired or deleted; who may find what."""
    people = [persona(db) for _ in range(8)] + [teacher(db) for _ in range(2)]
    owners: list[tuple[str, uuid.UUID, set[uuid.UUID]]] = []
    for person in people:
        owners += [("document", document(db, person), {person}) for _ in range(3)]
    for _ in range(6):
        linked = set(rng.sample(people, 3))
        owners.append(("lecture", lecture(db, *linked), linked))
    owners += [("content_source", content_source(db, guide), {guide}) for guide in people[-2:] for _ in range(2)]
    for kind, source, _ in owners:
        made = [" ".join(rng.choices(VOCABULARY, k=rng.randint(3, 30))) for _ in range(8)]
        replace_chunks(db, kind, source, [{"content": text, "language": "en"} for text in made])
        if rng.random() < 0.5:
            replace_chunks(db, kind, source, [{"content": text, "language": "en"} for text in made[:4]])
    db.execute("delete from public.documents where id = any(%s)", ([s for k, s, _ in owners if k == "document"][::5],))
    visible: dict[uuid.UUID, set[uuid.UUID]] = {person: set() for person in people}
    for kind, source, readers in owners:
        live = db.execute(
            f"select id from private.source_chunks where {kind}_id = %s and retired_at is null".encode(), (source,)
        ).fetchall()
        for person in readers:
            visible[person] |= {row[0] for row in live}
    return people, visible


def embed_all(db: Connection, rng: random.Random) -> None:
    """A vector for every fragment that has none, retired ones, too."""
    chunks = db.execute("select id::text, content_hash from private.source_chunks").fetchall()
    given = [{"chunk_id": c, "content_hash": h, "embedding": vector(rng)} for c, h in chunks]
    db.execute("select public.svc_store_embeddings('m', %s)", (json.dumps(given),))


def vector(rng: random.Random) -> str:
    return f"[{rng.uniform(-1, 1):.3f},{rng.uniform(-1, 1):.3f},1]"


def test_nobody_finds_foreign_retired_or_deleted_fragments_nor_their_traces(db: Connection) -> None:
    rng = random.Random(12)
    people, visible = school(db, rng)
    embed_all(db, rng)
    # half of them by meaning, too
    questions = [
        (rng.choice(people), " ".join(rng.choices(VOCABULARY, k=rng.randint(1, 5))), vector(rng) if n % 2 else None)
        for n in range(PAIRS)
    ]
    before = []
    for person, query, near in questions:
        found = find(db, person, query, limit=50, vector=near)
        assert {row["chunk_id"] for row in found} <= visible[person]
        assert {row["mode"] for row in found} <= {"hybrid" if near else "lexical"}
        before.append(found)
    assert sum(map(len, before)) > PAIRS, "the queries find something"
    # what others add, and what is retired, changes no result and no score
    stranger = persona(db)
    for _ in range(5):
        text = [{"content": " ".join(rng.choices(VOCABULARY, k=20)), "language": "en"} for _ in range(20)]
        source = document(db, stranger)
        replace_chunks(db, "document", source, text)
        db.execute(
            "insert into private.chunk_embeddings (chunk_id, model, embedding) select id, 'm', '[0,0,1]'"
            " from private.source_chunks where document_id = %s",
            (source,),
        )
    db.execute("delete from private.source_chunks where retired_at is not null")
    for (person, query, near), found in list(zip(questions, before, strict=True))[:: max(1, PAIRS // 300)]:
        assert find(db, person, query, limit=50, vector=near) == found


RETURNED = "select pg_stat_get_xact_tuples_returned('private.source_chunks'::regclass)"


@pytest.mark.parametrize("size", [10, 400, 4000])
def test_a_search_never_reads_all_fragments_however_many_there_are(db: Connection, size: int) -> None:
    """Not even where one stranger has nearly all of them, and also when the plan is kept."""
    person = given(db, *[f"heat number{n}" for n in range(10)])
    source = document(db, persona(db))
    replace_chunks(db, "document", source, [{"content": f"heat and cold number{n}"} for n in range(size)])
    db.execute("analyze private.source_chunks")
    before = rows.one(db, RETURNED)
    for _ in range(7):
        assert len(find(db, person, "heat", limit=50)) == 10
    assert rows.one(db, RETURNED) == before
