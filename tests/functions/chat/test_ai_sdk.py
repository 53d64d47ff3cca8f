"""The real AI SDK client (npm ``ai``) reads answers through the gateway: live, resumed, stopped, failed, cited."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from tests.functions.chat.conftest import Desk
from tests.support import chat
from tests.support.javascript import run_js
from tests.support.waiting import wait_until

READ = """
import { DefaultChatTransport, readUIMessageStream } from 'ai'
const [mode, token, threadId, content, externalId, sources] = given
const base = `${process.env.FUNCTIONS_URL}/chat/threads/${threadId}`
const headers = { Authorization: `Bearer ${token}` }
const transport = new DefaultChatTransport({
  headers,
  prepareSendMessagesRequest: ({ messages }) => {
    const last = messages.at(-1)
    const body = { content: last.parts.map((part) => part.text).join(''), external_id: last.id }
    if (sources) { body.content_source_ids = sources.split(',') }
    return { api: `${base}/messages`, body }
  },
  prepareReconnectToStreamRequest: () => ({ api: `${base}/stream` }),
})
const question = { id: externalId, role: 'user', parts: [{ type: 'text', text: content }] }
const options = { chatId: threadId, trigger: 'submit-message', messages: [question], abortSignal: undefined }
const textOf = (message) => message.parts.filter((part) => part.type === 'text').map((part) => part.text).join('')
const read = async (stream) => {
  const errors = []
  const seen = []
  let message = null
  const [one, other] = stream.tee()
  const kinds = (async () => {
    const found = []
    for await (const chunk of one) { found.push(chunk.type) }
    return found
  })()
  const onError = (error) => errors.push(String(error.message ?? error))
  for await (const state of readUIMessageStream({ stream: other, onError })) {
    message = state
    seen.push(textOf(state))
    if (mode === 'stop' && seen.length > 3) {
      await fetch(`${base}/stop`, { method: 'POST', headers })
    }
  }
  return { id: message.id, text: textOf(message), parts: message.parts, seen, errors, kinds: await kinds }
}
const open = mode === 'resume' ? transport.reconnectToStream(options) : transport.sendMessages(options)
const stream = await open
say(stream === null ? null : await read(stream))
"""


def answered(desk: Desk, read: Callable[[], Any]) -> Any:
    """What the client read, while a worker wrote the answer that it asked for."""

    def work() -> None:
        wait_until(lambda: any(row["status"] == "streaming" for row in desk.messages()))
        desk.handle(next(row["id"] for row in desk.messages() if row["status"] == "streaming"))

    worker = threading.Thread(target=work)
    worker.start()
    try:
        return read()
    finally:
        worker.join(60)


def ask(desk: Desk, node: str, mode: str, *more: str) -> Any:
    """The client's reading of a question or of the live answer."""
    return run_js(
        node, desk.stack, READ, mode, desk.person.token, desk.thread_id, "What is light made of?", "q1", *more
    )


def test_it_reads_an_answer_while_it_is_written(desk: Desk, node: str) -> None:
    desk.model.say("slow", pause_seconds=0.1)
    seen = answered(desk, lambda: ask(desk, node, "live"))
    question, row = desk.messages()
    assert (question["external_id"], question["content"]) == ("q1", "What is light made of?")
    assert (seen["id"], seen["text"]) == (row["id"], row["content"])
    assert seen["errors"] == []
    assert len({text for text in seen["seen"] if text}) > 2, "the text grew"
    assert seen["kinds"][-1] == "finish"
    assert [part["type"] for part in seen["parts"]] == ["step-start", "text"]
    assert seen["parts"][-1]["state"] == "done"
    again = ask(desk, node, "live")
    assert (again["id"], again["text"], again["kinds"][-1]) == (row["id"], row["content"], "finish")
    assert len(desk.model.requests) == 1


def test_another_device_resumes_and_finds_nothing_afterwards(desk: Desk, node: str) -> None:
    desk.model.say("slow", pause_seconds=0.8)
    answer_id = desk.begin()
    with desk.answering(answer_id):
        desk.wait_for_text(answer_id)
        seen = ask(desk, node, "resume")
    row = desk.message(answer_id)
    assert (seen["id"], seen["text"], seen["errors"]) == (answer_id, row["content"], [])
    assert seen["kinds"][-1] == "finish"
    assert ask(desk, node, "resume") is None


def test_a_stopped_answer_ends_with_its_text(desk: Desk, node: str) -> None:
    desk.model.say("slow", pause_seconds=0.3)
    seen = answered(desk, lambda: ask(desk, node, "stop"))
    row = desk.messages()[1]
    assert row["status"] == "stopped"
    assert row["content"]
    assert (seen["text"], seen["errors"], seen["kinds"][-1]) == (row["content"], [], "abort")


def test_a_broken_answer_raises_its_error_and_keeps_its_text(desk: Desk, node: str) -> None:
    desk.model.say("eof")
    seen = answered(desk, lambda: ask(desk, node, "live"))
    row = desk.messages()[1]
    assert row["status"] == "interrupted"
    assert (seen["text"], seen["kinds"][-1]) == (row["content"], "error")
    assert seen["errors"] == ["The answer broke off before its end. Try again."]


def test_sources_come_as_parts(desk: Desk, node: str) -> None:
    light = "Light consists of photons, which carry energy and momentum."
    page = {"kind": "url", "title": "Light", "source_url": "https://example.test/light", "text_content": light}
    text = {"kind": "text", "title": "Made of", "text_content": "Light is made of quanta of the field."}
    ids = [chat.add(desk.person, "content_sources", **source) for source in (page, text)]
    for status in ("processing", "ready"):
        desk.sql("update public.content_sources set status = %s where id = any (%s::uuid[])", status, ids)
    seen = answered(desk, lambda: ask(desk, node, "live", ",".join(ids)))
    sources = {part["title"]: part for part in seen["parts"] if part["type"].startswith("source-")}
    first, other = sources["Light"], sources["Made of"]
    assert {first["sourceId"], other["sourceId"]} == {"1", "2"}
    assert (first["type"], first["url"]) == ("source-url", "https://example.test/light")
    assert (other["type"], other["mediaType"]) == ("source-document", "text/plain")
    assert "[1]" in seen["text"]
    assert "[2]" in seen["text"]
    assert {citation["content_source_id"] for citation in desk.messages()[1]["citations"]} == set(ids)
