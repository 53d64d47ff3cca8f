"""A front end's first steps, with the real client libraries: sign up, sign in, read one's own profile."""

from __future__ import annotations

import json
import os
import secrets
import subprocess

import httpx
from supabase import ClientOptions, create_client

from scripts.native.paths import REPO
from scripts.native.stack import Stack

PASSWORD = "correct-horse-7"

WITH_SUPABASE_JS = """
import { createClient } from '@supabase/supabase-js'
const [email, password] = process.argv.slice(-2)
const options = { auth: { persistSession: false, autoRefreshToken: false } }
const client = createClient(process.env.SUPABASE_URL, process.env.SUPABASE_PUBLISHABLE_KEY, options)
const must = ({ data, error }) => { if (error) { throw error } return data }
const { user } = must(await client.auth.signUp({ email, password, options: { data: { role: 'admin' } } }))
must(await client.auth.signInWithPassword({ email, password }))
const own = must(await client.from('profiles').select('*').single())
must(await client.from('profiles').update({ display_name: 'Ada' }).eq('user_id', user.id))
const named = must(await client.from('profiles').select('display_name').single())
const refused = await client.from('profiles').update({ role: 'admin' }).eq('user_id', user.id)
must(await client.auth.signOut())
const out = await client.from('profiles').select('*')
console.log(JSON.stringify({ id: user.id, own, named, refused: refused.error, out: out.error ?? out.data }))
process.exit(0)
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
    # the script comes by standard input, so that it resolves packages from the repository
    done = subprocess.run(
        [node, "--no-warnings", "--input-type=module", "-", email, PASSWORD],
        input=WITH_SUPABASE_JS,
        cwd=REPO,
        env={**os.environ, **stack.exports()},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["own"]["user_id"] == seen["id"]
    assert seen["own"]["role"] == "student", "what a person writes about himself gives no rights"
    assert seen["named"] == {"display_name": "Ada"}
    assert seen["refused"]["code"] == "42501"
    assert seen["out"]["code"] == "42501" if isinstance(seen["out"], dict) else seen["out"] == []
