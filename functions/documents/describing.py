"""What a document is about, in one paragraph by the model. Without a model, or without an answer, there is none."""

from __future__ import annotations

from pathlib import Path

import structlog

from functions.shared.jobs import JobContext
from functions.shared.llm.budget import Budget
from functions.shared.llm.client import ModelClient
from functions.shared.llm.errors import ModelError
from functions.shared.llm.ledger import Ledger
from functions.shared.llm.prompts import DataBlocks, load_prompt
from functions.shared.markup.markdown import safe_markdown
from functions.shared.markup.text import visible

log = structlog.get_logger(__name__)

MAX_CALLS = 1
# the beginning says what a document is about
MAX_TEXT_CHARACTERS = 12_000
MAX_DESCRIPTION_CHARACTERS = 1000
# stays below, so that the row is still written
SPARE_SECONDS = 30.0


def describe(context: JobContext, text: str) -> str | None:
    """A paragraph about a text, or None.

    :raise JobCancelled: the owner asked for an end
    """
    settings = context.settings
    if not (settings.openai_api_key or settings.openai_base_url):
        return None
    prompt = load_prompt(Path(__file__).parent / "prompts")
    blocks = DataBlocks()
    block = blocks.block("document", text[:MAX_TEXT_CHARACTERS])
    messages = [
        {"role": "system", "content": f"{prompt.parts['system']}\n\n{blocks.rule()}"},
        {
            "role": "user",
            "content": f"{prompt.parts['user']}\n\n{block}",
        },
    ]
    seconds = min(settings.model_deadline_seconds, context.remaining_seconds() - SPARE_SECONDS)
    deadline = context.clock.monotonic() + seconds
    budget = Budget(Ledger.of_job(context, "document_description"), MAX_CALLS, deadline, check=context.check_cancelled)
    try:
        answer = "".join(ModelClient(settings).text(messages, budget))
    except ModelError as error:
        log.warning("document_not_described", error_code=error.code)
        return None
    return " ".join(safe_markdown(visible(answer)).split())[:MAX_DESCRIPTION_CHARACTERS] or None
