"""Courses and pages at the same time, and one refresh for all of them."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack

import pytest

from functions.shared.canvas.throttle import START_IN_FLIGHT
from scripts.native.stack import Stack
from tests.functions.canvas_sync.conftest import Connected


def test_courses_are_read_at_the_same_time(synced: Connected) -> None:
    world = synced.canvas.world
    for _ in range(6):
        world.add_course({101: "student"})
    world.switches.latency_seconds = 0.1
    world.most_in_flight = 0
    result = synced.result()
    assert (result["status"], result["throttled"]) == ("complete", 0)
    assert result["requests"] == 1 + result["courses"]["seen"] + 1, "courses, assignments, announcements"
    assert world.most_in_flight >= START_IN_FLIGHT


@pytest.mark.parametrize("paging", ["numbered", "bookmark"])
def test_numbered_pages_are_read_at_the_same_time_and_bookmarks_in_turn(synced: Connected, paging: str) -> None:
    world = synced.canvas.world
    world.switches.paging, world.switches.latency_seconds = paging, 0.1
    course = world.add_course({101: "student"})
    for position in range(450):
        world.add_assignment(course.id, position=position)
    synced.result()
    world.most_in_flight = 0
    with world.lock:
        world.journal.clear()
    result = synced.result(course_ids=[synced.course(course.id)["id"]])
    assert len(world.requests(f"/{course.id}/assignments")) == 5
    assert result["assignments"]["unchanged"] == 450
    assert len(synced.assignments(course.id)) == 450
    assert (world.most_in_flight >= START_IN_FLIGHT) == (paging == "numbered")


def test_a_numbered_list_that_grows_while_it_is_read_is_read_to_its_new_end(synced: Connected) -> None:
    world = synced.canvas.world
    world.switches.paging = "numbered"
    course = world.add_course({101: "student"})
    for _ in range(250):
        world.add_assignment(course.id)
    # the first page says that there are three; then many more are added
    world.add_fault(kind="slow", path=rf"/{course.id}/assignments.*page=[23]", seconds=0.5)
    job = synced.start()
    seen: list[int] = []

    def grow() -> None:
        if not seen and world.requests(f"/{course.id}/assignments"):
            seen.append(1)
            for _ in range(100):
                world.add_assignment(course.id)

    result = synced.runner.handle(synced.runner.claim(job), on_check=grow)
    assert seen
    assert result is not None
    assert result["status"] == "complete"
    assert len(synced.assignments(course.id)) == 350


def test_eight_rejected_requests_in_two_processes_refresh_once(stack: Stack, synced: Connected) -> None:
    world = synced.canvas.world
    world.switches.latency_seconds = 0.1
    world.expire_tokens()
    command = [sys.executable, "-m", "tests.functions.canvas_sync._refresher", synced.integration_id, "4"]
    environment = {**os.environ, **stack.service_environment()}
    with ExitStack() as opened:
        processes = [
            opened.enter_context(
                subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            for _ in range(2)
        ]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "1\n", "all saw the same courses"
    assert 1 < sum(entry["status"] == 401 for entry in world.requests("/api/v1/courses")) <= 8
    assert world.grants[-1].refreshed == 1
