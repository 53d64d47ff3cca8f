"""Cancelled, killed, run twice: no double text, document or notification."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

from tests.functions.headstart.conftest import Desk
from tests.support.headstart import follow, handle
from tests.support.waiting import wait_until


def released(desk: Desk, run_id: str) -> bool:
    return any(event["type"] == "text-delta" for event in desk.events(run_id))


def worker(desk: Desk, run_id: str) -> subprocess.Popen[bytes]:
    """The handler in a process of its own."""
    command = [sys.executable, "-m", "tests.support.headstart", run_id, desk.person.user_id]
    return subprocess.Popen(command, env={**os.environ, **desk.environment()})


def kill(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_cancelling_stops_the_model_and_keeps_what_was_written(desk: Desk) -> None:
    desk.model.say(default="slow", pause_seconds=0.2)
    run_id = desk.start()
    outcome: list[str] = []
    thread = threading.Thread(target=lambda: outcome.append(desk.handle(run_id)))
    thread.start()
    wait_until(lambda: released(desk, run_id))
    assert desk.person.functions.post(f"/headstart/runs/{run_id}/cancel").status_code == 202
    stream = follow(desk.person.functions, run_id)
    assert (stream.types[-1], stream.done) == ("abort", True)
    thread.join(60)
    assert outcome == ["cancelled"]
    wait_until(lambda: desk.model.hung_up == 1)
    run = desk.run(run_id)
    assert (run["status"], run["docs"]) == ("cancelled", [])
    assert run["metrics"]["attempts"] == 1
    assert run["metrics"]["prompt_tokens"] > 0, "the worker told afterwards what it had used"
    assert follow(desk.person.functions, run_id).events == stream.events
    assert desk.notifications() == []


def test_cancelling_takes_effect_while_the_model_is_silent(desk: Desk) -> None:
    desk.model.say(default="hang")
    run_id = desk.start()
    thread = threading.Thread(target=desk.handle, args=(run_id,), kwargs={"MODEL_READ_TIMEOUT_SECONDS": "60"})
    thread.start()
    wait_until(lambda: desk.model.requests)
    desk.person.functions.post(f"/headstart/runs/{run_id}/cancel")
    thread.join(60)
    assert not thread.is_alive()


def test_a_worker_killed_before_any_text_is_followed_by_another(desk: Desk) -> None:
    desk.model.say("hang")
    run_id = desk.start()
    first = worker(desk, run_id)
    wait_until(lambda: desk.model.requests)
    kill(first)
    assert desk.handle(run_id) == "succeeded"
    run = desk.run(run_id)
    assert run["metrics"]["attempts"] == 2, "the call of the dead worker counts"
    assert run["metrics"]["usage_estimated"] is True
    assert [row["is_estimated"] for row in desk.calls(run_id)] == [True, False]
    assert run["metrics"]["prompt_tokens"] == sum(row["prompt_tokens"] for row in desk.calls(run_id))
    assert len(run["docs"]) == 1
    assert follow(desk.person.functions, run_id).text == desk.doc(run_id)["content_md"]


def test_a_worker_killed_in_the_middle_leaves_an_interrupted_run(desk: Desk) -> None:
    desk.model.say(default="slow", pause_seconds=0.2)
    run_id = desk.start()
    first = worker(desk, run_id)
    wait_until(lambda: released(desk, run_id))
    kill(first)
    before = [event for event in desk.events(run_id) if event["type"] == "text-delta"]
    assert desk.handle(run_id) == "interrupted"
    stream = follow(desk.person.functions, run_id)
    assert [event for event in stream.events if event["type"] == "text-delta"] == before
    assert stream.events[-1]["code"] == "interrupted"
    assert len(desk.model.requests) == 1
    run = desk.run(run_id)
    assert run["error"].startswith("interrupted")
    assert run["metrics"]["usage_estimated"] is True
    assert run["metrics"]["prompt_tokens"] > 100
    assert float(run["metrics"]["cost_usd"]) > 0, "what a dead worker used is estimated, not forgotten"
    assert desk.handle(run_id) == "failed"
    assert desk.notifications() == ["headstart_failed"]


def test_three_calls_are_the_limit_over_all_workers(desk: Desk) -> None:
    desk.model.say(default="hang")
    run_id = desk.start()
    for calls in (1, 2, 3):
        process = worker(desk, run_id)
        wait_until(lambda calls=calls: len(desk.model.requests) == calls)  # type: ignore[misc]
        kill(process)
    assert desk.handle(run_id) == "interrupted"
    assert len(desk.model.requests) == desk.run(run_id)["metrics"]["attempts"] == 3


def test_a_job_that_runs_again_after_its_end_changes_nothing(desk: Desk) -> None:
    run_id, _ = desk.write("normal")
    before = (desk.run(run_id), desk.events(run_id))
    assert desk.handle(run_id) == "succeeded"
    assert (desk.run(run_id), desk.events(run_id)) == before
    assert len(desk.model.requests) == 1
    assert desk.notifications() == ["headstart_ready"]


def test_a_worker_that_was_believed_dead_cannot_write_on(desk: Desk) -> None:
    desk.model.say("slow", pause_seconds=0.2)
    run_id = desk.start()
    outcome: list[str] = []

    thread = threading.Thread(target=lambda: outcome.append(desk.handle(run_id)))
    thread.start()
    wait_until(lambda: desk.model.requests)
    assert desk.handle(run_id) in ("succeeded", "interrupted")
    events = desk.events(run_id)
    thread.join(60)
    assert outcome in (["lost"], ["interrupted"])
    assert desk.events(run_id) == events
    assert len(desk.notifications()) == 1


def test_the_handler_of_another_persons_job_touches_nothing(desk: Desk) -> None:
    run_id = desk.start()
    assert handle(desk.environment(), run_id, "00000000-0000-4000-8000-000000000000") == "not_found"
    assert desk.model.requests == []
