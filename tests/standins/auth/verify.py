"""GET and POST /verify: redeeming a code or link."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit

from flask import Blueprint, Response, jsonify, request

from tests.standins.auth import mail, store, tokens
from tests.standins.auth.config import config
from tests.standins.auth.people import encrypt, finish_email_change
from tests.standins.auth.store import Row, Tx, transaction
from tests.standins.auth.web import ApiError, invalid, read, redirect_target

verify = Blueprint("verify", __name__)
KINDS = {
    "email": ["confirmation_token", "recovery_token"],
    "signup": ["confirmation_token"],
    "invite": ["confirmation_token"],
    "recovery": ["recovery_token"],
    "magiclink": ["recovery_token"],
    "email_change": ["email_change_token_current", "email_change_token_new"],
}
HALF_CONFIRMED = "Confirmation link accepted. Please proceed to confirm link sent to the other email"
LINK_EXPIRED = "Email link is invalid or has expired"
CODE_EXPIRED = "Token has expired or is invalid"
OAUTH_NAMES = {400: "invalid_request", 403: "access_denied", 500: "server_error"}


@verify.post("/verify")
def verify_post() -> Response:
    """Redeems a code; answers a session."""
    body = read(type=str, token=str, token_hash=str, email=str)
    if not body.type:
        raise invalid("Verify requires a verification type")
    if bool(body.token) == bool(body.token_hash):
        raise invalid("Verify requires either a token or a token hash")
    if body.token_hash and body.email:
        raise invalid("Only the token_hash and type should be provided")
    if body.token and not body.email:
        raise invalid("Only an email address or phone number should be provided on verify")
    hashed = body.token_hash or mail.code_hash(body.email.lower(), body.token)
    hashes = [hashed] if body.token_hash else [hashed, mail.PKCE_PREFIX + hashed]
    with transaction() as tx:
        user = _redeem(tx, body.type, hashes, LINK_EXPIRED if body.token_hash else CODE_EXPIRED)
        return jsonify(tokens.issue(tx, user, "otp") if user else {"code": "200", "msg": HALF_CONFIRMED})


@verify.get("/verify")
def verify_get() -> Response:
    """Follows a mailed link: back to the site with a session (or a PKCE code), or with the reason why not."""
    kind, hashed, target = request.args.get("type", ""), request.args.get("token", ""), redirect_target()
    if not kind or not hashed:
        raise invalid("Verify requires a verification type and a token or a token hash")
    pkce = hashed.startswith(mail.PKCE_PREFIX)
    try:
        with transaction() as tx:
            user = _redeem(tx, kind, [hashed], LINK_EXPIRED)
            if user is None:
                return _go(target, {"message": HALF_CONFIRMED}, also_query=pkce)
            if pkce:
                return _go(target, {}, query={"code": _auth_code(tx, user)})
            session = tokens.issue(tx, user, "otp")
    except ApiError as error:
        fields = {"error": OAUTH_NAMES[error.status]} if error.status in OAUTH_NAMES else {}
        fields |= {"error_code": error.code, "error_description": error.message}
        return _go(target, fields, also_query=pkce)
    names = ("access_token", "expires_at", "expires_in", "refresh_token", "token_type")
    return _go(target, {name: str(session[name]) for name in names} | {"type": kind})


def _go(url: str, fragment: dict[str, str], also_query: bool = False, query: dict[str, str] | None = None) -> Response:
    """A redirect that carries ``fragment`` behind the hash sign, and for PKCE in the query too."""
    target = urlsplit(url)
    added = (query or {}) | (fragment if also_query else {})
    if added:
        target = target._replace(query=urlencode(dict(parse_qsl(target.query)) | added))
    if fragment:
        target = target._replace(fragment=urlencode(fragment | {"sb": ""}))
    return Response(status=303, headers={"Location": target.geturl()})


def _redeem(tx: Tx, kind: str, hashes: list[str], expired: str) -> Row | None:
    """Does what the code is for and answers whose it was; None when an address change waits for the other address.

    :raise ApiError: 400 for an unknown kind, 403 for a code that is void or of a banned person
    """
    if kind not in KINDS:
        raise invalid("Invalid email verification type")
    taken = store.take_code(tx, hashes, KINDS[kind])
    if taken is None:
        raise ApiError(403, "otp_expired", expired)
    user, token = taken
    if tokens.is_banned(user):
        raise ApiError(403, "user_banned", "User is banned")
    secure = config().secure_email_change and not config().autoconfirm  # then the other address has to agree as well
    if token == "confirmation_token":
        if user["invited_at"] and not user["encrypted_password"]:
            store.change_password(tx, user, encrypt(None))
        store.confirm(tx, user)
        store.change_identity(tx, user, email_verified=True)
    elif token == "recovery_token":
        store.clear_codes(tx, user)
        if not user["email_confirmed_at"]:
            store.confirm(tx, user)
    elif secure and user["email"] and user["email_change_confirm_status"] == 0:
        store.clear_codes(tx, user, token)
        store.update(tx, user, email_change_confirm_status=1)
        return None
    else:
        finish_email_change(tx, user)
    return store.find_by_id(tx, user["id"])


def _auth_code(tx: Tx, user: Row) -> str:
    """The code of the person's last PKCE flow; its five minutes begin now."""
    statement = (
        "update auth.flow_state set auth_code_issued_at = now() where id ="
        " (select id from auth.flow_state where user_id = %s order by created_at desc limit 1) returning auth_code"
    )
    row = tx.execute(statement, (user["id"],)).fetchone()
    if row is None:
        raise ApiError(400, "flow_state_not_found", "No associated flow state found.")
    return str(row["auth_code"])
