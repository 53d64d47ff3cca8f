"""The agents that do the product's work with models: who works, with which settings, and the record of it.

A route asks :func:`check_agent` before it starts work. A job asks :func:`assign_agent`, which records that the agent
works on it, and calls models by ``agent.client(settings)``::

    agent = assign_agent(context, "headstart")
    client = agent.client(context.settings)

The newest active row of a type in ``agents`` works. The database completes what it was given when the job or the
Socratic session ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from functions.shared.database import Database, rpc
from functions.shared.jobs import JobContext
from functions.shared.llm.client import ModelClient, ModelOptions
from functions.shared.llm.errors import ModelError
from functions.shared.settings import Settings

AgentType = Literal["clo", "engineer", "socratic", "brand", "headstart", "assistant", "tutor_companion"]


class AgentDisabled(ModelError):
    """The agent that does this is switched off. Try again later, or ask an administrator."""

    status = 409
    code = "agent_disabled"


class AgentModelUnknown(ModelError):
    """The agent's settings name a model without a price. An operator must add it to MODEL_PRICES, or name another."""

    status = 503
    code = "agent_model_unknown"


@dataclass(frozen=True)
class Agent:
    """A row of ``agents`` with the settings that models are called with."""

    agent_id: str
    name: str
    version: str
    options: ModelOptions

    def client(self, settings: Settings) -> ModelClient:
        """Calls models as this agent."""
        return ModelClient(settings, self.options)


def check_agent(database: Database, settings: Settings, agent_type: AgentType) -> None:
    """Whether new work of a type may start now. Call it before anything is stored.

    :raise AgentDisabled: no agent of the type is active
    :raise AgentModelUnknown: its model is neither OPENAI_MODEL nor in MODEL_PRICES
    """
    _agent(rpc(database.service(), "svc_find_agent", {"p_type": agent_type}, safe=True), settings)


def assign_agent(context: JobContext, agent_type: AgentType, *, session_id: str | None = None) -> Agent:
    """The agent that does a job, which is recorded in ``agent_assignments``. Saying it again records nothing more.

    A job that had an agent before the type was switched off goes on with it.

    :param session_id: the open Socratic session that the job works for, which is recorded too
    :raise AgentDisabled: no agent of the type is active
    :raise AgentModelUnknown: its model is neither OPENAI_MODEL nor in MODEL_PRICES
    """
    args = {"p_type": agent_type, "p_job_id": context.job.job_id, "p_socratic_session_id": session_id}
    return _agent(rpc(context.database.service(), "svc_assign_agent", args, safe=True), context.settings)


def _agent(rows: list[Mapping[str, Any]], settings: Settings) -> Agent:
    if not rows:
        raise AgentDisabled
    row = rows[0]
    # the database has checked keys, types and ranges when they were written
    config: Mapping[str, Any] = row["config"]
    model = config.get("model")
    if model is not None and model != settings.openai_model and model not in settings.model_prices:
        raise AgentModelUnknown
    options = ModelOptions(
        model=model,
        temperature=config.get("temperature"),
        max_output_tokens=config.get("max_output_tokens"),
        extra_instructions=config.get("extra_instructions"),
    )
    return Agent(row["agent_id"], row["name"], row["version"], options)
