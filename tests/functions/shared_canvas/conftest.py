"""A Canvas on a real port, and our transport to it with waits that take no time."""

from __future__ import annotations

import pytest

from functions.shared.canvas import oauth
from functions.shared.canvas.transport import Counters, Transport
from functions.shared.http import Http
from tests.standins.canvas import CanvasStandIn
from tests.support.clocks import HeldClock


@pytest.fixture
def clock() -> HeldClock:
    """A clock that stands still."""
    return HeldClock()


@pytest.fixture
def transport(canvas: CanvasStandIn, http: Http, clock: HeldClock) -> Transport:
    return Transport(http, canvas.url, 10.0, Counters(), clock.sleep, clock.monotonic)


@pytest.fixture
def token(canvas: CanvasStandIn) -> str:
    """student1's access token with the scopes we ask for."""
    return canvas.world.new_grant(101, list(oauth.SCOPES)).access_token


@pytest.fixture
def installation(canvas: CanvasStandIn) -> oauth.Installation:
    return oauth.Installation(canvas.url, canvas.world.client_id, canvas.world.client_secret)
