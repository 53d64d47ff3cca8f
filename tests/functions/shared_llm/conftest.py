"""The model stand-in on a real port, and budgets against it."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest

from functions.shared.clock import Clock
from functions.shared.llm.budget import Budget
from functions.shared.llm.client import ModelClient
from functions.shared.llm.ledger import Ledger
from functions.shared.settings import Settings, load_settings
from tests.standins.model import ModelStandIn
from tests.support.clocks import SkippingClock
from tests.support.models import forget_servers

BASE = {
    "APP_ENV": "local",
    "SUPABASE_URL": "http://127.0.0.1:9",
    "SUPABASE_PUBLISHABLE_KEY": "sb_publishable_test",
    "SUPABASE_SECRET_KEY": "sb_secret_test",
    "ENCRYPTION_KEYS": "1:" + base64.urlsafe_b64encode(bytes(32)).decode(),
    "OPENAI_API_KEY": "test",
    "MODEL_READ_TIMEOUT_SECONDS": "0.5",
    "MODEL_PRICES": '{"standin-normal": {"input": "1.25", "cached_input": "0.125", "output": 10}}',
}

MakeSettings = Callable[..., Settings]


@pytest.fixture
def settings(model: ModelStandIn) -> MakeSettings:
    """Settings for a model of the stand-in, with changes."""

    def make(name: str = "normal", **changes: str) -> Settings:
        return load_settings({**BASE, "OPENAI_BASE_URL": model.url, "OPENAI_MODEL": f"standin-{name}", **changes})

    return make


@pytest.fixture
def client(settings: MakeSettings) -> ModelClient:
    """A client of a model that behaves."""
    made = ModelClient(settings())
    made.prepare()
    return made


@pytest.fixture
def budget() -> Budget:
    """Three calls within five seconds."""
    return make_budget(SkippingClock(), 3, 5)


def make_budget(clock: Clock, calls: int, seconds: float, check: Callable[[], None] = lambda: None) -> Budget:
    """So many calls within so many seconds. Calls are summed and not stored."""
    ledger = Ledger(clock, load_settings(BASE).model_prices, "test")
    return Budget(ledger, calls, clock.monotonic() + seconds, check=check)


@pytest.fixture(autouse=True)
def unknown_servers() -> None:
    """No test inherits what another one taught about the stand-in."""
    forget_servers()
