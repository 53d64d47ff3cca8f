"""An assignment as a model may read it, and the solutions that were in its description.

Solutions are removed before a model reads the task (``shared/leaks/solutions.py``), and the leak guard compares what
the model writes with them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from functions.headstart.material import Source, fitting
from functions.headstart.timing import Times, read_times
from functions.shared.leaks.solutions import plain_solutions, rubric_of, take_solutions
from functions.shared.llm.usage import estimated_tokens, first_tokens
from functions.shared.local_time import local_text, zone_of
from functions.shared.markup.html import Page, read_html
from functions.shared.markup.text import visible

MAX_TASK_CHARACTERS = 30_000
MAX_FILES = 30
DATES = (("Opens", "unlock_at"), ("Closes", "lock_at"))
ONLY = {
    "link": "(The description is only a link. The task is behind it and is not here.)",
    "picture": "(The description is only a picture. The task may be in it and is not here.)",
}
FILE_LINK = re.compile(r"https?://[^/]+/(?:[^?#]*/)?files/[0-9]+")


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
    material: tuple[Source, ...] = ()

    @property
    def given(self) -> str:
        """All that the model reads and may quote: the task, and the course's material."""
        return "\n\n".join([self.text, *(source.text for source in self.material)])


def read_task(
    row: Mapping[str, Any],
    notes: str | None = None,
    settings: Mapping[str, Any] | None = None,
    blocks: Sequence[Mapping[str, str]] = (),
    max_tokens: int = 16_000,
    material: Sequence[Source] = (),
) -> Task:
    """A task from a row of assignments with its ``course``, ``profile`` and ``effort``.

    :param notes: texts that the description hid, as sync found them
    :param settings: the student's row of planner_settings, if there is one
    :param blocks: the student's study blocks that are still to come
    :param max_tokens: how much of the description a model may read; a rubric may have half as much again
    :param material: of the course; it gets what description and rubric leave of that, at most half of ``max_tokens``
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
    text = "\n".join(facts) + "\n\n" + body
    chosen = fitting(material, min(max_tokens * 3 // 2 - estimated_tokens(text), max_tokens // 2))
    return Task(
        title=title,
        text=text,
        solutions=(*solutions, *(one for source in material for one in source.solutions)),
        urls=frozenset(urls.union(*(source.urls for source in chosen))),
        due_at=due_at,
        time_zone=place,
        effort_minutes=(row.get("effort") or {}).get("effort_minutes"),
        times=read_times(settings, blocks),
        material=chosen,
    )


def about(description: str, page: Page, payload: Mapping[str, Any]) -> list[str]:
    """What a reader of the text alone would miss: it stands in a frame, behind a link, or is not shown yet."""
    frames = ", ".join(visible(str(one)) for one in payload.get("embedded") or page.embedded)
    only = payload.get("description_only") or page.only()
    if only == "frame" or (frames and not description.strip()):
        return [f"(The task is not here: the description only shows another page, {frames}.)"]
    if only is not None:
        return [ONLY[only]]
    if frames:
        return [f"(The description also shows another page, which is not here: {frames}.)"]
    if description.strip():
        return []
    if payload.get("locked_for_user") is True:
        return ["(Canvas does not show the description yet.)"]
    return ["(The assignment has no description.)"]


def files_of(page: Page, attached: Any) -> list[tuple[str, str]]:
    """Names and links of files: those that Canvas lists, and those that the description links."""
    found: dict[str, tuple[str, str]] = {}
    for one in attached or []:
        name, url = visible(one["name"]), str(one["url"] or "")
        match = FILE_LINK.match(url)
        found.setdefault(match[0] if match else url or name, (name, url))
    for node in page.tree.css("a[href]"):
        url = (node.attributes.get("href") or "").strip()
        if match := FILE_LINK.match(url):
            # Canvas writes a second link, which downloads, beside the one with the name
            found.setdefault(match[0], (visible(node.text(strip=True)) or "file", url))
    return [(" ".join(name.split())[:200], url) for name, url in list(found.values())[:MAX_FILES]]
