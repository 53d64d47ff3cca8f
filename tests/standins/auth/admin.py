"""Routes for administration: people, links, invitations and the log."""

from __future__ import annotations

import base64
import hashlib
import re
import uuid
from datetime import timedelta
from typing import Any, LiteralString
from urllib.parse import urlencode

import psycopg
from flask import Blueprint, Response, jsonify, request

from tests.standins.auth import audit, mails
from tests.standins.auth.errors import DUPLICATE_EMAIL, ApiError, internal, invalid
from tests.standins.auth.formats import new_code, now, parse_duration, timestamp, token_hash
from tests.standins.auth.params import (
    AdminUserDeleteParams,
    AdminUserParams,
    GenerateLinkParams,
    InviteParams,
    SignupParams,
    read,
)
from tests.standins.auth.passwords import check_strength, encrypt, random_password
from tests.standins.auth.people import TAKEN, check_signup, insert_person, new_email_user
from tests.standins.auth.store import (
    NIL,
    Tx,
    User,
    add_code,
    add_identity,
    clear_codes,
    end_sessions,
    find_by_email,
    find_by_id,
    find_by_phone,
    find_identity,
    list_users,
    owner_of_email,
)
from tests.standins.auth.web import (
    administrator,
    allowed_redirect,
    audience,
    checked_address,
    checked_phone,
    redirect_target,
    server,
)

admin = Blueprint("admin", __name__)
PER_PAGE = 50
LARGEST_NUMBER = 2**64
LOG_COLUMNS = {"author": ("actor_username", "actor_name"), "action": ("action",), "type": ("log_type",)}
BCRYPT = re.compile(r"\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}")


@admin.get("/admin/users")
def users() -> Response:
    """One page of people, newest first."""
    administrator()
    page, per_page = _page()
    order = _order(request.args.get("sort", ""))
    with server().database.transaction() as tx:
        found, total = list_users(tx, audience(), request.args.get("filter", ""), order, page, per_page)
    response = jsonify({"users": [user.json() for user in found], "aud": audience()})
    _add_page_headers(response, page, per_page, total)
    return response


def _page() -> tuple[int, int]:
    numbers = []
    for name, default in (("page", 1), ("per_page", PER_PAGE)):
        text = request.args.get(name, "") or str(default)
        if not re.fullmatch("[0-9]+", text):
            raise invalid(f'Bad Pagination Parameters: strconv.ParseUint: parsing "{text}": invalid syntax')
        if int(text) >= LARGEST_NUMBER:
            raise invalid(f'Bad Pagination Parameters: strconv.ParseUint: parsing "{text}": value out of range')
        numbers.append(int(text))
    if numbers[1] == 0:
        raise invalid("Bad Pagination Parameters: per_page must be greater than 0")
    return numbers[0], numbers[1]


def _order(text: str) -> list[tuple[LiteralString, LiteralString]]:
    order: list[tuple[LiteralString, LiteralString]] = []
    for part in text.split(",") if text else []:
        words = part.split()
        if not words or words[0] != "created_at":
            raise invalid(f"Bad Sort Parameters: bad field for sort '{words[0] if words else ''}'")
        if len(words) > 1 and words[1] not in ("asc", "desc"):
            raise invalid(f"Bad Sort Parameters: bad direction for sort '{words[1]}', only 'asc' and 'desc' allowed")
        order.append(("created_at", "asc" if words[1:] == ["asc"] else "desc"))
    return order or [("created_at", "desc")]


def _add_page_headers(response: Response, page: int, per_page: int, total: int) -> None:
    pages = -(-total // per_page)

    def link(number: int, relation: str) -> str:
        query = urlencode(sorted((request.args.to_dict() | {"page": str(number)}).items()))
        return f'<{request.path}?{query}>; rel="{relation}"'

    following = [link(page + 1, "next")] if pages > page else []
    response.headers["Link"] = ", ".join([*following, link(pages, "last")])
    response.headers["X-Total-Count"] = str(total)


def _person(tx: Tx, user_id: str) -> User:
    """The person an address names.

    :raise ApiError: 404
    """
    try:
        user = find_by_id(tx, uuid.UUID(user_id))
    except ValueError:
        raise ApiError(404, "validation_failed", "user_id must be an UUID") from None
    if user is None:
        raise ApiError(404, "user_not_found", "User not found")
    return user


@admin.get("/admin/users/<user_id>")
def get_user(user_id: str) -> Response:
    """One person."""
    administrator()
    with server().database.transaction() as tx:
        return jsonify(_person(tx, user_id).json())


@admin.get("/admin/users/<user_id>/factors")
def get_factors(user_id: str) -> Response:
    """A person's second factors: there are none."""
    administrator()
    with server().database.transaction() as tx:
        _person(tx, user_id)
    return jsonify([])


@admin.post("/admin/users")
def create_user() -> Response:
    """Creates a person, with any id, address and rights; without a password a random one is set."""
    actor = administrator()
    params = read(request.get_data(), AdminUserParams)
    aud = params.aud or audience()
    if not params.email and not params.phone:
        raise invalid("Cannot create a user without either an email or phone")
    with server().database.transaction() as tx:
        providers = _check_new_contacts(tx, params, aud)
    user = _new_user(params, aud, providers)
    ban = _ban_seconds(params)
    try:
        with server().database.transaction() as tx:
            _keep_created(tx, actor, user, params, ban)
    except psycopg.errors.UniqueViolation as error:
        if error.diag.constraint_name in TAKEN:
            raise ApiError(422, "email_exists", DUPLICATE_EMAIL, error) from error
        raise internal("Database error creating new user", error) from error
    except (ApiError, psycopg.Error) as error:
        cause = error.cause if isinstance(error, ApiError) else error
        raise internal("Database error creating new user", cause) from error
    return jsonify(user.json())


def _check_new_contacts(tx: Tx, params: AdminUserParams, aud: str) -> list[str]:
    """The providers the new person will have."""
    providers = []
    if params.email:
        params.email = checked_address(params.email)
        if owner_of_email(tx, params.email, aud) is not None:
            raise ApiError(422, "email_exists", DUPLICATE_EMAIL)
        providers.append("email")
    if params.phone:
        params.phone = checked_phone(params.phone)
        if find_by_phone(tx, params.phone, aud) is not None:
            raise ApiError(422, "phone_exists", "Phone number already registered by another user")
        providers.append("phone")
    if params.password is not None and params.password_hash:
        raise invalid("Only a password or a password hash should be provided")
    return providers


def _new_user(params: AdminUserParams, aud: str, providers: list[str]) -> User:
    if params.password_hash:
        if not BCRYPT.fullmatch(params.password_hash):
            raise internal("Error creating user")
        encrypted = params.password_hash
    else:
        encrypted = encrypt(params.password or random_password())
    user = User(uuid.uuid4(), aud, email=params.email or None, phone=params.phone or None)
    if params.id:
        try:
            user.id = uuid.UUID(params.id)
        except ValueError:
            raise invalid("ID must conform to the uuid v4 format") from None
        if user.id == NIL:
            raise invalid("ID cannot be a nil uuid")
    user.encrypted_password = encrypted
    user.raw_user_meta_data = params.user_metadata or {}
    user.raw_app_meta_data = {"provider": providers[0], "providers": providers}
    return user


def _keep_created(tx: Tx, actor: User, user: User, params: AdminUserParams, ban: float | None) -> None:
    user.insert(tx)
    user.identities = []
    if user.email:
        user.identities.append(add_identity(tx, user, "email", {"email": user.email}))
    if user.phone:
        user.identities.append(add_identity(tx, user, "phone", {"phone": user.phone}))
    audit.record(tx, actor, "user_signedup", _traits(user) | {"provider": user.raw_app_meta_data["provider"]})
    user.update(tx, role=params.role.strip() or server().config.jwt_default_role)
    if params.app_metadata is not None:
        user.merge_app_metadata(tx, params.app_metadata)
    if params.email_confirm:
        user.confirm(tx)
    if params.phone_confirm:
        user.confirm_phone(tx)
    _ban(tx, user, ban)


def _ban_seconds(params: AdminUserParams) -> float | None:
    """Seconds of the ban asked for; 0 lifts one, None leaves it."""
    if not params.ban_duration:
        return None
    if params.ban_duration == "none":
        return 0.0
    try:
        return parse_duration(params.ban_duration)
    except ValueError as error:
        raise invalid(f"invalid format for ban duration: {error}") from None


def _ban(tx: Tx, user: User, seconds: float | None) -> None:
    if seconds is not None:
        user.update(tx, banned_until=None if seconds == 0 else now() + timedelta(seconds=seconds))


def _traits(user: User) -> dict[str, Any]:
    return {"user_id": str(user.id), "user_email": user.email or "", "user_phone": user.phone or ""}


@admin.put("/admin/users/<user_id>")
def update_user(user_id: str) -> Response:
    """Changes a person. A new password ends all sessions."""
    actor = administrator()
    with server().database.transaction() as tx:
        user = _person(tx, user_id)
    params = read(request.get_data(), AdminUserParams)
    if params.email:
        params.email = checked_address(params.email)
    if params.phone:
        params.phone = checked_phone(params.phone)
    ban = _ban_seconds(params)
    encrypted = None
    if params.password is not None:
        check_strength(server().config, params.password)
        encrypted = encrypt(params.password)
    try:
        with server().database.transaction() as tx:
            _keep_updated(tx, actor, user, params, encrypted, ban)
    except psycopg.Error as error:
        raise internal("Error updating user", error) from error
    return jsonify(user.json())


def _keep_updated(
    tx: Tx, actor: User, user: User, params: AdminUserParams, encrypted: str | None, ban: float | None
) -> None:
    if params.role:
        user.update(tx, role=params.role.strip())
    if params.email_confirm:
        user.confirm(tx)
    if params.phone_confirm:
        user.confirm_phone(tx)
    if encrypted is not None:
        user.change_password(tx, encrypted, keep_session=None)
    added = []
    if params.email:
        data = {"email": params.email, "email_verified": params.email_confirm}
        added += _set_contact(tx, user, "email", params.email, data, params.email_confirm)
    if params.phone:
        data = {"phone": params.phone, "phone_verified": params.phone_confirm}
        added += _set_contact(tx, user, "phone", params.phone, data, params.phone_confirm)
    user.identities = [*(user.identities or []), *added]
    if params.app_metadata is not None:
        user.merge_app_metadata(tx, params.app_metadata)
    if params.user_metadata is not None:
        user.merge_user_metadata(tx, params.user_metadata)
    _ban(tx, user, ban)
    audit.record(tx, actor, "user_modified", _traits(user))


def _set_contact(tx: Tx, user: User, provider: str, value: str, data: dict[str, Any], confirmed: bool) -> list[Any]:
    """Gives the person another address or number. Answers an identity only if it is new: one that was there keeps, in
    this answer, the data it was loaded with."""
    identity = find_identity(tx, user.id, provider)
    added = []
    if identity is None:
        added.append(add_identity(tx, user, provider, data))
    else:
        identity.merge(tx, data)
    if user.is_anonymous and confirmed:
        user.update(tx, is_anonymous=False)
    user.update(tx, **{provider: value})
    return added


@admin.delete("/admin/users/<user_id>")
def delete_user(user_id: str) -> Response:
    """Deletes a person, or blurs everything that could identify him and keeps the row."""
    actor = administrator()
    with server().database.transaction() as tx:
        user = _person(tx, user_id)
    body = request.get_data()
    soft = bool(body) and read(body, AdminUserDeleteParams).should_soft_delete
    try:
        with server().database.transaction() as tx:
            audit.record(tx, actor, "user_deleted", _traits(user))
            if not soft:
                tx.execute("delete from auth.users where id = %s", (user.id,))
            elif user.deleted_at is None:
                _soft_delete(tx, user)
    except psycopg.Error as error:
        raise internal("Database error deleting user", error) from error
    return jsonify({})


def _soft_delete(tx: Tx, user: User) -> None:
    def blurred(value: str | None) -> str:
        digest = hashlib.sha256(f"{user.id}{value or ''}".encode()).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    user.update(
        tx,
        email=blurred(user.email),
        phone=blurred(user.phone)[:15],
        email_change=blurred(user.email_change),
        phone_change=blurred(user.phone_change)[:15],
        encrypted_password=None,
        confirmation_token="",
        recovery_token="",
        email_change_token_current="",
        email_change_token_new="",
        phone_change_token="",
        raw_user_meta_data={},
        raw_app_meta_data={},
        deleted_at=now(),
    )
    clear_codes(tx, user.id)
    for identity in user.identities or []:
        tx.execute(
            "update auth.identities set identity_data = '{}', provider_id = %s where id = %s",
            (blurred(f"{identity.provider}:{identity.provider_id}"), identity.id),
        )
    tx.execute("delete from auth.mfa_factors where user_id = %s", (user.id,))
    end_sessions(tx, user.id)


@admin.post("/invite")
def invite() -> Response:
    """Invites an address that has no confirmed person yet."""
    actor = administrator()
    params = read(request.get_data(), InviteParams)
    email = checked_address(params.email)
    with server().database.transaction() as tx:
        user = _invited(tx, actor, email, params.data)
        mails.send_invite(tx, server().config, user)
    return jsonify(user.json())


def _invited(tx: Tx, actor: User, email: str, data: dict[str, Any] | None) -> User:
    user = find_by_email(tx, email, audience())
    if user is not None and user.confirmed:
        raise ApiError(422, "email_exists", DUPLICATE_EMAIL)
    if user is None:
        user = _new_person(tx, email, "", data)
    audit.record(tx, actor, "user_invited", {"user_id": str(user.id), "user_email": user.email})
    return user


def _new_person(tx: Tx, email: str, encrypted: str, data: dict[str, Any] | None) -> User:
    user = new_email_user(email, encrypted, audience(), data)
    try:
        insert_person(tx, user)
    except psycopg.errors.UniqueViolation as error:
        raise ApiError(422, "email_exists", DUPLICATE_EMAIL, error) from error
    user.identities = [add_identity(tx, user, "email", {"email": email})]
    return user


@admin.post("/admin/generate_link")
def generate_link() -> Response:
    """Makes the code and link of a mail without sending it. A magic link for an unknown address is a sign-up."""
    actor = administrator()
    params = read(request.get_data(), GenerateLinkParams)
    params.email = checked_address(params.email)
    target = params.redirect_to if allowed_redirect(params.redirect_to) else redirect_target()
    with server().database.transaction() as tx:
        user = find_by_email(tx, params.email, audience())
    encrypted = _prepare_link(params, user)
    if params.type not in mails.LINK_KINDS:
        raise invalid(f"Invalid email action link type requested: {params.type}")
    config = server().config
    code = new_code(config.otp_length)
    hashed = token_hash(params.email, code)
    with server().database.transaction() as tx:
        user = _keep_link(tx, actor, params, user, encrypted, code, hashed)
    link = mails.action_link(config, user, params.type, target)
    added = {"action_link": link, "email_otp": code, "hashed_token": hashed}
    return jsonify(user.json() | added | {"verification_type": params.type, "redirect_to": target})


def _prepare_link(params: GenerateLinkParams, user: User | None) -> str:
    """Settles what an unknown address means; the hash of a sign-up's password."""
    if user is not None:
        return ""
    if params.type == "magiclink":
        params.type, params.password = "signup", random_password()
    if params.type in ("recovery", "email_change_current", "email_change_new"):
        raise ApiError(404, "user_not_found", "User with this email not found")
    if params.type != "signup":
        return ""
    check_signup(SignupParams(email=params.email, password=params.password, data=params.data))
    return encrypt(params.password)


def _keep_link(
    tx: Tx, actor: User, params: GenerateLinkParams, user: User | None, encrypted: str, code: str, hashed: str
) -> User:
    moment = now()
    if params.type == "invite":
        user = _invited(tx, actor, params.email, params.data)
        user.update(tx, confirmation_token=hashed, confirmation_sent_at=moment, invited_at=moment)
        add_code(tx, user.id, user.email or "", hashed, "confirmation_token")
    elif params.type == "signup":
        if user is None:
            user = _new_person(tx, params.email, encrypted, params.data)
        elif user.confirmed:
            raise ApiError(422, "email_exists", DUPLICATE_EMAIL)
        else:
            user.merge_user_metadata(tx, params.data or {})
        user.update(tx, confirmation_token=hashed, confirmation_sent_at=moment)
        add_code(tx, user.id, user.email or "", hashed, "confirmation_token")
    elif user is None:
        raise ApiError(404, "user_not_found", "User with this email not found")
    elif params.type in ("magiclink", "recovery"):
        audit.record(tx, user, "user_recovery_requested")
        user.update(tx, recovery_token=hashed, recovery_sent_at=moment)
        add_code(tx, user.id, user.email or "", hashed, "recovery_token")
    else:
        _keep_email_change_link(tx, params, user, code, hashed)
    return user


def _keep_email_change_link(tx: Tx, params: GenerateLinkParams, user: User, code: str, hashed: str) -> None:
    current = params.type == "email_change_current"
    if current and not server().config.secure_email_change:
        raise invalid("Enable secure email change to generate link for current email")
    params.new_email = checked_address(params.new_email)
    if owner_of_email(tx, params.new_email, user.aud or "", besides=user.id) is not None:
        raise ApiError(422, "email_exists", DUPLICATE_EMAIL)
    token = (
        {"email_change_token_current": hashed}
        if current
        else {"email_change_token_new": token_hash(params.new_email, code)}
    )
    changes = {"email_change": params.new_email, "email_change_sent_at": now(), "email_change_confirm_status": 0}
    user.update(tx, **changes, **token)
    mails.store_email_change_codes(tx, user)


@admin.get("/admin/audit")
def audit_log() -> Response:
    """The log, newest first; ``query=author:`` ``action:`` or ``type:`` searches it."""
    administrator()
    page, per_page = _page()
    query = request.args.get("query", "")
    scope, _, value = query.partition(":")
    if query and (scope not in LOG_COLUMNS or ":" not in query):
        raise invalid(f"Invalid query scope: {query}")
    conditions = " or ".join(f"payload ->> '{name}' ilike %(value)s" for name in LOG_COLUMNS.get(scope, ()))
    where = f"instance_id = %(nil)s and ({conditions or 'true'})"
    values = {"nil": NIL, "value": f"%{value}%", "limit": per_page, "offset": max(page - 1, 0) * per_page}
    with server().database.transaction() as tx:
        counted = tx.execute(f"select count(*) as total from auth.audit_log_entries where {where}".encode(), values)
        total = (counted.fetchone() or {"total": 0})["total"]
        rows = tx.execute(
            f"select id, payload, created_at, ip_address from auth.audit_log_entries where {where}"
            " order by created_at desc limit %(limit)s offset %(offset)s".encode(),
            values,
        ).fetchall()
    response = jsonify([row | {"id": str(row["id"]), "created_at": timestamp(row["created_at"])} for row in rows])
    _add_page_headers(response, page, per_page, total)
    return response
