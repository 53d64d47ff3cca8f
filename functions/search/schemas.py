"""The request and the answer of this service."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import Field

from functions.shared.web.schemas import Answer, Request

MAX_COURSES = 100
MAX_RESULTS = 50
CHUNK_ID = "6f5e4d3c-2b1a-4098-8f7e-6d5c4b3a2918"
DOCUMENT_ID = "0c9d8e7f-6a5b-4c3d-9e2f-1a0b9c8d7e6f"

Kind = Literal["document", "lecture", "content_source"]


class SearchRequest(Request):
    """A question in words. Any word is enough; "a phrase" must occur, and -word must not."""

    example: ClassVar = {"query": "how are collisions resolved", "kinds": ["document", "lecture"], "limit": 10}

    query: str
    catalog_course_ids: Annotated[list[UUID], Field(max_length=MAX_COURSES)] | None = None
    kinds: Annotated[list[Kind], Field(min_length=1, max_length=3)] | None = None
    limit: int = Field(default=10, ge=1, le=MAX_RESULTS)


class Place(Answer):
    """A fragment that answers the query, and where it stands.

    `text` is raw: escape it before it is shown. `highlight` is HTML that is safe as it is, with the words in `<mark>`.
    """

    example: ClassVar = {
        "chunk_id": CHUNK_ID,
        "kind": "document",
        "source_id": DOCUMENT_ID,
        "title": "Hash tables.pdf",
        "text": "Such collisions are resolved by chaining.",
        "highlight": "Such <mark>collisions</mark> are <mark>resolved</mark> by chaining.",
        "page_start": 2,
        "page_end": 2,
        "start_second": None,
        "end_second": None,
        "link": f"https://app.example/documents/{DOCUMENT_ID}#page=2",
        "score": 4.2,
    }

    chunk_id: UUID
    kind: Kind
    source_id: UUID
    title: str
    text: str
    highlight: str
    page_start: int | None
    page_end: int | None
    start_second: float | None
    end_second: float | None
    link: str | None
    score: float


class SearchAnswer(Answer):
    """The best places, best first. Scores are comparable within one answer only."""

    example: ClassVar = {"results": [Place.example], "mode": "lexical"}

    results: list[Place]
    mode: Literal["lexical", "hybrid"]
