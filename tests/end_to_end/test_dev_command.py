"""``./scripts/dev``: seeded once, kept over restarts, locked while it runs, and told to whoever starts it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import psycopg
import pytest

from tests.end_to_end.first_hour import situations
from tests.end_to_end.first_hour.checkout import Checkout


@pytest.fixture
def checkout() -> Iterator[Checkout]:
    """A checkout without a database."""
    with situations.checkout_for(situations.restart) as found:
        yield found


def test_a_day_with_dev(checkout: Checkout) -> None:
    dev = checkout.dev_up()
    for line in ("REST: PostgREST 12", "Auth: ", "model: ", "Canvas: our stand-in at ", "Sign in with the password"):
        assert line in dev.output
    situations.signs_in(dev)
    # Canvas is connected: its first sync finds what the seed already has
    with psycopg.connect(dev.value("SUPABASE_DB_URL"), autocommit=True) as db:
        situations.wait_until(
            "three syncs",
            lambda: (
                db.execute(
                    "select count(*) from public.jobs where type = 'canvas_sync' and status = 'succeeded'"
                    " and created_at > now() - interval '5 minutes'"
                ).fetchone()
                == (3,)
            ),
        )
        assert db.execute(
            "select distinct c.workflow_state from public.courses as c join auth.users as u on u.id = c.user_id"
            " where u.email = 'student@headstart.test' order by 1"
        ).fetchall() == [("available",), ("completed",)]
    page = httpx.get(f"{dev.value('FUNCTIONS_URL')}/docs")
    assert page.status_code == 200
    keys = [dev.value(name) for name in ("SUPABASE_PUBLISHABLE_KEY", "SUPABASE_SECRET_KEY")]
    situations.subjects(dev, "Mine")
    files, service = f"{dev.value('SUPABASE_URL')}/storage/v1/object", {"apikey": keys[1]}
    assert httpx.post(f"{files}/documents/kept.txt", content=b"kept", headers=service).status_code == 200

    for options in ((), ("--fresh",)):
        refused = checkout.dev(*options)
        refused.refused(1, f"process {dev.process.pid}", dev.value("SUPABASE_URL"), "--home")
    assert dev.interrupt() == 130
    checkout.nothing_left()

    dev = checkout.dev_up()
    assert "seed.sql is loaded" not in dev.output
    assert "Mine" in situations.subjects(dev)
    files = f"{dev.value('SUPABASE_URL')}/storage/v1/object"
    assert httpx.get(f"{files}/documents/kept.txt", headers=service).content == b"kept"
    assert keys == [dev.value(name) for name in ("SUPABASE_PUBLISHABLE_KEY", "SUPABASE_SECRET_KEY")]


def test_a_killed_first_start_leaves_no_half_database(checkout: Checkout) -> None:
    for with_watchdog in (False, True):
        dev = checkout.dev()
        dev.wait_for("seed.sql is loaded")
        dev.kill(with_watchdog=with_watchdog)
    again = checkout.dev_up()
    situations.signs_in(again)
    assert again.interrupt() == 130
    checkout.nothing_left()
