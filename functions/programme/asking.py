"""How the jobs of this service ask a model, and how a failure ends them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel

from functions.programme.errors import WeekArchived
from functions.shared.agents import Agent
from functions.shared.errors import AppError, Conflict, Unavailable
from functions.shared.jobs import JobContext, JobFailure
from functions.shared.llm.budget import Budget
from functions.shared.llm.client import Message
from functions.shared.llm.errors import ModelError
from functions.shared.llm.ledger import Ledger
from functions.shared.llm.structured import Wanted, write
from functions.shared.markup.text import visible

T = TypeVar("T", bound=BaseModel)
MAX_CALLS = 3
# of the model's window: for what it reads, with a reserve because estimates may be too low
READING_SHARE = 0.5


def ask(context: JobContext, agent: Agent, purpose: str, shape: type[T], messages: Sequence[Message]) -> T:
    """The model's answer in a form. Calls of earlier attempts of the job count.

    :raise ModelError: there is no usable answer
    """
    ledger = Ledger.of_job(context, purpose)
    ledger.resume()
    deadline = context.clock.monotonic() + context.settings.model_deadline_seconds
    budget = Budget(ledger, MAX_CALLS, min(deadline, context.deadline), check=context.check_cancelled)
    answer, _ = write(agent.client(context.settings), Wanted(purpose, shape, messages), budget)
    return answer


def ending(work: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
    """Runs a job's work and turns its errors into the job's end.

    :raise JobFailure: only a database that does not answer is tried again; calls of models were repeated already
    """
    try:
        return work()
    except Conflict as error:
        # the only refusal of the functions that store: the week was archived in the meantime
        raise JobFailure(WeekArchived.code, WeekArchived().message, retryable=False) from error
    except Unavailable as error:
        raise JobFailure("service_unavailable", error.message, retryable=True) from error
    except ModelError as error:
        raise JobFailure(error.code, error.message, retryable=False) from error
    except AppError as error:
        raise JobFailure(error.code, error.message, retryable=False) from error


def one_line(text: str, max_characters: int) -> str:
    """A model's text as one line of plain text."""
    return " ".join(visible(text).split())[:max_characters].rstrip()


def lines(texts: Sequence[str], max_lines: int, max_characters: int = 500) -> list[str]:
    """The same for a list, without empty entries and repeats."""
    found = dict.fromkeys(one_line(text, max_characters) for text in texts)
    return [text for text in found if text][:max_lines]
