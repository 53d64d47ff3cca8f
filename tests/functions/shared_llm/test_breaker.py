"""Many answers that wait do not hammer a dead provider."""

from __future__ import annotations

import time

import pytest

from functions.shared.llm import breaker
from functions.shared.llm.breaker import Breaker, ProviderResting
from functions.shared.llm.client import ModelClient
from functions.shared.llm.errors import InvalidResponse, ModelError, ProviderUnavailable, Truncated
from functions.shared.llm.structured import write
from tests.functions.shared_llm.conftest import MakeSettings, make_budget
from tests.functions.shared_llm.test_structured import WANTED
from tests.standins.model import ModelStandIn
from tests.support.clocks import SkippingClock


def test_thirty_answers_of_a_dead_provider_make_few_calls(settings: MakeSettings, model: ModelStandIn) -> None:
    client = ModelClient(settings("500"))
    codes = []
    for _ in range(30):
        with pytest.raises(ModelError) as caught:
            write(client, WANTED, make_budget(SkippingClock(), 3, 60))
        codes.append(caught.value.code)
    assert set(codes) == {"provider_unavailable"}
    assert len(model.requests) <= 3 * breaker.MAX_RUNS
    model.say(default="normal")
    with pytest.raises(ProviderResting):
        write(client, WANTED, make_budget(SkippingClock(), 3, 60))


def test_one_probe_goes_first_and_opens_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    gate = Breaker()
    for work in range(breaker.MAX_RUNS):
        gate.check()
        gate.note(work, ProviderUnavailable())
    with pytest.raises(ProviderResting) as caught:
        gate.check()
    assert caught.value.retry_after == breaker.FIRST_PAUSE_SECONDS
    now[0] += breaker.FIRST_PAUSE_SECONDS
    gate.check()
    with pytest.raises(ProviderResting):
        gate.check()
    gate.note(99, None)
    gate.check()


@pytest.mark.parametrize("error", [None, InvalidResponse(), Truncated()])
def test_a_server_that_answers_is_not_dead(error: ModelError | None) -> None:
    gate = Breaker()
    for work in range(breaker.MAX_RUNS - 1):
        gate.note(work, ProviderUnavailable())
    gate.note(50, error)
    for work in range(breaker.MAX_RUNS - 1):
        gate.note(work, ProviderUnavailable())
    gate.check()


def test_one_run_that_fails_often_closes_nothing() -> None:
    gate = Breaker()
    for _ in range(3 * breaker.MAX_RUNS):
        gate.note(1, ProviderUnavailable())
    gate.check()
