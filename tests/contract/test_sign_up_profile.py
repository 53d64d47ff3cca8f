"""What a front end says at sign-up reaches the profile, clean, and gives no right: over HTTP, with supabase-js."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.native.stack import Stack
from tests.contract.auth.client import PASSWORD, new_address
from tests.support.javascript import run_js

SIGN_UP = """
const [email, password, data] = given
must(await client.auth.signUp({ email, password, options: { data: JSON.parse(data) } }))
say(must(await client.from('profiles').select('role, display_name, timezone, timezone_source').single()))
"""


def row(name: str | None, zone: str = "UTC", source: str = "default") -> dict[str, Any]:
    return {"role": "student", "display_name": name, "timezone": zone, "timezone_source": source}


@pytest.mark.parametrize(
    ("data", "profile"),
    [
        (
            '{"display_name": "Ada Lovelace", "timezone": "Europe/London"}',
            row("Ada Lovelace", "Europe/London", "person"),
        ),
        ('{"full_name": "Ada", "role": "admin", "user_role": "admin", "app_metadata": {"role": "admin"}}', row("Ada")),
        (r'{"name": "  Ada \u202egpj.exe\n", "timezone": "Mars/Olympus"}', row("Ada gpj.exe")),
        ('{"display_name": ["Ada"], "timezone": {"a": 1}}', row(None)),
        ('{"display_name": "%s"}' % ("x" * 5000), row("x" * 200)),
        ("{}", row(None)),
    ],
)
def test_metadata_of_a_sign_up(stack: Stack, node: str, data: str, profile: dict[str, Any]) -> None:
    assert run_js(node, stack, SIGN_UP, new_address(), PASSWORD, data) == profile


def test_metadata_of_a_sign_up_by_link_counts_too(stack: Stack, node: str) -> None:
    script = """
    const [email] = given
    must(await client.auth.signInWithOtp({ email, options: { data: { name: 'Ada', timezone: 'Asia/Tokyo' } } }))
    const service = clientWith(process.env.SUPABASE_SECRET_KEY)
    const { data } = await service.auth.admin.listUsers({ perPage: 50 })
    const { id } = data.users.find((user) => user.email === email)
    const columns = 'role, display_name, timezone, timezone_source'
    say(must(await service.from('profiles').select(columns).eq('user_id', id).single()))
    """
    assert run_js(node, stack, script, new_address()) == row("Ada", "Asia/Tokyo", "person")


def test_the_person_changes_name_and_zone_later(stack: Stack, node: str) -> None:
    script = """
    const [email, password] = given
    const { user } = must(await client.auth.signUp({ email, password }))
    const change = { display_name: ' Ada\\u202e ', timezone: 'America/New_York' }
    must(await client.from('profiles').update(change).eq('user_id', user.id))
    const own = await client.from('profiles').select('role, display_name, timezone, timezone_source').single()
    const raised = await client.from('profiles').update({ timezone_source: 'canvas' }).eq('user_id', user.id)
    const unknown = await client.from('profiles').update({ timezone: 'Mars/Olympus' }).eq('user_id', user.id)
    say({ own: must(own), codes: [raised.error.code, unknown.error.code], hint: unknown.error.hint })
    """
    seen = run_js(node, stack, script, new_address(), PASSWORD)
    assert seen["own"] == row("Ada", "America/New_York", "person")
    assert seen["codes"] == ["42501", "23514"]
    assert "Europe/Berlin" in seen["hint"]
