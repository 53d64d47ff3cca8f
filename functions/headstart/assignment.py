"""An assignment as a model may read it, and the solutions that were in its description.

Some descriptions contain model solutions or notes for teachers: under a heading, after a label, in a fold, or hidden by
style. They are removed before a model reads the task, and the leak guard compares what the model writes with them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from selectolax.lexbor import LexborHTMLParser, LexborNode

from functions.headstart.timing import Times, read_times
from functions.shared.leaks.labels import MAX_LABEL_CHARACTERS, ends_solution, is_blank, is_instruction, label_of
from functions.shared.leaks.words import Language, language_of
from functions.shared.llm.usage import first_tokens
from functions.shared.local_time import local_text, zone_of
from functions.shared.markup.html import Page, read_html, topmost
from functions.shared.markup.text import visible

MAX_TASK_CHARACTERS = 30_000
MAX_RUBRIC_CHARACTERS = 8_000
MAX_CRITERIA = 30
MAX_FILES = 30
DATES = (("Opens", "unlock_at"), ("Closes", "lock_at"))
FILE_LINK = re.compile(r"https?://[^/]+/(?:[^?#]*/)?files/[0-9]+")
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
    effort_minutes: int | None = None
    times: Times = field(default_factory=Times)


def read_task(
    row: Mapping[str, Any],
    notes: str | None = None,
    settings: Mapping[str, Any] | None = None,
    blocks: Sequence[Mapping[str, str]] = (),
    max_tokens: int = 16_000,
) -> Task:
    """A task from a row of assignments with its ``course``, ``profile`` and ``effort``.

    :param notes: texts that the description hid, as sync found them
    :param settings: the student's row of planner_settings, if there is one
    :param blocks: the student's study blocks that are still to come
    :param max_tokens: how much of the description a model may read; a rubric may have half as much again
    """
    page = read_html(row["description_html"] or "")
    solutions = [*page.hidden, *([notes] if notes else []), *take_solutions(page.tree)]
    description, cut = plain_solutions(page.markdown())
    payload = row.get("raw_payload") or {}
    rubric, answers = rubric_of(payload.get("rubric"))
    solutions += [*cut, *answers]
    files = files_of(page, payload.get("attachments"))
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
        *(f"{name}: {local_text(datetime.fromisoformat(row[key]), place)}" for name, key in DATES if row.get(key)),
        *(["Locked: Canvas does not let the student hand in now."] if payload.get("locked_for_user") is True else []),
    ]
    shown = first_tokens(description[:MAX_TASK_CHARACTERS], max_tokens)
    parts = [shown, *about(description, page, payload)]
    if shown != description or page.is_cut or row.get("is_description_cut"):
        parts.append("(The description goes on.)")
    if files:
        parts.append("Attached files:\n" + "\n".join(f"- {name}: {url}" if url else f"- {name}" for name, url in files))
    if rubric:
        parts.append("Rubric:\n" + first_tokens(rubric, max_tokens // 2))
    body = "\n\n".join(part for part in parts if part)
    urls = {*page.urls(), *(url for _, url in files if url.startswith("https://"))}
    if (row["canvas_url"] or "").startswith("https://"):
        urls.add(row["canvas_url"])
    return Task(
        title=title,
        text="\n".join(facts) + "\n\n" + body,
        solutions=tuple(solutions),
        urls=frozenset(urls),
        due_at=due_at,
        time_zone=place,
        effort_minutes=(row.get("effort") or {}).get("effort_minutes"),
        times=read_times(settings, blocks),
    )


def about(description: str, page: Page, payload: Mapping[str, Any]) -> list[str]:
    """What a reader of the text alone would miss: it stands in a frame, behind a link, or is not shown yet."""
    frames = [visible(str(one)) for one in payload.get("embedded") or page.embedded]
    if not description.strip():
        if frames:
            return [f"(The task is not here: the description only shows another page, {', '.join(frames)}.)"]
        if payload.get("locked_for_user") is True:
            return ["(Canvas does not show the description yet.)"]
        return ["(The assignment has no description.)"]
    if frames:
        return [f"(The description also shows another page, which is not here: {', '.join(frames)}.)"]
    if is_only_links(page):
        return ["(The description is only a link. The task is behind it and is not here.)"]
    return []


def is_only_links(page: Page) -> bool:
    """Whether a description says nothing but the words of its links."""
    if page.tree.body is None:
        return False
    links = "".join(node.text() for node in topmost(page.tree.css("a[href]")))
    return bool(links.strip()) and len("".join(page.tree.body.text().split())) == len("".join(links.split()))


def files_of(page: Page, attached: Any) -> list[tuple[str, str]]:
    """Names and links of files: those that Canvas lists, and those that the description links."""
    found = {str(one["url"] or one["name"]): (visible(one["name"]), str(one["url"] or "")) for one in attached or []}
    for node in page.tree.css("a[href]"):
        url = (node.attributes.get("href") or "").strip()
        if FILE_LINK.match(url):
            found.setdefault(url, (visible(node.text(strip=True)) or "file", url))
    return [(" ".join(name.split())[:200], url) for name, url in list(found.values())[:MAX_FILES]]


def rubric_of(rubric: Any) -> tuple[str, list[str]]:
    """A rubric as text, and the solutions and hidden texts that were in it. It may be HTML, as descriptions are."""
    lines: list[str] = []
    solutions: list[str] = []

    def words(value: Any) -> str:
        page = read_html(str(value or "")[:MAX_RUBRIC_CHARACTERS])
        solutions.extend(page.hidden)
        return page.markdown().strip()

    for one in rubric[:MAX_CRITERIA] if isinstance(rubric, list) else []:
        if not isinstance(one, dict):
            continue
        title = f"{words(one.get('description'))} ({one.get('points')} points)"
        # a label takes what follows it, so each criterion is read alone
        kept, cut = plain_solutions(f"{title}\n{words(one.get('long_description'))}")
        solutions.extend(cut)
        lines += ["- " + "\n  ".join(line for line in kept.splitlines() if line.strip())]
        ratings = one.get("ratings")
        for rating in ratings[:MAX_CRITERIA] if isinstance(ratings, list) else []:
            if isinstance(rating, dict):
                said = " ".join(words(rating.get(key)) for key in ("description", "long_description")).split()
                lines.append(f"  - {rating.get('points')} points: {' '.join(said)}")
    return "\n".join(lines)[:MAX_RUBRIC_CHARACTERS], solutions


def take_solutions(tree: LexborHTMLParser) -> list[str]:
    """Removes solutions from a description's tree and returns their texts.

    A labelled section ends at the next heading. Instructions and room for answers stay, and where nothing of the task
    would be left, nothing is taken.
    """
    if tree.body is None:
        return []
    sections: list[list[LexborNode]] = []
    taken: set[int] = set()
    for fold in tree.css("details"):
        summary = fold.css_first("summary")
        if summary is not None and label_of(summary.text(strip=True))[0]:
            sections.append([fold])
            taken |= {fold.mem_id, *(node.mem_id for node in fold.css("*"))}
    for node in tree.css(",".join((*HEADINGS, "p", "strong", "b", "li", "dt", "div"))):
        kind, rest = label_of(own_text(node))
        block = block_of(node)
        if not kind or block is None or block.mem_id in taken:
            continue
        found = section(block, kind, rest, language_of(tree.body.text(separator=" ")))
        if found:
            sections.append(found)
            taken |= {inner.mem_id for one in found for inner in (one, *one.css("*"))}
    texts = ["\n".join(text_of(node) for node in found) for found in sections]
    if len("".join(tree.body.text().split())) <= len("".join("".join(texts).replace("```", "").split())):
        # the description is nothing else, so it is the task
        return []
    for node in topmost([node for found in sections for node in found]):
        node.decompose()
    return [text for text in texts if text.strip()]


def block_of(node: LexborNode) -> LexborNode | None:
    """The block in which a label stands; None when that is the whole page."""
    block: LexborNode | None = node
    while block is not None and block.tag not in BLOCKS:
        block = block.parent
    return None if block is None or block.tag in ("body", "html") else block


def section(first: LexborNode, kind: str, rest: str, language: Language) -> list[LexborNode]:
    """The block that announces a solution and the blocks of the solution after it; none when there is no solution."""
    level = HEADINGS.index(first.tag) if first.tag in HEADINGS else None
    if rest and not is_solution(rest, kind, language):
        return []
    found = [first]
    node = first.next
    while node is not None:
        if node.tag == "hr" or (node.tag in HEADINGS and (level is None or HEADINGS.index(node.tag) <= level)):
            break
        text = text_of(node).strip()
        if text:
            if level is None and ends_solution(text.split("\n", 1)[0][:MAX_LABEL_CHARACTERS]):
                break
            if not is_solution(text, kind, language):
                break
            found.append(node)
        node = node.next
    return found if rest or len(found) > 1 else []


def is_solution(text: str, kind: str, language: Language) -> bool:
    """Whether what follows a label is a solution, and not an instruction or room for an answer."""
    return not is_blank(text) and (kind == "model" or not is_instruction(text, language))


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
    if not any(label_of(line)[0] for line in markdown.splitlines()):
        return markdown, []
    language = language_of(markdown)
    kept: list[str] = []
    taken: list[list[str]] = []
    kind = ""
    for line in markdown.splitlines():
        found, rest = label_of(line)
        if found and (not rest or is_solution(rest, found, language)):
            kind = found
            taken.append([line])
            continue
        if line.startswith("#") or ends_solution(line) or (line.strip() and not is_solution(line, kind, language)):
            kind = ""
        (taken[-1] if kind else kept).append(line)
    solutions = [part for part in taken if any(line.strip() for line in part[1:]) or label_of(part[0])[1]]
    text = "\n".join(kept).strip()
    if not text or len(solutions) < len(taken):
        # nothing would be left of the task, or a label has nothing behind it
        return markdown, []
    return text, ["\n".join(part) for part in solutions]
