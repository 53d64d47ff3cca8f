"""The real client libraries, unchanged: every call a front end or a function makes of Storage."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import httpx
import pytest
from storage3.exceptions import StorageApiError
from supabase import Client, ClientOptions, create_client

from scripts.native.stack import Stack
from tests.contract.storage.replay import Target
from tests.support.canvas import PASSWORD, Student, student
from tests.support.javascript import run_js

WITH_JS = """
const [bucket, email, password] = given
const service = clientWith(process.env.SUPABASE_SECRET_KEY).storage
must(await service.createBucket(bucket, { public: false, fileSizeLimit: '1MB' }))
const { user } = must(await client.auth.signInWithPassword({ email, password }))
const mine = client.storage.from(bucket), path = `${user.id}/notes.txt`, copy = `${user.id}/copy b.txt`
const seen = {}
must(await mine.upload(path, 'from text', { contentType: 'text/plain', metadata: { course: 'c1' } }))
seen.again = (await mine.upload(path, new Blob(['x']))).error?.statusCode
must(await mine.update(path, new Blob(['from a blob'], { type: 'text/markdown' }), { cacheControl: '60' }))
seen.text = await must(await mine.download(path)).text()
const about = must(await mine.info(path))
seen.info = [about.size, about.contentType, about.cacheControl]
seen.exists = [(await mine.exists(path)).data, (await mine.exists(`${user.id}/none`)).data]
must(await mine.copy(path, copy))
must(await mine.move(copy, `${user.id}/moved.txt`))
seen.names = must(await mine.list(user.id, { sortBy: { column: 'name', order: 'desc' } })).map((row) => row.name)
const { signedUrl } = must(await mine.createSignedUrl(path, 60, { download: 'mine.txt' }))
const opened = await fetch(signedUrl)
seen.signed = [await opened.text(), opened.headers.get('content-disposition')]
seen.many = must(await mine.createSignedUrls([path, 'none'], 60)).map((row) => Boolean(row.error))
const { token, path: up } = must(await mine.createSignedUploadUrl(`${user.id}/up.txt`))
must(await client.storage.from(bucket).uploadToSignedUrl(up, token, 'sent'))
seen.removed = must(await mine.remove([path, `${user.id}/up.txt`])).length
must(await service.emptyBucket(bucket))
must(await service.deleteBucket(bucket))
seen.buckets = must(await service.listBuckets()).filter((row) => row.name === bucket).length
say(seen)
"""


@pytest.fixture
def ana(stack: Stack) -> Iterator[Student]:
    with student(stack) as person:
        yield person


def client_with(stack: Stack, http: httpx.Client, key: str) -> Client:
    return create_client(
        stack.url, key, ClientOptions(httpx_client=http, auto_refresh_token=False, persist_session=False)
    )


def test_supabase_py(stack: Stack, targets: list[Target], ana: Student) -> None:
    bucket, path = f"ct-own-{secrets.token_hex(4)}", f"{ana.user_id}/notes.txt"
    with httpx.Client() as http:
        service = client_with(stack, http, stack.keys.secret_key).storage
        service.create_bucket(bucket, options={"public": False, "file_size_limit": 1_000_000})
        assert service.get_bucket(bucket).file_size_limit == 1_000_000
        client = client_with(stack, http, stack.keys.publishable_key)
        client.auth.sign_in_with_password({"email": ana.email, "password": PASSWORD})
        mine = client.storage.from_(bucket)
        mine.upload(path, b"hello", {"content-type": "text/plain", "metadata": {"course": "c1"}})
        with pytest.raises(StorageApiError) as taken:
            mine.upload(path, b"again")
        assert (taken.value.status, taken.value.code) == ("409", "Duplicate")
        mine.update(path, b"hello again", {"content-type": "text/markdown", "cache-control": "60"})
        assert mine.download(path) == b"hello again"
        about = mine.info(path)
        assert (about["size"], about["content_type"], about["cache_control"]) == (11, "text/markdown", "max-age=60")
        assert mine.exists(path)
        mine.copy(path, f"{ana.user_id}/copy b.txt")
        mine.move(f"{ana.user_id}/copy b.txt", f"{ana.user_id}/moved.txt")
        assert [row["name"] for row in mine.list(ana.user_id)] == ["moved.txt", "notes.txt"]
        signed = mine.create_signed_url(path, 60, {"download": "mine.txt"})["signedURL"]
        assert signed is not None
        opened = http.get(signed)
        assert opened.text == "hello again"
        assert opened.headers["content-disposition"].startswith("attachment; filename=mine.txt;")
        assert [bool(row["error"]) for row in mine.create_signed_urls([path, "none"], 60)] == [False, True]
        ticket = mine.create_signed_upload_url(f"{ana.user_id}/up.txt")
        client_with(stack, http, stack.keys.publishable_key).storage.from_(bucket).upload_to_signed_url(
            ticket["path"], ticket["token"], b"sent"
        )
        assert len(mine.remove([path, f"{ana.user_id}/up.txt"])) == 2
        service.empty_bucket(bucket)
        service.delete_bucket(bucket)
        assert bucket not in {found.name for found in service.list_buckets()}


def test_supabase_js(stack: Stack, targets: list[Target], ana: Student, node: str) -> None:
    seen = run_js(node, stack, WITH_JS, f"ct-own-{secrets.token_hex(4)}", ana.email, PASSWORD)
    assert seen == {
        "again": "409",
        "text": "from a blob",
        "info": [11, "text/markdown", "max-age=60"],
        "exists": [True, False],
        "names": ["notes.txt", "moved.txt"],
        "signed": ["from a blob", "attachment; filename=mine.txt; filename*=UTF-8''mine.txt"],
        "many": [False, True],
        "removed": 2,
        "buckets": 0,
    }
