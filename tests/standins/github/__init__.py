"""A small GitHub: repositories, commits and archives, on real ports and with the real one's faults."""

from __future__ import annotations

from tests.standins.github.archives import EVIL, example, pack
from tests.standins.github.server import GitHubStandIn, Repository

__all__ = ["EVIL", "GitHubStandIn", "Repository", "example", "pack"]
