"""Rows of the ``auth`` schema as objects, and the statements that find and change them.

Objects behave as the real server's models do, because its answers show it: a change is written to row and object, but
generated columns and identities keep the state in which they were loaded until they are loaded again.
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import class_row, dict_row
from psycopg.types.json import Jsonb

from tests.standins.auth.formats import new_refresh_token, now, timestamp

NIL = uuid.UUID(int=0)
CONNECT_SECONDS = 3

Tx = psycopg.Connection[dict[str, Any]]


class Database:
    """Connections for as many requests as run at once. Each is tried before use: one that the database closed is
    replaced at once, and a database that is gone is an error at once."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._idle: deque[Tx] = deque()

    @contextmanager
    def transaction(self) -> Iterator[Tx]:
        """One transaction: kept when the block ends, rolled back when it raises.

        :raise psycopg.OperationalError: the database does not answer
        """
        connection = self._living()
        try:
            with connection.transaction():
                yield connection
        finally:
            if not connection.closed:
                self._idle.append(connection)

    def _living(self) -> Tx:
        while self._idle:
            connection = self._idle.pop()
            try:
                connection.execute("select 1")
                return connection
            except psycopg.OperationalError:
                connection.close()
        return psycopg.connect(
            self._url,
            autocommit=True,
            row_factory=dict_row,
            connect_timeout=CONNECT_SECONDS,
            application_name="auth",
            options="-c search_path=auth",
        )


@dataclass
class Identity:
    """A way to sign in: for us always ``email`` or ``phone`` with the person's own id."""

    id: uuid.UUID
    provider_id: str
    user_id: uuid.UUID
    identity_data: dict[str, Any]
    provider: str
    last_sign_in_at: datetime | None
    created_at: datetime
    updated_at: datetime
    email: str | None

    def merge(self, tx: Tx, changes: dict[str, Any]) -> None:
        """Merges keys into the identity's data; None removes a key."""
        merge(self.identity_data, changes)
        tx.execute("update auth.identities set identity_data = %s where id = %s", (Jsonb(self.identity_data), self.id))

    def json(self) -> dict[str, Any]:
        """As part of a person's JSON."""
        body: dict[str, Any] = {
            "identity_id": str(self.id),
            "id": self.provider_id,
            "user_id": str(self.user_id),
            "identity_data": self.identity_data,
            "provider": self.provider,
            "last_sign_in_at": self.last_sign_in_at and timestamp(self.last_sign_in_at),
            "created_at": timestamp(self.created_at),
            "updated_at": timestamp(self.updated_at),
            "email": self.email,
        }
        return {name: value for name, value in body.items() if value}


@dataclass
class User:
    """A person: one row of auth.users, with the identities that were loaded along."""

    id: uuid.UUID
    aud: str | None
    role: str | None = None
    email: str | None = None
    encrypted_password: str | None = None
    email_confirmed_at: datetime | None = None
    invited_at: datetime | None = None
    confirmation_token: str | None = ""
    confirmation_sent_at: datetime | None = None
    recovery_token: str | None = ""
    recovery_sent_at: datetime | None = None
    email_change_token_new: str | None = ""
    email_change: str | None = ""
    email_change_sent_at: datetime | None = None
    last_sign_in_at: datetime | None = None
    raw_app_meta_data: dict[str, Any] = field(default_factory=dict)
    raw_user_meta_data: dict[str, Any] = field(default_factory=dict)
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)
    phone: str | None = None
    phone_confirmed_at: datetime | None = None
    phone_change: str | None = ""
    phone_change_token: str | None = ""
    phone_change_sent_at: datetime | None = None
    confirmed_at: datetime | None = None
    email_change_token_current: str | None = ""
    email_change_confirm_status: int = 0
    banned_until: datetime | None = None
    reauthentication_token: str | None = ""
    reauthentication_sent_at: datetime | None = None
    is_sso_user: bool = False
    deleted_at: datetime | None = None
    is_anonymous: bool = False
    identities: list[Identity] | None = None

    @property
    def confirmed(self) -> bool:
        """Whether the address was confirmed."""
        return self.email_confirmed_at is not None

    @property
    def banned(self) -> bool:
        """Whether a ban is in force."""
        return self.banned_until is not None and now() < self.banned_until

    def insert(self, tx: Tx) -> None:
        """Writes a new row."""
        row = {name: getattr(self, name) for name in COLUMNS if name != "confirmed_at"}
        row |= {"instance_id": NIL, "is_super_admin": False}
        names = sql.SQL(", ").join(map(sql.Identifier, row))
        places = sql.SQL(", ").join(sql.Placeholder() * len(row))
        tx.execute(
            sql.SQL("insert into auth.users ({}) values ({})").format(names, places), [_adapt(v) for v in row.values()]
        )

    def update(self, tx: Tx, **changes: Any) -> None:
        """Writes the given columns to row and object; the row's ``updated_at`` moves along."""
        changes["updated_at"] = now()
        for name, value in changes.items():
            setattr(self, name, value)
        columns = sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in changes)
        statement = sql.SQL("update auth.users set {} where id = %s").format(columns)
        tx.execute(statement, [*(_adapt(value) for value in changes.values()), self.id])

    def reload(self, tx: Tx) -> None:
        """Reads the row again: triggers and generated columns may have changed it. Identities stay as they are."""
        fresh = _one(tx, sql.SQL("id = %s"), (self.id,))
        if fresh is not None:
            for name in COLUMNS:
                setattr(self, name, getattr(fresh, name))

    def load_identities(self, tx: Tx) -> None:
        """Reads the identities again."""
        self.identities = identities_of(tx, self.id)

    def merge_user_metadata(self, tx: Tx, changes: dict[str, Any]) -> None:
        """Merges keys into user_metadata; None removes a key."""
        merge(self.raw_user_meta_data, changes)
        self.update(tx, raw_user_meta_data=self.raw_user_meta_data)

    def merge_app_metadata(self, tx: Tx, changes: dict[str, Any]) -> None:
        """Merges keys into app_metadata; None removes a key."""
        merge(self.raw_app_meta_data, changes)
        self.update(tx, raw_app_meta_data=self.raw_app_meta_data)

    def refresh_providers(self, tx: Tx) -> None:
        """Makes app_metadata name the providers of the stored identities."""
        rows = tx.execute("select provider from auth.identities where user_id = %s", (self.id,)).fetchall()
        providers = list(dict.fromkeys(row["provider"] for row in rows))
        first = {"provider": providers[0]} if providers else {}
        self.merge_app_metadata(tx, {"providers": providers} | first)

    def confirm(self, tx: Tx) -> None:
        """The address is proven: all one-time tokens go."""
        self.update(tx, confirmation_token="", email_confirmed_at=now())
        self.merge_user_metadata(tx, {"email_verified": True})
        clear_codes(tx, self.id)

    def confirm_phone(self, tx: Tx) -> None:
        """The number is proven: all one-time tokens go."""
        self.update(tx, confirmation_token="", phone_confirmed_at=now())
        clear_codes(tx, self.id)

    def change_password(self, tx: Tx, encrypted: str | None, keep_session: uuid.UUID | None) -> None:
        """Stores a password, voids every code mailed before, and ends all other sessions."""
        self.update(
            tx,
            encrypted_password=encrypted,
            confirmation_token="",
            confirmation_sent_at=None,
            recovery_token="",
            recovery_sent_at=None,
            email_change_token_current="",
            email_change_token_new="",
            email_change_sent_at=None,
            phone_change_token="",
            phone_change_sent_at=None,
            reauthentication_token="",
            reauthentication_sent_at=None,
        )
        clear_codes(tx, self.id)
        end_sessions(tx, self.id, keep=keep_session)

    def json(self) -> dict[str, Any]:
        """As the API shows a person; empty times and pending changes are left out."""
        body: dict[str, Any] = {"id": str(self.id), "aud": self.aud or "", "role": self.role or ""}
        body["email"] = self.email or ""
        self._times(body, "email_confirmed_at", "invited_at")
        body["phone"] = self.phone or ""
        self._times(body, "phone_confirmed_at", "confirmation_sent_at", "confirmed_at", "recovery_sent_at")
        if self.email_change:
            body["new_email"] = self.email_change
        self._times(body, "email_change_sent_at")
        if self.phone_change:
            body["new_phone"] = self.phone_change
        self._times(body, "phone_change_sent_at", "reauthentication_sent_at", "last_sign_in_at")
        body["app_metadata"] = self.raw_app_meta_data
        body["user_metadata"] = self.raw_user_meta_data
        body["identities"] = None if self.identities is None else [one.json() for one in self.identities]
        self._times(body, "created_at", "updated_at", "banned_until", "deleted_at")
        body["is_anonymous"] = self.is_anonymous
        return body

    def _times(self, body: dict[str, Any], *names: str) -> None:
        for name in names:
            moment = getattr(self, name)
            if moment is not None:
                body[name] = timestamp(moment)


COLUMNS = tuple(column.name for column in fields(User) if column.name != "identities")
NOT_NULL = {"raw_app_meta_data": "'{}'::jsonb", "raw_user_meta_data": "'{}'::jsonb", "created_at": "'epoch'"}
NOT_NULL |= {"updated_at": "'epoch'", "email_change_confirm_status": "0"}
SELECTED = ", ".join(f"coalesce({name}, {NOT_NULL[name]}) as {name}" if name in NOT_NULL else name for name in COLUMNS)
SELECT_USERS = sql.SQL("select {} from auth.users where instance_id = %s and ").format(sql.SQL(SELECTED))


@dataclass
class Session:
    """A signed-in device; ``amr`` are the proofs it was opened with, newest first."""

    id: uuid.UUID
    user_id: uuid.UUID
    created_at: datetime
    aal: str
    not_after: datetime | None
    refreshed_at: datetime | None
    amr: list[dict[str, Any]] = field(default_factory=list)

    def last_refreshed(self, token_time: datetime) -> datetime:
        """When the session was last refreshed; its start before the first time."""
        if self.refreshed_at is not None:
            return self.refreshed_at.replace(tzinfo=UTC)
        return max(token_time, self.created_at)


@dataclass
class RefreshToken:
    """One link of a session's chain of refresh tokens."""

    id: int
    token: str
    user_id: str
    session_id: uuid.UUID | None
    revoked: bool
    parent: str | None
    updated_at: datetime


def merge(target: dict[str, Any], changes: dict[str, Any]) -> None:
    """Merges top-level keys; None removes one."""
    for name, value in changes.items():
        if value is None:
            target.pop(name, None)
        else:
            target[name] = value


def find_by_id(tx: Tx, user_id: uuid.UUID) -> User | None:
    """The person with this id."""
    return _with_identities(tx, _one(tx, sql.SQL("id = %s"), (user_id,)))


def find_by_email(tx: Tx, email: str, aud: str) -> User | None:
    """The person with this address who does not come from single sign-on."""
    return _with_identities(
        tx, _one(tx, sql.SQL("lower(email) = %s and aud = %s and is_sso_user = false"), (email.lower(), aud))
    )


def find_by_phone(tx: Tx, phone: str, aud: str) -> User | None:
    """The person with this number who does not come from single sign-on."""
    return _with_identities(tx, _one(tx, sql.SQL("phone = %s and aud = %s and is_sso_user = false"), (phone, aud)))


def owner_of_email(tx: Tx, email: str, aud: str, besides: uuid.UUID | None = None) -> User | None:
    """Whoever already signs in with this address, through an identity or as the account's own address."""
    rows = tx.execute(
        "select distinct user_id from auth.identities where email = %s and provider not like 'sso:%%'", (email.lower(),)
    ).fetchall()
    for row in rows:
        user = find_by_id(tx, row["user_id"]) if row["user_id"] != besides else None
        if user is not None and user.aud == aud:
            return user
    return find_by_email(tx, email, aud)


def list_users(
    tx: Tx, aud: str, search: str, order: list[tuple[LiteralString, LiteralString]], page: int, per_page: int
) -> tuple[list[User], int]:
    """One page of people, without identities, and how many there are in all."""
    condition: sql.SQL | sql.Composed = sql.SQL("aud = %s")
    values: list[Any] = [NIL, aud]
    if search:
        condition += sql.SQL(" and (email like %s or raw_user_meta_data ->> 'full_name' ilike %s)")
        values += [f"%{search}%"] * 2
    counted = sql.SQL("select count(*) as total from auth.users where instance_id = %s and ") + condition
    total = tx.execute(counted, values).fetchone()
    ordering = sql.SQL(", ").join(sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(way)) for name, way in order)
    statement = SELECT_USERS + condition + sql.SQL(" order by {} limit %s offset %s").format(ordering)
    with tx.cursor(row_factory=class_row(User)) as cursor:
        cursor.execute(statement, [*values, per_page, max(page - 1, 0) * per_page])
        return cursor.fetchall(), int(total["total"]) if total else 0


def _one(tx: Tx, condition: sql.Composable, values: tuple[Any, ...]) -> User | None:
    with tx.cursor(row_factory=class_row(User)) as cursor:
        cursor.execute(SELECT_USERS + condition + sql.SQL(" limit 1"), (NIL, *values))
        return cursor.fetchone()


def _with_identities(tx: Tx, user: User | None) -> User | None:
    if user is not None:
        user.load_identities(tx)
    return user


def identities_of(tx: Tx, user_id: uuid.UUID) -> list[Identity]:
    """A person's identities."""
    return _identities(tx, sql.SQL("user_id = %s"), (user_id,))


def find_identity(tx: Tx, user_id: uuid.UUID, provider: str) -> Identity | None:
    """A person's own identity at ``email`` or ``phone``."""
    found = _identities(tx, sql.SQL("provider_id = %s and provider = %s"), (str(user_id), provider))
    return found[0] if found else None


def _identities(tx: Tx, condition: sql.SQL, values: tuple[Any, ...]) -> list[Identity]:
    with tx.cursor(row_factory=class_row(Identity)) as cursor:
        statement = sql.SQL(
            "select id, provider_id, user_id, identity_data, provider, last_sign_in_at,"
            " coalesce(created_at, 'epoch') as created_at, coalesce(updated_at, 'epoch') as updated_at, email"
            " from auth.identities where "
        )
        cursor.execute(statement + condition + sql.SQL(" order by created_at, id"), values)
        return cursor.fetchall()


def add_identity(tx: Tx, user: User, provider: str, data: dict[str, Any]) -> Identity:
    """Adds the person's own identity at ``email`` or ``phone``; ``data`` is completed in place."""
    for name in ("email_verified", "phone_verified"):
        data.setdefault(name, False)
    data["sub"] = str(user.id)
    if "email" in data:
        data["email"] = str(data["email"]).lower()
    moment = now()
    identity = Identity(uuid.uuid4(), str(user.id), user.id, data, provider, moment, moment, moment, data.get("email"))
    tx.execute(
        "insert into auth.identities (id, provider_id, user_id, identity_data, provider, last_sign_in_at,"
        " created_at, updated_at) values (%s, %s, %s, %s, %s, %s, %s, %s)",
        (identity.id, identity.provider_id, user.id, Jsonb(data), provider, moment, moment, moment),
    )
    return identity


def clear_codes(tx: Tx, user_id: uuid.UUID, kind: str | None = None) -> None:
    """Voids a person's one-time tokens: all, or one kind."""
    tx.execute(
        "delete from auth.one_time_tokens where user_id = %s and (%s::text is null or token_type::text = %s)",
        (user_id, kind, kind),
    )


def add_code(tx: Tx, user_id: uuid.UUID, relates_to: str, hashed: str, kind: str) -> None:
    """Stores a one-time token; there is one of a kind per person."""
    clear_codes(tx, user_id, kind)
    tx.execute(
        "insert into auth.one_time_tokens (id, user_id, token_type, token_hash, relates_to)"
        " values (%s, %s, %s::auth.one_time_token_type, %s, %s)",
        (uuid.uuid4(), user_id, kind, hashed, relates_to.lower()),
    )


def take_code(tx: Tx, hashes: list[str], kinds: tuple[str, ...]) -> User | None:
    """The person whose one-time token this is. He stays locked, so that a token is redeemed only once: whoever waits
    for the lock looks again and finds nothing. Every change locks the person first, then what belongs to him."""
    statement = (
        "select user_id from auth.one_time_tokens where token_hash = any(%s) and token_type::text = any(%s) limit 1"
    )
    found = tx.execute(statement, (hashes, list(kinds))).fetchone()
    if found is not None:
        tx.execute("select 1 from auth.users where id = %s for no key update", (found["user_id"],))
        found = tx.execute(statement, (hashes, list(kinds))).fetchone()
    return find_by_id(tx, found["user_id"]) if found else None


def code_exists(tx: Tx, hashed: str, kind: str) -> bool:
    """Whether a one-time token of this kind is stored."""
    statement = "select 1 from auth.one_time_tokens where token_hash = %s and token_type::text = %s"
    return tx.execute(statement, (hashed, kind)).fetchone() is not None


def find_session(tx: Tx, session_id: uuid.UUID) -> Session | None:
    """A session with its proofs."""
    with tx.cursor(row_factory=class_row(Session)) as cursor:
        cursor.execute(
            "select id, user_id, coalesce(created_at, 'epoch') as created_at, coalesce(aal::text, 'aal1') as aal,"
            " not_after, refreshed_at from auth.sessions where id = %s",
            (session_id,),
        )
        session = cursor.fetchone()
    if session is not None:
        rows = tx.execute(
            "select authentication_method as method, floor(extract(epoch from updated_at))::bigint as timestamp"
            " from auth.mfa_amr_claims where session_id = %s order by updated_at desc",
            (session_id,),
        )
        session.amr = rows.fetchall()
    return session


def open_session(tx: Tx, user: User, method: str, agent: str, address: str) -> tuple[uuid.UUID, str]:
    """A new session, proven by ``method``, and its first refresh token."""
    session_id, moment = uuid.uuid4(), now()
    tx.execute(
        "insert into auth.sessions (id, user_id, created_at, updated_at, aal, user_agent, ip)"
        " values (%s, %s, %s, %s, 'aal1', %s, %s)",
        (session_id, user.id, moment, moment, agent or None, address or None),
    )
    token = add_refresh_token(tx, user.id, session_id, None)
    user.update(tx, last_sign_in_at=user.last_sign_in_at)
    tx.execute(
        "insert into auth.mfa_amr_claims (id, session_id, created_at, updated_at, authentication_method)"
        " values (%s, %s, %s, %s, %s)",
        (uuid.uuid4(), session_id, moment, moment, method),
    )
    return session_id, token


def end_sessions(tx: Tx, user_id: uuid.UUID, keep: uuid.UUID | None = None) -> None:
    """Deletes a person's sessions with their refresh tokens: all, or all but one."""
    tx.execute("delete from auth.sessions where user_id = %s and (%s::uuid is null or id <> %s)", (user_id, keep, keep))


def add_refresh_token(tx: Tx, user_id: uuid.UUID, session_id: uuid.UUID, parent: str | None) -> str:
    """A new refresh token of a session."""
    token, moment = new_refresh_token(), now()
    tx.execute(
        "insert into auth.refresh_tokens (instance_id, token, user_id, session_id, parent, revoked, created_at,"
        " updated_at) values (%s, %s, %s, %s, %s, false, %s, %s)",
        (NIL, token, str(user_id), session_id, parent, moment, moment),
    )
    return token


def find_refresh_token(tx: Tx, token: str) -> RefreshToken | None:
    """A refresh token. Its session stays locked against others who want to refresh at the same moment."""
    found = _refresh_token(tx, sql.SQL("token = %s"), (token,))
    if found is None or found.session_id is None:
        return found
    tx.execute("select 1 from auth.sessions where id = %s for update", (found.session_id,))
    return _refresh_token(tx, sql.SQL("token = %s"), (token,))


def active_refresh_token(tx: Tx, session_id: uuid.UUID) -> RefreshToken | None:
    """The last refresh token of a session that was not revoked."""
    condition = sql.SQL("session_id = %s and revoked is false order by id desc limit 1")
    return _refresh_token(tx, condition, (session_id,))


def _refresh_token(tx: Tx, condition: sql.SQL, values: tuple[Any, ...]) -> RefreshToken | None:
    with tx.cursor(row_factory=class_row(RefreshToken)) as cursor:
        statement = sql.SQL(
            "select id, token, user_id, session_id, coalesce(revoked, false) as revoked, parent,"
            " coalesce(updated_at, 'epoch') as updated_at from auth.refresh_tokens where "
        )
        cursor.execute(statement + condition, values)
        return cursor.fetchone()


def _adapt(value: Any) -> Any:
    return Jsonb(value) if isinstance(value, dict) else value
