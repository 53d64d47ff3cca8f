"""An assignment as a model may read it, and the solutions that were in its description.

Some descriptions contain model solutions or notes for teachers: under a heading, after a label, in a fold, or hidden by
style. They are removed before a model reads the task, and the leak guard compares what the model writes with them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from selectolax.lexbor import LexborHTMLParser, LexborNode

from functions.shared.local_time import local_text, zone_of
from functions.shared.markup.html import read_html
from functions.shared.markup.text import visible

MAX_TASK_CHARACTERS = 30_000
LABEL = re.compile(
    r"^\W*(?:(?:model|sample|example|exemplar|suggested|expected|full|worked|complete|correct|official|teacher'?s?"
    r"|instructor'?s?|reference|possible)[\s-]+)?(?:solutions?|answers?|answer[\s-]+key|solution[\s-]+key|marking[\s-]+(?:guide|scheme|key)"
    r"|(?:for |notes? (?:for|to) (?:the )?)(?:teachers?|instructors?|graders?|markers?)(?:[\s-]+only)?"
    r"|(?:instructor|teacher|grader)s?[\s-]+(?:only|notes?|key)|muster-?lösung|lösung(?:en)?|lösungsweg|corrigé|solución|soluciones"
    r"|soluzione)(?:[\s-]+(?:key|only|guide))?\s*(?P<colon>[:.\u2013\u2014-]|\(|$)",
    re.IGNORECASE,
)
# a qualified label counts without punctuation, too: "Model solution The answer is ..."
QUALIFIED = re.compile(
    r"^\W*(?:model|sample|exemplar|worked|official|instructor'?s?|teacher'?s?)[\s-]+(?:solutions?|answers?)\b|^\W*answer[\s-]+key\b"
    r"|^\W*musterlösung\b",
    re.IGNORECASE,
)
ENDS_SECTION = re.compile(
    r"^\W*(?:submit|submission|due|deadline|grading|rubric|task|question|exercise|part|problem|instructions?|deliverables?"
    r"|abgabe|aufgabe|frage|bewertung|hand in|what to (?:do|submit|hand in)|requirements?|resources?|note)\b",
    re.IGNORECASE,
)
HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
BLOCKS = frozenset({*HEADINGS, "p", "div", "ul", "ol", "table", "pre", "blockquote", "details", "section", "hr", "dl"})


@dataclass(frozen=True)
class Task:
    """What the model reads, and what the leak guard compares."""

    title: str
    text: str
    solutions: tuple[str, ...]
    urls: frozenset[str]
    due_at: datetime | None
    time_zone: str


def read_task(row: Mapping[str, Any], notes: str | None = None) -> Task:
    """A task from a row of assignments, with its ``course`` (name, zone) and ``profile`` (zone and its source).

    :param notes: texts that the description hid, as sync found them
    """
    page = read_html(row["description_html"] or "")
    solutions = [*page.hidden, *([notes] if notes else []), *take_solutions(page.tree)]
    description, cut = plain_solutions(page.markdown())
    solutions += cut
    title = visible(row["title"]).replace("\n", " ").strip()
    course, profile = row["course"] or {}, row["profile"] or {}
    due_at = datetime.fromisoformat(row["due_at"]) if row["due_at"] else None
    place = zone_of(profile.get("timezone"), profile.get("timezone_source"), course.get("time_zone"))
    facts = [
        f"Title: {title}",
        f"Course: {visible(course.get('name') or '')}",
        f"Due: {local_text(due_at, place) if due_at else 'no date'}",
        f"Points: {row['points_possible'] if row['points_possible'] is not None else 'not graded'}",
        f"Handed in as: {', '.join(row['submission_types'] or []) or 'not said'}",
    ]
    body = description[:MAX_TASK_CHARACTERS] or "(The assignment has no description.)"
    if len(description) > MAX_TASK_CHARACTERS or page.is_cut or row.get("is_description_cut"):
        body += "\n(The description goes on.)"
    urls = set(page.urls())
    if (row["canvas_url"] or "").startswith("https://"):
        urls.add(row["canvas_url"])
    return Task(
        title=title,
        text="\n".join(facts) + "\n\n" + body,
        solutions=tuple(solutions),
        urls=frozenset(urls),
        due_at=due_at,
        time_zone=place,
    )


def is_label(text: str) -> bool:
    """Whether a line announces a solution."""
    return bool(LABEL.match(text) or QUALIFIED.match(text))


def take_solutions(tree: LexborHTMLParser) -> list[str]:
    """Removes solutions from a description's tree and returns their texts."""
    taken: list[str] = []
    for fold in tree.css("details"):
        summary = fold.css_first("summary")
        if summary is not None and is_label(summary.text(strip=True)):
            taken.append(text_of(fold))
            fold.decompose()
    for node in tree.css(",".join((*HEADINGS, "p", "strong", "b", "li", "dt", "div"))):
        if node.parent is None or not is_label(own_text(node)):
            continue
        block = node
        while block.parent is not None and block.tag not in BLOCKS:
            block = block.parent
        if block.tag in ("body", "html", None):
            continue
        taken.append(section(block))
    return [text for text in taken if text.strip()]


def section(first: LexborNode) -> str:
    """Removes a block that announces a solution, and the blocks after it up to the next section. Returns their text."""
    level = HEADINGS.index(first.tag) if first.tag in HEADINGS else None
    parts = [text_of(first)]
    node = first.next
    while node is not None:
        following = node.next
        if node.tag == "hr":
            break
        if node.tag in HEADINGS and (level is None or HEADINGS.index(node.tag) <= level):
            break
        text = text_of(node)
        if level is None and ENDS_SECTION.match(text):
            break
        parts.append(text)
        node.decompose()
        node = following
    first.decompose()
    return "\n".join(parts)


def text_of(node: LexborNode) -> str:
    """All text of a node. Code keeps its lines, between fences, so that it can be compared as code."""
    if node.tag == "-text":
        return node.text_content or ""
    code = [child.text() for child in node.css("pre")] if node.tag != "pre" else [node.text()]
    text = node.text(separator=" ", strip=True)
    return text + "".join(f"\n```\n{block}\n```\n" for block in code)


def own_text(node: LexborNode) -> str:
    """The beginning of a node's text. Empty for a div that contains blocks."""
    if node.tag == "div" and any(child.tag in BLOCKS for child in node.iter()):
        return ""
    return node.text(strip=True)[:120]


def plain_solutions(markdown: str) -> tuple[str, list[str]]:
    """The text without its solutions, and the solutions: a labelled line up to the next heading or section."""
    kept: list[str] = []
    taken: list[list[str]] = []
    is_inside = False
    for line in markdown.splitlines():
        if is_label(line):
            is_inside = True
            taken.append([line])
        elif is_inside and (line.startswith("#") or ENDS_SECTION.match(line)):
            is_inside = False
            kept.append(line)
        else:
            (taken[-1] if is_inside else kept).append(line)
    return "\n".join(kept).strip(), ["\n".join(part) for part in taken]
