"""A chapter of ``./scripts/demo``: a student brings a lecture and a document, and asks one question about both.

The recording is made of tones by the Panopto stand-in, and the scripted model hears what they stand for. The document
is a PDF made here. Everything between is the product: the jobs, Storage, the text of the pages, the search.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import httpx

from scripts.native.stack import Stack
from tests.standins.model.hearing import subtitles
from tests.standins.panopto import OPEN_SESSION, bursts

COURSE_CODE, COURSE_TITLE = "CSC 172", "Data Structures"
QUESTION = "How are collisions resolved?"
RECORDING_SECONDS = 60.0  # as the stand-in makes it
MAX_WAIT_SECONDS = 120.0
PAGES = (
    "A hash table stores pairs of a key and a value.\nIts hash function turns a key into the number of a slot.",
    "Two keys may get the same slot. Such collisions are resolved by chaining,\n"
    "where each slot keeps a list, or by open addressing, where the next free slot is taken.",
    "When the load factor passes three quarters, the table doubles its size\nand every key is placed again.",
)

Say = Callable[[str], None]


class Caller(Protocol):
    """The demo's person, as far as this chapter needs them."""

    def call(self, method: str, path: str, expect: int, **more: Any) -> Any: ...

    def select(self, table: str, columns: str = "*", **equals: str) -> list[dict[str, Any]]: ...

    def rpc(self, name: str, args: Mapping[str, Any]) -> Any: ...


class MaterialsFailed(RuntimeError):
    """The chapter broke off; the message says where."""


def materials(stack: Stack, student: Caller, headline: Say, line: Say) -> None:
    """Submits the lecture, uploads the document, waits for both, asks the question.

    :raise MaterialsFailed: one of them failed, or the answers lack a page or a second
    """
    headline("They bring a lecture and their notes")
    if stack.panopto_url is None:
        line("PANOPTO_HOSTS names real sites, so there is no recording to submit")
        return
    if not stack.is_scripted:
        # a real model cannot know what the tones stand for
        captions = subtitles("srt", bursts(RECORDING_SECONDS))
        sessions = [{"id": OPEN_SESSION, "captions": captions}]
        httpx.post(f"{stack.panopto_url}/control", json={"sessions": sessions}, trust_env=False).raise_for_status()
    course = student.rpc("ensure_catalog_course", {"p_code": COURSE_CODE, "p_title": COURSE_TITLE})
    viewer = f"{stack.panopto_url}/Panopto/Pages/Viewer.aspx?id={OPEN_SESSION}"
    body = {"catalog_course_id": course["id"], "panopto_url": viewer, "title": "Hash tables, week 3"}
    lecture = student.call("POST", "lectures", 202, json=body)
    line(f"lecture {lecture['lecture_id']} is {lecture['status']}: {viewer}")
    upload = {"file": ("Hash tables.pdf", pdf(PAGES), "application/pdf")}
    form = {"catalog_course_id": course["id"]}
    document = student.call("POST", "documents", 201, files=upload, data=form)
    line(f"document {document['id']}: {document['filename']}, {document['size_bytes']} bytes")
    read = _wait(student, "documents", document["id"], line)
    line(f"the document has {read['page_count']} pages in {read['language']}: {read['description'] or ''}"[:300])
    heard = _wait(student, "lectures", lecture["lecture_id"], line)
    line(f"the lecture has {heard['duration_seconds']} seconds; its transcript and captions are stored")
    headline(f"They ask: {QUESTION}")
    found = student.call("POST", "search", 200, json={"query": QUESTION, "limit": 10})
    line(f"{len(found['results'])} places, mode {found['mode']}; the first of each kind:")
    for kind, place in (("document", "page_start"), ("lecture", "start_second")):
        hit = next((hit for hit in found["results"] if hit["kind"] == kind), None)
        if hit is None or hit[place] is None:
            raise MaterialsFailed(f"the search found no {kind} with its {place}: {json.dumps(found)[:800]}")
        where = f"page {hit['page_start']}" if kind == "document" else f"second {float(hit['start_second']):.0f}"
        line(f"{hit['title']}, {where}: {hit['link']}")
        line(f"    {hit['highlight']}")


def _wait(student: Caller, table: str, row_id: str, line: Say) -> dict[str, Any]:
    """Watches a row, as a front end does, until its text can be searched."""
    deadline, shown = time.monotonic() + MAX_WAIT_SECONDS, None
    while time.monotonic() < deadline:
        row = student.select(table, id=row_id)[0]
        state = row.get("progress") or row["ingest_status"]
        if state != shown and isinstance(state, dict) and state.get("stage"):
            line(f"{table[:-1]}: {state['stage']}")
        shown = state
        if row["ingest_status"] == "ready":
            return row
        if row["ingest_status"] == "failed" or row["status"] == "failed":
            raise MaterialsFailed(
                f"{table[:-1]} {row_id} failed: {row.get('ingest_error') or row.get('error_message')}"
            )
        time.sleep(0.2)
    raise MaterialsFailed(f"{table[:-1]} {row_id} was not read within {MAX_WAIT_SECONDS:.0f} s")


def pdf(pages: tuple[str, ...]) -> bytes:
    """A PDF with one text a page; a line feed begins a new line."""
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, page in enumerate(pages):
        lines = page.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)").split("\n")
        shown = f"BT /F1 12 Tf 16 TL 60 780 Td {' T* '.join(f'({text}) Tj' for text in lines)} ET"
        objects += [
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << /Font << /F1 3 0 R >> >> "
            f"/Contents {5 + 2 * number} 0 R >>",
            f"<< /Length {len(shown)} >>\nstream\n{shown}\nendstream",
        ]
    out, starts = "%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        starts.append(len(out))
        out += f"{number} 0 obj\n{content}\nendobj\n"
    table = "".join(f"{start:010d} 00000 n \n" for start in starts)
    size = len(objects) + 1
    trailer = f"trailer << /Size {size} /Root 1 0 R >>\nstartxref\n{len(out)}\n%%EOF\n"
    return (out + f"xref\n0 {size}\n0000000000 65535 f \n{table}{trailer}").encode("latin-1")
