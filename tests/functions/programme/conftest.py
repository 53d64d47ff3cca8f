"""A person whose repositories are at a GitHub stand-in, and a runner of their reviews' jobs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.native.stack import Stack
from tests.standins.github import GitHubStandIn
from tests.standins.model import ModelStandIn
from tests.support.canvas import Student
from tests.support.reviews import Desk


@pytest.fixture
def github() -> Iterator[GitHubStandIn]:
    with GitHubStandIn() as stand_in:
        yield stand_in


@pytest.fixture
def desk(stack: Stack, person: Student, github: GitHubStandIn, model: ModelStandIn) -> Desk:
    return Desk(stack, person, github, model)
