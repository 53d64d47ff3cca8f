"""The registry of LTI platforms, and the rows that belong to it."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import pytest

from tests.support import rows
from tests.support.people import act_as, persona, refused
from tests.support.rows import one

Connection = psycopg.Connection[Any]

PLATFORM = "select public.svc_register_lti_platform(%s, %s, %s, %s, %s)"
CLIENT = "select public.svc_register_lti_client(%s, %s)"
DEPLOYMENT = "select public.svc_register_lti_deployment(%s, %s, %s)"
STATUS = "select public.svc_set_lti_status(%s, %s, %s)"

CANVAS = (
    "https://canvas.instructure.com",
    "https://sso.test/jwks",
    "https://sso.test/auth",
    "https://sso.test/token",
    "Canvas",
)


def test_registering_twice_is_registering_once(db: Connection) -> None:
    where = rows.connection(db)
    with act_as(db, None, "service_role"):
        platform = one(db, PLATFORM, CANVAS)
        assert one(db, PLATFORM, (*CANVAS[:2], "https://sso.test/new", *CANVAS[3:])) == platform
        client = one(db, CLIENT, (platform, "100"))
        assert one(db, CLIENT, (platform, "100")) == client
        deployment = one(db, DEPLOYMENT, (client, "1:abc", where))
        assert one(db, DEPLOYMENT, (client, "1:abc", where)) == deployment
    assert one(db, "select auth_url from private.lti_platforms where id = %s", (platform,)) == "https://sso.test/new"


def test_the_same_issuer_with_other_keys_is_another_platform(db: Connection) -> None:
    first = one(db, PLATFORM, CANVAS)
    assert one(db, PLATFORM, (CANVAS[0], "https://own.test/jwks", *CANVAS[2:])) != first


def test_a_deployment_does_not_move_to_another_school(db: Connection) -> None:
    client = one(db, CLIENT, (one(db, PLATFORM, CANVAS), "100"))
    one(db, DEPLOYMENT, (client, "1:abc", rows.connection(db)))
    refused(db, "PT409", DEPLOYMENT, (client, "1:abc", rows.connection(db)))


@pytest.mark.parametrize(
    "url", ["http://sso.test/x", "ftp://sso.test/x", "http://127.0.0.1.evil.test/x", "javascript:0"]
)
@pytest.mark.parametrize("position", [1, 2, 3])
def test_addresses_are_https_or_this_machine(db: Connection, url: str, position: int) -> None:
    arguments = list(CANVAS)
    arguments[position] = url
    refused(db, "23514", PLATFORM, arguments)
    arguments[position] = "http://127.0.0.1:9000/x"
    assert one(db, PLATFORM, arguments)


def test_status_is_switched_and_audited_and_survives_registering_again(db: Connection) -> None:
    platform, client, deployment = rows.lti_deployment(db)
    for kind, key in [("platform", platform), ("registration", client), ("deployment", deployment)]:
        table = f"private.lti_{kind}s"
        assert one(db, f"select status from {table} where id = %s", (key,)) == "active"
        with act_as(db, None, "service_role"):
            db.execute(STATUS, (kind, key, "disabled"))
        assert one(db, f"select status from {table} where id = %s", (key,)) == "disabled"
        line = one(db, "select detail from private.audit_log where entity_id = %s", (str(key),))
        assert line == {"status": "disabled"}
    one(db, CLIENT, (platform, "10000000000001"))
    assert one(db, "select status from private.lti_registrations where id = %s", (client,)) == "disabled"


def test_bad_arguments(db: Connection) -> None:
    platform, client, _ = rows.lti_deployment(db)
    refused(db, "22023", STATUS, ("school", platform, "active"))
    refused(db, "22023", STATUS, ("platform", platform, "open"))
    refused(db, "22004", STATUS, ("platform", None, "active"))
    refused(db, "PT404", STATUS, ("platform", client, "active"))
    refused(db, "PT404", CLIENT, (client, "100"))
    refused(db, "22004", CLIENT, (platform, None))
    refused(db, "PT404", DEPLOYMENT, (client, "1:x", uuid.uuid4()))
    refused(db, "PT404", DEPLOYMENT, (platform, "1:x", rows.connection(db)))
    refused(db, "22004", PLATFORM, (*CANVAS[:4], None))


def launched(db: Connection) -> tuple[uuid.UUID, uuid.UUID, uuid.UUID]:
    """A person who launched: the account, the platform and the launch."""
    platform, _, deployment = rows.lti_deployment(db)
    person = persona(db, "teacher")
    identity = rows.insert(
        db, "private.lti_identities", {"platform_id": platform, "sub": uuid.uuid4().hex, "user_id": person}
    )
    db.execute(
        "insert into private.lti_memberships (deployment_id, context_id, user_id) values (%s, 'c1', %s)",
        (deployment, person),
    )
    given = {"identity_id": identity, "deployment_id": deployment, "message_type": "LtiResourceLinkRequest"}
    launch = rows.insert(db, "private.lti_launches", {**given, "expires_at": "2099-01-01"})
    db.execute(
        "insert into private.lti_tickets (ticket_hash, launch_id, binding_hash, expires_at)"
        " values (%s, %s, 'b', '2099-01-01')",
        (uuid.uuid4().hex, launch),
    )
    return person, platform, launch


def left(db: Connection, launch: uuid.UUID, person: uuid.UUID) -> Any:
    """How many identities, memberships, launches and tickets are left."""
    return db.execute(
        "select (select count(*) from private.lti_identities where user_id = %(person)s),"
        " (select count(*) from private.lti_memberships where user_id = %(person)s),"
        " (select count(*) from private.lti_launches where id = %(launch)s),"
        " (select count(*) from private.lti_tickets where launch_id = %(launch)s)",
        {"person": person, "launch": launch},
    ).fetchone()


def test_identities_go_with_the_account_though_no_foreign_key_holds_them(db: Connection) -> None:
    person, _, launch = launched(db)
    assert left(db, launch, person) == (1, 1, 1, 1)
    db.execute("delete from auth.users where id = %s", (person,))
    assert left(db, launch, person) == (0, 0, 0, 0)


def test_an_id_may_be_reserved_before_the_account(db: Connection) -> None:
    platform, _, _ = rows.lti_deployment(db)
    given = {"platform_id": platform, "sub": "s", "user_id": uuid.uuid4()}
    rows.insert(db, "private.lti_identities", given)
    with pytest.raises(psycopg.errors.UniqueViolation), db.transaction():
        rows.insert(db, "private.lti_identities", {**given, "user_id": uuid.uuid4()})


def test_everything_goes_with_the_platform_but_not_the_account(db: Connection) -> None:
    person, platform, launch = launched(db)
    db.execute("delete from private.lti_platforms where id = %s", (platform,))
    assert left(db, launch, person) == (0, 0, 0, 0)
    assert one(db, "select count(*) from auth.users where id = %s", (person,)) == 1


def test_a_school_with_a_deployment_is_not_deleted(db: Connection) -> None:
    rows.lti_deployment(db)
    where = one(db, "select lms_connection_id from private.lti_deployments order by created_at desc limit 1")
    with pytest.raises(psycopg.IntegrityError), db.transaction():
        db.execute("delete from public.lms_connections where id = %s", (where,))


def test_a_private_key_is_stored_encrypted_only(db: Connection) -> None:
    insert = "insert into private.lti_signing_keys (kid, private_key_enc, public_jwk) values (%s, %s, %s)"
    db.execute(insert, ("k1", "v1:secret", '{"kty": "RSA"}'))
    refused(db, "23514", insert, ("k2", "-----BEGIN", '{"kty": "RSA"}'))
    refused(db, "23514", insert, ("k2", "v1:secret", '{"kty": "RSA", "d": "private"}'))


def test_no_api_role_comes_near(db: Connection) -> None:
    platform, client, _ = rows.lti_deployment(db)
    for role in ("anon", "authenticated", "app_admin"):
        with act_as(db, persona(db), role):
            refused(db, "42501", PLATFORM, CANVAS)
            refused(db, "42501", CLIENT, (platform, "x"))
            refused(db, "42501", DEPLOYMENT, (client, "x", platform))
            refused(db, "42501", STATUS, ("platform", platform, "disabled"))
            refused(db, "42501", "select from private.lti_platforms")


def test_what_nobody_decided_goes_after_90_days(db: Connection) -> None:
    """With its platform, unless that has another; what is decided stays, also what was refused."""
    request = "select public.svc_request_lti_registration(%s, %s, %s, %s, %s, %s)"
    with act_as(db, None, "service_role"):
        ids = {
            name: one(db, request, (f"https://{host}.test", *CANVAS[1:], name))
            for name, host in (("old", "lone"), ("new", "busy"), ("stale", "busy"), ("refused", "closed"))
        }
        one(db, STATUS, ("registration", ids["refused"], "disabled"))
    for table in ("lti_platforms", "lti_registrations"):
        db.execute(f"update private.{table} set created_at = now() - interval '91 days'".encode())
    db.execute("update private.lti_registrations set created_at = now() where id = %s", (ids["new"],))
    with act_as(db, None, "service_role"):
        gone = one(db, "select public.svc_purge_expired()")
    assert (gone["lti_registrations"], gone["lti_platforms"]) == (2, 1)
    left = db.execute("select client_id from private.lti_registrations order by client_id").fetchall()
    assert left == [("new",), ("refused",)]
    assert one(db, "select count(*) from private.lti_platforms where issuer = 'https://lone.test'") == 0
