"""The labelled questions, their material in a real database, and the evidence of each as the product makes it."""

from __future__ import annotations

import csv
import hashlib
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from postgrest import SyncPostgrestClient
from psycopg.types.json import Jsonb

from functions.shared.answers.marks import MarkFilter
from functions.shared.clock import SystemClock
from functions.shared.settings import Settings
from functions.tutoring.questions.answering import MARKS, messages_of, written_of
from functions.tutoring.questions.confidence import Written
from functions.tutoring.questions.retrieval import Evidence, retrieve
from tests.standins.model import writing

CASES = Path(__file__).parents[1] / "functions" / "tutoring" / "cases"
SUBJECTS = ("Biology", "Physics", "History", "Computer Science", "Economics")


class Labelled(NamedTuple):
    """A question with its label.

    :param kind: answerable out of the material; unanswerable, though about its subjects; foreign to them
    """

    half: str
    kind: str
    question: str

    @property
    def is_answerable(self) -> bool:
        """Whether the material answers it."""
        return self.kind == "answerable"


class Seen(NamedTuple):
    """A question, its evidence, and its answer as far as it is judged."""

    labelled: Labelled
    evidence: Evidence
    written: Written


def labelled(half: str | None = None) -> list[Labelled]:
    """The labelled questions of a half, ``fit`` or ``judge``; all without one."""
    with (CASES / "questions.tsv").open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t")
        return [Labelled(row["half"], row["kind"], row["question"]) for row in rows if half in (None, row["half"])]


def fragments() -> list[str]:
    """The texts of the material."""
    lines = (CASES / "fragments.txt").read_text(encoding="utf-8").splitlines()
    return [line.split("\t", 1)[1] for line in lines]


def store_material(db: psycopg.Connection[Any], owner: str, texts: Sequence[str], filename: str = "Notes.pdf") -> str:
    """A document of these fragments, a page each; its id. The caller commits."""
    document = str(uuid.uuid4())
    db.execute(
        "with course as (insert into public.catalog_courses (code, title) values (%s, 'Notes') returning id)"
        " insert into public.documents (id, owner_id, catalog_course_id, filename, storage_key, checksum, mime_type,"
        " size_bytes) select %s, %s, id, %s, %s, %s, 'application/pdf', 10 from course",
        (_code(), document, owner, filename, f"documents/{document}.pdf", uuid.uuid4().hex * 2),
    )
    chunks = [
        {
            "ordinal": place,
            "content": text,
            "content_hash": hashlib.sha256(text.encode()).hexdigest(),
            "language": "en",
            "page_start": place + 1,
            "page_end": place + 1,
        }
        for place, text in enumerate(texts)
    ]
    db.execute("select public.svc_replace_chunks('document', %s, %s)", (document, Jsonb(chunks)))
    return document


def _code() -> str:
    """A course code nobody else has."""
    letters = uuid.uuid4().int
    return "".join(chr(ord("A") + letters // 26**place % 26) for place in range(4)) + f" {letters % 900 + 100}"


def seen(settings: Settings, service: SyncPostgrestClient, student: str, question: Labelled) -> Seen:
    """Searches for a question and has the stand-in answer it, as the job does, without its stream."""
    retrieved = retrieve(settings, service, SystemClock(), student, question.question, subjects=SUBJECTS)
    messages = [dict(message) for message in messages_of(question.question, retrieved, SUBJECTS)]
    marks = MarkFilter(retrieved.passages, False, MARKS)
    marks.feed(writing.chat(messages))
    marks.finish()
    return Seen(question, retrieved.evidence, written_of(marks, "stop"))
