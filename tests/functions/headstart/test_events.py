"""The event stream: live, resumed, replayed, rebuilt."""

from __future__ import annotations

import threading

import pytest

from tests.functions.headstart.conftest import Desk
from tests.support.headstart import follow


def test_a_stream_shows_the_text_while_it_is_written(desk: Desk) -> None:
    desk.model.say("slow", pause_seconds=0.02)
    run_id = desk.start()
    worker = threading.Thread(target=desk.handle, args=(run_id,))
    worker.start()
    first = follow(desk.person.functions, run_id, most=3)
    assert worker.is_alive(), "the first paragraphs came before the last ones were written"
    rest = follow(desk.person.functions, run_id, last=first.ids[-1])
    worker.join()
    assert first.types == ["status", "text-delta"]
    assert rest.types == ["text-delta", "doc", "finish"]
    assert rest.done
    assert first.text + rest.text == desk.doc(run_id)["content_md"]
    numbers = [int(name.removeprefix(f"{run_id}:")) for name in first.ids + rest.ids]
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_finished_run_replays_from_any_point(desk: Desk) -> None:
    run_id, _ = desk.write("normal")
    whole = follow(desk.person.functions, run_id)
    assert whole.types == ["status", "text-delta", "doc", "finish"]
    assert whole.done
    for place, name in enumerate(whole.ids):
        part = follow(desk.person.functions, run_id, last=name)
        assert (part.events, part.done) == (whole.events[place + 1 :], True)


@pytest.mark.parametrize("last", ["other:3", "3", "", "x" * 300, "{run}:", "{run}:-1", "{run}:1e3", "{run}:99999999"])
def test_a_foreign_id_means_from_the_start(desk: Desk, last: str) -> None:
    run_id, _ = desk.write("normal")
    stream = follow(desk.person.functions, run_id, last=last.replace("{run}", run_id))
    assert stream.types == ["status", "text-delta", "doc", "finish"]


@pytest.mark.parametrize("purged", [False, True])
@pytest.mark.parametrize("status", ["succeeded", "failed", "cancelled"])
def test_every_end_has_exactly_one_terminal_event(desk: Desk, status: str, purged: bool) -> None:
    if status == "cancelled":
        run_id = desk.start()
        desk.person.functions.post(f"/headstart/runs/{run_id}/cancel")
    else:
        run_id, _ = desk.write("normal" if status == "succeeded" else "401")
    if purged:
        desk.sql("delete from private.generation_events where stream_id = %s", run_id)
    stream = follow(desk.person.functions, run_id)
    terminal = {"succeeded": "finish", "failed": "error", "cancelled": "abort"}[status]
    kinds = [event["type"] for event in stream.events]
    assert [kind for kind in kinds if kind in ("finish", "error", "abort")] == [terminal] == kinds[-1:]
    assert stream.done
    if status == "succeeded":
        assert stream.text == desk.doc(run_id)["content_md"]
    if status == "failed":
        assert stream.events[-1]["code"] == "provider_auth"


def test_a_run_that_was_swept_away_ends_its_stream(desk: Desk) -> None:
    run_id = desk.start()
    reader: list[list[str]] = []
    thread = threading.Thread(target=lambda: reader.append(follow(desk.person.functions, run_id).types))
    thread.start()
    desk.sql(
        "update public.headstart_runs set status = 'failed', error = 'interrupted: no worker' where id = %s", run_id
    )
    thread.join(60)
    assert reader == [["error"]] or reader == [["status", "error"]]
