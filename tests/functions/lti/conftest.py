"""Two platforms that share an issuer and a client id, both known to the stack, and a browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.native.stack import Stack
from tests.standins.canvas import CanvasStandIn
from tests.standins.lti import LtiStandIn
from tests.support.canvas import registered
from tests.support.lti import Browser


@pytest.fixture(scope="session")
def lti(stack: Stack) -> Iterator[LtiStandIn]:
    with CanvasStandIn(seed=1) as canvas, LtiStandIn() as platforms:
        connection_id = registered(stack, canvas)
        platforms.first.register(stack.rest_url, stack.service_token, connection_id, "1:deployment", "1:other")
        platforms.second.register(stack.rest_url, stack.service_token, connection_id, "2:deployment")
        yield platforms


@pytest.fixture
def browser(stack: Stack) -> Iterator[Browser]:
    made = Browser.of(stack)
    yield made
    made.close()
