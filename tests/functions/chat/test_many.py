"""Many streams at once are served, other calls, too; those beyond the bound are told when to come back."""

from __future__ import annotations

import time
from contextlib import ExitStack

import httpx

from functions.shared.settings import load_settings
from tests.functions.chat.conftest import Desk
from tests.support import chat

STREAMS = 50


def opened(desk: Desk, all_of_them: ExitStack, thread_id: str) -> httpx.Response:
    """An open stream of a new question, with its headers read."""
    request = desk.person.functions.stream("POST", f"/chat/threads/{thread_id}/messages", json=chat.body())
    return all_of_them.enter_context(request)


def served(desk: Desk, all_of_them: ExitStack) -> httpx.Response:
    """An open stream; a refusal is waited out, as a client does.

    A stream that an earlier test has left is noticed at its next heartbeat only, and holds its slot until then.
    """
    answer = opened(desk, all_of_them, chat.thread(desk.person))
    for _ in range(4):
        if answer.status_code != 503:
            break
        time.sleep(float(answer.headers["Retry-After"]))
        answer = opened(desk, all_of_them, chat.thread(desk.person))
    return answer


def test_fifty_streams_are_served_and_more_are_refused_with_nothing_stored(desk: Desk) -> None:
    settings = load_settings(desk.stack.service_environment())
    most = settings.web_concurrency * settings.web_streams
    desk.person.functions = httpx.Client(
        base_url=desk.stack.functions_url,
        headers=desk.person.functions.headers,
        timeout=30,
        limits=httpx.Limits(max_connections=None),
    )
    with desk.person.functions, ExitStack() as all_of_them:
        for _ in range(STREAMS):
            answer = served(desk, all_of_them)
            assert answer.status_code == 200
            assert next(answer.iter_lines()) == "retry: 3000"
        began = time.monotonic()
        for _ in range(10):
            assert desk.person.functions.get("/healthz").status_code == 200
        assert time.monotonic() - began < 5
        refused = None
        for _ in range(most - STREAMS + 1):
            thread_id = chat.thread(desk.person)
            answer = opened(desk, all_of_them, thread_id)
            if answer.status_code != 200:
                refused = answer
                break
        assert refused is not None
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
        refused.read()
        assert refused.json()["code"] == "too_many_streams"
        assert desk.sql("select count(*) from public.messages where thread_id = %s", thread_id) == [(0,)]
        assert desk.person.functions.get("/healthz").status_code == 200
        desk.sql("delete from public.threads where teacher_id = %s", desk.person.user_id)
