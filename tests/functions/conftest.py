"""What the tests of several functions need: stand-ins on real ports, outside calls, people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from functions.app import create_app
from functions.shared.http import Http
from functions.shared.llm.structured import _rungs
from functions.shared.settings import load_settings
from functions.shared.web.openapi import BASE
from scripts.native.stack import Stack
from tests.standins.canvas import CanvasStandIn
from tests.standins.model import ModelStandIn
from tests.support.canvas import Runner, Student, registered, student
from tests.support.documented import undocumented


@pytest.fixture(scope="session")
def stack(stack: Stack) -> Iterator[Stack]:
    """The platform. In the end, every error that its functions answered must stand in the OpenAPI document."""
    yield stack
    spec: Any = create_app(load_settings(stack.service_environment())).test_client().get(f"{BASE}/openapi.json").json
    assert undocumented((stack.log_dir / "functions.log").read_text(), spec) == []


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


@pytest.fixture(scope="session")
def runner(stack: Stack) -> Iterator[Runner]:
    """Runs one job of Canvas at a time; gives up on failing listings after two seconds instead of ten."""
    given = Runner({**stack.service_environment(), "CANVAS_GIVE_UP_SECONDS": "2"})
    yield given
    given.close()


@pytest.fixture
def person(stack: Stack) -> Iterator[Student]:
    with student(stack) as found:
        yield found


@pytest.fixture
def stranger(stack: Stack) -> Iterator[Student]:
    """A second person, who has nothing to do with the first."""
    with student(stack) as found:
        yield found
