"""Every recorded exchange, against Storage itself and through the gateway; what is not built says so."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.contract.storage.replay import Run, Target, ask, play, stories

STORIES = {story["name"]: story for story in stories("storage_cases.json")}
NOT_BUILT = {name for name in STORIES if name == "list-v2" or name.startswith("resumable")}


@pytest.mark.parametrize("name", sorted(STORIES.keys() - NOT_BUILT))
def test_story_is_answered_as_recorded(name: str, targets: list[Target]) -> None:
    with ThreadPoolExecutor(len(targets)) as pool:  # side by side: some stories wait
        found = [line for lines in pool.map(lambda target: play(STORIES[name], target), targets) for line in lines]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "step",
    [
        {"do": "POST /object/list-v2/any", "as": "ana", "json": {"with_delimiter": True}},
        {"do": "POST /object/list-v2/any", "as": "ana", "json": {"sortBy": {"column": "name", "order": "desc"}}},
        {"do": "POST /upload/resumable", "as": "ana", "headers": {"tus-resumable": "1.0.0", "upload-length": "5"}},
        {"do": "HEAD /upload/resumable/x", "as": "ana"},
        {"do": "PATCH /upload/resumable/x", "as": "ana", "text": "x"},
        {"do": "POST /upload/resumable/sign", "as": None},
    ],
)
def test_what_is_not_built_says_so(step: dict[str, Any], targets: list[Target]) -> None:
    for target in targets:
        answer = ask(step, Run(target))
        assert answer.status == 501, answer
        assert step["do"].startswith("HEAD") or answer.body()["code"] == "NotImplemented"


def test_the_recordings_are_all_here() -> None:
    assert len(STORIES) == 21
    assert sum(len(story["steps"]) for story in STORIES.values()) == 477
    assert {
        "list-v2",
        "resumable upload (TUS)",
        "resumable upload with bytes in the first request",
    } == NOT_BUILT


def test_a_difference_is_named(targets: list[Target]) -> None:
    step = {"name": "n", "do": "GET /status", "as": None, "status": 201, "body": {"a": 1}, "response_headers": {}}
    assert play({"name": "s", "steps": [step]}, targets[0]) == [
        "Storage: s / n: status: recorded 201, got 200 None",
        "Storage: s / n: body: recorded {'a': 1}, got None",
    ]
