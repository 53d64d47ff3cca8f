"""A person with a course, a Panopto of their school and a model stand-in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.native.stack import Stack
from tests.standins.model import ModelStandIn
from tests.standins.panopto import PanoptoStandIn
from tests.support.canvas import Student
from tests.support.lectures import Hall


@pytest.fixture
def panopto() -> Iterator[PanoptoStandIn]:
    with PanoptoStandIn(seconds=31) as stand_in:
        yield stand_in


@pytest.fixture
def hall(stack: Stack, person: Student, panopto: PanoptoStandIn, model: ModelStandIn) -> Hall:
    return Hall(stack, person, panopto, model)
