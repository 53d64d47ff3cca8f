"""The handler of ``week_notes`` jobs. Payload: ``{"kinds": ["clo", "engineer"]}``; the week is the job's.

Clo notes are written by a model. Engineer notes are written at the end of each code review of a week; here they are
only found. The job may run twice and be killed at any line: it writes one note, and deleting the week deletes the job.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from functions.programme.asking import READING_SHARE, ask, ending, lines, one_line
from functions.programme.facts import Fact, own_week, past_weeks
from functions.programme.links import checked
from functions.programme.objectives import is_measurable
from functions.shared.agents import assign_agent
from functions.shared.database import rpc, run
from functions.shared.fetch import Fetcher
from functions.shared.jobs import JobContext
from functions.shared.llm.client import Message
from functions.shared.llm.prompts import DataBlocks, Prompt, load_prompt
from functions.shared.llm.usage import estimated_tokens
from functions.shared.markup.text import visible

MAX_OBJECTIVES = 8
MAX_ENTRIES = 12
MAX_RESOURCES = 10
MAX_FRAGMENTS = 8
MAX_PREFERENCES_CHARACTERS = 4000
MAX_MINUTES = 10_080
NUMBER = re.compile(r"\d{1,5}")


def _minutes(value: Any) -> Any:
    """The number in what models write: 90, "90 min". Anything else stays for the schema to refuse."""
    found = NUMBER.search(value) if isinstance(value, str) else None
    return int(found[0]) if found else value


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
    messages = _messages(context, prompt, week)
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
        "content": {"overview": one_line(answer.overview, 2000)},
    }
    args = {
        "p_job_id": context.job.job_id,
        "p_lease_token": context.job.lease_token,
        "p_note": note,
        "p_model": agent.client(context.settings).model,
        "p_prompt_version": prompt.version,
    }
    return rpc(context.database.service(), "svc_store_clo_note", args, safe=True)


def _messages(context: JobContext, prompt: Prompt, week: Mapping[str, Any]) -> list[Message]:
    service, blocks = context.database.service(), DataBlocks()
    wish = week["focus_area"] or ""
    parts = [
        ("week", f"Week {week['week_number']}. Focus: {wish or 'none given'}. Hours: {week['estimated_hours']}"),
        ("preferences", _preferences(context)),
        *((f"past_week_{n}", _told(facts)) for n, facts in enumerate(past_weeks(service, week), 1)),
        *((f"material_{n}", text) for n, text in enumerate(_material(context, wish), 1)),
    ]
    room = int(context.settings.model_context_tokens * READING_SHARE) - estimated_tokens(prompt.parts["system"])
    told = [blocks.rule()]
    for name, text in parts:
        room -= estimated_tokens(text)
        if text and room > 0:
            told.append(blocks.block(name, visible(text)))
    return [
        {"role": "system", "content": prompt.parts["system"]},
        {"role": "user", "content": "\n\n".join([*told, prompt.parts["request"]])},
    ]


def _preferences(context: JobContext) -> str:
    query = context.database.service().from_("user_settings").select("learning_preferences,learning_style")
    rows = run(query.eq("user_id", context.job.user_id).limit(1))
    known = {key: value for row in rows for key, value in row.items() if value}
    return json.dumps(known, ensure_ascii=False)[:MAX_PREFERENCES_CHARACTERS] if known else ""


def _told(facts: Sequence[Fact]) -> str:
    return "\n".join(fact.text for fact in facts)


def _material(context: JobContext, wish: str) -> list[str]:
    """Fragments of the person's own documents and linked lectures that have to do with the week."""
    if not wish.strip():
        return []
    args = {
        "p_user_id": context.job.user_id,
        "p_query": wish[:400],
        "p_kinds": ["document", "lecture"],
        "p_limit": MAX_FRAGMENTS,
    }
    rows = rpc(context.database.service(), "svc_search_material", args, safe=True)
    return [f"{row['title']}\n\n{row['content']}" for row in rows]


def _engineer(context: JobContext, week: Mapping[str, Any]) -> Any:
    """The note that the newest completed review of the week has written at its end."""
    query = context.database.service().from_("engineer_notes").select("id").eq("week_id", week["id"])
    rows = run(query.order("created_at", desc=True).limit(1))
    return rows[0]["id"] if rows else None
