"""The handler of ``week_notes`` jobs. Payload: ``{"kinds": ["clo", "engineer"]}``; the week is the job's.

Clo notes are written by a model. Engineer notes are written at the end of each code review of a week; here they are
only found. The job may run twice and be killed at any line: it writes one note, and deleting the week deletes the job.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from functions.programme.asking import READING_SHARE, ask, ending, lines, one_line
from functions.programme.facts import Fact, own_week, past_weeks
from functions.programme.links import checked
from functions.programme.objectives import is_measurable
from functions.shared.agents import assign_agent
from functions.shared.database import rpc, run
from functions.shared.fetch import Fetcher
from functions.shared.jobs import JobContext
from functions.shared.leaks.solutions import plain_solutions, take_solutions
from functions.shared.llm.client import Message
from functions.shared.llm.prompts import DataBlocks, Prompt, load_prompt
from functions.shared.llm.usage import estimated_tokens
from functions.shared.markup.html import read_html
from functions.shared.markup.text import visible

MAX_OBJECTIVES = 8
MAX_ENTRIES = 12
MAX_RESOURCES = 10
MAX_FRAGMENTS = 8
MAX_WORK_CHARACTERS = 1500
TABLES = {"document": "documents", "lecture": "lectures"}
MAX_PREFERENCES_CHARACTERS = 4000
MAX_MINUTES = 10_080
NUMBER = re.compile(r"\d{1,5}")


def _minutes(value: Any) -> Any:
    """The number in what models write: 90, "90 min". Anything else stays for the schema to refuse."""
    found = NUMBER.search(value) if isinstance(value, str) else None
    return int(found[0]) if found else value


class Part(NamedTuple):
    """Something that the model reads. ``source`` is the row of material that it comes from, if any."""

    name: str
    text: str
    source: Mapping[str, str] | None = None


class Objective(BaseModel):
    """An objective, and the verb in it."""

    verb: str
    text: str


class Resource(BaseModel):
    """Something to read or watch. ``url`` may be empty."""

    title: str
    url: str
    why: str


class CloNotes(BaseModel):
    """What the model is asked for."""

    module_title: str = Field(pattern=r"\S")
    overview: str
    learning_objectives: list[Objective]
    key_concepts: list[str]
    prerequisites: list[str]
    resources: list[Resource]
    assessment_criteria: list[str]
    estimated_minutes: Annotated[float, BeforeValidator(_minutes), Field(ge=1, le=MAX_MINUTES)]

    @model_validator(mode="after")
    def _can_be_observed(self) -> CloNotes:
        if not measurable(self.learning_objectives):
            raise ValueError("no objective has an observable verb that stands in it")
        return self


def measurable(objectives: Sequence[Objective]) -> list[str]:
    """The objectives whose verb can be observed."""
    return [one.text for one in objectives if is_measurable(one.verb, one.text)]


def write_notes(context: JobContext) -> Mapping[str, Any]:
    """Writes the notes of the job's week. The result has their ids, or says that the week is gone.

    :raise JobFailure: they could not be written
    """
    return ending(lambda: _notes(context))


def _notes(context: JobContext) -> Mapping[str, Any]:
    result: dict[str, Any] = {"clo_note_id": None, "engineer_note_id": None}
    week = own_week(context.database.service(), context.job.week_id, context.job.user_id)
    if week is None:
        return result
    kinds = context.job.payload["kinds"]
    if "clo" in kinds:
        result["clo_note_id"] = _stored(context) or _clo(context, week)
    if "engineer" in kinds:
        result["engineer_note_id"] = _engineer(context, week)
    return result


def _stored(context: JobContext) -> str | None:
    """The note that an earlier attempt wrote."""
    rows = run(context.database.service().from_("clo_notes").select("id").eq("job_id", context.job.job_id))
    return str(rows[0]["id"]) if rows else None


def _clo(context: JobContext, week: Mapping[str, Any]) -> Any:
    agent = assign_agent(context, "clo")
    prompt = load_prompt(Path(__file__).parent / "prompts" / "clo")
    context.progress({"step": "reading"})
    messages, sources = _messages(context, prompt, week)
    context.progress({"step": "writing"})
    answer = ask(context, agent, "week_notes", CloNotes, messages)
    context.progress({"step": "checking_links"})
    context.check_cancelled()
    resources = [
        {"title": one_line(one.title, 300), "url": one.url.strip(), "why": one_line(one.why, 500)}
        for one in answer.resources[:MAX_RESOURCES]
    ]
    seen = checked(Fetcher.of(context.settings), context.clock, [one for one in resources if one["title"]])
    context.check_cancelled()
    note = {
        "module_title": one_line(answer.module_title, 500),
        "learning_objectives": lines(measurable(answer.learning_objectives), MAX_OBJECTIVES),
        "key_concepts": lines(answer.key_concepts, MAX_ENTRIES),
        "prerequisites": lines(answer.prerequisites, MAX_ENTRIES),
        "resources": seen,
        "assessment_criteria": lines(answer.assessment_criteria, MAX_ENTRIES),
        "estimated_duration": round(answer.estimated_minutes),
        "content": {"overview": one_line(answer.overview, 2000), "sources": sources},
    }
    args = {
        "p_job_id": context.job.job_id,
        "p_lease_token": context.job.lease_token,
        "p_note": note,
        "p_model": agent.client(context.settings).model,
        "p_prompt_version": prompt.version,
    }
    return rpc(context.database.service(), "svc_store_clo_note", args, safe=True)


def _messages(
    context: JobContext, prompt: Prompt, week: Mapping[str, Any]
) -> tuple[list[Message], list[dict[str, str]]]:
    """What the model is asked, and the rows of material that it reads: ``{table, id, title}``, each once."""
    service, blocks = context.database.service(), DataBlocks()
    wish = week["focus_area"] or ""
    parts = [
        Part("week", f"Week {week['week_number']}. Focus: {wish or 'none given'}. Hours: {week['estimated_hours']}"),
        Part("preferences", _preferences(context)),
        *_material(context, week),
        *(Part(f"past_week_{n}", _told(facts)) for n, facts in enumerate(past_weeks(service, week), 1)),
    ]
    room = int(context.settings.model_context_tokens * READING_SHARE) - estimated_tokens(prompt.parts["system"])
    told, used = [blocks.rule()], dict[str, dict[str, str]]()
    for part in parts:
        room -= estimated_tokens(part.text)
        if part.text and room > 0:
            told.append(blocks.block(part.name, visible(part.text)))
            if part.source is not None:
                used[part.source["id"]] = dict(part.source)
    messages: list[Message] = [
        {"role": "system", "content": prompt.parts["system"]},
        {"role": "user", "content": "\n\n".join([*told, prompt.parts["request"]])},
    ]
    return messages, list(used.values())


def _preferences(context: JobContext) -> str:
    query = context.database.service().from_("user_settings").select("learning_preferences,learning_style")
    rows = run(query.eq("user_id", context.job.user_id).limit(1))
    known = {key: value for row in rows for key, value in row.items() if value}
    return json.dumps(known, ensure_ascii=False)[:MAX_PREFERENCES_CHARACTERS] if known else ""


def _told(facts: Sequence[Fact]) -> str:
    return "\n".join(fact.text for fact in facts)


def _material(context: JobContext, week: Mapping[str, Any]) -> list[Part]:
    """The linked course with its work of the week, and fragments that have to do with the week.

    A course that is gone, hidden or closed to the person counts as none.
    """
    args = {"p_week_id": week["id"], "p_user_id": context.job.user_id}
    given = rpc(context.database.service(), "svc_get_week_material", args, safe=True)
    wish = week["focus_area"] or ""
    if given is None:
        return _fragments(context, wish, None)
    course, work = given["course"], given["assignments"]
    titles = [one["title"] for one in work]
    parts = [Part("course", course["name"], _source("courses", course["id"], course["name"]))]
    parts += [
        Part(f"assignment_{n}", _work(one), _source("assignments", one["id"], one["title"]))
        for n, one in enumerate(work, 1)
    ]
    found: list[Part] = []
    if course["catalog_course_id"] is not None:
        found = _fragments(context, wish or " ".join([course["name"], *titles]), course["catalog_course_id"])
    return [*parts, *(found or _fragments(context, wish, None))]


def _work(one: Mapping[str, Any]) -> str:
    """An assignment in words, without solutions that its teacher left in it."""
    page = read_html(one["description_html"] or "")
    take_solutions(page.tree)
    description, _ = plain_solutions(page.markdown())
    points = "" if one["points_possible"] is None else f" Points: {one['points_possible']}."
    return f"{one['title']}\nDue: {one['due_text']}.{points}\n\n{description[:MAX_WORK_CHARACTERS]}".strip()


def _fragments(context: JobContext, wish: str, catalog_course_id: str | None) -> list[Part]:
    """The best fragments of the person's own documents and linked lectures, of one course or of all."""
    if not wish.strip():
        return []
    args = {
        "p_user_id": context.job.user_id,
        "p_query": wish[:400],
        "p_kinds": ["document", "lecture"],
        "p_catalog_course_ids": None if catalog_course_id is None else [catalog_course_id],
        "p_limit": MAX_FRAGMENTS,
    }
    rows = rpc(context.database.service(), "svc_search_material", args, safe=True)
    return [
        Part(
            f"material_{n}",
            f"{row['title']}\n\n{row['content']}",
            _source(TABLES[row["kind"]], row["source_id"], row["title"]),
        )
        for n, row in enumerate(rows, 1)
    ]


def _source(table: str, row_id: str, title: str) -> dict[str, str]:
    return {"table": table, "id": str(row_id), "title": one_line(title, 300)}


def _engineer(context: JobContext, week: Mapping[str, Any]) -> Any:
    """The note that the newest completed review of the week has written at its end."""
    query = context.database.service().from_("engineer_notes").select("id").eq("week_id", week["id"])
    rows = run(query.order("created_at", desc=True).limit(1))
    return rows[0]["id"] if rows else None
