"""A scripted, OpenAI-compatible language model that listens on a real port."""

from __future__ import annotations

from tests.standins.model.server import ModelStandIn

__all__ = ["ModelStandIn"]
