"""One-time codes, the links around them, and the mails that carry both. Without GOTRUE_SMTP_HOST no mail is sent."""

from __future__ import annotations

import hashlib
import re
import secrets
import smtplib
import uuid
from datetime import timedelta
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from html import escape
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urljoin

from tests.standins.auth import store
from tests.standins.auth.config import config
from tests.standins.auth.store import Row, Tx, now
from tests.standins.auth.web import ApiError, invalid, redirect_target

PKCE_PREFIX = "pkce_"
CHALLENGE = re.compile("[a-zA-Z._~0-9-]{43,128}")
SMTP_SECONDS = 10


class Kind(NamedTuple):
    """A kind of mail: its token in the database, the column that says when it was sent, and what it asks for."""

    token: str
    sent_at: str
    verification: str
    subject: str


KINDS = {
    "signup": Kind("confirmation_token", "confirmation_sent_at", "signup", "Confirm your email address"),
    "invite": Kind("confirmation_token", "confirmation_sent_at", "invite", "Accept the invitation"),
    "magiclink": Kind("recovery_token", "recovery_sent_at", "magiclink", "Sign in"),
    "recovery": Kind("recovery_token", "recovery_sent_at", "recovery", "Reset your password"),
}
for which in ("current", "new"):
    token = f"email_change_token_{which}"
    KINDS[f"email_change_{which}"] = Kind(token, "email_change_sent_at", "email_change", "Confirm your new address")


def code_hash(address: str, code: str) -> str:
    """What is stored of a code: SHA-224 over address and code."""
    return hashlib.sha224((address + code).encode()).hexdigest()


def check_challenge(body: Any) -> None:
    """Holds the parameters of a PKCE flow against the rules; both absent means no such flow.

    :raise ApiError: 400
    """
    challenge, method = body.code_challenge, body.code_challenge_method
    if bool(challenge) != bool(method):
        raise invalid("PKCE flow requires code_challenge_method and code_challenge")
    if challenge and (not CHALLENGE.fullmatch(challenge) or method.lower() not in ("s256", "plain")):
        raise invalid(
            "code challenge has to be between 43 and 128 letters, digits or -._~, and its method s256 or plain"
        )


def new_code(tx: Tx, user: Row, kind: str, address: str, prefix: str = "") -> tuple[str, str]:
    """A new code of a kind and its hash, which is what links carry. The last one of the kind is void."""
    code = "".join(secrets.choice("0123456789") for _ in range(6))
    hashed = prefix + code_hash(address, code)
    store.update(tx, user, **{KINDS[kind].sent_at: now()})  # locks the person before the codes
    store.add_code(tx, user, KINDS[kind].token, address, hashed)
    return code, hashed


def action_link(kind: str, hashed: str, target: str) -> str:
    """The link a mail of this kind carries."""
    query = {"token": hashed, "type": KINDS[kind].verification, "redirect_to": target}
    return urljoin(config().external_url, "/verify") + "?" + urlencode(query, safe=":/", quote_via=quote)


def send(tx: Tx, user: Row, body: Any, *letters: tuple[str, str]) -> None:
    """Mails codes with their links: letters are pairs of kind and address. A challenge in the body begins a PKCE flow.

    :raise ApiError: 429 for a second mail of a kind too soon, 500 when the mail server does not take it
    """
    sent_at, kind = user.get(KINDS[letters[0][0]].sent_at), letters[0][0]
    left = (sent_at + timedelta(seconds=config().mail_max_frequency) - now()).total_seconds() if sent_at else 0.0
    if left > 0 and kind != "invite":
        message = f"For security purposes, you can only request this after {int(left)} seconds."
        raise ApiError(429, "over_email_send_rate_limit", message)
    challenge = getattr(body, "code_challenge", None)
    if challenge:
        check_challenge(body)
        flow = {"id": uuid.uuid4(), "user_id": user["id"], "auth_code": str(uuid.uuid4()), "provider_type": "email"}
        flow |= {"code_challenge": challenge, "code_challenge_method": body.code_challenge_method.lower()}
        store.insert(tx, "flow_state", flow | {"authentication_method": kind, "created_at": now()})
    for kind, address in letters:
        code, hashed = new_code(tx, user, kind, address, PKCE_PREFIX if challenge else "")
        if config().smtp_host:
            _deliver(kind, address, code, action_link(kind, hashed, redirect_target()))


def _deliver(kind: str, address: str, code: str, link: str) -> None:
    subject, message = KINDS[kind].subject, EmailMessage()
    message["From"], message["To"], message["Subject"] = config().smtp_sender, address, subject
    message["Date"], message["Message-ID"] = formatdate(), make_msgid(domain="localhost")
    text = f'<p><a href="{escape(link)}">{subject}</a></p>\n<p>Or enter the code: {code}</p>\n'
    message.set_content(text, subtype="html")
    try:
        with smtplib.SMTP(config().smtp_host, config().smtp_port, "localhost", SMTP_SECONDS) as server:
            server.send_message(message)
    except (OSError, smtplib.SMTPException) as error:
        raise ApiError(500, "unexpected_failure", f"Error sending {kind} email") from error
