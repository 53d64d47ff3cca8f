"""One-time codes, as a mail would carry them. No mail is sent: there is no mail server, as in the recorded server."""

from __future__ import annotations

import re
import uuid
from datetime import datetime, timedelta
from urllib.parse import quote, urlsplit

from tests.standins.auth.config import Config
from tests.standins.auth.errors import ApiError, invalid
from tests.standins.auth.formats import new_code, now, resolve, token_hash
from tests.standins.auth.store import Tx, User, add_code

PKCE_PREFIX = "pkce_"
CHALLENGE = re.compile("[a-zA-Z._~0-9-]+")
CHALLENGE_METHODS = ("s256", "plain")
LINK_KINDS = {
    "magiclink": ("recovery", "recovery_token", "magiclink"),
    "recovery": ("recovery", "recovery_token", "recovery"),
    "invite": ("invite", "confirmation_token", "invite"),
    "signup": ("confirmation", "confirmation_token", "signup"),
    "email_change_current": ("email_change", "email_change_token_current", "email_change"),
    "email_change_new": ("email_change", "email_change_token_new", "email_change"),
}


def check_challenge(challenge: str, method: str) -> None:
    """Holds the parameters of a PKCE flow against the rules; both empty means no such flow.

    :raise ApiError: 400
    """
    if bool(challenge) != bool(method):
        raise invalid("PKCE flow requires code_challenge_method and code_challenge")
    if challenge and not 43 <= len(challenge) <= 128:
        raise invalid("code challenge has to be between 43 and 128 characters")
    if challenge and not CHALLENGE.fullmatch(challenge):
        allowed = "alphanumeric characters, hyphens, periods, underscores and tildes"
        raise invalid(f"code challenge can only contain {allowed}")


def begin_flow(tx: Tx, user: User, provider: str, flow: str, challenge: str, method: str) -> None:
    """Remembers the challenge of a PKCE flow that a mailed link will continue. Without a challenge there is none."""
    if not challenge:
        return
    if method.lower() not in CHALLENGE_METHODS:
        raise ApiError(500, "unexpected_failure", f'unsupported code_challenge method "{method}"')
    moment = now()
    tx.execute(
        "insert into auth.flow_state (id, user_id, auth_code, code_challenge_method, code_challenge, provider_type,"
        " authentication_method, provider_access_token, provider_refresh_token, created_at, updated_at)"
        " values (%s, %s, %s, %s, %s, %s, %s, '', '', %s, %s)",
        (uuid.uuid4(), user.id, str(uuid.uuid4()), method.lower(), challenge, provider, flow, moment, moment),
    )


def check_frequency(sent_at: datetime | None, config: Config) -> None:
    """Refuses a second mail of a kind within the shortest interval.

    :raise ApiError: 429 ``over_email_send_rate_limit``
    """
    moment = now()
    if sent_at is None or sent_at + timedelta(seconds=config.mail_max_frequency) <= moment:
        return
    left = int((sent_at + timedelta(seconds=config.mail_max_frequency) - moment).total_seconds())
    message = f"For security purposes, you can only request this after {left} seconds."
    raise ApiError(429, "over_email_send_rate_limit", message)


def send_confirmation(tx: Tx, config: Config, user: User, challenge: str) -> None:
    """Mails a code that confirms the address of a sign-up."""
    check_frequency(user.confirmation_sent_at, config)
    hashed = _new_hash(config, user.email or "", challenge)
    user.update(tx, confirmation_token=hashed, confirmation_sent_at=now())
    add_code(tx, user.id, user.email or "", hashed, "confirmation_token")


def send_invite(tx: Tx, config: Config, user: User) -> None:
    """Mails an invitation."""
    hashed, moment = _new_hash(config, user.email or "", ""), now()
    user.update(tx, confirmation_token=hashed, confirmation_sent_at=moment, invited_at=moment)
    add_code(tx, user.id, user.email or "", hashed, "confirmation_token")


def send_recovery(tx: Tx, config: Config, user: User, challenge: str) -> None:
    """Mails a code that signs in: password recovery and magic link share it."""
    check_frequency(user.recovery_sent_at, config)
    hashed = _new_hash(config, user.email or "", challenge)
    user.update(tx, recovery_token=hashed, recovery_sent_at=now())
    add_code(tx, user.id, user.email or "", hashed, "recovery_token")


def send_reauthentication(tx: Tx, config: Config, user: User) -> None:
    """Mails a code that proves who is about to change the password."""
    check_frequency(user.reauthentication_sent_at, config)
    hashed = _new_hash(config, user.email or "", "")
    user.update(tx, reauthentication_token=hashed, reauthentication_sent_at=now())
    add_code(tx, user.id, user.email or "", hashed, "reauthentication_token")


def send_email_change(tx: Tx, config: Config, user: User, email: str, challenge: str) -> None:
    """Mails codes to the new address and, for a secure change, to the current one."""
    check_frequency(user.email_change_sent_at, config)
    current = user.email_change_token_current or ""
    if config.secure_email_change and user.email:
        current = _new_hash(config, user.email, challenge)
    new = _new_hash(config, email, challenge)
    user.update(
        tx,
        email_change=email,
        email_change_token_new=new,
        email_change_token_current=current,
        email_change_sent_at=now(),
        email_change_confirm_status=0,
    )
    store_email_change_codes(tx, user)


def store_email_change_codes(tx: Tx, user: User) -> None:
    """Keeps the one-time tokens of an address change in step with the person's row."""
    if user.email_change_token_current:
        add_code(tx, user.id, user.email or "", user.email_change_token_current, "email_change_token_current")
    if user.email_change_token_new:
        add_code(tx, user.id, user.email_change or "", user.email_change_token_new, "email_change_token_new")


def action_link(config: Config, user: User, kind: str, redirect_to: str) -> str:
    """The link a mail of this kind would carry."""
    path, column, verification = LINK_KINDS[kind]
    target = resolve(config.external_url, config.url_paths[path])
    query = f"token={quote(getattr(user, column) or '')}&type={verification}&redirect_to={_encoded(redirect_to)}"
    return target._replace(query=query).geturl()


def _encoded(url: str) -> str:
    """A redirect address as part of a query: left readable unless it has a query or fragment of its own."""
    parts = urlsplit(url)
    return quote(url, safe="") if parts.query or parts.fragment else url


def _new_hash(config: Config, address: str, challenge: str) -> str:
    hashed = token_hash(address, new_code(config.otp_length))
    return PKCE_PREFIX + hashed if challenge else hashed
