"""Stand-ins on real ports."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.standins.canvas import CanvasStandIn


@pytest.fixture
def canvas() -> Iterator[CanvasStandIn]:
    with CanvasStandIn(seed=1) as stand_in:
        yield stand_in
