"""A front end's first steps, with the real client libraries: sign up, sign in, read one's own profile."""

from __future__ import annotations

import secrets

import httpx
from supabase import ClientOptions, create_client

from scripts.native.stack import Stack
from tests.support.javascript import run_js

PASSWORD = "correct-horse-7"

WITH_SUPABASE_JS = """
const [email, password] = given
const { user } = must(await client.auth.signUp({ email, password, options: { data: { role: 'admin' } } }))
must(await client.auth.signInWithPassword({ email, password }))
const own = must(await client.from('profiles').select('*').single())
must(await client.from('profiles').update({ display_name: 'Ada' }).eq('user_id', user.id))
const named = must(await client.from('profiles').select('display_name').single())
const refused = await client.from('profiles').update({ role: 'admin' }).eq('user_id', user.id)
must(await client.auth.signOut())
const out = await client.from('profiles').select('*')
say({ id: user.id, own, named, refused: refused.error, out: out.error ?? out.data })
"""


def test_supabase_py_signs_up_signs_in_and_reads_its_own_profile(stack: Stack) -> None:
    with httpx.Client() as http:
        options = ClientOptions(httpx_client=http, auto_refresh_token=False, persist_session=False)
        client = create_client(stack.url, stack.keys.publishable_key, options)
        email = f"py-{secrets.token_hex(5)}@example.test"
        person = client.auth.sign_up({"email": email, "password": PASSWORD}).user
        assert person is not None
        client.auth.sign_in_with_password({"email": email, "password": PASSWORD})
        rows = client.table("profiles").select("*").execute().data
        assert [row["user_id"] for row in rows] == [person.id]  # type: ignore[index, call-overload]
        assert rows[0]["role"] == "student"  # type: ignore[index, call-overload]


def test_supabase_js_does_the_same(stack: Stack, node: str) -> None:
    email = f"js-{secrets.token_hex(5)}@example.test"
    seen = run_js(node, stack, WITH_SUPABASE_JS, email, PASSWORD)
    assert seen["own"]["user_id"] == seen["id"]
    assert seen["own"]["role"] == "student", "what people write about themselves gives no rights"
    assert seen["named"] == {"display_name": "Ada"}
    assert seen["refused"]["code"] == "42501"
    assert seen["out"]["code"] == "42501" if isinstance(seen["out"], dict) else seen["out"] == []
