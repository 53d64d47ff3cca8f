"""A second opinion of the leak guard: a model reads the whole text once before anybody else does.

It can stop a text that the guard let pass, and never release one that the guard stopped. Where it cannot be asked, the
guard alone decides.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import structlog
from pydantic import BaseModel

from functions.shared.leaks.errors import AnswerLeak
from functions.shared.llm.budget import Budget
from functions.shared.llm.client import Message, ModelClient
from functions.shared.llm.errors import ModelError
from functions.shared.llm.prompts import DataBlocks, load_prompt
from functions.shared.llm.structured import Wanted, write

log = structlog.get_logger(__name__)

MAX_TASK_CHARACTERS = 20_000


class Verdict(BaseModel):
    """What the model says."""

    contains_finished_work: bool


class SecondOpinion:
    """Asks about one text, in one call of the text's own budget, so that usage and limits count it.

    :param task: the task as the student sees it
    """

    def __init__(self, client: ModelClient, task: str, budget: Budget) -> None:
        self._client = client
        self._task = task
        self._budget = budget

    def check(self, text: str) -> None:
        """Asks whether a text that is whole may be shown.

        :raise AnswerLeak: it must not be shown
        """
        prompt, blocks = load_prompt(Path(__file__).parent / "prompts"), DataBlocks()
        asked = [blocks.rule(), blocks.block("task", self._task[:MAX_TASK_CHARACTERS]), blocks.block("text", text)]
        messages: list[Message] = [
            {"role": "system", "content": prompt.parts["system"]},
            {"role": "user", "content": "\n\n".join(asked)},
        ]
        calls = min(self._budget.max_calls, self._budget.tally.attempts + 1)
        budget = dataclasses.replace(self._budget, max_calls=calls)
        try:
            verdict, _ = write(self._client, Wanted("leak_opinion", Verdict, messages), budget)
        except ModelError as error:
            log.warning("no_second_opinion", error_code=error.code)
            return
        if verdict.contains_finished_work:
            raise AnswerLeak
