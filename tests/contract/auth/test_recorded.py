"""Every recorded exchange, against Auth itself and through the gateway."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from scripts.native.stack import Stack
from tests.contract.auth.replay import Target, differences, normal, play, stories

STORIES = stories("auth_cases.json") + stories("auth_hook_cases.json")
HOOK = Path(__file__).with_name("hook.sql")


@pytest.fixture(scope="module")
def targets(stack: Stack) -> Iterator[list[Target]]:
    """The two ways to Auth, while the recordings' own hook stands in place of the project's."""
    own = "select pg_get_functiondef('private.custom_access_token(jsonb)'::regprocedure)"
    with psycopg.connect(stack.db_url, autocommit=True) as connection:
        found = connection.execute(own).fetchone()
        assert found is not None
        connection.execute(HOOK.read_bytes())
        try:
            yield [
                Target("Auth", stack.auth_url, stack.service_token),
                Target("gateway", f"{stack.url}/auth/v1", stack.keys.secret_key, stack.keys.publishable_key),
            ]
        finally:
            connection.execute(str(found[0]).encode())


@pytest.mark.parametrize("story", STORIES, ids=[story["name"].replace(" ", "-") for story in STORIES])
def test_story_is_answered_as_recorded(story: dict[str, Any], targets: list[Target]) -> None:
    with ThreadPoolExecutor(len(targets)) as pool:  # side by side: some stories wait for a token to grow old
        found = [line for lines in pool.map(lambda target: play(story, target), targets) for line in lines]
    assert not found, "\n".join(found)


def test_the_recordings_are_all_here() -> None:
    assert len(stories("auth_cases.json")) == 12
    assert sum(len(story["steps"]) for story in stories("auth_cases.json")) == 146
    assert sum(len(story["steps"]) for story in stories("auth_hook_cases.json")) == 19


def test_a_difference_is_named() -> None:
    recorded = {"code": "a", "list": [1, {"x": "<uuid>"}], "gone": 1}
    body = {"code": "b", "list": [1, {"x": "6d3f2a9e-3c55-4d3a-8d7b-0d6f2f1b7e10"}], "new": True}
    assert list(differences(recorded, normal(body, "run"), "body")) == [
        "body.code: recorded 'a', got 'b'",
        "body.gone: missing (recorded 1)",
        "body.new: extra True",
    ]


@pytest.mark.parametrize(("seconds", "differs"), [(3599, False), (3604, False), (3500, True), (60, True)])
def test_a_life_of_a_token_may_differ_by_seconds(seconds: int, differs: bool) -> None:
    answer = {"expires_in": seconds, "location": f"http://127.0.0.1:3000/#expires_in={seconds}"}
    recorded = {"expires_in": 3600, "location": "<url>  expires_in=3600"}
    assert bool(list(differences(recorded, normal(answer, "run"), "body"))) == differs
