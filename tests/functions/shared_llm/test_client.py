"""One call of a model over real sockets: every fault of a provider becomes one of our codes."""

from __future__ import annotations

import time
from decimal import Decimal

import pytest

from functions.shared.clock import SystemClock
from functions.shared.llm.budget import Budget
from functions.shared.llm.client import ModelClient
from functions.shared.llm.errors import ModelError, ProviderAuth
from functions.shared.settings import load_settings
from scripts.native.postgres import free_port
from tests.functions.shared_llm.conftest import BASE, MakeSettings, make_budget
from tests.standins.model import ModelStandIn
from tests.support.waiting import wait_until

ASK = [{"role": "user", "content": "What drives photosynthesis in plants?"}]

FAULTS = {
    "429": "rate_limited",
    "429-long": "rate_limited",
    "quota": "quota_exceeded",
    "401": "provider_auth",
    "404": "model_not_found",
    "context": "context_too_long",
    "context-flat": "context_too_long",
    "filter-400": "content_filtered",
    "filter": "content_filtered",
    "refusal": "refused",
    "length": "truncated",
    "eof": "interrupted",
    "eof-whole": "interrupted",
    "reset": "interrupted",
    "stall": "interrupted",
    "error-event": "interrupted",
    "hang": "deadline_exceeded",
    "500": "provider_unavailable",
    "503-html": "provider_unavailable",
    "200-html": "invalid_response",
    "200-error": "invalid_response",
}


def read(client: ModelClient, budget: Budget, stream: bool = True) -> str:
    return "".join(client.text(ASK, budget, stream=stream))


@pytest.mark.parametrize("stream", [True, False])
def test_a_good_answer_comes_whole_with_its_usage_and_exact_cost(
    client: ModelClient, budget: Budget, stream: bool
) -> None:
    text = read(client, budget, stream)
    assert text.startswith("I am the scripted stand-in")
    assert text.endswith("where do you get stuck?")
    tally = budget.tally
    prompt, cached, completion = 10, 2, (len(text.encode()) + 3) // 4
    assert (tally.attempts, tally.prompt_tokens, tally.cached_tokens) == (1, prompt, cached)
    assert (tally.completion_tokens, tally.usage_estimated) == (completion, False)
    million = Decimal(1_000_000)
    assert tally.cost == (8 * Decimal("1.25") + 2 * Decimal("0.125") + completion * Decimal(10)) / million


@pytest.mark.parametrize(("behaviour", "code"), FAULTS.items())
def test_each_fault_has_its_code(
    settings: MakeSettings, model: ModelStandIn, budget: Budget, behaviour: str, code: str
) -> None:
    client = ModelClient(settings(behaviour))
    client.prepare()
    with pytest.raises(ModelError) as caught:
        read(client, budget)
    assert caught.value.code == code
    assert len(model.requests) == budget.tally.attempts == 1, "the library repeats nothing on its own"


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        ("429", "rate_limited"),
        ("filter", "content_filtered"),
        ("refusal", "refused"),
        ("length", "truncated"),
        ("eof", "interrupted"),
        ("hang", "deadline_exceeded"),
        ("200-html", "invalid_response"),
        ("200-error", "invalid_response"),
    ],
)
def test_without_a_stream_the_codes_are_the_same(
    settings: MakeSettings, budget: Budget, behaviour: str, code: str
) -> None:
    with pytest.raises(ModelError) as caught:
        read(ModelClient(settings(behaviour)), budget, stream=False)
    assert caught.value.code in (code, "provider_unavailable" if behaviour == "eof" else code)


def test_a_refused_connection_is_an_unavailable_provider(settings: MakeSettings, budget: Budget) -> None:
    client = ModelClient(settings(OPENAI_BASE_URL=f"http://127.0.0.1:{free_port()}/v1"))
    with pytest.raises(ModelError) as caught:
        read(client, budget)
    assert caught.value.code == "provider_unavailable"
    assert not budget.tally.usage_estimated


def test_without_any_model_configured_no_call_is_made(budget: Budget) -> None:
    with pytest.raises(ProviderAuth):
        read(ModelClient(load_settings({**BASE, "OPENAI_API_KEY": ""})), budget)
    assert budget.tally.attempts == 0


@pytest.mark.parametrize("behaviour", ["trickle", "slow", "hang"])
def test_no_provider_holds_a_caller_past_the_deadline(
    settings: MakeSettings, model: ModelStandIn, behaviour: str
) -> None:
    model.say(behaviour, text="word " * 500)
    # a server that sends comment lines for ever never meets a read timeout
    client = ModelClient(settings(behaviour, MODEL_READ_TIMEOUT_SECONDS="30"))
    client.prepare()
    clock = SystemClock()
    budget = make_budget(clock, 3, 0.4)
    began = time.monotonic()
    with pytest.raises(ModelError) as caught:
        read(client, budget)
    assert caught.value.code == "deadline_exceeded"
    assert time.monotonic() - began < 15
    assert budget.tally.usage_estimated
    assert budget.tally.prompt_tokens > 0


def test_a_check_that_raises_ends_a_silent_call_at_once(settings: MakeSettings) -> None:
    class Stop(Exception):
        pass

    client = ModelClient(settings("hang", MODEL_READ_TIMEOUT_SECONDS="30"))
    client.prepare()
    clock = SystemClock()
    began = clock.monotonic()

    def check() -> None:
        if clock.monotonic() - began > 0.3:
            raise Stop

    with pytest.raises(Stop):
        read(client, make_budget(clock, 3, 30, check))
    assert clock.monotonic() - began < 15


def test_a_call_that_is_given_up_before_its_first_byte_is_closed_upstream(
    settings: MakeSettings, model: ModelStandIn
) -> None:
    class Stop(Exception):
        pass

    def check() -> None:
        if model.requests:
            raise Stop

    client = ModelClient(settings("hang", MODEL_READ_TIMEOUT_SECONDS="60"))
    client.prepare()
    with pytest.raises(Stop):
        read(client, make_budget(SystemClock(), 3, 60, check))
    given_up = time.monotonic()
    wait_until(lambda: model.hung_up == 1)
    assert time.monotonic() - given_up < 15


def test_a_reader_that_stops_closes_the_connection_upstream(
    settings: MakeSettings, model: ModelStandIn, budget: Budget
) -> None:
    model.say("slow", pause_seconds=0.01, text="word " * 20_000)
    pieces = ModelClient(settings()).text(ASK, budget)
    assert next(pieces).startswith("word")
    pieces.close()
    wait_until(lambda: model.hung_up == 1)


def test_a_provider_that_tells_no_usage_is_estimated(settings: MakeSettings, budget: Budget) -> None:
    read(ModelClient(settings("no-usage")), budget)
    assert budget.tally.usage_estimated
    assert budget.tally.completion_tokens > 20
    assert budget.tally.cost is None, "a model without a price costs an unknown sum, not nothing"


def test_the_budget_is_kept_before_anything_goes_out(client: ModelClient, model: ModelStandIn) -> None:
    clock = SystemClock()
    with pytest.raises(ModelError) as late:
        read(client, make_budget(clock, 3, -1))
    with pytest.raises(ModelError):
        read(client, make_budget(clock, 0, 5))
    assert late.value.code == "deadline_exceeded"
    assert model.requests == []
