"""What the tests of several functions need: stand-ins on real ports, outside calls, people."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from functions.shared.http import Http
from functions.shared.llm.structured import _rungs
from scripts.native.stack import Stack
from tests.standins.canvas import CanvasStandIn
from tests.standins.model import ModelStandIn
from tests.support.canvas import Student, registered, student


@pytest.fixture
def canvas() -> Iterator[CanvasStandIn]:
    with CanvasStandIn(seed=1) as stand_in:
        yield stand_in


@pytest.fixture
def model() -> Iterator[ModelStandIn]:
    with ModelStandIn() as stand_in:
        yield stand_in
    _rungs.clear()


@pytest.fixture
def http() -> Iterator[Http]:
    """As in local work: loopback may be called."""
    client = Http(local=True)
    yield client
    client.close()


@pytest.fixture
def connection_id(stack: Stack, canvas: CanvasStandIn) -> str:
    """The Canvas stand-in as the stack knows it."""
    return registered(stack, canvas)


@pytest.fixture
def person(stack: Stack) -> Iterator[Student]:
    with student(stack) as found:
        yield found


@pytest.fixture
def stranger(stack: Stack) -> Iterator[Student]:
    """A second person, who has nothing to do with the first."""
    with student(stack) as found:
        yield found
