"""Tokens, client secrets and authorization states: hidden from everybody, used once, written by one process."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

import psycopg
import pytest

from tests.support import rows
from tests.support.people import act_as, freeze, persona, refused
from tests.support.races import ring
from tests.support.rows import one

Connection = psycopg.Connection[Any]

PUT = "select public.svc_put_integration_token(%s, %s, %s, %s, %s)"
GET = "select access_token_enc, refresh_token_enc, version from public.svc_get_integration_token(%s)"
BEGIN = "select public.svc_begin_token_refresh(%s, %s)"
END = "select public.svc_end_token_refresh(%s, %s)"
CREATE = "select public.svc_create_oauth_state(%s, %s, %s, %s, %s)"
PEEK = "select outcome, user_id, redirect_path from public.svc_peek_oauth_state(%s)"
CONSUME = (
    "select outcome, lms_connection_id, redirect_path, code_verifier_enc from public.svc_consume_oauth_state(%s, %s)"
)


@pytest.fixture
def grant(db: Connection) -> uuid.UUID:
    """A grant without tokens."""
    return rows.integration(db, persona(db))


def test_tokens_are_kept_and_counted(db: Connection, grant: uuid.UUID) -> None:
    with act_as(db, None, "service_role"):
        assert db.execute(GET, (grant,)).fetchall() == []
        assert one(db, PUT, (grant, "v1:a", "v1:r", "2030-01-01T00:00:00Z", None)) == 1
        assert one(db, PUT, (grant, "v2:b", "v2:s", None, None)) == 2
        assert db.execute(GET, (grant,)).fetchall() == [("v2:b", "v2:s", 2)]


def test_a_refresh_without_a_new_refresh_token_keeps_the_old(db: Connection, grant: uuid.UUID) -> None:
    one(db, PUT, (grant, "v1:a", "v1:r", None, None))
    one(db, PUT, (grant, "v1:b", None, None, None))
    one(db, PUT, (grant, "v1:c", None, None, 2))
    assert db.execute(GET, (grant,)).fetchall() == [("v1:c", "v1:r", 3)]


def test_a_stale_writer_changes_nothing(db: Connection, grant: uuid.UUID) -> None:
    assert one(db, PUT, (grant, "v1:a", None, None, 1)) is None
    assert db.execute(GET, (grant,)).fetchall() == []
    one(db, PUT, (grant, "v1:a", None, None, None))
    assert one(db, PUT, (grant, "v1:b", None, None, 1)) == 2
    assert one(db, PUT, (grant, "v1:stale", None, None, 1)) is None
    assert db.execute(GET, (grant,)).fetchall() == [("v1:b", None, 2)]


def test_only_envelopes_are_stored(db: Connection, grant: uuid.UUID) -> None:
    for access, refresh in [("plain", None), ("v1", None), ("vx:1", None), ("v1:a", "plain")]:
        refused(db, "23514", PUT, (grant, access, refresh, None, None))
    refused(db, "22004", PUT, (grant, None, None, None, None))
    refused(db, "22004", PUT, (None, "v1:a", None, None, None))
    refused(db, "PT404", PUT, (uuid.uuid4(), "v1:a", None, None, None))


def test_reading_a_token_is_audited_and_finding_none_is_not(db: Connection, grant: uuid.UUID) -> None:
    owner = one(db, "select user_id from public.integrations where id = %s", (grant,))
    audited = (
        "select actor_role, action, subject_user_id, detail from private.audit_log"
        " where entity = 'integration_tokens' and entity_id = %s"
    )
    with act_as(db, None, "service_role"):
        db.execute(GET, (grant,))
    assert db.execute(audited, (str(grant),)).fetchall() == []
    one(db, PUT, (grant, "v1:a", None, None, None))
    with act_as(db, None, "service_role"):
        db.execute(GET, (grant,))
    assert db.execute(audited, (str(grant),)).fetchall() == [("service_role", "read", owner, {})]


def test_tokens_are_forgotten(db: Connection, grant: uuid.UUID) -> None:
    one(db, PUT, (grant, "v1:a", None, None, None))
    for _ in range(2):
        db.execute("select public.svc_delete_integration_token(%s)", (grant,))
    assert db.execute(GET, (grant,)).fetchall() == []


def test_one_process_refreshes_at_a_time(db: Connection, grant: uuid.UUID) -> None:
    freeze(db, "2030-01-01T00:00:00Z")
    assert one(db, BEGIN, (grant, "a")) is False, "there is nothing to refresh"
    one(db, PUT, (grant, "v1:a", None, None, None))
    assert one(db, BEGIN, (grant, "a")) is True
    assert one(db, BEGIN, (grant, "b")) is False
    assert one(db, BEGIN, (grant, "a")) is True
    assert one(db, END, (grant, "b")) is False
    assert one(db, END, (grant, "a")) is True
    assert one(db, BEGIN, (grant, "b")) is True
    freeze(db, "2030-01-01T00:00:29Z")
    assert one(db, BEGIN, (grant, "c")) is False
    freeze(db, "2030-01-01T00:00:30Z")
    assert one(db, BEGIN, (grant, "c")) is True, "the lease of a killed process ends"
    assert one(db, END, (grant, "b")) is False


def test_bad_leases(db: Connection, grant: uuid.UUID) -> None:
    for seconds in (0, 601):
        refused(db, "22003", "select public.svc_begin_token_refresh(%s, 'a', %s)", (grant, seconds))
    refused(db, "22004", BEGIN, (grant, None))


def test_two_processes_at_once_and_one_refreshes(db_url: str) -> None:
    with ring(db_url) as race:
        person = persona(race.owner)
        grant = rows.integration(race.owner, person)
        where = one(race.owner, "select lms_connection_id from public.integrations where id = %s", (grant,))
        race.clean_up("public.lms_connections", where)
        race.clean_up("auth.users", person)
        one(race.owner, PUT, (grant, "v1:a", None, None, None))
        first, second = race.session(), race.session()
        assert one(first, BEGIN, (grant, "a")) is True
        answer = race.start(second, BEGIN, (grant, "b"))
        race.wait_until_blocked(second)
        first.commit()
        assert answer.result(10) == (False,)


def test_client_secrets(db: Connection) -> None:
    where = rows.connection(db)
    put, get = "select public.svc_put_lms_secret(%s, %s)", "select public.svc_get_lms_secret(%s)"
    with act_as(db, None, "service_role"):
        assert one(db, get, (where,)) is None
        for envelope in ("v1:first", "v2:second"):
            db.execute(put, (where, envelope))
            assert one(db, get, (where,)) == envelope
        refused(db, "23514", put, (where, "plain"))
        refused(db, "22004", put, (where, None))
        refused(db, "PT404", put, (uuid.uuid4(), "v1:a"))
    db.execute("delete from public.lms_connections where id = %s", (where,))
    assert one(db, get, (where,)) is None


@pytest.fixture
def state(db: Connection) -> tuple[uuid.UUID, uuid.UUID]:
    """An authorization started at noon under the hash 'h': who, and where."""
    freeze(db, "2030-01-01T12:00:00Z")
    person, where = persona(db), rows.connection(db)
    db.execute(CREATE, ("h", person, where, "https://front.test/done", "v1:verifier"))
    return person, where


def test_a_state_is_used_once(db: Connection, state: tuple[uuid.UUID, uuid.UUID]) -> None:
    person, where = state
    with act_as(db, None, "service_role"):
        assert db.execute(PEEK, ("h",)).fetchall() == [("ok", person, "https://front.test/done")]
        ok = [("ok", where, "https://front.test/done", "v1:verifier")]
        assert db.execute(CONSUME, ("h", person)).fetchall() == ok
        assert db.execute(CONSUME, ("h", person)).fetchall() == [("used", None, None, None)]
        assert db.execute(PEEK, ("h",)).fetchall() == [("used", person, "https://front.test/done")]


def test_anothers_state_stays_his(db: Connection, state: tuple[uuid.UUID, uuid.UUID]) -> None:
    person, _ = state
    assert db.execute(CONSUME, ("h", persona(db))).fetchall() == [("not_yours", None, None, None)]
    assert db.execute(CONSUME, ("h", person)).fetchall()[0][0] == "ok"
    assert db.execute(CONSUME, ("h", persona(db))).fetchall()[0][0] == "not_yours"


@pytest.mark.parametrize(
    ("moment", "outcome"), [("12:09:59.999", "ok"), ("12:10:00", "expired"), ("13:00:00", "expired")]
)
def test_a_state_lives_ten_minutes(
    db: Connection, state: tuple[uuid.UUID, uuid.UUID], moment: str, outcome: str
) -> None:
    freeze(db, f"2030-01-01T{moment}Z")
    assert db.execute(PEEK, ("h",)).fetchall()[0][0] == outcome
    assert db.execute(CONSUME, ("h", state[0])).fetchall()[0][0] == outcome
    consumed = one(db, "select consumed_at is not null from private.oauth_states where state_hash = 'h'")
    assert consumed is (outcome == "ok")


def test_an_unknown_state_is_nothing(db: Connection) -> None:
    assert db.execute(PEEK, ("unknown",)).fetchall() == []
    assert db.execute(CONSUME, ("unknown", persona(db))).fetchall() == []


def test_bad_states(db: Connection, state: tuple[uuid.UUID, uuid.UUID]) -> None:
    person, where = state
    refused(db, "PT404", CREATE, ("i", uuid.uuid4(), where, None, None))
    refused(db, "PT404", CREATE, ("i", person, uuid.uuid4(), None, None))
    refused(db, "22004", CREATE, (None, person, where, None, None))
    refused(db, "22004", CONSUME, ("h", None))
    refused(db, "23505", CREATE, ("h", person, where, None, None))
    refused(db, "23514", CREATE, ("i", person, where, None, "plain"))


def test_two_at_once_and_one_uses_the_state(db_url: str) -> None:
    with ring(db_url) as race:
        person, where = persona(race.owner), rows.connection(race.owner)
        race.clean_up("public.lms_connections", where)
        race.clean_up("auth.users", person)
        name = uuid.uuid4().hex
        race.owner.execute(CREATE, (name, person, where, None, None))
        first, second = race.session(), race.session()
        assert first.execute(CONSUME, (name, person)).fetchall()[0][0] == "ok"
        answer = race.start(second, CONSUME, (name, person))
        race.wait_until_blocked(second)
        first.commit()
        assert answer.result(10)[0] == "used"


def test_no_api_role_comes_near(db: Connection, grant: uuid.UUID) -> None:
    calls = [
        (PUT, (grant, "v1:a", None, None, None)),
        (GET, (grant,)),
        (BEGIN, (grant, "a")),
        (END, (grant, "a")),
        ("select public.svc_delete_integration_token(%s)", (grant,)),
        (PEEK, ("h",)),
        (CONSUME, ("h", grant)),
        (CREATE, ("h", grant, grant, None, None)),
        ("select public.svc_get_lms_secret(%s)", (grant,)),
        ("select public.svc_put_lms_secret(%s, 'v1:a')", (grant,)),
    ]
    tables = ("integration_tokens", "lms_connection_secrets", "oauth_states")
    for role in ("anon", "authenticated", "app_admin"):
        with act_as(db, persona(db), role):
            for statement, parameters in calls:
                refused(db, "42501", statement, parameters)
    for role in ("anon", "authenticated", "app_admin", "service_role"):
        with act_as(db, None, role):
            for table in tables:
                refused(db, "42501", f"select from private.{table}")


def test_times_come_back_as_they_went_in(db: Connection, grant: uuid.UUID) -> None:
    one(db, PUT, (grant, "v1:a", None, "2030-01-01T00:00:00Z", None))
    expires = one(db, "select expires_at from public.svc_get_integration_token(%s, true)", (grant,))
    assert expires == datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
