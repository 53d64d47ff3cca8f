"""A running stack, a connected student, and a runner for one job at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from scripts.native.stack import Stack
from tests.standins.canvas import CanvasStandIn
from tests.support.canvas import Ended, Runner, Student, connect, student


@dataclass
class Connected:
    """A student whose Canvas is connected, and what can be done with it."""

    person: Student
    canvas: CanvasStandIn
    runner: Runner
    integration_id: str
    first_job: str

    def start(self, **body: Any) -> str:
        """POSTs a run; its job."""
        answer = self.person.functions.post("/canvas-sync/runs", json=body)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["job_id"])

    def sync(self, **body: Any) -> Ended:
        """A run from beginning to end."""
        return self.runner.run(self.start(**body))

    def result(self, **body: Any) -> dict[str, Any]:
        """The result of a run that must succeed."""
        ended = self.sync(**body)
        assert ended.failure is None, ended.failure
        assert ended.result is not None
        return dict(ended.result)

    def course(self, canvas_id: int) -> dict[str, Any]:
        """The person's row of a course."""
        return self.person.rows("courses", canvas_course_id=f"eq.{canvas_id}")[0]

    def assignments(self, canvas_id: int) -> dict[int, dict[str, Any]]:
        """The person's assignments of a course, by Canvas id."""
        rows = self.person.rows("assignments", course_id=f"eq.{self.course(canvas_id)['id']}")
        return {row["canvas_assignment_id"]: row for row in rows}


def _connected(
    stack: Stack, canvas: CanvasStandIn, connection_id: str, runner: Runner, login: str
) -> Iterator[Connected]:
    with student(stack) as person:
        done = connect(stack, person, connection_id, login)
        yield Connected(person, canvas, runner, done["integration"]["id"], done["job_id"])


@pytest.fixture
def ann(stack: Stack, canvas: CanvasStandIn, connection_id: str, runner: Runner) -> Iterator[Connected]:
    """Connected as student1; the first sync waits."""
    yield from _connected(stack, canvas, connection_id, runner, "student1")


@pytest.fixture
def teacher(stack: Stack, canvas: CanvasStandIn, connection_id: str, runner: Runner) -> Iterator[Connected]:
    """Connected as teacher1."""
    yield from _connected(stack, canvas, connection_id, runner, "teacher1")


@pytest.fixture
def synced(ann: Connected) -> Connected:
    """The same, after a first sync."""
    ended = ann.runner.run(ann.first_job)
    assert ended.failure is None, ended.failure
    with ann.canvas.world.lock:
        ann.canvas.world.journal.clear()
    return ann
