"""What an answer may be made of: the teacher's own courses, class and content sources."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from postgrest import SyncPostgrestClient

from functions.shared.answers.citations import Passage
from functions.shared.database import rpc, run
from functions.shared.llm.prompts import DataBlocks
from functions.shared.llm.usage import estimated_tokens
from functions.shared.markup.text import visible

MAX_SOURCES = 20
MAX_FRAGMENTS = 50
MAX_PIECE_CHARACTERS = 1500
MAX_COURSE_CHARACTERS = 2000
MAX_COURSES = 30
WORD = re.compile(r"\w{2,}")
PARAGRAPH = re.compile(r"\n\s*\n")
SOURCE_COLUMNS = "id,kind,title,source_url,text_content,metadata"


@dataclass(frozen=True)
class Grounding:
    """What the model reads beside the question.

    :param facts: blocks that are read but not cited, by name
    """

    passages: Sequence[Passage]
    facts: Mapping[str, str]

    def text(self, blocks: DataBlocks) -> str:
        """The blocks of a prompt; empty when there is nothing."""
        found = [blocks.block(name, text) for name, text in self.facts.items()]
        found += [
            blocks.block(f"source_{passage.number}", f"Source {passage.number}: {passage.title}\n\n{passage.text}")
            for passage in self.passages
        ]
        return "\n\n".join([blocks.rule(), *found]) if found else ""


def ground(
    service: SyncPostgrestClient,
    teacher_id: str,
    question: str,
    *,
    class_id: str | None,
    source_ids: Sequence[str],
    has_sources: bool,
    meaning: Callable[[], Mapping[str, str]],
    max_tokens: int,
) -> Grounding:
    """Reads the teacher's rows: the sources named, else those of the class, else what a search over all finds.

    Where the search finds nothing ("summarise my notes"), their newest sources are read.

    :param meaning: the arguments that make the search one by meaning, too; called only where a search is made
    :param max_tokens: how long everything may be together
    """
    group = _class(service, teacher_id, class_id) if class_id else None
    facts = _facts(service, teacher_id, group)
    sources: list[dict[str, Any]] = []
    if source_ids:
        sources = _sources(service, teacher_id, ids=source_ids)
    elif has_sources:
        sources = _sources(service, teacher_id, class_id=class_id) if class_id else []
        sources = sources or _found(service, teacher_id, question, meaning()) or _sources(service, teacher_id)
    left = max_tokens - sum(estimated_tokens(text) for text in facts.values())
    return Grounding(_passages(sources, question, left), facts)


def _class(service: SyncPostgrestClient, teacher_id: str, class_id: str) -> dict[str, Any] | None:
    query = service.from_("classes").select("name,section,term,canvas_id").eq("id", class_id)
    rows = run(query.eq("teacher_id", teacher_id).limit(1))
    return rows[0] if rows else None


def _facts(service: SyncPostgrestClient, teacher_id: str, group: Mapping[str, Any] | None) -> dict[str, str]:
    """The class and its course in Canvas, or the names of the teacher's courses."""
    query = service.from_("courses_cache").select("canvas_id,course_data").eq("teacher_id", teacher_id)
    if group is None:
        courses = run(query.order("cached_at", desc=True).limit(MAX_COURSES))
        names = [_name(course["course_data"]) for course in courses]
        return {"courses": "\n".join(name for name in names if name)} if any(names) else {}
    facts = {"class": "\n".join(f"{key}: {group[key]}" for key in ("name", "section", "term") if group[key])}
    if group["canvas_id"]:
        for course in run(query.eq("canvas_id", group["canvas_id"]).limit(1)):
            whole = json.dumps(course["course_data"], ensure_ascii=False)
            facts["canvas_course"] = visible(whole)[:MAX_COURSE_CHARACTERS]
    return facts


def _name(course: Mapping[str, Any]) -> str:
    term = course.get("term")
    parts = [course.get("name"), course.get("course_code"), term.get("name") if isinstance(term, dict) else None]
    return visible(" · ".join(str(part) for part in parts if part))[:300].replace("\n", " ")


def _sources(
    service: SyncPostgrestClient, teacher_id: str, *, ids: Sequence[str] = (), class_id: str | None = None
) -> list[dict[str, Any]]:
    """Sources whose text is there, in the order in which they were named, else newest first."""
    query = service.from_("content_sources").select(SOURCE_COLUMNS).eq("teacher_id", teacher_id).eq("status", "ready")
    if ids:
        query = query.in_("id", list(ids))
    elif class_id:
        query = query.eq("class_id", class_id)
    rows = run(query.order("created_at", desc=True).limit(MAX_SOURCES))
    place = {source_id: number for number, source_id in enumerate(ids)}
    return sorted((row for row in rows if row["text_content"]), key=lambda row: place.get(row["id"], 0))


def _found(
    service: SyncPostgrestClient, teacher_id: str, question: str, meaning: Mapping[str, str]
) -> list[dict[str, Any]]:
    """The sources that a search for the question finds, best first, with the fragments found as their text."""
    args = {"p_user_id": teacher_id, "p_query": question, "p_kinds": ["content_source"], "p_limit": MAX_FRAGMENTS}
    args |= meaning
    texts: dict[str, list[str]] = {}
    for row in rpc(service, "svc_search_material", args, safe=True):
        texts.setdefault(row["source_id"], []).append(row["content"])
    if not texts:
        return []
    rows = _sources(service, teacher_id, ids=list(texts)[:MAX_SOURCES])
    return [{**row, "text_content": "\n\n".join(texts[row["id"]])} for row in rows]


def _passages(sources: Sequence[Mapping[str, Any]], question: str, max_tokens: int) -> list[Passage]:
    """The sources whole when they fit, else the pieces that have most of the question's words; numbered from 1."""
    pieces = [(source, piece) for source in sources for piece in pieces_of(visible(source["text_content"]))]
    chosen = set(best([piece for _, piece in pieces], question, max_tokens))
    texts: dict[str, list[str]] = {}
    for place, (source, piece) in enumerate(pieces):
        if place in chosen:
            texts.setdefault(source["id"], []).append(piece)
    known = {source["id"]: source for source in sources}
    return [
        Passage(
            number=number,
            title=known[source_id]["title"],
            text="\n\n".join(parts),
            source={
                "content_source_id": source_id,
                "kind": known[source_id]["kind"],
                "title": known[source_id]["title"],
                "url": _link(known[source_id]),
            },
            url=_link(known[source_id]),
            media_type=str((known[source_id]["metadata"] or {}).get("media_type") or "text/plain"),
        )
        for number, (source_id, parts) in enumerate(texts.items(), 1)
    ]


def _link(source: Mapping[str, Any]) -> str | None:
    url: str | None = source["source_url"]
    return url if url and url.startswith("https://") else None


def pieces_of(text: str) -> list[str]:
    """The text's paragraphs, put together up to some length; a longer one is cut at spaces."""
    found: list[str] = []
    current = ""
    for paragraph in PARAGRAPH.split(text):
        rest = paragraph.strip()
        while len(rest) > MAX_PIECE_CHARACTERS:
            cut = rest.rfind(" ", MAX_PIECE_CHARACTERS // 2, MAX_PIECE_CHARACTERS)
            cut = cut if cut > 0 else MAX_PIECE_CHARACTERS
            found += [current, rest[:cut]] if current else [rest[:cut]]
            current, rest = "", rest[cut:].strip()
        if current and len(current) + len(rest) > MAX_PIECE_CHARACTERS:
            found.append(current)
            current = rest
        elif rest:
            current = f"{current}\n\n{rest}" if current else rest
    return [*found, current] if current else found


def best(pieces: Sequence[str], question: str, max_tokens: int) -> list[int]:
    """The places of the pieces that fit, those first that share rare words with the question."""
    wanted = {word.casefold() for word in WORD.findall(question)}
    words = [{word.casefold() for word in WORD.findall(piece)} for piece in pieces]
    frequency = Counter(word for found in words for word in found & wanted)
    scores = [sum(math.log(1 + len(pieces) / frequency[word]) for word in found & wanted) for found in words]
    chosen: list[int] = []
    left = max_tokens
    for place in sorted(range(len(pieces)), key=lambda place: (-scores[place], place)):
        size = estimated_tokens(pieces[place])
        if size <= left:
            chosen.append(place)
            left -= size
    return chosen
