"""A Canvas on a real port, and our transport to it with waits that take no time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from functions.shared.canvas import oauth
from functions.shared.canvas.transport import Counters, Transport
from functions.shared.http import Http
from tests.standins.canvas import CanvasStandIn


class FakeTime:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        """Moves the clock."""
        self.slept.append(seconds)
        self.now += seconds

    def monotonic(self) -> float:
        """The time."""
        return self.now


@pytest.fixture
def canvas() -> Iterator[CanvasStandIn]:
    with CanvasStandIn(seed=1) as stand_in:
        yield stand_in


@pytest.fixture
def http() -> Iterator[Http]:
    client = Http(local=True)
    yield client
    client.close()


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def transport(canvas: CanvasStandIn, http: Http, time: FakeTime) -> Transport:
    return Transport(http, canvas.url, 10.0, Counters(), time.sleep, time.monotonic)


@pytest.fixture
def token(canvas: CanvasStandIn) -> str:
    """student1's access token with the scopes we ask for."""
    return canvas.world.new_grant(101, list(oauth.SCOPES)).access_token


@pytest.fixture
def installation(canvas: CanvasStandIn) -> oauth.Installation:
    return oauth.Installation(canvas.url, canvas.world.client_id, canvas.world.client_secret)
