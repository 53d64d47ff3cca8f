"""A running stack, a Canvas it knows, and people."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.native.stack import Stack
from tests.standins.canvas import CanvasStandIn
from tests.support.canvas import Student, registered, student


@pytest.fixture
def canvas() -> Iterator[CanvasStandIn]:
    with CanvasStandIn(seed=1) as stand_in:
        yield stand_in


@pytest.fixture
def connection_id(stack: Stack, canvas: CanvasStandIn) -> str:
    return registered(stack, canvas)


@pytest.fixture
def ann(stack: Stack) -> Iterator[Student]:
    with student(stack) as person:
        yield person


@pytest.fixture
def ben(stack: Stack) -> Iterator[Student]:
    with student(stack) as person:
        yield person
