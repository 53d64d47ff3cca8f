"""The handler of ``socratic_insights``: what the learner found out in an ended session. Payload: ``{"session_id"}``.

Each insight quotes a stored line. Quotes that do not stand there are dropped; where fewer than three insights are left,
lines of the learner's own fill the list. It may run twice: the session takes its insights once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from functions.shared.agents import assign_agent
from functions.shared.answers.citations import is_verbatim
from functions.shared.database import rpc, run
from functions.shared.errors import Unavailable
from functions.shared.jobs import JobContext, JobFailure
from functions.shared.llm.budget import Budget
from functions.shared.llm.client import Message
from functions.shared.llm.errors import ModelError
from functions.shared.llm.ledger import Ledger
from functions.shared.llm.prompts import DataBlocks, load_prompt
from functions.shared.llm.structured import Wanted, write
from functions.shared.llm.usage import estimated_tokens
from functions.shared.markup.text import visible

MAX_CALLS = 3
MIN_INSIGHTS, MAX_INSIGHTS = 3, 6
MAX_LINES = 400
MAX_TEXT_CHARACTERS = 500
MAX_QUOTE_CHARACTERS = 300
SHARE = 0.6


class Insight(BaseModel):
    """One insight, as the model gives it."""

    text: str
    quote: str
    line: int


class Insights(BaseModel):
    """The model's answer. ``count`` comes last, so that an answer that was cut off is not taken for a whole one."""

    insights: list[Insight]
    count: int


def find_insights(context: JobContext) -> Mapping[str, Any]:
    """Writes the insights of a session that has ended. The job's result says what became of it.

    :raise JobFailure: the model or the database gave no answer
    """
    try:
        return _find(context, str(context.job.payload["session_id"]))
    except Unavailable as error:
        raise JobFailure("service_unavailable", error.message, retryable=True) from error
    except ModelError as error:
        raise JobFailure(error.code, error.message, retryable=error.is_repeatable) from error


def _find(context: JobContext, session_id: str) -> Mapping[str, Any]:
    service = context.database.service()
    query = service.from_("socratic_sessions").select("ended_at,session_metadata").eq("id", session_id)
    sessions = run(query.eq("user_id", context.job.user_id).limit(1))
    if not sessions or sessions[0]["ended_at"] is None or "insights" in sessions[0]["session_metadata"]:
        # deleted, or written by an earlier attempt
        return {"session_id": session_id, "insights": 0}
    lines_query = service.from_("socratic_messages").select("id,role,content").eq("session_id", session_id)
    rows = run(
        lines_query.in_("role", ["user", "assistant"]).neq("content", "").order("seq", desc=True).limit(MAX_LINES)
    )
    lines = list(reversed(rows))
    if not any(line["role"] == "user" for line in lines):
        return {"session_id": session_id, "insights": 0}
    agent = assign_agent(context, "socratic")
    client = agent.client(context.settings)
    ledger = Ledger.of_job(context, "socratic_insights")
    ledger.resume()
    clock = context.clock
    began = clock.monotonic()
    deadline = min(began + context.settings.model_deadline_seconds, context.deadline)
    budget = Budget(ledger, MAX_CALLS, deadline, check=context.check_cancelled)
    prompt = load_prompt(Path(__file__).parent / "prompts" / "insights")
    messages = _messages(prompt.parts, lines, int(context.settings.model_context_tokens * SHARE))
    answer, path = write(client, Wanted("socratic_insights", Insights, messages), budget)
    found = filled(verified(answer.insights, lines), lines)
    args = {
        "p_session_id": session_id,
        "p_insights": found,
        "p_model": client.model,
        "p_prompt_version": prompt.version,
        "p_metrics": ledger.tally.metrics(int((clock.monotonic() - began) * 1000), path),
    }
    is_stored = rpc(service, "svc_finish_socratic_insights", args, safe=True)
    return {"session_id": session_id, "insights": len(found) if is_stored else 0}


def _messages(parts: Mapping[str, str], lines: Sequence[Mapping[str, Any]], max_tokens: int) -> list[Message]:
    """The request. Where a dialogue is too long, its oldest lines are left out; numbers stay."""
    blocks = DataBlocks()
    shown: list[str] = []
    for number, line in reversed(list(enumerate(lines, 1))):
        text = f"{number}. {'Learner' if line['role'] == 'user' else 'Agent'}: {line['content']}"
        max_tokens -= estimated_tokens(text)
        if max_tokens < 0 and shown:
            break
        shown.insert(0, text)
    dialogue = blocks.block("dialogue", "\n\n".join(shown))
    return [
        {"role": "system", "content": f"{parts['system']}\n\n{blocks.rule()}"},
        {"role": "user", "content": f"{parts['user']}\n\n{dialogue}"},
    ]


def verified(insights: Sequence[Insight], lines: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The insights whose quote stands in the line that they name, as they are stored, at most six."""
    found: list[dict[str, str]] = []
    for insight in insights:
        text = " ".join(visible(insight.text).split())[:MAX_TEXT_CHARACTERS]
        quote = " ".join(visible(insight.quote).split())[:MAX_QUOTE_CHARACTERS]
        if not text or not 1 <= insight.line <= len(lines) or any(one["text"] == text for one in found):
            continue
        line = lines[insight.line - 1]
        if is_verbatim(quote, line["content"]):
            found.append({"text": text, "message_id": str(line["id"]), "quote": quote})
    return found[:MAX_INSIGHTS]


def filled(found: Sequence[dict[str, str]], lines: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """At least three insights, as far as there are lines: the learner's longest lines first, then the agent's last.

    A line speaks for itself: its text is the quotation, which needs no words in the learner's language.
    """
    whole = list(found)
    used = {one["message_id"] for one in whole}
    own = sorted((one for one in lines if one["role"] == "user"), key=lambda one: -len(one["content"]))
    asked = [one for one in reversed(lines) if one["role"] == "assistant"]
    for line in (*own, *asked):
        if len(whole) >= MIN_INSIGHTS:
            break
        if str(line["id"]) not in used:
            quote = " ".join(line["content"].split())[:MAX_QUOTE_CHARACTERS]
            whole.append({"text": f"\u201c{quote}\u201d", "message_id": str(line["id"]), "quote": quote})
    return whole
