"""The handler of ``session_summary`` jobs, payload ``{"session_id": ...}``.

It may run twice and be killed at any line: the one row of a session is written in one statement at the end, and only
while no tutor has corrected it and the transcript is the one that was read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import structlog
from pydantic import BaseModel, Field

from functions.shared.agents import assign_agent
from functions.shared.database import rpc, run
from functions.shared.jobs import JobContext, JobFailure
from functions.shared.llm.budget import Budget
from functions.shared.llm.client import Message
from functions.shared.llm.errors import InvalidResponse, ModelError
from functions.shared.llm.ledger import Ledger
from functions.shared.llm.prompts import DataBlocks, load_prompt
from functions.shared.llm.structured import Wanted, write
from functions.shared.llm.usage import estimated_tokens
from functions.shared.markup.text import visible
from functions.tutoring.sessions.quotes import without_false_quotes, words

log = structlog.get_logger(__name__)

MAX_CALLS = 3
SPARE_SECONDS = 30.0
MAX_BRIEF_MINUTES = 10
# of a transcript whose session has no length: what people say in ten minutes
MAX_BRIEF_WORDS = 1300
MAX_ENTRIES = 10
MAX_ENTRY_CHARACTERS = 500
# of the model's window; the rest is for the answer, and because an estimate may be too low
TRANSCRIPT_SHARE = 0.6
STRETCHES = 6
CUT = "\n[...]\n"
SESSION = "student_id,tutor_id,duration_minutes,topics_covered,subject:subjects(name),summaries(overridden)"


class Written(BaseModel):
    """What the model answers."""

    narrative: str = Field(min_length=1, max_length=20_000)
    next_steps: list[str]
    subjects_covered: list[str]


class Summary(NamedTuple):
    """What is stored. ``false_quotes`` is how many were dropped."""

    kind: str
    narrative: str
    next_steps: list[str]
    subjects_covered: list[str]
    false_quotes: int = 0


def summarise(context: JobContext) -> Mapping[str, Any]:
    """Writes the summary of one session. The job's result says what became of it.

    :raise JobFailure: the model gave no usable answer
    """
    session_id, service = str(context.job.payload["session_id"]), context.database.service()
    rows = run(service.from_("tutoring_sessions").select(SESSION).eq("id", session_id))
    if not rows or any(row["overridden"] for row in rows[0]["summaries"]):
        return {"status": "overridden" if rows else "gone"}
    found = rpc(service, "svc_get_transcript", {"p_session_id": session_id}, safe=True)
    sealed = found[0]["transcript_enc"] if found else None
    if sealed is None:
        summary = from_topics(rows[0])
    else:
        text = context.crypto.decrypt(sealed, row_id=session_id, field="transcript_enc")
        try:
            summary = _from_transcript(context, rows[0], text)
        except ModelError as error:
            raise JobFailure(error.code, error.message, retryable=error.is_repeatable) from error
    args = {
        "p_session_id": session_id,
        "p_transcript_version": None if sealed is None else found[0]["version"],
        "p_summary_type": summary.kind,
        "p_narrative": summary.narrative,
        "p_next_steps": summary.next_steps,
        "p_subjects_covered": summary.subjects_covered,
    }
    status = rpc(service, "svc_store_summary", args, safe=True)
    return {"status": status, "summary_type": summary.kind, "false_quotes": summary.false_quotes}


def from_topics(session: Mapping[str, Any]) -> Summary:
    """What can be said without a transcript: by rule, out of the session's subject, length and topics."""
    topics = _lines(session["topics_covered"])
    subject = session["subject"] and session["subject"]["name"]
    length = f" took {session['duration_minutes']} minutes" if session["duration_minutes"] else " was held"
    about = f" The topics were: {', '.join(topics)}." if topics else " No topics were noted."
    narrative = f"This session{f' in {subject}' if subject else ''}{length}. There is no transcript of it.{about}"
    return Summary("missing_transcript", narrative, [f"Practise {one}." for one in topics[:5]], _lines([subject or ""]))


def kind_of(session: Mapping[str, Any], transcript: str) -> str:
    """``brief`` for a session under ten minutes, else ``normal``."""
    minutes = session["duration_minutes"]
    is_brief = len(transcript.split()) < MAX_BRIEF_WORDS if minutes is None else minutes < MAX_BRIEF_MINUTES
    return "brief" if is_brief else "normal"


def excerpt(text: str, max_tokens: int) -> str:
    """The text, or stretches of it at even distances when it is too long for the model."""
    tokens = estimated_tokens(text)
    if tokens <= max_tokens:
        return text
    size = int(len(text) * max_tokens / tokens / STRETCHES)
    step = (len(text) - size) / (STRETCHES - 1)
    return CUT.join(text[int(number * step) : int(number * step) + size] for number in range(STRETCHES))


def checked(written: Written, kind: str, transcript: str) -> Summary:
    """A model's answer as it is stored: what nobody sees is removed, and so are sentences with false quotes.

    :raise InvalidResponse: nothing is left
    """
    said, false = words(transcript), 0

    def clean(text: str) -> str:
        nonlocal false
        kept, dropped = without_false_quotes(visible(text).strip(), said)
        false += dropped
        return kept

    narrative = clean(written.narrative)
    if not narrative:
        raise InvalidResponse
    steps = _lines(clean(step) for step in written.next_steps[:MAX_ENTRIES])
    return Summary(kind, narrative, steps, _lines(written.subjects_covered), false)


def _lines(texts: Any) -> list[str]:
    """Each on one line and not too long; at most ten, no empty ones."""
    lines = (" ".join(visible(text).split())[:MAX_ENTRY_CHARACTERS] for text in texts if text)
    return [line for line in lines if line][:MAX_ENTRIES]


def _from_transcript(context: JobContext, session: Mapping[str, Any], transcript: str) -> Summary:
    prompt, blocks, kind = load_prompt(Path(__file__).parent / "prompts"), DataBlocks(), kind_of(session, transcript)
    settings = context.settings
    shown = excerpt(transcript, int(settings.model_context_tokens * TRANSCRIPT_SHARE))
    messages: list[Message] = [
        {"role": "system", "content": f"{prompt.parts['system']}\n\n{blocks.rule()}"},
        {"role": "user", "content": f"{prompt.parts[kind]}\n\n{blocks.block('transcript', shown)}"},
    ]
    seconds = min(settings.model_deadline_seconds, context.remaining_seconds() - SPARE_SECONDS)
    deadline = context.clock.monotonic() + seconds
    budget = Budget(Ledger.of_job(context, "session_summary"), MAX_CALLS, deadline, check=context.check_cancelled)
    client = assign_agent(context, "tutor_companion").client(settings)
    written, _ = write(client, Wanted("session_summary", Written, messages), budget)
    return checked(written, kind, transcript)
