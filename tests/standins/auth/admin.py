"""Routes for administration: people, links and invitations."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta
from typing import Any

import psycopg
from flask import Blueprint, Response, jsonify, request
from psycopg import sql

from tests.standins.auth import mail, store, tokens
from tests.standins.auth.config import config, parse_duration
from tests.standins.auth.people import check_password, encrypt
from tests.standins.auth.store import Row, Tx, now, transaction
from tests.standins.auth.web import ApiError, checked_address, email_exists, invalid, read, redirect_target

admin = Blueprint("admin", __name__)
PER_PAGE = 50
MAX_NUMBER = 2**31
PERSON = {"email": str, "password": str, "email_confirm": bool, "ban_duration": str}
PERSON |= {"role": str, "app_metadata": dict, "user_metadata": dict}


@admin.before_request
def _only_administrators() -> None:
    if tokens.claims().get("role") not in config().admin_roles:
        raise ApiError(403, "not_admin", "User not allowed")


@admin.get("/admin/users")
def users() -> Response:
    """One page of people, newest first."""
    page, per_page = _number("page", 1), _number("per_page", PER_PAGE)
    with transaction() as tx:
        total = tx.execute("select count(*) as total from auth.users").fetchall()[0]["total"]
        statement = "select * from auth.users order by created_at desc limit %s offset %s"
        found = tx.execute(statement, (per_page, max(page - 1, 0) * per_page)).fetchall()
    response = jsonify({"users": [store.person_json(user) for user in found], "aud": config().jwt_aud})
    last = -(-total // per_page)
    links = [(page + 1, "next"), (last, "last")] if page < last else [(last, "last")]
    path = "/admin/users?page={}&per_page={}"
    response.headers["Link"] = ", ".join(f'<{path.format(at, per_page)}>; rel="{name}"' for at, name in links)
    response.headers["X-Total-Count"] = str(total)
    return response


def _number(name: str, default: int) -> int:
    text = request.args.get(name) or str(default)
    if not re.fullmatch("[0-9]+", text) or not 0 <= int(text) < MAX_NUMBER or (name == "per_page" and int(text) == 0):
        raise invalid(f"Bad Pagination Parameters: {name} must be a positive number")
    return int(text)


def _person(tx: Tx, user_id: str) -> Row:
    try:
        user = store.find_by_id(tx, uuid.UUID(user_id))
    except ValueError:
        raise ApiError(404, "validation_failed", "user_id must be an UUID") from None
    if user is None:
        raise ApiError(404, "user_not_found", "User not found")
    return user


@admin.get("/admin/users/<user_id>")
def get_user(user_id: str) -> Response:
    """One person."""
    with transaction() as tx:
        return jsonify(store.person_json(_person(tx, user_id)))


@admin.post("/admin/users")
def create_user() -> Response:
    """Creates a person, with any id, address and rights; without a password a random one is set."""
    body = read(id=str, **PERSON)
    if not body.email:
        raise invalid("Cannot create a user without either an email or phone")
    user = store.new_user(checked_address(body.email), encrypt(body.password), body.user_metadata)
    try:
        user["id"] = uuid.UUID(body.id) if body.id else user["id"]
    except ValueError:
        raise invalid("ID must conform to the uuid v4 format") from None
    try:
        with transaction() as tx:
            user = store.add_user(tx, user)
            store.add_identity(tx, user)
            _write(tx, user, body)
    except psycopg.errors.UniqueViolation as error:
        raise email_exists() from error
    return jsonify(store.person_json(user))


def _write(tx: Tx, user: Row, body: Any) -> None:
    """Writes what administration may say of a new person and of one that is there."""
    changes = {"role": body.role} if body.role else {}
    changes["raw_app_meta_data"] = store.merged(user["raw_app_meta_data"], body.app_metadata or {})
    changes["raw_user_meta_data"] = store.merged(user["raw_user_meta_data"], body.user_metadata or {})
    if body.ban_duration:
        try:
            lasts = None if body.ban_duration == "none" else timedelta(seconds=parse_duration(body.ban_duration))
        except ValueError as error:
            raise invalid(f"invalid format for ban duration: {error}") from None
        changes["banned_until"] = lasts and now() + lasts
    store.update(tx, user, **changes)
    if body.email_confirm:
        store.confirm(tx, user)


@admin.put("/admin/users/<user_id>")
def update_user(user_id: str) -> Response:
    """Changes a person. A new password ends all sessions."""
    with transaction() as tx:
        user = _person(tx, user_id)
        body = read(**PERSON)
        if body.password is not None:
            check_password(body.password)
            store.change_password(tx, user, encrypt(body.password))
        if body.email:
            store.update(tx, user, email=checked_address(body.email))
            store.change_identity(tx, user, email=user["email"], email_verified=bool(body.email_confirm))
        _write(tx, user, body)
        return jsonify(store.person_json(user))


@admin.delete("/admin/users/<user_id>")
def delete_user(user_id: str) -> Response:
    """Deletes a person, or blurs everything that could identify them and keeps the row."""
    soft = bool(request.get_data()) and read(should_soft_delete=bool).should_soft_delete
    with transaction() as tx:
        user = _person(tx, user_id)
        if soft:
            gone: Row = {"encrypted_password": None, "raw_user_meta_data": {}, "raw_app_meta_data": {}}
            store.update(tx, user, email=f"deleted-{user['id']}", email_change="", deleted_at=now(), **gone)
            for table in ("identities", "sessions", "one_time_tokens"):
                tx.execute(sql.SQL("delete from auth.{} where user_id = %s").format(sql.Identifier(table)), (user_id,))
        else:
            tx.execute("delete from auth.users where id = %s", (user_id,))
    return jsonify({})


@admin.post("/invite")
def invite() -> Response:
    """Invites an address that has no confirmed person yet."""
    body = read(email=str, data=dict)
    with transaction() as tx:
        user = _unconfirmed(tx, checked_address(body.email), "", body.data)
        mail.send(tx, user, body, ("invite", user["email"]))
        store.update(tx, user, invited_at=now())
    return jsonify(store.person_json(user))


def _unconfirmed(tx: Tx, email: str, encrypted: str, data: Row | None) -> Row:
    """The person with this address whom no code has confirmed yet; a new one for an unknown address."""
    user = store.find_by_email(tx, email)
    if user is not None and user["email_confirmed_at"]:
        raise email_exists()
    if user is None:
        user = store.add_user(tx, store.new_user(email, encrypted, data))
        store.add_identity(tx, user)
    return user


@admin.post("/admin/generate_link")
def generate_link() -> Response:
    """Makes the code and link of a mail without sending it. A magic link for an unknown address is a sign-up."""
    body = read(type=str, email=str, new_email=str, password=str, data=dict, redirect_to=str)
    email, kind, password = checked_address(body.email), body.type, body.password
    target = redirect_target(body.redirect_to)
    if kind not in mail.KINDS:
        raise invalid(f"Invalid email action link type requested: {kind}")
    with transaction() as tx:
        user = store.find_by_email(tx, email)
        if user is None and kind == "magiclink":
            kind, password = "signup", str(uuid.uuid4())
        if user is None and kind == "signup":
            if not password:
                raise invalid("Signup requires a valid password")
            check_password(password)
        if kind in ("signup", "invite"):
            user = _unconfirmed(tx, email, encrypt(password) if kind == "signup" else "", body.data)
        if user is None:
            raise ApiError(404, "user_not_found", "User with this email not found")
        if kind.startswith("email_change"):
            store.update(tx, user, email_change=checked_address(body.new_email), email_change_confirm_status=0)
            if store.find_by_email(tx, user["email_change"]) is not None:
                raise email_exists()
        address = user["email_change"] if kind == "email_change_new" else email
        code, hashed = mail.new_code(tx, user, kind, address)
        if kind == "invite":
            store.update(tx, user, invited_at=now())
    answer = {"action_link": mail.action_link(kind, hashed, target), "email_otp": code, "hashed_token": hashed}
    return jsonify(store.person_json(user) | answer | {"verification_type": kind, "redirect_to": target})
