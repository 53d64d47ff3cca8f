"""``python -m scripts.benchmarks._canvas_school COURSES ASSIGNMENTS PAGING``: a Canvas in a process of its own.

One student, so many courses with so many assignments each, with descriptions as teachers write them. Each request takes
150 ms, up to 30 % less or more. Its address is the first line that it prints; it ends with its standard input.
"""

from __future__ import annotations

import random
import sys

from tests.standins.canvas import CanvasStandIn
from tests.standins.canvas.world import World, description, stamp

SEED = 16
STUDENT = 101
LATENCY_SECONDS, LATENCY_SPREAD = 0.15, 0.3


def fill(world: World, courses: int, assignments: int, paging: str) -> None:
    """Replaces the seeded courses."""
    dice = random.Random(SEED)
    world.courses.clear()
    world.assignments.clear()
    world.submissions.clear()
    for number in range(courses):
        course = world.add_course({STUDENT: "student"}, id=2001 + number)
        for place in range(1, assignments + 1):
            row = world.add_assignment(
                course.id,
                id=100_000 + 1000 * number + place,
                position=place,
                name=f"Essay {place}",
                description=description(dice, "Essay", "working memory", course.id, place),
            )
            if place % 3 == 0:
                world.submissions[(row.id, STUDENT)] = {
                    "workflow_state": "graded",
                    "score": 8.0,
                    "submitted_at": stamp(world.today),
                }
    world.switches.paging = paging
    world.switches.latency_seconds, world.switches.latency_spread = LATENCY_SECONDS, LATENCY_SPREAD


def main(courses: str, assignments: str, paging: str) -> None:
    """Serves until standard input is closed."""
    with CanvasStandIn() as canvas:
        fill(canvas.world, int(courses), int(assignments), paging)
        print(canvas.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
