"""Stopped, cut, killed, taken over, swept: what was written stays, and every answer ends."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest

from tests.functions.chat.conftest import Desk
from tests.support import chat
from tests.support.waiting import wait_until

# how many random cuts there are; acceptance runs 300 of them
CUTS = int(os.environ.get("ANSWER_CUTS", "6"))
LONG = "".join(f"Absatz {n}: Grüße, {'λόγος ' * (n % 4)}字 and <b>text</b> [{n}] ![no\n\n" for n in range(60)).replace(
    "![", "!"
)


def kill(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def upstream(desk: Desk) -> str:
    """What the model writes for the newest request, from beginning to end."""
    from tests.standins.model import writing

    return writing.answer(desk.model.requests[-1]["body"])


def test_stopping_keeps_the_text_and_ends_the_call(desk: Desk) -> None:
    desk.model.say(default="slow", pause_seconds=0.2)
    answer_id = desk.begin()
    with desk.answering(answer_id) as outcome:
        desk.wait_for_text(answer_id)
        stopped = desk.person.functions.post(f"/chat/threads/{desk.thread_id}/stop")
        assert (stopped.status_code, stopped.json()["assistant_message_id"]) == (202, answer_id)
        wait_until(lambda: desk.model.hung_up == 1)
    assert outcome == ["cancelled"]
    row = desk.message(answer_id)
    assert (row["status"], row["error_code"]) == ("stopped", None)
    assert row["content"] == desk.stored_text(answer_id)
    assert upstream(desk).startswith(row["content"])
    assert row["metrics"]["prompt_tokens"] > 0, "the worker told afterwards what it had used"
    assert [part["type"] for part in desk.events(answer_id)][-2:] == ["text-end", "abort"]
    again = desk.person.functions.post(f"/chat/threads/{desk.thread_id}/stop")
    assert (again.status_code, again.json()["assistant_message_id"]) == (202, None)
    assert chat.follow(desk.person, desk.thread_id) is None
    desk.model.say()
    assert desk.answer()[1] == "complete", "the next question is taken"


def test_stopping_before_the_first_word_ends_the_call(desk: Desk) -> None:
    desk.model.say(default="hang")
    answer_id = desk.begin()
    with desk.answering(answer_id, MODEL_READ_TIMEOUT_SECONDS="60") as outcome:
        wait_until(lambda: desk.model.requests)
        began = time.monotonic()
        desk.person.functions.post(f"/chat/threads/{desk.thread_id}/stop")
        wait_until(lambda: outcome)
        assert time.monotonic() - began < 15
    assert outcome == ["cancelled"]
    assert desk.message(answer_id)["content"] == ""


def test_stopping_before_a_worker_came_ends_the_job(desk: Desk) -> None:
    answer_id = desk.begin()
    desk.person.functions.post(f"/chat/threads/{desk.thread_id}/stop")
    jobs = "select j.status::text from public.jobs as j where dedupe_key = %s"
    assert desk.sql(jobs, f"chat_answer:{answer_id}") == [("cancelled",)]
    assert desk.message(answer_id)["status"] == "stopped"
    assert desk.handle(answer_id) == "stopped", "a worker that has the job already does nothing"
    assert desk.model.requests == []


def test_a_worker_killed_before_any_text_is_followed_by_another(desk: Desk) -> None:
    desk.model.say("hang")
    answer_id = desk.begin()
    first = desk.worker(answer_id)
    wait_until(lambda: desk.model.requests)
    kill(first)
    assert desk.handle(answer_id) == "complete"
    row = desk.message(answer_id)
    assert row["metrics"]["attempts"] == 2, "the call of the dead worker counts"
    assert row["metrics"]["usage_estimated"] is True
    calls = (
        "select u.user_id::text, u.prompt_tokens, u.is_estimated from private.model_usage as u"
        " join public.jobs as j on j.id = u.job_id where j.dedupe_key = %s order by u.attempt"
    )
    (lost, used) = desk.sql(calls, f"chat_answer:{answer_id}")
    assert (lost[0], lost[2], used[2]) == (desk.person.user_id, True, False)
    assert row["metrics"]["prompt_tokens"] == lost[1] + used[1]
    assert [part["type"] for part in desk.events(answer_id)].count("text-start") == 1


def test_a_worker_killed_in_the_middle_leaves_an_interrupted_answer(desk: Desk) -> None:
    desk.model.say(default="slow", pause_seconds=0.2)
    answer_id = desk.begin()
    first = desk.worker(answer_id)
    desk.wait_for_text(answer_id)
    kill(first)
    before = desk.stored_text(answer_id)
    assert desk.handle(answer_id) == "interrupted"
    row = desk.message(answer_id)
    assert (row["status"], row["error_code"], row["content"]) == ("interrupted", "interrupted", before)
    assert upstream(desk).startswith(before)
    assert row["metrics"]["usage_estimated"] is True
    assert len(desk.model.requests) == 1
    assert desk.handle(answer_id) == "interrupted"


def test_a_worker_that_was_believed_dead_cannot_write_on(desk: Desk) -> None:
    desk.model.say("slow", pause_seconds=0.2)
    answer_id = desk.begin()
    with desk.answering(answer_id) as outcome:
        desk.wait_for_text(answer_id)
        # the first worker may write between two calls of the second
        ended = next(said for _ in range(50) if (said := desk.handle(answer_id)) != "lost")
        events = desk.events(answer_id)
    assert (ended, outcome) == ("interrupted", ["interrupted"])
    assert desk.events(answer_id) == events
    assert len(desk.model.requests) == 1


def test_three_calls_are_the_limit_over_all_workers(desk: Desk) -> None:
    desk.model.say(default="hang")
    answer_id = desk.begin()
    for calls in (1, 2, 3):
        process = desk.worker(answer_id)
        wait_until(lambda calls=calls: len(desk.model.requests) == calls)  # type: ignore[misc]
        kill(process)
    assert desk.handle(answer_id) == "interrupted"
    row = desk.message(answer_id)
    assert (row["status"], row["metrics"]["attempts"], len(desk.model.requests)) == ("failed", 3, 3)


def test_a_thread_deleted_meanwhile_ends_the_work(desk: Desk) -> None:
    desk.model.say(default="slow", pause_seconds=0.1)
    answer_id = desk.begin()
    with desk.answering(answer_id) as outcome:
        desk.wait_for_text(answer_id)
        gone = desk.person.rest.delete("/threads", params={"id": f"eq.{desk.thread_id}"})
        assert gone.status_code == 204
    assert outcome == ["not_found"]


def test_an_answer_whose_worker_is_gone_is_swept(desk: Desk) -> None:
    desk.model.say(default="slow", pause_seconds=0.2)
    answer_id = desk.begin()
    process = desk.worker(answer_id)
    desk.wait_for_text(answer_id)
    kill(process)
    reader: list[chat.Stream | None] = []
    thread = threading.Thread(target=lambda: reader.append(chat.follow(desk.person, desk.thread_id)))
    thread.start()
    desk.sql("delete from public.jobs where dedupe_key = %s", f"chat_answer:{answer_id}")
    desk.sql("update public.messages set created_at = created_at - interval '5 minutes' where id = %s", answer_id)
    desk.sql("update private.generation_events set at = at - interval '5 minutes' where stream_id = %s", answer_id)
    desk.sql("select public.svc_sweep_generations()")
    thread.join(60)
    row = desk.message(answer_id)
    assert (row["status"], row["content"]) == ("interrupted", desk.stored_text(answer_id))
    (stream,) = reader
    assert stream is not None
    assert (stream.text, stream.types[-1], stream.done) == (row["content"], "error", True)
    assert chat.ask(desk.person, desk.thread_id, chat.body(external_id="again"), most=1).message_id != answer_id


def cuts() -> Iterator[tuple[str, int]]:
    """Who is cut, and after how many characters of the text: the same ones every time."""
    chosen = random.Random(13)
    for number in range(CUTS):
        place = chosen.randrange(1, len(LONG) - 800)
        # the first model dies within what might have become a mark
        yield ("client", "worker", "model")[number % 3], LONG.index("<b>") + 3 if number == 2 else place


@pytest.mark.parametrize(("who", "place"), list(cuts()))
def test_a_cut_anywhere_loses_nothing(desk: Desk, who: str, place: int) -> None:
    end = {"cut": (place + 0.5) / len(LONG), "end": "reset"} if who == "model" else {}
    desk.model.say(default="slow", pause_seconds=0.01, text=LONG, **end)
    answer_id = desk.begin()
    if who == "worker":
        process = desk.worker(answer_id)
        wait_until(lambda: len(desk.stored_text(answer_id)) >= place)
        kill(process)
        desk.handle(answer_id)
        pieces = [chat.ask(desk.person, desk.thread_id, question_of(desk))]
    else:
        with desk.answering(answer_id):
            pieces = list(torn(desk, answer_id, place))
    row = desk.message(answer_id)
    assert row["status"] == ("complete" if who == "client" else "interrupted")
    assert LONG.startswith(row["content"])
    assert who == "worker" or len(row["content"]) == (int(place) if who == "model" else len(LONG))
    assert "".join(piece.text for piece in pieces).encode() == row["content"].encode()
    assert pieces[-1].done


def question_of(desk: Desk) -> dict[str, str]:
    """The thread's only question, to be asked again."""
    (row,) = [row for row in desk.messages() if row["role"] == "user"]
    return {"content": row["content"], "external_id": row["external_id"]}


def torn(desk: Desk, answer_id: str, place: int) -> Iterator[chat.Stream]:
    """The stream of an answer, read in pieces by a client that hangs up and resumes."""
    last: str | None = None
    done = False
    seed = random.Random(place)
    while not done:
        headers = {} if last is None else {"Last-Event-ID": last}
        path = f"/chat/threads/{desk.thread_id}/messages"
        with desk.person.functions.stream("POST", path, json=question_of(desk), headers=headers) as answer:
            assert answer.status_code == 200, answer.read()
            piece = chat.read(answer, most=seed.randrange(1, 5))
        last = piece.ids[-1] if piece.ids else last
        done = piece.done
        yield piece
