"""The rows of the ``auth`` schema, as dictionaries, and the statements that find and change them.

A person is a row of auth.users with the rows of auth.identities as ``identities``. A change is written to the row and
to the dictionary. Generated columns keep the state in which they were loaded, because the real server's answers show
that.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import JsonbDumper

from tests.standins.auth.config import config

Row = dict[str, Any]
Tx = psycopg.Connection[Row]

NIL = uuid.UUID(int=0)
CONNECT_SECONDS = 3
EMAIL_PROVIDER = {"provider": "email", "providers": ["email"]}
# the real server reads these as texts: a null there breaks it
TEXTS = ["confirmation_token", "recovery_token", "email_change", "email_change_token_new", "email_change_token_current"]
TEXTS += ["phone_change", "phone_change_token", "reauthentication_token"]
TIMES = ["email_confirmed_at", "invited_at", "confirmation_sent_at", "confirmed_at", "recovery_sent_at"]
TIMES += ["email_change_sent_at", "last_sign_in_at", "created_at", "updated_at", "banned_until", "deleted_at"]
psycopg.adapters.register_dumper(dict, JsonbDumper)


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)


@contextmanager
def transaction() -> Iterator[Tx]:
    """One transaction on a connection of its own: kept when the block ends, rolled back when it raises.

    :raise psycopg.OperationalError: the database does not answer
    """
    options: dict[str, Any] = {"connect_timeout": CONNECT_SECONDS, "options": "-c search_path=auth -c timezone=UTC"}
    with psycopg.connect(config().database_url, application_name="auth", row_factory=dict_row, **options) as tx:
        yield tx


def insert(tx: Tx, table: str, row: Row) -> None:
    """Writes a new row."""
    names = sql.SQL(", ").join(map(sql.Identifier, row))
    values = sql.SQL(", ").join(sql.Placeholder() * len(row))
    statement = sql.SQL("insert into {} ({}) values ({})").format(sql.Identifier("auth", table), names, values)
    tx.execute(statement, list(row.values()))


def update(tx: Tx, user: Row, **changes: Any) -> None:
    """Writes columns of a person to row and dictionary."""
    changes["updated_at"] = now()
    user.update(changes)
    columns = sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in changes)
    tx.execute(sql.SQL("update auth.users set {} where id = %s").format(columns), [*changes.values(), user["id"]])


def merged(value: Row, changes: Row) -> Row:
    """An object with changed keys; None removes one."""
    return {name: item for name, item in {**value, **changes}.items() if item is not None}


def find(tx: Tx, condition: LiteralString, *values: Any) -> Row | None:
    """The person of whom ``condition`` is true, with identities."""
    user = tx.execute("select * from auth.users where " + condition + " limit 1", values).fetchone()
    if user is not None:
        user["raw_app_meta_data"] = user["raw_app_meta_data"] or {}
        user["raw_user_meta_data"] = user["raw_user_meta_data"] or {}
        statement = "select * from auth.identities where user_id = %s order by created_at, id"
        user["identities"] = tx.execute(statement, (user["id"],)).fetchall()
    return user


def find_by_id(tx: Tx, user_id: uuid.UUID | str) -> Row | None:
    """The person with this id."""
    return find(tx, "id = %s", user_id)


def find_by_email(tx: Tx, email: str) -> Row | None:
    """The person with this address."""
    return find(tx, "lower(email) = %s", email.lower())


def new_user(email: str | None, encrypted: str | None, data: Row | None) -> Row:
    """A new person who signs in by address, or anonymously; not yet written."""
    user: Row = {"id": uuid.uuid4(), "aud": config().jwt_aud, "role": "authenticated", "instance_id": NIL}
    user |= {"email": email, "encrypted_password": encrypted, "is_anonymous": email is None, "is_super_admin": False}
    user |= {"raw_app_meta_data": EMAIL_PROVIDER if email else {}, "raw_user_meta_data": data or {}}
    return user | dict.fromkeys(TEXTS, "") | dict.fromkeys(("created_at", "updated_at"), now())


def add_user(tx: Tx, user: Row) -> Row:
    """Writes a new person and reads what triggers made of the row.

    :raise psycopg.errors.UniqueViolation: the address or the id is taken
    """
    insert(tx, "users", user)
    return find_by_id(tx, user["id"]) or user


def add_identity(tx: Tx, user: Row, verified: bool = False, data: Row | None = None) -> None:
    """Adds the identity of the person's own address."""
    proven = {"sub": str(user["id"]), "email": user["email"], "email_verified": verified, "phone_verified": False}
    identity: Row = {"id": uuid.uuid4(), "provider_id": str(user["id"]), "user_id": user["id"], "provider": "email"}
    identity |= {"identity_data": {**(data or {}), **proven}}
    identity |= dict.fromkeys(("last_sign_in_at", "created_at", "updated_at"), now())
    insert(tx, "identities", identity)
    user["identities"].append({**identity, "email": user["email"]})


def change_identity(tx: Tx, user: Row, **changes: Any) -> None:
    """Merges keys into the data of the person's identity, in the row alone; a person without one gets it."""
    statement = "update auth.identities set identity_data = identity_data || %s where user_id = %s"
    if tx.execute(statement, (changes, user["id"])).rowcount == 0:
        add_identity(tx, user, verified=changes["email_verified"])


def confirm(tx: Tx, user: Row) -> None:
    """The address is proven: every code that was mailed is void."""
    data = merged(user["raw_user_meta_data"], {"email_verified": True})
    update(tx, user, email_confirmed_at=now(), raw_user_meta_data=data)
    clear_codes(tx, user)


def change_password(tx: Tx, user: Row, encrypted: str, keep_session: uuid.UUID | None = None) -> None:
    """Stores a password, voids every code mailed before, and ends all other sessions."""
    sent = dict.fromkeys(("confirmation_sent_at", "recovery_sent_at", "email_change_sent_at"))
    update(tx, user, encrypted_password=encrypted, **sent)
    clear_codes(tx, user)
    end_sessions(tx, user, keep_session)


def person_json(user: Row) -> Row:
    """A person as the API shows one; empty times and pending changes are left out."""
    body = {"id": str(user["id"]), "aud": user["aud"], "role": user["role"], "email": user["email"] or "", "phone": ""}
    body |= _times(user, TIMES)
    if user.get("email_change"):
        body["new_email"] = user["email_change"]
    body |= {"app_metadata": user["raw_app_meta_data"], "user_metadata": user["raw_user_meta_data"]}
    identities = user.get("identities")
    body["identities"] = None if identities is None else [_identity_json(identity) for identity in identities]
    return {**body, "is_anonymous": user["is_anonymous"]}


def _identity_json(row: Row) -> Row:
    body = {"identity_id": str(row["id"]), "id": row["provider_id"], "user_id": str(row["user_id"])}
    body |= {name: row[name] for name in ("identity_data", "provider", "email")}
    return body | _times(row, ["last_sign_in_at", "created_at", "updated_at"])


def _times(row: Row, names: list[str]) -> Row:
    return {name: row[name].astimezone(UTC).isoformat().replace("+00:00", "Z") for name in names if row.get(name)}


def clear_codes(tx: Tx, user: Row, kind: str = "%") -> None:
    """Voids a person's codes: all, or one kind."""
    tx.execute("delete from auth.one_time_tokens where user_id = %s and token_type::text like %s", (user["id"], kind))


def add_code(tx: Tx, user: Row, kind: str, address: str, hashed: str) -> None:
    """Stores the hash of a code; there is one of a kind per person."""
    clear_codes(tx, user, kind)
    row = {"id": uuid.uuid4(), "user_id": user["id"], "token_type": kind, "token_hash": hashed, "relates_to": address}
    insert(tx, "one_time_tokens", row)


def take_code(tx: Tx, hashes: list[str], kinds: list[str]) -> tuple[Row, str] | None:
    """The person whose unexpired code this is, and the code's kind. The person stays locked, so that a code is
    redeemed only once: whoever waits for the lock looks again and finds nothing."""
    statement = (
        "select user_id, token_type::text as kind from auth.one_time_tokens where token_hash = any(%s)"
        " and token_type::text = any(%s) and created_at > localtimestamp - make_interval(secs => %s)"
    )
    values = (hashes, kinds, config().otp_exp)
    found = tx.execute(statement, values).fetchone()
    if found is not None:
        tx.execute("select 1 from auth.users where id = %s for no key update", (found["user_id"],))
        found = tx.execute(statement, values).fetchone()
    user = find_by_id(tx, found["user_id"]) if found else None
    return (user, found["kind"]) if user and found else None


def open_session(tx: Tx, user: Row, method: str) -> tuple[uuid.UUID, str]:
    """A new session, proven by ``method``, and its first refresh token."""
    session_id, times = uuid.uuid4(), dict.fromkeys(("created_at", "updated_at"), now())
    insert(tx, "sessions", {"id": session_id, "user_id": user["id"], "aal": "aal1", **times})
    proof = {"id": uuid.uuid4(), "session_id": session_id, "authentication_method": method}
    insert(tx, "mfa_amr_claims", {**proof, **times})
    update(tx, user, last_sign_in_at=now())
    return session_id, add_refresh_token(tx, user, session_id, None)


def end_sessions(tx: Tx, user: Row, keep: uuid.UUID | None = None) -> None:
    """Deletes a person's sessions with their refresh tokens: all, or all but one."""
    tx.execute("delete from auth.sessions where user_id = %s and id is distinct from %s", (user["id"], keep))


def add_refresh_token(tx: Tx, user: Row, session_id: uuid.UUID, parent: str | None) -> str:
    """A new refresh token of a session."""
    token = secrets.token_hex(6)
    row = {"instance_id": NIL, "token": token, "user_id": str(user["id"]), "session_id": session_id, "parent": parent}
    insert(tx, "refresh_tokens", row | {"revoked": False} | dict.fromkeys(("created_at", "updated_at"), now()))
    return token


def find_refresh_token(tx: Tx, token: str) -> Row | None:
    """A refresh token. Its session stays locked against others who want to refresh at the same moment."""
    statement = "select * from auth.refresh_tokens where token = %s"
    found = tx.execute(statement, (token,)).fetchone()
    if found is not None:
        tx.execute("select 1 from auth.sessions where id = %s for update", (found["session_id"],))
        found = tx.execute(statement, (token,)).fetchone()
    return found
