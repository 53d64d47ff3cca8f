"""A small Panopto on a port of its own: viewer, podcast links that expire, DeliveryInfo, captions, a login page."""

from __future__ import annotations

from tests.standins.panopto.media import Burst, bursts, heard_text, make_media
from tests.standins.panopto.server import OPEN_SESSION, PanoptoStandIn, Session

__all__ = ["OPEN_SESSION", "Burst", "PanoptoStandIn", "Session", "bursts", "heard_text", "make_media"]
