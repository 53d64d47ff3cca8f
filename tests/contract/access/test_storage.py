"""No person reaches a file by Storage itself: every verb, as everybody, on every bucket, gives and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest

from tests.contract.access.conftest import RestSchool

BUCKETS = ("documents", "audio", "transcripts", "session-transcripts", "content", "socratic-audio", "exports")
SECRET = b"what a student wrote"
NAME = "kept/secret.txt"
WAYS = ("", "/authenticated", "/public", "/info", "/info/public", "/sign")
ROWS = """
    select (select jsonb_agg(to_jsonb(b) order by b.id) from storage.buckets as b),
        (select jsonb_agg(to_jsonb(o) - 'last_accessed_at' order by o.bucket_id, o.name) from storage.objects as o)
"""


@pytest.fixture(scope="module")
def filled(rest_school: RestSchool) -> Iterator[RestSchool]:
    """One file in each bucket, put there by the service."""
    for bucket in BUCKETS:
        answer = ask(rest_school, "service", "POST", f"object/{bucket}/{NAME}", content=SECRET)
        assert answer.status_code == 200, answer.text
    yield rest_school
    for bucket in BUCKETS:
        ask(rest_school, "service", "POST", f"bucket/{bucket}/empty")


def ask(school: RestSchool, person: str, method: str, path: str, **more: Any) -> httpx.Response:
    """One request to Storage; ``nobody`` sends no key at all."""
    headers = {} if person == "nobody" else school.headers[person]
    return school.http.request(method, f"/storage/v1/{path}", headers=headers | more.pop("headers", {}), **more)


def verbs(bucket: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Every call of Storage about a bucket and its file: method, path, body."""
    one, upsert = f"{bucket}/{NAME}", {"x-upsert": "true"}
    moved = {"bucketId": bucket, "sourceKey": NAME, "destinationKey": "mine.txt"}
    new = {"content": b"mine"}
    return [
        *(("GET", f"object{way}/{one}", {}) for way in WAYS),
        ("HEAD", f"object/{one}", {}),
        ("GET", f"object/sign/{one}?token=none", {}),
        ("POST", f"object/sign/{one}", {"json": {"expiresIn": 60}}),
        ("POST", f"object/sign/{bucket}", {"json": {"expiresIn": 60, "paths": [NAME]}}),
        ("POST", f"object/list/{bucket}", {"json": {"prefix": "kept"}}),
        ("POST", f"object/list-v2/{bucket}", {"json": {}}),
        ("POST", f"object/{bucket}/new.txt", new),
        ("POST", f"object/{one}", new),
        ("POST", f"object/{one}", new | {"headers": upsert}),
        ("PUT", f"object/{one}", new),
        ("POST", f"object/upload/sign/{bucket}/new.txt", {}),
        ("POST", f"object/upload/sign/{one}", {"headers": upsert}),
        ("PUT", f"object/upload/sign/{one}?token=none", new),
        ("POST", "object/move", {"json": moved}),
        ("POST", "object/copy", {"json": moved}),
        ("DELETE", f"object/{one}", {}),
        ("DELETE", f"object/{bucket}", {"json": {"prefixes": [NAME]}}),
        ("GET", f"bucket/{bucket}", {}),
        ("PUT", f"bucket/{bucket}", {"json": {"public": True}}),
        ("POST", f"bucket/{bucket}/empty", {}),
        ("DELETE", f"bucket/{bucket}", {}),
    ]


def turned(turn: int) -> list[tuple[str, str, dict[str, Any]]]:
    """Every verb once, each on the next bucket, and reading and listing on all of them."""
    each = [verbs(bucket) for bucket in BUCKETS]
    mixed = [each[(turn + at) % len(BUCKETS)][at] for at in range(len(each[0]))]
    everywhere = ("object/authenticated/", "object/list/")
    return mixed + [call for calls in each for call in calls if call[1].startswith(everywhere)]


def nothing(answer: httpx.Response) -> bool:
    """Whether an answer is a refusal or an empty list."""
    if answer.is_error:
        return answer.status_code < 500 and SECRET not in answer.content
    body = answer.json() if answer.headers.get("content-type", "").startswith("application/json") else None
    if isinstance(body, dict):
        return body == {"hasNext": False, "folders": [], "objects": []}
    return isinstance(body, list) and all(row.get("error") and row["signedURL"] is None for row in body)


def test_every_verb_gives_and_changes_nothing(filled: RestSchool) -> None:
    everybody = ["nobody", "anon", *filled.people]
    assert len(everybody) > 8, "the whole school is tried"
    with psycopg.connect(filled.stack.db_url, autocommit=True) as db:
        before = db.execute(ROWS).fetchone()
        calls = [(person, *call) for turn, person in enumerate(everybody) for call in turned(turn)]
        calls += [(person, "GET", "bucket", {}) for person in everybody]
        calls += [(person, "POST", "bucket", {"json": {"name": f"of-{person}"}}) for person in everybody]

        def wrong(call: tuple[str, str, str, dict[str, Any]]) -> str | None:
            person, method, path, more = call
            answer = ask(filled, person, method, path, **dict(more))
            return None if nothing(answer) else f"{person} {method} {path}: {answer.status_code} {answer.text[:200]}"

        assert [found for found in filled.all_at_once(wrong, calls) if found] == []
        assert db.execute(ROWS).fetchone() == before
    for bucket in BUCKETS:
        assert ask(filled, "service", "GET", f"object/{bucket}/{NAME}").content == SECRET


def test_the_check_would_notice_a_policy(filled: RestSchool) -> None:
    with psycopg.connect(filled.stack.db_url, autocommit=True) as db:
        db.execute("create policy probe on storage.objects for select to authenticated using (bucket_id = 'content')")
        try:
            answer = ask(filled, "student", "GET", f"object/content/{NAME}")
            assert answer.content == SECRET
            assert not nothing(answer)
            listed = ask(filled, "student", "POST", "object/list/content", json={"prefix": "kept"})
            assert not nothing(listed)
        finally:
            db.execute("drop policy probe on storage.objects")
