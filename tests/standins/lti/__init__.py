"""Learning platforms that speak LTI 1.3 on a port of their own, and mint whatever tokens a test needs."""

from __future__ import annotations

from tests.standins.lti.platform import CLAIM, Launch, Person, Platform
from tests.standins.lti.server import LtiStandIn

__all__ = ["CLAIM", "Launch", "LtiStandIn", "Person", "Platform"]
