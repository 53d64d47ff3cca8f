"""An account gets its rows, its role comes from app_metadata alone, and nothing here can refuse a sign-up."""

from __future__ import annotations

import json
import uuid
from typing import Any

import psycopg
import pytest

from tests.support.people import act_as, become_owner, persona, refused
from tests.support.rows import one

Connection = psycopg.Connection[Any]


def account(db: Connection, app: Any = None, user: Any = None) -> uuid.UUID:
    """An account as Auth inserts it."""
    person = uuid.uuid4()
    db.execute(
        "insert into auth.users (id, email, raw_app_meta_data, raw_user_meta_data, is_anonymous)"
        " values (%s, %s, %s, %s, false)",
        (person, f"{person.hex}@example.test", json.dumps(app), json.dumps(user)),
    )
    return person


def role(db: Connection, person: uuid.UUID) -> Any:
    return one(db, "select role from public.profiles where user_id = %s", (person,))


def test_an_account_gets_profile_settings_and_statistics(db: Connection) -> None:
    person = account(db, {"provider": "email"})
    profile = db.execute(
        "select role, display_name, timezone from public.profiles where user_id = %s", (person,)
    ).fetchone()
    settings = db.execute(
        "select nudge_frequency_cap, disclaimer_shown, preferences from public.user_settings where user_id = %s",
        (person,),
    ).fetchone()
    stats = db.execute(
        "select gamification, analytics, last_active from public.user_stats where user_id = %s", (person,)
    ).fetchone()
    assert (profile, settings, stats) == (("student", None, "UTC"), (1, False, {}), ({}, {}, None))


@pytest.mark.parametrize("named", ["student", "tutor", "parent", "teacher", "admin"])
def test_the_role_comes_from_app_metadata(db: Connection, named: str) -> None:
    assert role(db, account(db, {"role": named})) == named


@pytest.mark.parametrize("app", [None, {}, {"role": "owner"}, {"role": None}, {"role": ["admin"]}, [1], "admin"])
def test_a_missing_or_unknown_role_is_student(db: Connection, app: Any) -> None:
    assert role(db, account(db, app)) == "student"


def test_what_the_person_writes_gives_no_role(db: Connection) -> None:
    assert role(db, account(db, {}, {"role": "admin", "user_role": "admin"})) == "student"


def test_a_broken_profile_does_not_refuse_the_sign_up(db: Connection) -> None:
    db.execute("alter table public.profiles add constraint probe check (display_name is not null) not valid")
    person = account(db)
    assert one(db, "select count(*) from auth.users where id = %s", (person,)) == 1
    assert role(db, person) is None
    db.execute("alter table public.profiles drop constraint probe")
    with act_as(db, person):
        assert one(db, "select (public.ensure_profile()).role") == "student"
        assert one(db, "select count(*) from public.user_settings") == 1
        assert one(db, "select count(*) from public.user_stats") == 1


def test_auth_may_write_the_metadata_a_statement_later(db: Connection) -> None:
    person = account(db)
    db.execute("update auth.users set raw_app_meta_data = %s where id = %s", ('{"role": "teacher"}', person))
    assert role(db, person) == "teacher"


def test_later_metadata_changes_no_role(db: Connection) -> None:
    person = account(db, {"role": "teacher"})
    db.execute("update public.profiles set created_at = now() - interval '1 second' where user_id = %s", (person,))
    db.execute("update auth.users set raw_app_meta_data = %s where id = %s", ('{"role": "admin"}', person))
    assert role(db, person) == "teacher"


def test_ensure_profile_changes_nothing_that_is_there(db: Connection) -> None:
    person = persona(db, "tutor", name="Ada")
    with act_as(db, person):
        row = db.execute("select user_id, role, display_name from public.ensure_profile()").fetchone()
    assert row == (person, "tutor", "Ada")


def test_ensure_profile_is_for_signed_in_people(db: Connection) -> None:
    with act_as(db, None, "anon"):
        refused(db, "42501", "select public.ensure_profile()")
    with act_as(db, persona(db, anonymous=True), is_anonymous=True):
        refused(db, "42501", "select public.ensure_profile()")
    with act_as(db, None):
        refused(db, "42501", "select public.ensure_profile()")


def test_ensure_profile_of_a_deleted_account_is_not_found(db: Connection) -> None:
    with act_as(db, uuid.uuid4()):
        refused(db, "PT404", "select public.ensure_profile()")


def test_everything_goes_with_the_account(db: Connection) -> None:
    person = persona(db)
    db.execute("delete from auth.users where id = %s", (person,))
    for table in ("profiles", "user_settings", "user_stats"):
        assert one(db, f"select count(*) from public.{table} where user_id = %s", (person,)) == 0


def test_touch_writes_at_most_once_in_five_minutes(db: Connection) -> None:
    person = persona(db)
    seen = "select to_char(last_active at time zone 'UTC', 'HH24:MI:SS') from public.user_stats where user_id = %s"
    for moment, expected in [
        ("12:00:00", "12:00:00"),
        ("12:04:59", "12:00:00"),
        ("12:05:00", "12:05:00"),
        ("12:09:00", "12:05:00"),
    ]:
        db.execute("select set_config('app.frozen_now', %s, true)", (f"2030-01-01T{moment}Z",))
        with act_as(db, person):
            db.execute("select public.touch_last_active()")
        assert one(db, seen, (person,)) == expected
    become_owner(db)
    with act_as(db, None, "anon"):
        refused(db, "42501", "select public.touch_last_active()")


def profile(db: Connection, person: uuid.UUID) -> tuple[Any, ...]:
    row = db.execute(
        "select role, display_name, timezone, timezone_source from public.profiles where user_id = %s", (person,)
    ).fetchone()
    assert row is not None, "every account gets its profile"
    return tuple(row)


@pytest.mark.parametrize(
    ("user", "name"),
    [
        ({"display_name": "Ada"}, "Ada"),
        ({"full_name": "Ada Lovelace"}, "Ada Lovelace"),
        ({"name": "Ada L."}, "Ada L."),
        ({"name": "C", "full_name": "B", "display_name": "A"}, "A"),
        ({"display_name": " \t ", "full_name": "B"}, "B"),
        ({"display_name": {"first": "Ada"}, "full_name": ["Ada"], "name": 7}, None),
        ({"display_name": None, "name": "Ada"}, "Ada"),
        ({"display_name": ""}, None),
        ({"display_name": "  Ada \n\r\t Lovelace\u0085\u2028x\u00a0\u3000y "}, "Ada Lovelace x y"),
        ({"display_name": "Ada\u0007\u001b[31m\u007f"}, "Ada [31m"),
        ({"display_name": "Ada\u202egpj.exe\u202c \u2066x\u2069"}, "Adagpj.exe x"),
        ({"display_name": "\ufeffA\u200bd\u2060a\u00ad\U000e0041"}, "Ada"),
        ({"display_name": "\u202e\u2066\u200b"}, None),
        (
            {"display_name": "\u0645\u06cc\u200c\u062e\u0648 \u674e\u660e 🎓 Ørsted"},
            "\u0645\u06cc\u200c\u062e\u0648 \u674e\u660e 🎓 Ørsted",
        ),
        ({"display_name": "x" * 100_000}, "x" * 200),
        ({"display_name": "x" * 199 + " yz"}, "x" * 199),
        ({"display_name": "<script>alert(1)</script>"}, "<script>alert(1)</script>"),
        ("Ada", None),
        (["display_name"], None),
        (None, None),
    ],
)
def test_a_sign_up_gives_a_clean_name(db: Connection, user: Any, name: str | None) -> None:
    assert profile(db, account(db, {}, user)) == ("student", name, "UTC", "default")


@pytest.mark.parametrize(
    ("zone", "kept"),
    [
        ("Europe/Berlin", ("Europe/Berlin", "person")),
        ("America/Argentina/Buenos_Aires", ("America/Argentina/Buenos_Aires", "person")),
        ("UTC", ("UTC", "person")),
        ("Mars/Olympus", ("UTC", "default")),
        ("UTC+25", ("UTC", "default")),
        ("", ("UTC", "default")),
        ("'; drop table public.profiles", ("UTC", "default")),
        ("x" * 100_000, ("UTC", "default")),
        (7, ("UTC", "default")),
        ({"zone": "Europe/Berlin"}, ("UTC", "default")),
        (None, ("UTC", "default")),
    ],
)
def test_a_sign_up_gives_a_time_zone_that_exists(db: Connection, zone: Any, kept: tuple[str, str]) -> None:
    assert profile(db, account(db, {}, {"timezone": zone, "name": "Ada"})) == ("student", "Ada", *kept)


def test_a_profile_that_is_made_up_for_later_has_name_and_zone_too(db: Connection) -> None:
    db.execute("alter table public.profiles add constraint probe check (avatar_url is not null) not valid")
    person = account(db, {"role": "tutor"}, {"full_name": "Ada", "timezone": "Asia/Kolkata", "role": "admin"})
    db.execute("alter table public.profiles drop constraint probe")
    with act_as(db, person):
        db.execute("select public.ensure_profile()")
    assert profile(db, person) == ("tutor", "Ada", "Asia/Kolkata", "person")
