"""Structured answers: the ladder, repeats, the repair turn, and the budget over all of them."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from functions.shared.llm.budget import Budget
from functions.shared.llm.client import ModelClient
from functions.shared.llm.errors import ModelError
from functions.shared.llm.structured import Wanted, strict_schema, write
from tests.functions.shared_llm.conftest import MakeSettings, make_budget
from tests.standins.model import ModelStandIn
from tests.support.clocks import SkippingClock


class Part(BaseModel):
    step: str
    minutes: int


class Shape(BaseModel):
    title: str
    plan: list[Part]
    time_estimate_minutes: int


ASK = [{"role": "user", "content": 'Answer with "content_md" and more.'}]
WANTED = Wanted("shape", Shape, ASK)


def formats(model: ModelStandIn) -> list[str]:
    return [(one["body"].get("response_format") or {"type": "plain"})["type"] for one in model.requests]


def test_the_first_rung_sends_a_strict_schema(client: ModelClient, model: ModelStandIn, budget: Budget) -> None:
    answer, path = write(client, WANTED, budget)
    assert (answer.time_estimate_minutes, path) == (90, "json_schema/strict")
    sent = model.requests[0]["body"]["response_format"]["json_schema"]
    assert sent["strict"] is True
    assert sent["schema"]["additionalProperties"] is False
    assert sent["schema"]["required"] == ["title", "plan", "time_estimate_minutes"]


def test_every_object_of_a_strict_schema_is_closed() -> None:
    schema = strict_schema(Shape)

    def objects(node: Any) -> list[dict[str, Any]]:
        if isinstance(node, list):
            return [found for part in node for found in objects(part)]
        if not isinstance(node, dict):
            return []
        own = [node] if "properties" in node else []
        return own + [found for part in node.values() for found in objects(part)]

    found = objects(schema)
    assert len(found) == 2
    assert all(one["additionalProperties"] is False and one["required"] == list(one["properties"]) for one in found)


@pytest.mark.parametrize(
    ("behaviour", "asked"),
    [("no-schema", ["json_schema", "json_object"]), ("no-format", ["json_schema", "json_object", "plain"])],
)
def test_the_ladder_goes_down_and_remembers(
    settings: MakeSettings, model: ModelStandIn, budget: Budget, behaviour: str, asked: list[str]
) -> None:
    client = ModelClient(settings(behaviour))
    answer, path = write(client, WANTED, budget)
    assert (answer.time_estimate_minutes, path) == (90, f"{asked[-1]}/strict")
    assert formats(model) == asked
    model.requests.clear()
    write(client, WANTED, make_budget(SkippingClock(), 1, 5))
    assert formats(model) == asked[-1:]


@pytest.mark.parametrize(
    ("first", "calls"),
    [(["500"], 2), (["500", "503-html"], 3), (["429"], 2), (["eof"], 2), (["reset"], 2), (["wrong-schema"], 2)],
)
def test_what_may_be_repeated_is(
    client: ModelClient, model: ModelStandIn, budget: Budget, first: list[str], calls: int
) -> None:
    model.say(*first)
    answer, _ = write(client, WANTED, budget)
    assert answer.time_estimate_minutes == 90
    assert len(model.requests) == budget.tally.attempts == calls


@pytest.mark.parametrize(
    ("behaviour", "code", "calls"),
    [
        ("500", "provider_unavailable", 3),
        ("eof", "interrupted", 3),
        ("429-long", "rate_limited", 1),
        ("quota", "quota_exceeded", 1),
        ("401", "provider_auth", 1),
        ("404", "model_not_found", 1),
        ("length", "truncated", 1),
        ("refusal", "refused", 1),
        ("invalid-json", "invalid_response", 2),
        ("wrong-schema", "invalid_response", 2),
    ],
)
def test_what_stays_broken_ends_with_its_code_within_three_calls(
    settings: MakeSettings, model: ModelStandIn, budget: Budget, behaviour: str, code: str, calls: int
) -> None:
    with pytest.raises(ModelError) as caught:
        write(ModelClient(settings(behaviour)), WANTED, budget)
    assert (caught.value.code, len(model.requests), budget.tally.attempts) == (code, calls, calls)


def test_a_repair_turn_names_paths_and_not_content(client: ModelClient, model: ModelStandIn, budget: Budget) -> None:
    model.say("normal", text='{"title": "x", "plan": [{"step": "private words", "minutes": "15 min"}]}')
    _, path = write(client, WANTED, budget)
    assert path == "json_schema/strict+repair"
    said = model.requests[1]["body"]["messages"][-1]["content"]
    assert "plan.0.minutes" in said
    assert "private words" not in said


def test_nothing_is_repeated_once_somebody_has_read_it(
    client: ModelClient, model: ModelStandIn, budget: Budget
) -> None:
    model.say("eof", "normal")
    heard: list[str] = []
    wanted = Wanted("shape", Shape, ASK, heard.append, lambda: not heard)
    with pytest.raises(ModelError) as caught:
        write(client, wanted, budget)
    assert (caught.value.code, len(model.requests)) == ("interrupted", 1)
