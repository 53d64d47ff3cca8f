"""Questions and answers: live, in JSON, asked again, ended in every way."""

from __future__ import annotations

import json
import threading
import uuid

import pytest

from tests.functions.chat.conftest import MODEL, Desk
from tests.support import chat
from tests.support.waiting import wait_until

WHOLE = ["start", "data-attempt", "start-step", "text-start", "text-delta", "text-end", "finish-step", "finish"]


def test_an_answer_streams_while_it_is_written(desk: Desk) -> None:
    desk.model.say("slow", pause_seconds=0.1)
    answer_id = desk.begin()
    with desk.answering(answer_id) as outcome:
        first = chat.follow(desk.person, desk.thread_id, most=6)
        assert first is not None
        assert not outcome, "the first words came before the last ones were written"
        rest = chat.follow(desk.person, desk.thread_id, last=first.ids[-1])
    assert rest is not None
    assert outcome == ["complete"]
    assert first.types == WHOLE[:5]
    assert rest.types == WHOLE[4:]
    assert rest.done
    assert rest.headers["x-vercel-ai-ui-message-stream"] == "v1"
    row = desk.message(answer_id)
    assert first.text + rest.text == row["content"] == desk.stored_text(answer_id)
    assert (row["status"], row["finish_reason"], row["error_code"]) == ("complete", "stop", None)
    assert row["model"] == MODEL
    assert row["prompt_version"].startswith("chat/")
    assert row["metrics"]["attempts"] == 1
    assert float(row["metrics"]["cost_usd"]) > 0
    numbers = [int(name.removeprefix(f"{answer_id}:")) for name in first.ids + rest.ids]
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_question_asked_again_gives_the_stored_answer(desk: Desk) -> None:
    question = chat.body()
    answer_id, outcome = desk.answer(question)
    assert outcome == "complete"
    again = chat.ask(desk.person, desk.thread_id, question)
    assert (again.message_id, again.types, again.done) == (answer_id, WHOLE, True)
    assert again.text == desk.message(answer_id)["content"]
    desk.sql("delete from private.generation_events where stream_id = %s", answer_id)
    rebuilt = chat.ask(desk.person, desk.thread_id, question)
    assert (rebuilt.message_id, rebuilt.text, rebuilt.done) == (answer_id, again.text, True)
    assert rebuilt.types == [kind for kind in WHOLE if kind != "data-attempt"]
    assert len(desk.model.requests) == 1
    assert len(desk.messages()) == 2


def test_json_gives_both_messages(desk: Desk) -> None:
    question = chat.body()
    answer_id, _ = desk.answer(question)
    found = chat.ask_json(desk.person, desk.thread_id, question)
    assert found.status_code == 200
    pair = found.json()
    assert pair["user_message"]["content"] == question["content"]
    assert pair["user_message"]["external_id"] == question["external_id"]
    assert pair["assistant_message"]["id"] == answer_id
    assert pair["assistant_message"]["content"] == desk.message(answer_id)["content"]
    assert pair["assistant_message"]["parent_id"] == pair["user_message"]["id"]


def test_other_content_or_another_question_meanwhile_is_refused(desk: Desk) -> None:
    question = chat.body()
    answer_id = desk.begin(question)
    for refused, code in (
        ({**question, "content": "Something else?"}, "external_id_conflict"),
        ({**question, "content_source_ids": [desk.thread_id]}, "external_id_conflict"),
        (chat.body(), "answer_in_progress"),
    ):
        answer = desk.person.functions.post(f"/chat/threads/{desk.thread_id}/messages", json=refused)
        assert (answer.status_code, answer.json()["code"]) == (409, code)
    assert [row["status"] for row in desk.messages()] == ["complete", "streaming"]
    assert desk.handle(answer_id) == "complete"
    assert desk.answer(chat.body())[1] == "complete"


def test_fifty_at_once_are_one_question(desk: Desk) -> None:
    question = chat.body()
    streams: list[chat.Stream] = []

    def post() -> None:
        streams.append(chat.ask(desk.person, desk.thread_id, question))

    threads = [threading.Thread(target=post) for _ in range(50)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(desk.messages()) == 2)
    answer_id = desk.messages()[1]["id"]
    assert desk.handle(answer_id) == "complete"
    for thread in threads:
        thread.join(60)
    assert len(streams) == 50
    assert {stream.message_id for stream in streams} == {answer_id}
    assert {stream.text for stream in streams} == {desk.message(answer_id)["content"]}
    assert all(stream.done for stream in streams)
    assert len(desk.model.requests) == 1
    assert len(desk.messages()) == 2
    jobs = "select count(*) from private.job_runtime where payload ->> 'message_id' = %s"
    assert desk.sql(jobs, answer_id) == [(1,)]


@pytest.mark.parametrize(
    ("behaviour", "status", "code", "reason", "calls"),
    [
        ("length", "complete", None, "length", 1),
        ("eof", "interrupted", "interrupted", None, 1),
        ("reset", "interrupted", "interrupted", None, 1),
        ("stall", "interrupted", "interrupted", None, 1),
        ("error-event", "interrupted", "interrupted", None, 1),
        ("filter", "failed", "content_filtered", "content_filter", 1),
        ("refusal", "failed", "refused", "content_filter", 1),
        ("401", "failed", "provider_auth", None, 1),
        ("404", "failed", "model_not_found", None, 1),
        ("quota", "failed", "quota_exceeded", None, 1),
        ("context", "failed", "context_too_long", None, 1),
        ("429-long", "failed", "rate_limited", None, 1),
        ("500", "failed", "provider_unavailable", None, 3),
        ("hang", "failed", "deadline_exceeded", None, 1),
    ],
)
def test_every_fault_of_a_model_ends_the_answer(
    desk: Desk, behaviour: str, status: str, code: str | None, reason: str | None, calls: int
) -> None:
    desk.model.say(default=behaviour)
    question = chat.body()
    answer_id, outcome = desk.answer(question)
    row = desk.message(answer_id)
    assert (row["status"], row["error_code"], row["finish_reason"]) == (status, code, reason)
    assert outcome == (code or "complete")
    assert len(desk.model.requests) == calls == row["metrics"]["attempts"]
    assert row["content"] == desk.stored_text(answer_id)
    assert bool(row["content"]) is (status in ("complete", "interrupted") or behaviour == "filter")
    last = desk.events(answer_id)[-1]
    assert last["type"] == ("finish" if status == "complete" else "error")
    if status == "complete":
        assert last["finishReason"] == "length"
    else:
        assert last["code"] == code
        assert last["errorText"]
    answer = chat.ask_json(desk.person, desk.thread_id, question) if status != "failed" else None
    if answer is not None:
        assert answer.json()["assistant_message"]["status"] == status


def test_after_a_failed_answer_the_same_question_is_a_new_attempt(desk: Desk) -> None:
    question = chat.body()
    desk.model.say("401")
    failed, _ = desk.answer(question)
    answer_id = desk.begin(question)
    assert answer_id != failed
    assert desk.handle(answer_id) == "complete"
    assert [row["status"] for row in desk.messages()] == ["complete", "failed", "complete"]


def test_a_fault_before_the_first_word_is_repeated(desk: Desk) -> None:
    desk.model.say("500", "normal")
    answer_id, outcome = desk.answer()
    assert outcome == "complete"
    assert desk.message(answer_id)["metrics"]["attempts"] == 2


def test_earlier_turns_are_sent_whole_and_old_ones_are_left_out(desk: Desk) -> None:
    desk.answer(chat.body("First: " + "alpha " * 2000))
    desk.answer(chat.body("Second question about beta"))
    desk.answer(chat.body("Third question about gamma"))
    sent = desk.model.requests[-1]["body"]["messages"]
    assert [message["role"] for message in sent] == ["system", "user", "assistant", "user", "assistant", "user"]
    desk.answer(chat.body("Fourth question about delta"), MODEL_CONTEXT_TOKENS="2000")
    sent = desk.model.requests[-1]["body"]["messages"]
    assert [message["role"] for message in sent] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert sent[1]["content"] == "Second question about beta"
    assert "left out" in sent[-1]["content"]


def test_a_thread_gets_a_title_once(desk: Desk) -> None:
    answer_id, _ = desk.answer(chat.body("How does photosynthesis work in leaves?"))
    (row,) = desk.person.rows("threads", id=f"eq.{desk.thread_id}")
    assert row["title"] == "Photosynthesis leaves"
    assert "[title" not in desk.message(answer_id)["content"]
    assert len(desk.model.requests) == 1, "no second bill"
    desk.answer(chat.body("And respiration in mitochondria?"))
    assert "[title:" not in desk.model.requests[-1]["body"]["messages"][-1]["content"]
    assert desk.person.rows("threads", id=f"eq.{desk.thread_id}")[0]["title"] == "Photosynthesis leaves"


def test_a_model_that_gives_no_title_leaves_the_beginning_of_the_question(desk: Desk) -> None:
    desk.model.say("normal", text="It depends.")
    desk.answer(chat.body("Please explain to my class of seventh graders how the light reaction works"))
    (row,) = desk.person.rows("threads", id=f"eq.{desk.thread_id}")
    assert row["title"] == "Please explain to my class of seventh graders how the light…"


def test_the_newest_active_agent_writes_with_its_settings_and_none_refuses_new_work(desk: Desk) -> None:
    name, begun = f"Assistant {uuid.uuid4()}", desk.begin()
    [(active,)] = desk.sql("select array_agg(id) from public.agents where type = 'assistant' and is_active")
    config = {"model": "standin-slow", "temperature": 0.25, "max_output_tokens": 700, "extra_instructions": "Be brief."}
    try:
        add = "insert into public.agents (type, name) values ('assistant', %s) returning id"
        [(agent,)] = desk.sql(add, name)
        desk.sql("insert into public.agent_configs (agent_id, config) values (%s, %s)", agent, json.dumps(config))
        assert desk.handle(begun) == "agent_model_unknown"
        refused = chat.ask_json(desk.person, desk.thread_id, chat.body())
        assert (refused.status_code, refused.json()["code"]) == (503, "agent_model_unknown")
        # the one that the functions have in OPENAI_MODEL, and this worker only in MODEL_PRICES
        known = '{"model": "standin-scripted"}'
        desk.sql("update public.agent_configs set config = config || %s where agent_id = %s", known, agent)
        answer_id, outcome = desk.answer(MODEL_PRICES='{"standin-scripted": {"input": 1, "output": 2}}')
        assert (outcome, desk.message(answer_id)["model"]) == ("complete", "standin-scripted")
        sent = desk.model.requests[-1]["body"]
        assert (sent["temperature"], sent["max_tokens"]) == (0.25, 700)
        assert sent["messages"][0]["content"].endswith("\n\nBe brief.")
        found = desk.sql("select agent_id, completed_at from public.agent_assignments where agent_id = %s", agent)
        assert found == [(agent, None)] * 2, "two jobs, which have not ended because no worker holds them"
        waiting = desk.begin()
        desk.sql("update public.agents set is_active = false where type = 'assistant'")
        refused = chat.ask_json(desk.person, desk.thread_id, chat.body())
        assert (refused.status_code, refused.json()["code"]) == (409, "agent_disabled")
        wish = {"kind": "quiz", "instructions": "Light"}
        assert desk.person.functions.post("/chat/generate", json=wish).json()["code"] == "agent_disabled"
        assert desk.handle(waiting) == "agent_disabled"
        assert desk.message(waiting)["error_code"] == "agent_disabled"
    finally:
        desk.sql("delete from public.agents where name = %s", name)
        desk.sql("update public.agents set is_active = true where id = any(%s)", active)
